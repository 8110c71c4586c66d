"""The queue manager's schedule on its whole way: scripted hosts elsewhere are
down, slow or picky, and mail is grouped, waits, is probed, paused, started by
ETRN, returned at its deadline.  Restarts and kills lose nothing."""
import json
import os
import random
import re
import time

import pytest

from sink import EXTENSIONS, Hang, Sink
from suite import BIN, DOMAIN, Suite, wait_until

pytestmark = pytest.mark.skipif(not (BIN / "remote").exists(),
                                reason="no remote yet")
FAST = {"retry_first": "300ms", "retry_max": "600ms",
        "dns_resolvers": "127.0.0.1@1", "remote_connect_timeout": "2s",
        "relay_networks": "127.0.0.0/8", "recipients_max": "2000"}
SENDER = f"ann@{DOMAIN}"


@pytest.fixture
def start():
    """A suite with routes to these sinks: {domain: sink}."""
    suites = []

    def made(routes, config=None):
        s = Suite({**FAST, **(config or {})})
        suites.append(s)
        s.__enter__()
        s.write_table("routes", "".join(
            f"{domain} {sink.route}\n" for domain, sink in routes.items()))
        s.postern("table", "routes")
        return s
    yield made
    for s in suites:
        s.__exit__(None, None, None)


def dests(s):
    shown = json.loads(s.postern("queue", "dest", "--json").stdout)
    rows = shown if isinstance(shown, list) else shown["destinations"]
    return {row.get("dest") or row.get("name"): row for row in rows}


def subject(n):
    return b"Subject: %d\r\n\r\nHello.\r\n" % n


def subjects(sink):
    return sorted(int(re.search(rb"^Subject: (\d+)", m.content, re.M)[1])
                  for m in sink.messages)


def test_recipients_share_a_transaction(start):
    with Sink() as one, Sink() as two:
        s = start({"one.example": one, "two.example": two})
        s.send(SENDER, [f"u{i}@one.example" for i in range(50)]
               + ["a@two.example"])
        [m] = one.wait_messages(1)
        assert len(m.recipients) == 50
        assert two.wait_messages(1)[0].recipients == ["a@two.example"]
        s.wait_queue_empty()


def test_many_recipients_of_one_host(start):
    """1,000 of them by a few connections, five that do not exist: one notice."""
    bad = {f"u{i}@one.example": "550 5.1.1 nobody" for i in range(0, 1000, 200)}
    with Sink({"rcpt": bad}) as one:
        s = start({"one.example": one})
        s.send(SENDER, [f"u{i}@one.example" for i in range(1000)])
        wait_until(lambda: sum(len(m.recipients) for m in one.messages) == 995,
                   30, lambda: s.log("qmgr")[-3000:])
        assert len(one.connections) <= 10
        s.wait_delivered("ann", 1)
        s.wait_queue_empty()
        time.sleep(0.2)
        [notice] = s.messages("ann")
        text = notice.read_text()
        assert text.count("Action: failed") == 5
        assert text.count("nobody") >= 5


def test_down_and_back(start):
    """Those who wait for a dead host cost it a look now and then, and others
    nothing; when it is back they go at once."""
    with Sink() as dead, Sink() as fine:
        s = start({"dead.example": dead, "fine.example": fine})
        dead.stop()
        for i in range(40):
            s.send(SENDER, "a@dead.example", subject(i))
        s.wait_queue(lambda q: len(q) == 40 and all(
            n.startswith("deferred/") for n in q))
        begin = time.monotonic()
        s.send(SENDER, "a@fine.example")
        fine.wait_messages(1)
        assert time.monotonic() - begin < 2
        [row] = [r for name, r in dests(s).items() if name != "local"
                 and "fine" not in str(name) and r.get("waiting", 0) > 0]
        assert row["waiting"] == 40
        time.sleep(2)
        tries = s.log("qmgr").count("destination-still-down")
        assert tries <= 12
        dead.start()
        dead.wait_messages(40, 20)
        assert subjects(dead) == list(range(40))
        s.wait_queue_empty()


def test_restart_while_down(start):
    with Sink() as dead, Sink() as fine:
        s = start({"dead.example": dead, "fine.example": fine})
        dead.stop()
        for i in range(20):
            s.send(SENDER, "a@dead.example", subject(i))
        s.wait_queue(lambda q: len(q) == 20 and all(
            n.startswith("deferred/") for n in q))
        s.kill("qmgr")
        s.send(SENDER, "a@fine.example")
        s.start("qmgr")
        fine.wait_messages(1)
        dead.start()
        dead.wait_messages(20, 20)
        assert subjects(dead) == list(range(20))
        s.wait_queue_empty()


def test_busy_host(start):
    """One connection is what it takes; it gets all the same all its mail."""
    with Sink() as busy:
        def greet(connection, _arg):
            open_ones = sum(not c.over for c in busy.connections)
            return None if open_ones <= 1 else "421 4.7.0 one at a time"
        busy.script["connect"] = greet
        s = start({"busy.example": busy})
        for i in range(30):
            s.send(SENDER, "a@busy.example", subject(i))
        busy.wait_messages(30, 40)
        assert subjects(busy) == list(range(30))
        s.wait_queue_empty()


def test_concurrency_of_a_route(start):
    with Sink({"content": Hang()}) as slow:
        s = start({})
        s.write_table("routes", f"slow.example {slow.route} concurrency=2\n")
        s.postern("table", "routes")
        for i in range(8):
            s.send(SENDER, "a@slow.example", subject(i))
        slow.wait_connections(2)
        time.sleep(0.5)
        assert len(slow.connections) == 2
        s.stop(check=False)


def test_pause_and_resume(start):
    with Sink() as one:
        s = start({"one.example": one})
        name = one.route
        s.postern("queue", "dest", "pause", name, "moving house")
        for i in range(5):
            s.send(SENDER, "a@one.example", subject(i))
        s.wait_queue(lambda q: len(q) == 5 and all(
            n.startswith("deferred/") for n in q))
        s.restart("qmgr")
        time.sleep(0.5)
        assert one.messages == []
        ident = s.queue()[0].split("/")[1]
        assert "moving house" in s.postern("queue", "explain", ident).stdout
        s.postern("queue", "dest", "resume", name)
        one.wait_messages(5)
        s.wait_queue_empty()


def etrn(s, name):
    with s.smtp() as c:
        c.ehlo()
        return c.docmd("ETRN", name)


@pytest.mark.parametrize("restart", [False, True])
def test_etrn(start, restart):
    with Sink() as dead:
        s = start({"dead.example": dead},
                  {"etrn_domains": "dead.example", "retry_first": "1h",
                   "retry_max": "1h"})
        dead.stop()
        for i in range(5):
            s.send(SENDER, "a@dead.example", subject(i))
        s.wait_queue(lambda q: len(q) == 5 and all(
            n.startswith("deferred/") for n in q))
        if restart:
            s.restart("qmgr")
            time.sleep(0.5)
        dead.start()
        assert etrn(s, "elsewhere.example")[0] == 459
        code = etrn(s, "dead.example")[0]
        assert code == (250 if restart else 253)
        dead.wait_messages(5)
        s.wait_queue_empty()
        assert etrn(s, "dead.example")[0] in (250, 251)


def test_deadline(start):
    """RFC 2852: by=2;R is returned after two seconds."""
    with Sink({"mail": "450 4.2.0 not now"},
              extensions=EXTENSIONS + ("DELIVERBY",)) as slow:
        s = start({"slow.example": slow}, {"retry_first": "1h", "retry_max": "1h"})
        with s.smtp() as c:
            c.ehlo()
            assert c.mail(SENDER, ["BY=2;R"])[0] == 250
            assert c.rcpt("a@slow.example")[0] == 250
            assert c.data(b"Subject: x\r\n\r\ny\r\n")[0] == 250
        s.wait_delivered("ann", 1, 20)
        text = s.messages("ann")[0].read_text()
        assert "Status: 5.4.7" in text, text + s.log("qmgr")
        s.wait_queue_empty()


def test_big_message_delays_nobody(start):
    """2,000 recipients of a slow host; a message to somebody else."""
    with Sink({"content": ["250 2.0.0 ok"]}) as slow, Sink() as fine:
        s = start({"slow.example": slow, "fine.example": fine},
                  {"remote_recipients_max": "10"})
        s.send(SENDER, [f"u{i}@slow.example" for i in range(2000)])
        worst = 0
        for i in range(5):
            begin = time.monotonic()
            s.send("else@client.example", "a@fine.example", subject(i))
            fine.wait_messages(i + 1)
            worst = max(worst, time.monotonic() - begin)
        assert worst < 2, worst
        wait_until(lambda: sum(len(m.recipients) for m in slow.messages)
                   == 2000, 60)
        s.wait_queue_empty()


@pytest.mark.parametrize("victim", ["qmgr", "remote", "bounce"])
def test_killed_again_and_again(start, victim):
    """Nothing is lost; what was under way may come twice."""
    rng = random.Random(os.environ.get("SEED", victim))
    with Sink({"rcpt": {"no@one.example": "550 5.1.1 nobody"}}) as one:
        s = start({"one.example": one})
        for i in range(40):
            s.send(SENDER, ["a@one.example", "no@one.example"], subject(i))
            if i % 4 == 0:
                time.sleep(rng.random() * 0.05)
                s.kill(victim)
                s.start(victim)
        wait_until(lambda: set(subjects(one)) == set(range(40)), 40,
                   lambda: s.log("qmgr")[-3000:])
        wait_until(lambda: len(s.messages("ann")) >= 40, 40,
                   lambda: s.log("qmgr")[-3000:] + s.log("bounce")[-2000:])
        s.wait_queue_empty()
        # those under way at one of ten kills
        assert len(s.messages("ann")) <= 40 + 10 * 8
