"""Programs that call sendmail: git send-email, bsd-mailx, s-nail, mutt, cron,
PHP, Python.  Each sends through smtpd, and through the drop directory while
smtpd is down; nothing of the message is lost on either way."""
import contextlib
import email
import email.header
import email.policy
import os
import pwd
import shutil
import subprocess
import sys
import time

import pytest

import letters
from sendmail import Mail
from suite import BIN, ROOT, is_root, wait_until

ANN, BOB = "ann@here.example", "bob@here.example"
TEXT = "Grüße.\n.\n..two dots\nFrom the start\n\nend\n"
SUBJECT = "Über uns"
GIT = "/usr/lib/git-core/git-send-email"


@pytest.fixture(scope="module")
def s():
    with Mail({"drop_scan": "1s", "local_domain": "here.example"}) as made:
        yield made


@pytest.fixture(params=["smtpd", "pickup"])
def way(request, s):
    """By smtpd's socket, or by the drop directory; afterwards all is gone."""
    if request.param == "pickup":
        s.terminate("smtpd")
    yield request.param
    if request.param == "pickup":
        s.start("smtpd")
    s.wait_queue_empty()
    for user in ("ann", "bob"):
        for f in s.messages(user):
            f.unlink()


@pytest.fixture
def home(s, tmp_path):
    """An empty home, so that nobody's settings matter."""
    return tmp_path


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def run(s, home, *args, text=TEXT, env=None, **kw):
    done = subprocess.run(
        [str(a) for a in args], input=text.encode(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, cwd=home, timeout=60,
        env={"PATH": f"{s.mta.bin}:/usr/sbin:/usr/bin:/bin",
             "HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
             "MAILRC": "/dev/null", "TERM": "dumb",
             "EMAIL": "me@here.example", **(env or {})}, **kw)
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    return done.stdout.decode(errors="replace")


def arrived(s, way, user="ann", count=1):
    """The messages, parsed; they came the way they should."""
    files = s.wait_delivered(user, count)
    assert len(files) == count
    made = []
    for f in files:
        m = email.message_from_bytes(f.read_bytes(),
                                     policy=email.policy.default)
        local = "with local id" in m.get_all("Received")[-1]
        assert local == (way == "pickup"), m["Received"]
        for name in ("From", "Date", "Message-ID", "Return-Path"):
            assert len(m.get_all(name, [])) == 1, (name, f.read_bytes())
        assert "Bcc" not in m
        made.append(m)
    return made if count > 1 else made[0]


def same_text(m, text=TEXT):
    got = m.get_content() if not m.is_multipart() else \
        m.get_body(("plain",)).get_content()
    assert got.rstrip("\n") == text.rstrip("\n")


def test_bsd_mailx(s, way, home):
    need("bsd-mailx")
    rc = home / ".mailrc"
    rc.write_text(f"set sendmail={s.mta.sendmail}\nset dot\nset ignoreeof\n")
    text = TEXT.replace("\n.\n", "\n")
    run(s, home, "bsd-mailx", "-s", SUBJECT, "-c", BOB, "-a",
        "Content-Type: text/plain; charset=utf-8", ANN, text=text,
        env={"MAILRC": str(rc)})
    m = arrived(s, way)
    same_text(m, text)
    assert str(email.header.make_header(email.header.decode_header(
        m["Subject"]))) == SUBJECT
    arrived(s, way, "bob")


def test_s_nail(s, way, home):
    need("s-nail")
    file = home / "datei.bin"
    file.write_bytes(bytes(range(256)) * 10)
    run(s, home, "s-nail", "-:/", "-S", f"mta=file://{s.mta.sendmail}",
        "-S", "sendcharsets=utf-8", "-S", "mime-encoding=8bit", "-s", SUBJECT,
        "-b", BOB, "-a", file, ANN)
    m = arrived(s, way)
    same_text(m)
    assert m["Subject"] == SUBJECT
    [part] = m.iter_attachments()
    assert part.get_payload(decode=True) == file.read_bytes()
    arrived(s, way, "bob")


def test_mutt(s, way, home):
    need("mutt")
    file = home / "datei.bin"
    file.write_bytes(bytes(range(256)) * 10)
    run(s, home, "mutt", "-n", "-F", "/dev/null",
        "-e", f'set sendmail="{s.mta.sendmail} -oem -oi"',
        "-e", "set use_envelope_from=yes", "-e", "set from=me@here.example",
        "-e", "set realname='Mé'", "-e", "set copy=no",
        "-s", SUBJECT, "-b", BOB, "-a", file, "--", ANN)
    m = arrived(s, way)
    same_text(m)
    assert m["Subject"] == SUBJECT
    assert m["From"].addresses[0].addr_spec == "me@here.example"
    assert m["Return-Path"] == "<me@here.example>"
    [part] = m.iter_attachments()
    assert part.get_payload(decode=True) == file.read_bytes()
    arrived(s, way, "bob")


def test_resent(s, way, home):
    """What mutt's bounce and others hand in: a message as it was, once more."""
    run(s, home, s.mta.sendmail, "-oem", "-oi", "-f", "me@here.example", "--",
        ANN, text="Resent-From: me@here.example\n"
        "Resent-Date: Sun, 22 Nov 2026 11:00:00 +0000\n"
        f"Resent-Message-ID: <two@x.example>\nResent-To: {ANN}\n"
        "From: carl@x.example\nTo: dora@x.example\n"
        "Subject: once more\nMessage-ID: <one@x.example>\n"
        "Date: Sun, 22 Nov 2026 10:00:00 +0000\n\nold text\n")
    m = arrived(s, way)
    assert m["From"] == "carl@x.example" and m["To"] == "dora@x.example"
    assert m["Message-ID"] == "<one@x.example>"
    assert m["Resent-To"] == ANN


def test_git_send_email(s, way, home):
    if not os.path.exists(GIT):
        pytest.skip("git-email is not installed")
    git = ["git", "-c", "user.name=Jürgen Ö", "-c",
           "user.email=me@here.example", "-c", "init.defaultBranch=main"]
    run(s, home, *git, "init", "-q", "r", text="")
    repo = home / "r"
    for i in range(2):
        (repo / "datei").write_text(f"Größe {i}\n.\n")
        run(s, repo, *git, "add", "datei", text="")
        run(s, repo, *git, "commit", "-q", "-m", f"Änderung {i}", text="")
    run(s, repo, *git, "send-email", "--quiet", "--confirm=never",
        "--suppress-cc=all", f"--smtp-server={s.mta.sendmail}",
        f"--to={ANN}", f"--cc=Bob <{BOB}>", "--root", "HEAD", text="")
    got = arrived(s, way, "ann", 2)
    assert sorted(m["Subject"] for m in got) == [
        "[PATCH 1/2] Änderung 0", "[PATCH 2/2] Änderung 1"]
    # What came is what was sent: it applies.
    new = home / "new"
    run(s, home, *git, "init", "-q", "new", text="")
    for i, f in enumerate(sorted(s.messages("ann"), key=lambda f:
                          letters.header(f, "Subject"))):
        (home / f"{i}.patch").write_bytes(f.read_bytes())
        run(s, new, *git, "am", "-q", home / f"{i}.patch", text="")
    assert (new / "datei").read_text() == "Größe 1\n.\n"
    arrived(s, way, "bob", 2)


def test_php(s, way, home):
    need("php")
    run(s, home, "php", "-d", f"sendmail_path={s.mta.sendmail} -t -i", "-d",
        "mail.add_x_header=0", "-r", """
$ok = mail('Ann <ann@here.example>', 'hello', "line\\n.\\n..two\\n",
    ['From' => 'Web <web@here.example>', 'Cc' => 'bob@here.example',
     'X-Mailer' => 'PHP'], '-fbounces@here.example');
exit($ok ? 0 : 1);""", text="")
    m = arrived(s, way)
    same_text(m, "line\n.\n..two\n")
    assert m["Return-Path"] == "<bounces@here.example>"
    assert m["From"] == "Web <web@here.example>"
    arrived(s, way, "bob")


def test_php_hears_of_refusals(s, home):
    need("php")
    out = run(s, home, "php", "-d", f"sendmail_path={s.mta.sendmail} -t -i",
              "-r", "var_dump(mail('nobody@here.example', 'x', 'y'));",
              text="")
    assert "bool(false)" in out and "5.1.1" in out


def test_python(s, way, home):
    """subprocess with -t, as many a script does it."""
    run(s, home, sys.executable, "-c", f"""
import subprocess
from email.message import EmailMessage
m = EmailMessage()
m["From"] = "me@here.example"
m["To"] = "{ANN}"
m["Bcc"] = "{BOB}"
m["Subject"] = "{SUBJECT}"
m.set_content("Grüße.\\n", cte="8bit")
subprocess.run(["{s.mta.sendmail}", "-t", "-oi"], input=m.as_bytes(),
               check=True)
""", text="")
    m = arrived(s, way)
    assert m["Subject"] == SUBJECT
    same_text(m, "Grüße.\n")
    arrived(s, way, "bob")


def test_smtp_on_stdin(s, home):
    """-bs as Pine and others call it: smtplib over a socket pair."""
    code = f"""
import smtplib, socket, subprocess
ours, theirs = socket.socketpair()
p = subprocess.Popen(["{s.mta.sendmail}", "-bs"], stdin=theirs, stdout=theirs)
theirs.close()
c = smtplib.SMTP(local_hostname="x.example")
c.sock = ours
c.file = None
code, text = c.getreply()
assert code == 220, text
c.sendmail("me@here.example", ["{ANN}"], b"Subject: x\\r\\n\\r\\n.\\r\\n")
c.quit()
assert p.wait(10) == 0
"""
    run(s, home, sys.executable, "-c", code, text="")
    same_text(arrived(s, "smtpd"), ".\n")
    for f in s.messages("ann"):
        f.unlink()


def test_cron_call(s, way, home):
    """The very words of Debian's cron, and the header it writes."""
    who = pwd.getpwuid(os.getuid()).pw_name
    run(s, home, s.mta.sendmail, "-FCronDaemon", "-i", "-B8BITMIME", "-oem",
        ANN, text=f"From: {who} (Cron Daemon)\nTo: {who}\n"
        "Subject: Cron <root@host> job\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\n"
        + TEXT)
    m = arrived(s, way)
    same_text(m)
    assert m["From"].addresses[0].addr_spec == f"{who}@here.example"
    assert m["To"].addresses[0].addr_spec == f"{who}@here.example"
    assert m["Return-Path"] == f"<{who}@here.example>"


CRON = r"""
set -e
sendmail=$1 crontabs=$2 upper=$3
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=$upper/up,workdir=$upper/work /usr/sbin
rm -f /usr/sbin/sendmail
cp "$sendmail" /usr/sbin/sendmail
mount --bind "$crontabs" /var/spool/cron/crontabs
mount -t tmpfs tmpfs /run
mount --bind /dev/null /etc/crontab
mkdir /run/empty
mount --bind /run/empty /etc/cron.d
exec cron -f
"""


@pytest.mark.skipif(not is_root(), reason="needs root")
@pytest.mark.seconds(240)
def test_cron_itself(s, tmp_path):
    """Debian's cron, unchanged, in a mount namespace where /usr/sbin/sendmail
    is postern's: a job's output arrives within a minute."""
    need("cron")
    need("unshare")
    tabs, upper = tmp_path / "tabs", tmp_path / "over"
    for d in (tabs, upper, upper / "up", upper / "work"):
        d.mkdir()
    tab = tabs / "root"
    tab.write_text("MAILTO=ann@here.example\n"
                   "* * * * * printf 'caf\\303\\251\\n.\\nend\\n'\n")
    tab.chmod(0o600)
    mounts = subprocess.run(["unshare", "-m", "sh", "-c", "mount --make-rprivate"
                             f" / && mount -t overlay overlay -o lowerdir=/usr/"
                             f"sbin,upperdir={upper}/up,workdir={upper}/work "
                             "/usr/sbin"], stderr=subprocess.PIPE)
    if mounts.returncode != 0:
        pytest.skip(f"no mounts here: {mounts.stderr.decode().strip()}")
    log = open(tmp_path / "log", "wb")
    p = subprocess.Popen(["unshare", "-m", "sh", "-c", CRON, "sh",
                          str(s.mta.sendmail), str(tabs), str(upper)],
                         stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: s.messages("ann"), 100,
                   lambda: (tmp_path / "log").read_text())
    finally:
        p.terminate()
        p.wait()
        log.close()
    m = email.message_from_bytes(s.messages("ann")[0].read_bytes(),
                                 policy=email.policy.default)
    assert m["From"].addresses[0].addr_spec == "root@here.example"
    assert m.get_content() == "café\n.\nend\n"
    with contextlib.suppress(OSError):
        time.sleep(0.2)
    for f in s.messages("ann"):
        f.unlink()


def test_installed_tree(s, tmp_path):
    """make install: the three names, and postern beside them."""
    if BIN != ROOT / "bin":
        pytest.skip("another build than the one that is installed")
    done = subprocess.run(["make", "-s", "-o", "all", "install",
                           f"DESTDIR={tmp_path}"], cwd=ROOT, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    sbin = tmp_path / "usr/local/sbin"
    for name in ("sendmail", "mailq", "newaliases"):
        mode = (sbin / name).stat().st_mode
        assert mode & 0o7777 == 0o755  # no set-id
    assert subprocess.run([sbin / "mailq", "-C", s.conf]).returncode == 0
    done = subprocess.run([sbin / "sendmail", "-C", s.conf, "-i", ANN],
                          input=b"Subject: installed\n\nx\n")
    assert done.returncode == 0
    assert arrived(s, "smtpd")["Subject"] == "installed"
    for f in s.messages("ann"):
        f.unlink()
    man = tmp_path / "usr/local/share/man"
    assert (man / "man1/sendmail.1").exists()
    assert (man / "man8/pickup.8").exists()
