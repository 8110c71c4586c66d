"""Bad input from this host: full disks, damaged files, wrong owners, wrong
configuration.  Each is a message that names the thing and the mend, and no
mail is lost."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

import letters
from conftest import needs_root
from suite import BIN, DOMAIN, Suite, wait_until

CONFIG = {"retry_first": "100ms", "retry_max": "300ms"}


@contextlib.contextmanager
def small_disk(size, inodes=None):
    """A file system of its own; skips where none can be mounted."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="postern-disk-"))
    options = f"size={size},mode=755" + (
        f",nr_inodes={inodes}" if inodes else "")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "postern",
                           str(path)], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        path.rmdir()
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
        path.rmdir()


def answer_to(s, data, to=f"ann@{DOMAIN}"):
    """The first refusal on the way of this message, or the last answer."""
    with s.smtp() as c:
        c.ehlo()
        for step in (lambda: c.mail("x@client.example",
                                    [f"SIZE={len(data)}"]),
                     lambda: c.rcpt(to), lambda: c.data(data)):
            code, text = step()
            if code != 250:
                break
    return code, text.decode()


def fill(path):
    """Takes all room of the file system."""
    ballast = path / "ballast"
    with open(ballast, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 4096)
    return ballast


# ---- full disks ----

@needs_root
def test_queue_disk_full():
    """452 before or after the transfer; room again: mail flows."""
    with small_disk("3m") as disk:
        with Suite(CONFIG, queue_dir=disk / "queue") as s:
            s.send("x@client.example", f"ann@{DOMAIN}",
                   letters.make("before"))
            s.wait_delivered("ann", 1)
            s.wait_queue_empty()  # what it frees would be room
            ballast = fill(disk)
            for size in (400, 200_000):
                code, text = answer_to(s, letters.make("full", size))
                assert code == 452 and text.startswith("4.3.1"), (code, text)
                assert "space" in text
            assert s.queue() == []
            s.wait_log("queued", "queue-full.*mend=|No space left")
            ballast.unlink()
            wait_until(lambda: answer_to(s, letters.make("after"))[0] == 250,
                       5)
            s.wait_delivered("ann", 2)


@needs_root
def test_queue_disk_fills_within_a_message():
    """Nothing of a message that did not fit stays; others are not harmed."""
    with small_disk("3m") as disk:
        with Suite(CONFIG, queue_dir=disk / "queue") as s:
            data = letters.make("large", 6_000_000)
            with s.smtp() as c:
                c.ehlo()
                assert c.mail("x@client.example")[0] == 250  # no SIZE
                assert c.rcpt(f"ann@{DOMAIN}")[0] == 250
                code, text = c.data(data)
                assert code == 452, (code, text)
                # The same session goes on.
                assert c.mail("x@client.example")[0] == 250
                assert c.rcpt(f"ann@{DOMAIN}")[0] == 250
                assert c.data(letters.make("small"))[0] == 250
            s.wait_delivered("ann", 1)
            s.wait_queue_empty()
            left = sum(f.stat().st_size for f in disk.rglob("*")
                       if f.is_file())
            assert left < 100_000, left


@needs_root
def test_queue_without_inodes():
    with small_disk("5m", 40) as disk:
        with Suite(CONFIG, queue_dir=disk / "queue") as s:
            for i in range(60):
                try:
                    (disk / f"ballast{i}").touch()
                except OSError:
                    break
            code, text = answer_to(s, letters.make("inodes"))
            assert code == 452 and text.startswith("4.3.1"), (code, text)
            for f in disk.glob("ballast*"):
                f.unlink()
            # queued asks the file system every 50 ms
            wait_until(lambda: answer_to(s, b"Subject: x\r\n\r\n")[0] == 250,
                       5)
            s.wait_delivered("ann", 1)
            s.send("x@client.example", f"ann@{DOMAIN}", letters.make("after"))
            s.wait_delivered("ann", 2)


def test_queue_reserve():
    """What must stay free is a parameter."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    with Suite(dict(CONFIG, queue_reserve=str(free * 2))) as s:
        code, text = answer_to(s, letters.make("reserve"))
        assert code == 452 and text.startswith("4.3.1"), (code, text)
        s.wait_log("queued", "queue_reserve")


@needs_root
def test_mail_disk_full():
    """The message waits with its reason and is delivered when there is room."""
    with small_disk("1m") as disk:
        with Suite(CONFIG, mail_root=disk / "mail") as s:
            ballast = fill(disk)
            data = letters.make("waits", 100_000)
            ident = s.send("x@client.example", f"ann@{DOMAIN}", data)
            s.wait_where(ident, "deferred")
            shown = s.postern("queue", "explain", ident).stdout
            assert "No space" in shown, shown
            assert not s.messages("ann")
            ballast.unlink()
            [f] = s.wait_delivered("ann", 1)
            letters.assert_same(f, data)
            s.wait_gone(ident)


# ---- damaged and strange files ----

def held(s):
    """A message in the queue that stays there: its id and file."""
    ident = s.send("x@client.example", f"ann@{DOMAIN}",
                   letters.make("held", 5000))
    return ident, s.queue_dir / s.where(ident) / ident


@pytest.mark.parametrize("what", ["content", "envelope", "trailer", "cut",
                                  "empty"])
def test_damaged_queue_file(what):
    with Suite(CONFIG) as s:
        s.kill("qmgr")
        ident, path = held(s)
        raw = bytearray(path.read_bytes())
        if what == "content":
            raw[raw.index(b"X-Test-Id") + 3] ^= 1
        elif what == "envelope":
            raw[raw.index(b"client.example")] ^= 1
        elif what == "trailer":
            at = raw.rindex(b"end") if b"end" in raw[-200:] else len(raw) - 20
            raw[at - 5] ^= 1
        elif what == "cut":
            raw = raw[:len(raw) // 2]
        else:
            raw = bytearray()
        path.write_bytes(raw)
        s.start("qmgr")
        s.wait_where(ident, "corrupt")
        # Never deleted, and said; only the journal may have grown.
        assert (s.queue_dir / "corrupt" / ident).read_bytes().startswith(raw)
        assert ident in s.log("qmgr")
        assert "corrupt" in s.log("qmgr")
        assert not s.messages("ann")
        # Others are not held up.
        s.send("x@client.example", f"ann@{DOMAIN}", letters.make("next"))
        s.wait_delivered("ann", 1)
        shown = s.postern("queue", "list").stdout
        assert ident in shown


def test_strange_names_in_the_queue():
    """Directories, long names, ids that are none: left alone, and said."""
    with Suite(CONFIG, start=False) as s:
        incoming = s.queue_dir / "incoming"
        (incoming / "README").write_text("not a message\n")
        (incoming / ("0" * 20)).mkdir()
        (incoming / ("z" * 200)).write_text("")
        os.symlink("/etc/passwd", incoming / "00000000000000000001")
        os.mkfifo(s.queue_dir / "deferred" / "00000000000000000002")
        for f in [*incoming.iterdir(), *(s.queue_dir / "deferred").iterdir()]:
            st = incoming.stat()
            os.lchown(f, st.st_uid, st.st_gid)
        s.start()
        s.send("x@client.example", f"ann@{DOMAIN}", letters.make("fine"))
        s.wait_delivered("ann", 1)
        assert (incoming / "README").exists()
        assert s.daemons["qmgr"].running()


def test_newer_queue_file():
    """A file of a later version is left alone, neither corrupt nor gone."""
    with Suite(CONFIG) as s:
        s.kill("qmgr")
        ident, path = held(s)
        raw = path.read_bytes()
        path.write_bytes(raw.replace(b"postern-queue 1\n",
                                     b"postern-queue 9\n", 1))
        s.start("qmgr")
        s.wait_log("qmgr", ident)
        s.send("x@client.example", f"bob@{DOMAIN}", letters.make("next"))
        s.wait_delivered("bob", 1)
        assert s.where(ident) in ("incoming", "deferred")
        assert not s.messages("ann")


@needs_root
def test_unreadable_queue_file():
    """EACCES is this host's fault: the message stays and is tried again."""
    with Suite(CONFIG) as s:
        s.kill("qmgr")
        ident, path = held(s)
        os.chown(path, 0, 0)
        path.chmod(0o600)
        s.start("qmgr")
        s.wait_log("qmgr", ident)
        assert s.where(ident) in ("incoming", "deferred")
        os.chown(path, s.queue_dir.stat().st_uid, -1)
        s.restart("qmgr")
        s.wait_delivered("ann", 1)
        s.wait_gone(ident)


@needs_root
def test_unreadable_maildir():
    """Stays queued with its reason, and is delivered after the mend."""
    with Suite(CONFIG) as s:
        s.send("x@client.example", f"ann@{DOMAIN}", letters.make("first"))
        s.wait_delivered("ann", 1)
        new = s.maildir("ann") / "new"
        uid = new.stat().st_uid
        os.chown(new, 0, 0)
        data = letters.make("second")
        ident = s.send("x@client.example", [f"ann@{DOMAIN}",
                                            f"bob@{DOMAIN}"], data)
        s.wait_delivered("bob", 1)
        s.wait_where(ident, "deferred")
        shown = s.postern("queue", "explain", ident).stdout
        assert f"ann@{DOMAIN}" in shown and "ermission" in shown, shown
        s.wait_log("local", "mend=")
        os.chown(new, uid, -1)
        s.postern("queue", "retry", ident)
        files = s.wait_delivered("ann", 2)
        letters.assert_same([f for f in files if letters.header(
            f, "X-Test-Id") == ["second"]][0], data)
        s.wait_gone(ident)
        assert len(s.messages("bob")) == 1


def test_maildir_is_a_file():
    with Suite(CONFIG) as s:
        s.send("x@client.example", f"bob@{DOMAIN}")
        s.wait_delivered("bob", 1)
        m = s.maildir("bob")
        m.rename(m.with_name("Away"))
        m.write_text("in the way\n")
        ident = s.send("x@client.example", f"bob@{DOMAIN}")
        s.wait_where(ident, "deferred")
        m.unlink()
        s.wait_delivered("bob", 1)


def test_table_is_broken():
    """An unreadable table: temporary answers, a log line that names it."""
    with Suite(CONFIG) as s:
        cdb = s.table_dir / "domains.cdb"
        good = cdb.read_bytes()
        st = cdb.stat()

        def replace(text):
            new = s.table_dir / "new"
            new.write_bytes(text)
            os.chown(new, st.st_uid, st.st_gid)
            new.rename(cdb)

        replace(b"this is no table")

        def refused():
            code, text = answer_to(s, letters.make("table"))
            assert code in (250, 451), (code, text)
            return code == 451
        wait_until(refused, 10, "the new table", pause=0.1)
        s.wait_log("authd", "domains")
        replace(good)
        wait_until(lambda: answer_to(s, letters.make("table"))[0] == 250, 10)


# ---- configuration ----

def start_fails(s, name):
    """The exit code and the words of a daemon that does not start."""
    done = subprocess.run([str(BIN / name), "-c", str(s.conf)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=30,
                          env=s.environment(name), cwd="/", **s.identity())
    return done.returncode, done.stdout


@pytest.fixture
def idle():
    with Suite(start=False) as s:
        yield s


@pytest.mark.parametrize("line,words", [
    ("no_such_key = 1", ["no_such_key"]),
    ("hops_max = many", ["hops_max", "many"]),
    ("hops_max = 0", ["hops_max", "1", "1000"]),
    ("hops_max = 4294967297", ["hops_max"]),
    ("smtp_helo_check = sometimes", ["smtp_helo_check", "none", "syntax",
                                     "fqdn"]),
    ("relay_networks = 10.0.0.0/33", ["relay_networks", "10.0.0.0/33"]),
    ("queue_dir = relative/path", ["queue_dir"]),
    ("smtp_expn = perhaps", ["smtp_expn", "yes", "no"]),
    ("just words", []),
    ("[listen x]\nprotocol = gopher\naddress = *:70", ["protocol", "gopher"]),
])
def test_wrong_configuration(idle, line, words):
    """Exit code 100; file, line and key are named, with what is allowed."""
    text = idle.conf.read_text()
    idle.conf.write_text(line + "\n" + text if "[" not in line
                         else text + "\n" + line + "\n")
    number = 1 if "[" not in line else text.count("\n") + 3
    for name in ("smtpd", "qmgr"):
        code, said = start_fails(idle, name)
        assert code == 100, (code, said)
        assert f"{idle.conf}:{number}" in said, said
        for w in words:
            assert w in said, (w, said)
    done = idle.postern("check", check=False)
    assert done.returncode != 0
    assert f"{idle.conf}:{number}" in done.stdout + done.stderr


def test_all_errors_at_once(idle):
    idle.conf.write_text("one = 1\ntwo = 2\nhops_max = x\n"
                         + idle.conf.read_text())
    _, said = start_fails(idle, "queued")
    for n in (1, 2, 3):
        assert f"{idle.conf}:{n}" in said


def test_missing_configuration(idle):
    idle.conf.unlink()
    for name in ("smtpd", "queued", "qmgr", "local", "spawner", "authd",
                 "pop3d", "pop3d-mailbox"):
        code, said = start_fails(idle, name)
        assert code == 100, (name, code, said)
        assert str(idle.conf) in said, (name, said)


@pytest.mark.parametrize("name,attribute", [
    ("queued", "queue_dir"), ("qmgr", "queue_dir"), ("smtpd", "run_dir"),
    ("authd", "table_dir"), ("local", "run_dir"), ("pop3d", "run_dir"),
    ("pop3d-mailbox", "run_dir"), ("spawner", "run_dir")])
def test_missing_directory(idle, name, attribute):
    path = getattr(idle, attribute)
    shutil.rmtree(path)
    code, said = start_fails(idle, name)
    assert code in (100, 111), (code, said)
    assert str(path) in said, said
    done = idle.postern("check", check=False)
    assert done.returncode != 0
    assert str(path) in done.stdout + done.stderr


@needs_root
@pytest.mark.parametrize("name", ["queued", "qmgr"])
def test_wrong_owner(idle, name):
    os.chown(idle.queue_dir / "incoming", 0, 0)
    code, said = start_fails(idle, name)
    assert code == 100, (code, said)
    assert "incoming" in said and "chown" in said, said
    done = idle.postern("check", check=False)
    assert done.returncode != 0
    assert "incoming" in done.stdout + done.stderr
    # setup mends it
    idle.setup()
    assert idle.postern("check").returncode == 0


@needs_root
def test_empty_directory_is_not_empty(idle):
    (idle.run_dir / "empty" / "file").touch()
    code, said = start_fails(idle, "smtpd")
    assert code == 100 and str(idle.run_dir / "empty") in said, (code, said)


@needs_root
def test_missing_user(idle):
    idle.write_conf({"user_queue": "nobody-of-that-name"})
    code, said = start_fails(idle, "queued")
    assert code == 100
    assert "user_queue" in said and "nobody-of-that-name" in said


@needs_root
def test_root_as_a_user(idle):
    idle.write_conf({"user_smtpd": "root"})
    code, said = start_fails(idle, "smtpd")
    assert code == 100 and "user_smtpd" in said


def test_port_in_use(idle):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", idle.ports["smtp"]))
        taken.listen()
        code, said = start_fails(idle, "smtpd")
    assert code in (100, 111) and str(idle.ports["smtp"]) in said, said


def test_check_of_a_sound_installation():
    with Suite() as s:
        done = s.postern("check")
        assert done.returncode == 0, done.stdout
        s.postern("check", "--json")


def test_setup_is_repeatable(idle):
    before = sorted((str(p), p.lstat().st_mode, p.lstat().st_uid)
                    for p in idle.dir.rglob("*"))
    idle.setup()
    after = sorted((str(p), p.lstat().st_mode, p.lstat().st_uid)
                   for p in idle.dir.rglob("*"))
    assert before == after


def test_wrong_usage(idle):
    for name in ("smtpd", "queued", "postern"):
        done = subprocess.run([str(BIN / name), "--no-such-option"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=20)
        assert done.returncode == 100, (name, done)
        assert done.stdout


def test_log_cannot_be_written():
    """A full log: the daemons run on."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with Suite(start=False) as s:
        for d in s.daemons.values():
            d.log_path = pathlib.Path("/dev/full")
        s.start()
        s.send("x@client.example", f"ann@{DOMAIN}", letters.make("full-log"))
        s.wait_delivered("ann", 1)
        for d in s.daemons.values():
            d.log_path = s.dir / "log" / d.name
