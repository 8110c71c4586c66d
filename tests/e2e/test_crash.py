"""Promise 1: what was answered 250 arrives, whatever is killed in between, and
nothing half is ever seen.  SIGKILL hits each daemon's parent, its children, and
everything at once, while clients send."""
import contextlib
import os
import signal
import time

import pytest

from load import Load
from suite import DAEMONS, DOMAIN, Suite, wait_until

CONFIG = {"retry_first": "100ms", "retry_max": "1s",
          "smtp_sessions_per_client_max": "200"}
# Who is on the way of a letter; pop3d's crash is seen in test_pop3.py.
ON_THE_WAY = ("smtpd", "queued", "qmgr", "local", "authd")


@pytest.fixture(scope="module")
def s():
    with Suite(CONFIG) as made:
        yield made


def settle(s, load):
    """Everything arrived; leaves empty Maildirs to the next test."""
    load.stop()
    try:
        twice = load.check_arrived()
        load.check_content()
        s.wait_queue_empty(60)
    finally:
        for user in load.users:
            for f in s.messages(user):
                f.unlink()
    return twice


@pytest.mark.parametrize("tree", [False, True], ids=["parent", "all"])
@pytest.mark.parametrize("name", ON_THE_WAY)
def test_kill_one(s, name, tree):
    with Load(s) as load:
        load.wait_for(20)
        for _ in range(3):
            s.kill(name, signal.SIGKILL, tree=tree)
            time.sleep(0.02)
            s.start(name)
            load.wait_for(15)
    settle(s, load)
    assert len(load.accepted) >= 65


def test_kill_children_only(s):
    """Sessions, workers, deliveries die; their parents carry on."""
    with Load(s) as load:
        load.wait_for(20)
        for _ in range(5):
            for name in ("smtpd", "queued", "local", "authd"):
                for pid in s.daemons[name].children():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            load.wait_for(10)
    settle(s, load)
    for name in DAEMONS:
        assert s.daemons[name].running(), name


def test_kill_everything_at_once(s):
    with Load(s) as load:
        for _ in range(4):
            load.wait_for(15)
            for name in DAEMONS:
                s.kill(name, signal.SIGKILL, tree=True)
            s.start()
        load.wait_for(10)
    settle(s, load)


def test_kill_while_one_is_down(s):
    """qmgr is away while mail comes in, and is killed at its start."""
    s.kill("qmgr")
    with Load(s) as load:
        load.wait_for(50)
        for _ in range(4):
            d = s.daemons["qmgr"]
            d.start()
            d.wait_ready()
            s.kill("qmgr")
        load.wait_for(20)
    s.start("qmgr")
    settle(s, load)


def test_daemons_down_one_by_one(s):
    """Temporary answers while a helper is away, never a permanent one; mail
    flows again as soon as it is back."""
    for name in ("queued", "authd"):
        s.kill(name, tree=True)
        with s.smtp() as c:
            c.ehlo()
            code, text = c.mail("x@client.example")
            if code == 250:
                code, text = c.rcpt(f"ann@{DOMAIN}")
            if code == 250:
                code, text = c.data(b"Subject: x\r\n\r\n")
            assert code // 100 == 4, (name, code, text)
        s.start(name)
        before = len(s.messages("ann"))
        s.send("x@client.example", f"ann@{DOMAIN}")
        s.wait_delivered("ann", before + 1)
    for name in ("qmgr", "local"):
        s.kill(name, tree=True)
        before = len(s.messages("ann"))
        s.send("x@client.example", f"ann@{DOMAIN}")
        time.sleep(0.1)
        assert len(s.messages("ann")) == before
        s.start(name)
        s.wait_delivered("ann", before + 1)


def test_crash_leftovers_are_taken(s):
    """A torn journal, an empty file under a hidden name, a stale socket: every
    daemon starts and says what it found."""
    s.kill("local", tree=True)
    ident = s.send("x@client.example", f"ann@{DOMAIN}")
    for name in DAEMONS:
        s.kill(name, signal.SIGKILL, tree=True)
    path = s.queue_dir / s.where(ident) / ident
    with open(path, "ab") as f:
        f.write(b"@000123 0123abcd\nattempt torn")
    (s.queue_dir / "incoming" / ".tmp-left").write_bytes(b"")
    before = len(s.messages("ann"))
    s.start()
    s.wait_delivered("ann", before + 1)
    s.wait_gone(ident)
    wait_until(lambda: not s.queue("corrupt"), 1)


def test_killed_parents_leave_nobody():
    """What their children were doing comes to its end, and so do they."""
    with Suite(CONFIG) as s:
        s.send("x@client.example", f"ann@{DOMAIN}")
        s.wait_delivered("ann", 1)
        idle = s.connect()
        idle.recv(100)
        c = s.pop3("ann")
        for name in DAEMONS:
            s.kill(name)
        c.quit()
        idle.close()
        wait_until(lambda: not any(d.pids() for d in s.daemons.values()), 10,
                   lambda: str({n: d.pids() for n, d in s.daemons.items()}))
        s.start()
