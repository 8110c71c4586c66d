"""What each process may do, as the kernel shows it in /proc: user, groups, root
directory, capabilities, seccomp, no_new_privs (docs/architecture.md, Programs,
users, rights)."""
import os
import pathlib
import pwd
import socket

import pytest

import letters
from conftest import needs_root
from suite import DAEMONS, DOMAIN, Suite, sanitized, wait_until

pytestmark = needs_root

SETID = 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID
EMPTY, QUEUE, SAME, ANY = "empty", "queue", "/", None

# daemon: user, capabilities, root directory
PARENTS = {
    "smtpd": ("postern-smtpd", 0, EMPTY),
    "queued": ("postern-queue", 0, QUEUE),
    "qmgr": ("postern-queue", 0, QUEUE),
    "local": ("postern-local", SETID, SAME),
    "spawner": ("postern-local", SETID, SAME),
    "authd": ("postern-auth", 0, ANY),
    "dnsd": ("postern-dns", 0, SAME),
    "remote": ("postern-remote", 0, SAME),
    "keyd": ("postern-key", 0, EMPTY),
    "bounce": ("postern-bounce", 0, EMPTY),
    "pickup": ("postern-queue", 0, ANY),
    "pop3d": ("postern-pop3d", 0, EMPTY),
    "pop3d-mailbox": ("postern-mailbox", SETID, SAME),
}

CAROL = 20001


def status(pid):
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().split("\n"):
        key, _, value = line.partition(":")
        fields[key] = value.strip()
    return fields


@pytest.fixture(scope="module")
def s():
    with Suite(start=False) as made:
        home = made.home_dir / "carol"
        home.mkdir()
        os.chown(home, CAROL, CAROL)
        home.chmod(0o700)
        program = made.dir / "program"
        program.write_text("#!/bin/sh\ncat > /dev/null\nsleep 30\n")
        program.chmod(0o755)
        made.write_table("users", made.default_users() + f"carol@{DOMAIN}:"
                         f"{{PLAIN}}secret:{CAROL}:{CAROL}::{home}::\n")
        made.write_table("aliases", f'program@{DOMAIN}: "|{program}"\n')
        made.setup_again()
        made.start()
        yield made


def check(s, pid, who, uid, gid, caps, root):
    """Everything the kernel says of this process."""
    st = status(pid)
    seen = {k: st[k] for k in ("Uid", "Gid", "Groups", "CapEff", "CapPrm",
                               "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")}
    assert st["Uid"].split() == [str(uid)] * 4, (who, seen)
    assert st["Gid"].split() == [str(gid)] * 4, (who, seen)
    assert st["Groups"] == "", (who, seen)
    assert int(st["CapEff"], 16) == caps, (who, seen)
    assert int(st["CapPrm"], 16) == caps, (who, seen)
    assert int(st["CapInh"], 16) == 0 and int(st["CapAmb"], 16) == 0
    assert int(st["CapBnd"], 16) & ~SETID == 0, (who, st["CapBnd"])
    assert st["NoNewPrivs"] == "1", (who, seen)
    assert st["Seccomp"] == "2", (who, seen)
    at = os.readlink(f"/proc/{pid}/root")
    if root == EMPTY:
        assert at == str(s.run_dir / "empty"), (who, at)
        assert os.listdir(at) == []
    elif root == QUEUE:
        assert at == str(s.queue_dir), (who, at)
    elif root == SAME:
        assert at == "/", (who, at)


def ids(name):
    u = pwd.getpwnam(name)
    return u.pw_uid, u.pw_gid


def session_of(s, daemon, sock):
    """The process that serves this connection: the child that is new."""
    return wait_until(lambda: [p for p in s.daemons[daemon].children()
                               if p not in s.before], 10,
                      "a session process")[0]


@pytest.mark.parametrize("name", DAEMONS)
def test_parent(s, name):
    user, caps, root = PARENTS[name]
    check(s, s.daemons[name].pid, name, *ids(user), caps, root)


@pytest.mark.parametrize("name", DAEMONS)
def test_not_dumpable(s, name):
    """/proc/PID belongs to root when a process may not be dumped or traced."""
    if sanitized():
        pytest.skip("sanitizer builds are traceable")
    for pid in s.daemons[name].pids():
        st = os.stat(f"/proc/{pid}/mem")
        assert st.st_uid == 0, (name, pid)


def test_queued_workers(s):
    workers = s.daemons["queued"].children()
    assert len(workers) == 2
    for pid in workers:
        check(s, pid, "queued worker", *ids("postern-queue"), 0, QUEUE)


def test_authd_verifiers(s):
    c = s.pop3("ann")
    c.quit()
    children = s.daemons["authd"].children()
    assert children
    for pid in children:
        check(s, pid, "authd verifier", *ids("postern-auth"), 0, ANY)


@pytest.mark.parametrize("name", ["smtpd", "pop3d"])
def test_session(s, name):
    s.before = set(s.daemons[name].children())
    listener = "smtp" if name == "smtpd" else "pop3"
    with s.connect(listener) as sock:
        assert sock.recv(200)[:3] in (b"220", b"+OK")
        pid = session_of(s, name, sock)
        check(s, pid, f"{name} session", *ids(f"postern-{name}"), 0, EMPTY)
        assert os.readlink(f"/proc/{pid}/cwd") == str(s.run_dir / "empty")
        # Descriptors: no file, no directory, no listening socket.
        for fd in os.listdir(f"/proc/{pid}/fd"):
            to = os.readlink(f"/proc/{pid}/fd/{fd}")
            if int(fd) > 2:
                assert to.startswith(("socket:", "pipe:")), (fd, to)
        listening = {line.split()[9] for line in pathlib.Path(
            "/proc/net/tcp").read_text().split("\n")[1:] if line
            and line.split()[3] == "0A"}
        for fd in os.listdir(f"/proc/{pid}/fd"):
            to = os.readlink(f"/proc/{pid}/fd/{fd}")
            assert to[8:-1] not in listening, "holds a listening socket"


def listening_unix():
    rows = [r.split() for r in pathlib.Path("/proc/net/unix").read_text()
            .split("\n")[1:] if r]
    return {r[6] for r in rows if int(r[3], 16) & 0x10000}


def test_session_of_a_user_of_this_host(s):
    """Whoever comes by submit_socket, root too, meets the same cage."""
    s.before = set(s.daemons["smtpd"].children())
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(s.dir / "submit" / "smtp.sock"))
        assert sock.recv(200)[:3] == b"220"
        pid = session_of(s, "smtpd", sock)
        for line in (b"EHLO client.example", f"MAIL FROM:<x@{DOMAIN}>",
                     f"RCPT TO:<ann@{DOMAIN}>"):
            line = line if isinstance(line, bytes) else line.encode()
            sock.sendall(line + b"\r\n")
            assert sock.recv(4096)[:3] == b"250"
        check(s, pid, "smtpd session", *ids("postern-smtpd"), 0, EMPTY)
        assert os.readlink(f"/proc/{pid}/cwd") == str(s.run_dir / "empty")
        listening = listening_unix()
        assert listening
        for fd in os.listdir(f"/proc/{pid}/fd"):
            to = os.readlink(f"/proc/{pid}/fd/{fd}")
            if int(fd) > 2:
                assert to.startswith(("socket:", "pipe:")), (fd, to)
            assert to[8:-1] not in listening, "holds a listening socket"


def test_delivery_processes(s):
    """One for the virtual users, one for carol, with her rights."""
    s.send("x@client.example", [f"ann@{DOMAIN}", f"carol@{DOMAIN}"],
           letters.make("rights"))
    s.wait_delivered("ann", 1)
    s.wait_delivered(s.home_dir / "carol" / "Maildir", 1)
    found = {}
    for pid in s.daemons["local"].children():
        found[int(status(pid)["Uid"].split()[0])] = pid
    uid, gid = ids("postern-vmail")
    assert set(found) == {uid, CAROL}
    check(s, found[uid], "delivery (virtual)", uid, gid, 0, SAME)
    check(s, found[CAROL], "delivery (carol)", CAROL, CAROL, 0, SAME)


def test_program(s):
    """A program of an alias and the process that feeds it."""
    s.send("x@client.example", f"program@{DOMAIN}")
    children = wait_until(lambda: (lambda c: c if any(
        "sleep" in pathlib.Path(f"/proc/{p}/comm").read_text() for p in c)
        else None)(s.daemons["spawner"].children()), 10, "the program")
    uid, gid = ids("postern-pipe")
    for pid in children:
        check(s, pid, "program", uid, gid, 0, SAME)
    for pid in children:
        os.kill(pid, 9)


@pytest.mark.parametrize("user", ["ann", "carol"])
def test_mailbox_process(s, user):
    s.before = set(s.daemons["pop3d-mailbox"].children())
    c = s.pop3(user)
    try:
        pid = session_of(s, "pop3d-mailbox", c.sock)
        uid, gid = ids("postern-vmail") if user == "ann" else (CAROL, CAROL)
        check(s, pid, f"mailbox of {user}", uid, gid, 0, SAME)
    finally:
        c.quit()


def test_login_session_ends_after_login(s):
    before = set(s.daemons["pop3d"].children())
    c = s.pop3("ann")
    try:
        wait_until(lambda: set(s.daemons["pop3d"].children()) <= before, 5,
                   "the end of the login session")
        assert c.noop().startswith(b"+OK")
    finally:
        c.quit()


def test_virtual_only_needs_no_capability():
    with Suite({"virtual_only": "yes"}) as v:
        for name in ("local", "pop3d-mailbox"):
            st = status(v.daemons[name].pid)
            assert int(st["CapEff"], 16) == 0 == int(st["CapPrm"], 16), name
            assert int(st["CapBnd"], 16) == 0, name
            assert st["Seccomp"] == "2"
            assert st["Uid"].split() == [str(ids("postern-vmail")[0])] * 4 \
                or name == "pop3d-mailbox"


def test_sockets_are_closed_to_strangers(s):
    """A user that is nobody's peer may not connect to any channel."""
    code = ("import socket,sys,os\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "bad = []\n"
            "for p in sys.argv[1:]:\n"
            "    try:\n"
            "        socket.socket(socket.AF_UNIX).connect(p); bad.append(p)\n"
            "    except OSError: pass\n"
            "sys.exit(str(bad) if bad else 0)\n")
    import subprocess
    import sys
    paths = sorted(str(p) for p in s.run_dir.glob("*.sock"))
    assert len(paths) >= 8, paths
    subprocess.run([sys.executable, "-c", code, *paths], check=True)


@pytest.mark.parametrize("name,user", [
    ("queued.sock", "postern-pop3d"), ("authd-login.sock", "postern-smtpd"),
    ("authd-ticket.sock", "postern-pop3d"), ("local.sock", "postern-smtpd"),
    ("qmgr-control.sock", "postern-smtpd"),
    ("qmgr-notice.sock", "postern-smtpd"),
    ("spawner.sock", "postern-smtpd"),
    ("pop3d-mailbox.sock", "postern-smtpd"),
    ("authd-address.sock", "postern-pop3d")])
def test_channels_know_their_peers(s, name, user):
    """Group postern may open the socket file; who is not the peer of this
    contract is told nothing and let go."""
    uid, gid = ids(user)
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = b"?"
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(5)
            c.connect(str(s.run_dir / name))
            c.sendall(b"\0" * 64)
            answer = b"closed" if c.recv(100) == b"" else b"answered"
        except (ConnectionError, PermissionError):
            answer = b"closed"
        except OSError as e:
            answer = repr(e).encode()
        os.write(w, answer)
        os._exit(0)
    os.close(w)
    os.waitpid(pid, 0)
    assert os.read(r, 1000) == b"closed"
    os.close(r)


def test_queue_and_mail_are_private(s):
    for path in (s.queue_dir, s.queue_dir / "incoming",
                 s.queue_dir / "deferred", s.queue_dir / "corrupt"):
        st = path.stat()
        assert st.st_uid == ids("postern-queue")[0], path
        assert st.st_mode & 0o077 == 0, path
    st = (s.table_dir / "users.cdb").stat()
    assert st.st_uid in (0, ids("postern-auth")[0])
    assert st.st_mode & 0o007 == 0
