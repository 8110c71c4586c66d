"""Fault loops over running daemons: the n-th system call that changes something
is broken, n = 1, 2, 3 ..., while a message to two recipients goes its way.
After each run: what was answered 250 is in both Maildirs, whole and once under
its name; what was not is nowhere or whole; the queue ends empty; the daemon
starts again on what is left."""
import contextlib
import os
import select
import signal
import smtplib
import subprocess

import pytest

import letters
from suite import BIN, DOMAIN, Failure, Suite, sanitized, wait_until

CONFIG = {"retry_first": "30ms", "retry_max": "200ms", "local_idle": "100ms",
          "queue_workers": "1", "auth_workers": "1"}
USERS = ("ann", "bob")

pytestmark = [pytest.mark.skipif(
    sanitized(), reason="the sanitizers' own library must be loaded first"),
    pytest.mark.skipif(
        not os.environ.get("POSTERN_LONG"),
        reason="takes minutes: POSTERN_LONG=1 runs it")]
MOST = 400


class Broken:
    """One suite; one of its daemons runs under the shim, again and again."""

    def __init__(self, suite, name):
        self.s = suite
        self.name = name
        self.daemon = suite.daemons[name]
        self.counter = suite.dir / f"counter-{name}"

    def arm(self, call, n, do):
        self.counter.unlink(missing_ok=True)
        # The daemons become other users before they break.
        self.s.daemon_env[self.name] = {
            "LD_PRELOAD": str(BIN / "fault-shim.so"),
            "POSTERN_FAULT": f"call={call},n={n},do={do}",
            "POSTERN_FAULT_REACHED": str(self.counter)}

    def reached(self):
        with contextlib.suppress(FileNotFoundError):
            return self.counter.read_bytes()[:1] == b"1"
        return False

    def start_broken(self):
        """True if it runs: ready, or ready without being able to say so."""
        d = self.daemon
        d.start()
        self.s.daemon_env.pop(self.name, None)
        try:
            if select.select([d.ready_fd], [], [], 2)[0] and \
                    os.read(d.ready_fd, 1) == b"\n":
                return True
        finally:
            os.close(d.ready_fd)
        with contextlib.suppress(subprocess.TimeoutExpired):
            d.process.wait(0.3)
        return d.running()

    def heal(self):
        """Runs without the shim from here on."""
        self.s.daemon_env.pop(self.name, None)
        if self.daemon.running():
            self.daemon.process.send_signal(signal.SIGTERM)
            try:
                self.daemon.process.wait(10)
            except subprocess.TimeoutExpired:
                self.s.kill(self.name, tree=True)
        self.daemon.end_all()
        self.s.start(self.name)


def attempt(s, ident, data):
    """True: answered 250; None: the answer was lost or temporary."""
    try:
        with smtplib.SMTP("127.0.0.1", s.ports["smtp"], "client.example",
                          timeout=20) as c:
            c.sendmail("x@client.example", [f"{u}@{DOMAIN}" for u in USERS],
                       data)
            return True
    except smtplib.SMTPResponseException as e:
        assert e.smtp_code // 100 == 4, (ident, e)
    except smtplib.SMTPRecipientsRefused as e:
        assert all(c // 100 == 4 for c, _ in e.recipients.values()), e
    except OSError:
        pass
    return None


def copies(s, ident):
    """user -> files with this message; every file is whole."""
    found = {}
    for u in USERS:
        found[u] = []
        for f in s.messages(u):
            assert letters.whole(f), f
            if letters.header(f, "X-Test-Id") == [ident]:
                found[u].append(f)
    return found


def one_run(b, call, n, do):
    """False when there is no n-th call any more."""
    s, ident = b.s, f"{b.name}-{len(call)}-{do}-{n}"
    data = letters.make(ident, 3000)
    s.terminate(b.name)
    b.arm(call, n, do)
    up = b.start_broken()
    # Links to a daemon that often goes away wait longer and longer.
    fresh = {"local": ("qmgr", "queued"), "qmgr": ("queued",)}.get(b.name, ())
    for name in fresh:
        s.terminate(name)
    if fresh:
        s.start(*fresh)
    accepted = attempt(s, ident, data) if up else None
    if accepted:
        # It may break on the way; then it is healed.
        with contextlib.suppress(Failure):
            wait_until(lambda: not b.daemon.running() or not s.queue()
                       or (b.reached() and s.queue("deferred")), 1)
    reached = b.reached()
    b.heal()
    if accepted:
        wait_until(lambda: all(copies(s, ident).values()), 20,
                   lambda: f"{ident}: answered 250, there: "
                   f"{copies(s, ident)}, queue {s.queue()}\n"
                   + s.log(b.name)[-3000:])
    s.wait_queue_empty(20)
    got = copies(s, ident)
    for u in USERS:
        # Twice only under two ids: never twice for one answer.
        assert len({f.name.split(".")[1] for f in got[u]}) == len(got[u]), got
        if accepted:
            assert len(got[u]) == 1, got
    # All or nothing: the envelope is one.
    assert bool(got["ann"]) == bool(got["bob"]), got
    assert s.queue("corrupt") == []
    for u in USERS:
        for f in s.messages(u):
            f.unlink()
    return reached


def loop(b, call, do):
    n = 1
    while one_run(b, call, n, do):
        n += 1
        assert n < MOST
    return n - 1


@pytest.fixture(scope="module")
def s():
    # The shim kills; some cages forbid that and kill for it, which looks like
    # an alarm.
    with Suite(CONFIG, alarms=False) as made:
        yield made


# Calls on files; a socket that breaks is seen by kill-before and -after.
DISK = ("write+writev+pwrite+pwritev+fsync+fdatasync+sync_file_range"
        "+ftruncate+linkat+renameat+renameat2+unlinkat+mkdirat+utimensat")
FAULTS = ("kill-before", "kill-after", "errno=EIO", "errno=ENOSPC", "short")


@pytest.mark.seconds(300)
@pytest.mark.parametrize("do", FAULTS)
@pytest.mark.parametrize("name", ["queued", "qmgr", "local"])
def test_every_call(s, name, do):
    count = loop(Broken(s, name), "any" if "kill" in do else DISK, do)
    assert count > 1, count


@pytest.mark.parametrize("name,call", [("local", "linkat"),
                                       ("qmgr", "unlinkat")])
def test_between_delivery_and_record(s, name, call):
    """Killed after the link, before the D: delivered before, not again."""
    assert loop(Broken(s, name), call, "kill-after") >= 1


@pytest.mark.parametrize("call", ["fsync+fdatasync", "linkat"])
@pytest.mark.parametrize("name", ["queued", "local"])
def test_disk_fails_for_ever(s, name, call):
    """Every such call fails: temporary answers or a message that waits; when
    the disk is well again it is delivered."""
    b = Broken(s, name)
    ident = f"for-ever-{name}-{call}"
    data = letters.make(ident)
    s.terminate(name)
    b.arm(call, "1+", "errno=EIO")
    assert b.start_broken()
    accepted = attempt(s, ident, data)
    assert accepted is (None if name == "queued" else True)
    if accepted:
        wait_until(lambda: s.queue("deferred"), 10)
        assert not any(copies(s, ident).values())
    b.heal()
    if accepted:
        wait_until(lambda: all(copies(s, ident).values()), 20)
    s.wait_queue_empty()
    for u in USERS:
        for f in s.messages(u):
            f.unlink()
    assert os.path.exists(b.counter)
