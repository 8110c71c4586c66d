"""Fault loops over qmgr in a whole suite: whichever of its calls that change
the queue fails, falls short or is its last, nothing is lost, nobody gets a
message twice, and what must stay deferred does."""
import os
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))

from shim import BIN, FAULTS  # noqa: E402
from sink import Sink  # noqa: E402
from suite import Suite, sanitized  # noqa: E402

CALLS = ("pwrite+fdatasync+sync_file_range+ftruncate+renameat2+unlinkat"
         "+utimensat")

pytestmark = pytest.mark.skipif(
    sanitized(), reason="the sanitizers' own library must be loaded first")


def broken(s, counter, n, do):
    """Starts qmgr with its n-th such call broken."""
    if counter.exists():
        counter.unlink()
    s.terminate("qmgr")
    s.daemon_env["qmgr"] = {
        "LD_PRELOAD": os.path.join(BIN, "fault-shim.so"),
        "POSTERN_FAULT": f"name=qmgr,call={CALLS},n={n},do={do}",
        "POSTERN_FAULT_REACHED": str(counter)}
    s.start("qmgr")
    s.daemon_env["qmgr"] = {}


def settled(s, users, count, deferred):
    """All copies are there and all other mail is deferred: waits for it, and
    starts qmgr again where the fault ended it."""
    end = time.monotonic() + 20
    while True:
        if not s.daemons["qmgr"].running():
            s.kill("qmgr")
            s.start("qmgr")
        have = [len(s.messages(u)) for u in users]
        queue = s.queue()
        if (have == [count] * len(users) and len(queue) == deferred and
                all(q.startswith("deferred/") for q in queue)):
            return
        assert time.monotonic() < end, (have, count, queue,
                                        s.log("qmgr")[-3000:])
        time.sleep(0.01)


# staff is an alias for ann and bob: an expansion, written and synced.  With a
# recipient elsewhere the outcomes are written and the file moves.
@pytest.mark.parametrize("recipients, deferred", [
    (["staff@here.example"], 0),
    (["staff@here.example", "x@elsewhere.example"], 1)])
@pytest.mark.parametrize("do", FAULTS)
def test_outcomes(tmp_path, do, recipients, deferred):
    tmp_path.chmod(0o777)
    os.chmod(tmp_path.parent, 0o755)
    counter = tmp_path / "counter"
    with Suite({"retry_first": "100ms", "retry_max": "200ms",
                "relay_networks": "127.0.0.0/8"}) as s:
        for n in range(1, 60):
            broken(s, counter, n, do)
            s.send("x@client.example", recipients,
                   b"Subject: %d\r\n\r\nHello.\r\n" % n)
            settled(s, ("ann", "bob"), n, deferred)
            time.sleep(0.15 * deferred)  # a retry
            settled(s, ("ann", "bob"), n, deferred)
            with open(counter, "rb") as f:
                reached = f.read(1) == b"1"
            for name in s.queue():
                ident = name.split("/")[1]
                if s.postern("queue", "remove", ident,
                             check=False).returncode != 0:
                    s.kill("qmgr")  # that was the n-th call
                    s.start("qmgr")
                    s.postern("queue", "remove", ident, check=False)
            s.wait_queue_empty()
            if not reached:
                break
        assert n > 2, "the shim was never reached"


# One recipient elsewhere takes it, one is refused, one is asked to wait: marks,
# a notice, a second attempt.
@pytest.mark.skipif(not os.environ.get("POSTERN_LONG"),
                    reason="takes minutes: POSTERN_LONG=1 runs it")
@pytest.mark.parametrize("do", FAULTS)
def test_elsewhere(tmp_path, do):
    tmp_path.chmod(0o777)
    os.chmod(tmp_path.parent, 0o755)
    counter = tmp_path / "counter"
    asked = []

    def later(_connection, _arg):
        asked.append(1)
        return "450 4.2.0 later" if len(asked) % 2 else None
    script = {"rcpt": {"no@one.example": "550 5.1.1 nobody",
                       "wait@one.example": later}}
    with Sink(script) as sink, Suite(
            {"retry_first": "100ms", "retry_max": "200ms",
             "relay_networks": "127.0.0.0/8"}) as s:
        s.write_table("routes", f"one.example {sink.route}\n")
        s.postern("table", "routes")
        for n in range(1, 60):
            broken(s, counter, n, do)
            s.send("ann@here.example", ["a@one.example", "no@one.example",
                                        "wait@one.example"],
                   b"Subject: %d\r\n\r\nHello.\r\n" % n)
            end = time.monotonic() + 20
            while s.queue() or len(s.messages("ann")) < n:
                if not s.daemons["qmgr"].running():
                    s.kill("qmgr")
                    s.start("qmgr")
                assert time.monotonic() < end, s.log("qmgr")[-3000:]
                time.sleep(0.01)
            for who in ("a@one.example", "wait@one.example"):
                got = [m for m in sink.messages if who in m.recipients
                       and b"\nSubject: %d\r" % n in m.content]
                assert got, (who, n)
            with open(counter, "rb") as f:
                if f.read(1) != b"1":
                    break
        assert n > 2, "the shim was never reached"
        s.kill("qmgr")  # its end might be the n-th call
        s.start("qmgr")
        # a crash between a notice and its mark may repeat it
        assert len(s.messages("ann")) <= n + 5
