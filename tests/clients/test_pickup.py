"""Mail of this host's users, with smtpd and without: every message arrives
once, and no file that somebody leaves in the drop directory does any harm."""
import contextlib
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

import letters
from sendmail import DAEMONS, Mail
from suite import BIN, Suite, is_root, sanitized, wait_until

needs_root = pytest.mark.skipif(not is_root(), reason="needs root")
ANN, BOB = "ann@here.example", "bob@here.example"
# Users for tests: one with a name, some without.
NAMED, FIRST, SECOND, HOSTILE = 1, 23451, 23452, 23453


def ids_of(files):
    return sorted(letters.header(f, "X-Test-Id")[0] for f in files)


def text_of(ident, size=300):
    return letters.lf(letters.make(ident, size))


@pytest.fixture(scope="module")
def s():
    with Mail({"drop_scan": "1s"}) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(request):
    """What a test leaves of the shared suite: nothing."""
    yield
    if "s" not in request.fixturenames:
        return
    s = request.getfixturevalue("s")
    for d in s.daemons.values():
        if not d.running():
            d.start()
            d.wait_ready()
    wait_until(lambda: not s.dropped(), 30, lambda: s.log("pickup")[-3000:])
    s.wait_queue_empty()
    for user in ("ann", "bob"):
        for f in s.messages(user):
            f.unlink()
    for name in s.aside():
        p = s.drop_dir / name
        p.rmdir() if p.is_dir() and not p.is_symlink() else p.unlink()


@contextlib.contextmanager
def down(s, *names):
    """These daemons are stopped for a while."""
    for n in names:
        s.terminate(n)
    yield
    if names:
        s.start(*names)


def test_through_smtpd(s):
    done = s.sendmail("-i", "-f", "x@client.example", ANN,
                      text=text_of("direct"))
    assert done.returncode == 0, done
    [f] = s.wait_delivered("ann", 1)
    letters.assert_same(f, letters.make("direct", 300))
    assert not s.dropped()


def test_through_the_drop_directory(s):
    """smtpd is down; pickup takes it at once."""
    with down(s, "smtpd"):
        done = s.sendmail("-i", "-f", "x@client.example", ANN,
                          text=text_of("dropped"))
        assert done.returncode == 0, done
        [f] = s.wait_delivered("ann", 1)
    letters.assert_same(f, letters.make("dropped", 300))
    uid = os.getuid()
    [received] = letters.header(f, "Received")[-1:]
    assert f"uid {uid})" in received and "with local id" in received
    assert letters.header(f, "Return-Path") == ["<x@client.example>"]


def test_all_daemons_down(s):
    """It waits in the drop directory, and its Date is that of its sending."""
    with down(s, *DAEMONS):
        done = s.sendmail(ANN, text=b"X-Test-Id: early\n\nx\n")
        assert done.returncode == 0, done
        assert len(s.dropped()) == 1
        time.sleep(2.1)
        start = time.time()
    [f] = s.wait_delivered("ann", 1)
    [date] = letters.header(f, "Date")
    import email.utils
    assert email.utils.parsedate_to_datetime(date).timestamp() < start - 1


def same_header(a, b):
    """Without what cannot be the same in two messages."""
    def strip(f):
        head = letters.lf(f.read_bytes()).split(b"\n\n")[0].decode()
        head = re.sub(r"\n[ \t]+", " ", head)
        names = re.findall(r"^([\w-]+):", head, re.M)
        return names, [letters.header(f, n) for n in ("From", "To", "Cc",
                                                      "Subject", "Bcc")]
    assert strip(a) == strip(b)


@pytest.mark.parametrize("text, args", [
    (b"X-Test-Id: a\n\nx\n", []),
    (b"hello\n", []),
    (b"From: root (Cron Daemon)\nTo: ann\nCc: bob, x@y.example\n\nx\n", []),
    (b"From: carl@x.example\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n"
     b"Message-ID: <a@b>\nBcc: hidden@x.example\n\nx\n", []),
    (b"To: ann\n\nx\n", ["-F", "Cron \xc3\xbc"]),
    (b"To: ann\n\nx\n", ["-f", ""]),
    (b"To: ann\n\nx\n", ["-f", "x@y.example"]),
    (b"Resent-To: ann\nFrom: a@b\nDate: x\n\nx\n", []),
])
def test_same_by_both_ways(s, text, args):
    """What is added to a message does not depend on the way it came."""
    uid = NAMED if is_root() else None
    assert s.sendmail(*args, ANN, text=text, uid=uid).returncode == 0
    [a] = s.wait_delivered("ann", 1)
    with down(s, "smtpd"):
        assert s.sendmail(*args, BOB, text=text, uid=uid).returncode == 0
        [b] = s.wait_delivered("bob", 1)
    same_header(a, b)
    for f in (a, b):
        for name in ("From", "Date", "Message-ID"):
            assert len(letters.header(f, name)) == 1, f.read_bytes()
        assert not letters.header(f, "Bcc")


@needs_root
def test_the_kernels_word(s):
    """Who sent it stands in Received, whatever address it is from."""
    name = pwd.getpwuid(NAMED).pw_name
    for uid, shown in ((NAMED, name), (FIRST, f"uid:{FIRST}")):
        for way in ("smtpd", "pickup"):
            with down(s, *(["smtpd"] if way == "pickup" else [])):
                done = s.sendmail("-f", "boss@here.example", ANN, uid=uid)
                assert done.returncode == 0, done
                [f] = s.wait_delivered("ann", 1)
            said = letters.header(f, "Received")[-1]
            assert f"(user {shown}, uid {uid})" in said, said
            f.unlink()


@needs_root
def test_sender_check():
    """submit_sender_check = own holds for both ways."""
    name = pwd.getpwuid(NAMED).pw_name
    with Mail({"submit_sender_check": "own", "local_domain": "here.example",
               "drop_scan": "1s"}) as s:
        assert s.sendmail("-f", "boss@here.example", ANN,
                          uid=NAMED).returncode == 77
        assert s.sendmail(ANN, uid=NAMED).returncode == 0
        with down(s, "smtpd"):
            for f in ("boss@here.example", f"{name}+x@here.example", "",
                      f"{name}@there.example"):
                assert s.sendmail("-f", f, BOB, uid=NAMED).returncode == 0
            s.wait_delivered("bob", 2)
            wait_until(lambda: len(s.aside()) == 2)
        s.wait_delivered("ann", 1)
        assert len(s.messages("bob")) == 2


@needs_root
@pytest.mark.seconds(240)
def test_two_users_while_smtpd_goes_and_comes(s):
    """Two users send without pause; smtpd, pickup and queued end and come
    back, politely and not.  All of it arrives, each message once."""
    count = 25 if sanitized() else 60
    failed = []

    def sender(uid, user):
        for i in range(count):
            done = s.sendmail("-i", f"{user}@here.example", uid=uid,
                              text=text_of(f"{user}-{i:03d}"))
            if done.returncode != 0:
                failed.append(done)

    threads = [threading.Thread(target=sender, args=a)
               for a in ((FIRST, "ann"), (SECOND, "bob"))]
    for t in threads:
        t.start()
    turn = 0
    while any(t.is_alive() for t in threads):
        for name in (("smtpd",), ("queued",), ("smtpd", "pickup")):
            if turn % 2:
                for n in name:
                    s.kill(n)
                time.sleep(0.15)
                s.start(*name)
            else:
                with down(s, *name):
                    time.sleep(0.15)
            time.sleep(0.1)
        turn += 1
    for t in threads:
        t.join()
    assert not failed
    for user in ("ann", "bob"):
        got = set(ids_of(s.wait_delivered(user, count, 60)))
        assert got == {f"{user}-{i:03d}" for i in range(count)}
    wait_until(lambda: not s.dropped())
    assert not s.aside()


def test_large_and_many(s):
    """20 MB, and more recipients than one record holds."""
    members = [f"ann+{i}@here.example" for i in range(900)]
    with down(s, "smtpd"):
        big = letters.make("big", 20_000_000)
        assert s.sendmail("-i", ANN, text=letters.lf(big)).returncode == 0
        [f] = s.wait_delivered("ann", 1, 60)
        letters.assert_same(f, big)
        f.unlink()
        text = "To: " + ",\n ".join(members) + "\n\nx\n"
        assert s.sendmail("-t", text=text.encode()).returncode == 0
        s.wait_delivered("ann", 900, 60)


# ---- crashes ----

def shimmed(s, call, do, n="1"):
    """pickup anew, whose n-th call of that name goes wrong; afterwards its
    log."""
    s.terminate("pickup")
    counter = s.dir / "counter"
    counter.unlink(missing_ok=True)
    s.daemon_env["pickup"] = {
        "LD_PRELOAD": str(BIN / "fault-shim.so"),
        "POSTERN_FAULT": f"call={call},n={n},do={do}",
        "POSTERN_FAULT_REACHED": str(counter)}
    s.start("pickup")


def unshimmed(s):
    s.daemon_env.pop("pickup", None)
    d = s.daemons["pickup"]
    if d.running():
        s.terminate("pickup")
    s.start("pickup")


@pytest.mark.skipif(sanitized("pickup"),
                    reason="the shim is not for sanitizers")
@pytest.mark.parametrize("still_queued", [True, False])
def test_killed_before_unlink(still_queued):
    """The message is in the queue, its file still there: taken in once."""
    if not (BIN / "fault-shim.so").exists():
        pytest.skip("no fault-shim.so")
    with Mail({"drop_scan": "1s"}) as s:
        with down(s, *(["qmgr"] if still_queued else [])):
            s.terminate("smtpd")
            shimmed(s, "unlinkat", "kill-before")
            assert s.sendmail("-i", ANN,
                              text=text_of("once")).returncode == 0
            wait_until(lambda: not s.daemons["pickup"].running(), 20,
                       lambda: s.log("pickup")[-2000:])
            assert len(s.dropped()) == 1
            if not still_queued:
                s.wait_delivered("ann", 1)
                s.wait_queue_empty()
            unshimmed(s)
            wait_until(lambda: not s.dropped(), 20,
                       lambda: s.log("pickup")[-2000:])
            if still_queued:
                assert "taken-before" in s.log("pickup")
                assert len(s.queue()) == 1
        s.start("smtpd")
        s.wait_delivered("ann", 1)
        s.wait_queue_empty()
        assert len(s.messages("ann")) == 1


def test_queued_is_away(s):
    """Files wait; nothing is lost, and nobody spins."""
    with down(s, "smtpd", "queued"):
        for i in range(3):
            assert s.sendmail("-i", ANN,
                              text=text_of(f"wait-{i}")).returncode == 0
        time.sleep(1)
        assert len(s.dropped()) == 3
        n = s.log("pickup").count("\n")
        time.sleep(1)
        assert s.log("pickup").count("\n") - n < 20
    assert ids_of(s.wait_delivered("ann", 3)) == [f"wait-{i}"
                                                  for i in range(3)]


def test_queue_is_full():
    """queue_reserve holds for what comes this way too."""
    with Mail({"drop_scan": "500ms"}) as s:
        s.terminate("smtpd")
        assert s.sendmail(ANN).returncode == 0
        s.wait_delivered("ann", 1)
        s.write_conf({**s.config, "queue_reserve": "1023G"})
        s.restart("queued")
        # Its own look at the room would stop sendmail: another configuration.
        roomy = s.dir / "roomy.conf"
        roomy.write_text(s.conf.read_text().replace("1023G", "0"))
        for _ in range(3):
            done = s.mta.run("-C", roomy, ANN, text=b"A: b\n\nx\n")
            assert done.returncode == 0, done
        time.sleep(1.5)
        assert len(s.dropped()) == 3 and not s.aside()
        s.write_conf({**s.config, "queue_reserve": "0"})
        s.restart("queued")
        s.wait_delivered("ann", 4)


# ---- hostile files ----

def as_user(uid, code, *args):
    """Python text that an ordinary user runs in the drop directory."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], cwd="/", timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=uid, group=uid,
        extra_groups=[])


HEAD = "postern-drop 1\nfrom x@y.example\nrcpt ann@here.example\n"
ID = "01k8000000000000000{}"

BAD_FILES = {
    "empty": "",
    "no head": "hello\n",
    "binary": "\0" * 1000,
    "version 2": HEAD.replace("1\n", "2\n", 1) + "size 1\n\nx",
    "no sender": "postern-drop 1\nrcpt ann@here.example\nsize 3\n\nx\r\n",
    "two senders": HEAD + "from x@y\nsize 3\n\nx\r\n",
    "no recipient": "postern-drop 1\nfrom <>\nsize 3\n\nx\r\n",
    "no size": HEAD + "\nx\r\n",
    "size is no number": HEAD + "size -1\n\nx\r\n",
    "size of 2^64": HEAD + "size 18446744073709551616\n\nx\r\n",
    "sender is no address": "postern-drop 1\nfrom a b\nsize 3\n\nx\r\n",
    "recipient is no address": HEAD + "rcpt <a@b>\nsize 3\n\nx\r\n",
    "bare recipient": HEAD + "rcpt ann\nsize 3\n\nx\r\n",
    "address with a line end": HEAD + "rcpt a%0A@b\nsize 3\n\nx\r\n",
    "unknown line": HEAD + "uid 0\nsize 3\n\nx\r\n",
    "broken quoting": HEAD + "envid a%zz\nsize 3\n\nx\r\n",
    "broken notify": HEAD + "notify never,success\nsize 3\n\nx\r\n",
    "bare LF": HEAD + "size 2\n\nx\n",
    "bare CR": HEAD + "size 5\n\nx\ry\r\n",
    "no last line end": HEAD + "size 1\n\nx",
    "NUL": HEAD + "size 3\n\n\0\r\n",
    "more than it says": HEAD + "size 3\n\nx\r\ny\r\n",
    "8 bit not said": HEAD + "size 4\n\n\xfc\r\n",
    "empty line in the head": "postern-drop 1\n\nfrom <>\n",
    "too many recipients": HEAD + "rcpt a@b\n" * 10001 + "size 3\n\nx\r\n",
    "a head without end": HEAD + "rcpt a@b\n" * 2_000_000,
    "a huge header": HEAD + "size 300005\n\nA: " + "b" * 300_000 + "\r\n",
    "too many hops": HEAD + f"size {60 * 13}\n\n" + "Received: x\r\n" * 60,
}


def leave(s, name, text, uid=HOSTILE):
    """A file as this user would leave it, whole at once."""
    new = s.drop_dir / ".new"
    new.write_text(text, newline="", encoding="latin-1")
    os.chown(new, uid, s.drop_dir.stat().st_gid)
    new.chmod(0o640)
    new.rename(s.drop_dir / name)


@needs_root
def test_what_is_no_mail(s):
    """Set aside with the reason, once, and never delivered."""
    start = len(s.log("pickup"))
    names = {f"{i:020d}": k for i, k in enumerate(BAD_FILES)}
    for name, kind in names.items():
        leave(s, name, BAD_FILES[kind])
    # What has too few octets may still be written to, and a newer release
    # may come back.
    short = {"empty", "version 2"}
    wait_until(lambda: not [n for n in s.dropped() if names[n] not in short],
               30, lambda: f"{[names[n] for n in s.dropped()]}\n"
               + s.log("pickup")[-3000:])
    left = s.dropped()
    assert {names[n] for n in left} <= short
    for name in left:
        (s.drop_dir / name).unlink()
    log = s.log("pickup")[start:]
    told = set(re.findall(r"strange-file level=warn name=(\d+)", log))
    assert {names[n] for n in told} == set(BAD_FILES) - short
    assert log.count("strange-file ") == len(told) == len(s.aside())
    assert f"uid={HOSTILE}" in log and "mend=" in log
    time.sleep(1.5)
    assert s.log("pickup")[start:].count("strange-file ") == len(told)
    assert not s.queue() and not s.messages("ann")


STRANGE = """
import os, socket, sys, errno
os.umask(0)
drop, secret, victim = sys.argv[1:]
os.chdir(drop)
def name(c):
    return "0" * 19 + c
os.symlink(secret, name("1"))
os.symlink("/dev/zero", name("2"))
os.mkfifo(name("3"), 0o666)
os.mkdir(name("4"), 0o777)
open(os.path.join(name("4"), "x"), "w").close()
s = socket.socket(socket.AF_UNIX)
s.bind(name("5"))
try:
    os.link(victim, name("6"))
except OSError as e:
    assert e.errno in (errno.EPERM, errno.EXDEV), e
with open(name("7"), "w") as f:
    f.write("postern-drop 1")
os.chmod(name("7"), 0)
with open("not an id", "w") as f:
    f.write("x")
with open("x" * 255, "w") as f:
    f.write("x")
with open("bad.x", "w") as f:
    f.write("x")
with open("\\n\\x1b[2J", "w") as f:
    f.write("x")
os.symlink(secret, ".hidden")
os.symlink("loop", "loop")
try:
    os.listdir(".")
    sys.exit("may look around")
except PermissionError:
    pass
"""


@needs_root
def test_links_and_other_things(s):
    """Nothing is followed, opened or waited for; nobody else's file is read or
    removed."""
    secret = s.dir / "secret"
    secret.write_text(HEAD + "size 20\n\nthe root's secret\r\n\r\n")
    secret.chmod(0o600)
    victim = s.dir / "victim"
    victim.write_text(HEAD + "size 3\n\nx\r\n")
    victim.chmod(0o644)
    start = len(s.log("pickup"))
    with down(s, "pickup"):
        done = as_user(HOSTILE, STRANGE, s.drop_dir, secret, victim)
        assert done.returncode == 0, done
    # Mail of another user behind all that
    with down(s, "smtpd"):
        assert s.sendmail("-i", ANN, uid=FIRST,
                          text=text_of("behind")).returncode == 0
        assert ids_of(s.wait_delivered("ann", 1)) == ["behind"]
    wait_until(lambda: not s.dropped() and len(s.aside()) >= 6, 20,
               lambda: f"{os.listdir(s.drop_dir)} {s.log('pickup')[-3000:]}")
    assert secret.exists() and victim.exists()
    assert victim.stat().st_nlink <= 2
    assert (s.drop_dir / ".hidden").is_symlink()
    log = s.log("pickup")[start:]
    assert "\x1b" not in log
    assert len(s.messages("ann")) == 1
    for p in s.drop_dir.iterdir():
        if p.is_dir() and not p.is_symlink():
            (p / "x").unlink()
            p.rmdir()
        else:
            p.unlink()


@needs_root
def test_hard_link_to_anothers_letter(s):
    """A second name for somebody's letter, if its name were known: it is
    taken in once the link is gone, and not removed."""
    with down(s, "smtpd"):
        with down(s, "pickup"):
            assert s.sendmail("-i", ANN, uid=FIRST,
                              text=text_of("linked")).returncode == 0
            [name] = s.dropped()
            other = s.dir / "other-name"
            os.link(s.drop_dir / name, other)
        time.sleep(1.5)
        assert not s.messages("ann")
        other.unlink()
        s.wait_delivered("ann", 1)


@needs_root
def test_a_user_cannot_touch_others_files(s):
    with down(s, "smtpd", "pickup"):
        assert s.sendmail("-i", ANN, uid=FIRST,
                          text=text_of("mine")).returncode == 0
        [name] = s.dropped()
        path = s.drop_dir / name
        assert path.stat().st_uid == FIRST
        for code in ("open(p).read()", "open(p, 'a')", "os.unlink(p)",
                     "os.rename(p, p + 'x')",
                     "os.rename(os.path.dirname(p), '/tmp/x')"):
            done = as_user(SECOND, f"import os, sys\np = sys.argv[1]\n{code}",
                           path)
            assert b"PermissionError" in done.stderr, (code, done)
    assert ids_of(s.wait_delivered("ann", 1)) == ["mine"]


@needs_root
def test_one_users_flood_delays_nobody(s):
    """Hundreds of files of one user, and one of another."""
    count = 100 if sanitized() else 400
    with down(s, "smtpd", "pickup"):
        done = as_user(HOSTILE, """
import os, sys
os.umask(0)
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    fd = os.open("%020d" % i, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    os.write(fd, (sys.argv[3] + "size 3\\n\\nx\\r\\n").encode())
    os.close(fd)
""", s.drop_dir, count, HEAD.replace("ann", "bob"))
        assert done.returncode == 0, done
        assert s.sendmail("-i", ANN, uid=FIRST,
                          text=text_of("alone")).returncode == 0
    start = time.monotonic()
    s.wait_delivered("ann", 1)
    took = time.monotonic() - start
    done = len(s.messages("bob"))
    s.wait_delivered("bob", count, 120)
    assert took < 3, f"{took} s, {done} of the others came first"


@needs_root
def test_a_file_that_changes(s):
    """Its owner writes, cuts and replaces it while it is read: at most his own
    message suffers."""
    code = """
import os, sys, time, threading
os.umask(0)
os.chdir(sys.argv[1])
head = sys.argv[2]
end = time.monotonic() + 2
i = 0
while time.monotonic() < end:
    name = "0" * 12 + "%08d" % i
    i += 1
    body = "x\\r\\n" * 30000
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    os.write(fd, (head + "size %d\\n\\n" % len(body) + body).encode())
    try:
        os.ftruncate(fd, 1000)
        os.pwrite(fd, b"rcpt z@z\\n", 20)
        os.ftruncate(fd, 40000)
        os.rename(name, "1" * 19 + "%d" % (i % 5))
        os.symlink("/etc/passwd", name)
        os.unlink(name)
    except OSError:
        pass
    os.close(fd)
"""
    start = len(s.log("pickup"))
    done = as_user(HOSTILE, code, s.drop_dir, HEAD.replace("ann", "bob"))
    assert done.returncode == 0, done
    assert s.daemons["pickup"].running()
    assert "process-died" not in s.log("pickup")[start:]
    with down(s, "smtpd"):
        assert s.sendmail("-i", ANN, uid=FIRST,
                          text=text_of("still")).returncode == 0
        s.wait_delivered("ann", 1)
    for p in s.drop_dir.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if p.lstat().st_uid == HOSTILE:
                p.unlink()


@needs_root
def test_partial_files_go():
    with Mail({"drop_scan": "500ms", "drop_partial_max": "1s"}) as s:
        done = as_user(HOSTILE, "import os,sys\nos.chdir(sys.argv[1])\n"
                       "open('.tmp.1', 'w').write('x')\n", s.drop_dir)
        assert done.returncode == 0, done
        wait_until(lambda: not os.listdir(s.drop_dir))
        assert "partial-removed" in s.log("pickup")


def test_check_tells(s):
    """postern check: what lies there, and who may do what."""
    (s.drop_dir / "bad.x").write_text("x")
    done = s.postern("check", check=False)
    assert "1 file that is no mail" in done.stdout + done.stderr
    (s.drop_dir / "bad.x").unlink()
    before = s.drop_dir.stat().st_mode & 0o7777
    assert before == 0o3733
    s.drop_dir.chmod(0o777)
    done = s.postern("check", check=False)
    assert "drop_dir" in done.stdout + done.stderr and done.returncode != 0
    s.setup()
    assert s.drop_dir.stat().st_mode & 0o7777 == before


def test_pickup_says_what_is_wrong():
    """A drop directory in which users may remove each other's files."""
    with Suite(daemons=("queued", "pickup"), start=False) as s:
        (s.dir / "drop").chmod(0o777)
        d = s.daemons["pickup"]
        d.start()
        with pytest.raises(Exception, match="ended with 100"):
            d.wait_ready()
        assert "may remove others' files" in d.log()


def test_one_pickup_a_directory(s):
    done = subprocess.run([str(BIN / "pickup"), "-c", str(s.conf)],
                          stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 111
    assert b"one pickup a directory" in done.stderr


def test_signals(s):
    """SIGHUP takes a new configuration; SIGTERM ends it at once."""
    s.hup("pickup")
    s.wait_log("pickup", "ready")
    assert s.sendmail(ANN).returncode == 0
    s.wait_delivered("ann", 1)
    start = time.monotonic()
    assert s.terminate("pickup") == 0
    assert time.monotonic() - start < 5


__all__ = ["signal", "socket", "stat"]
