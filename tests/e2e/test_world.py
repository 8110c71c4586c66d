"""Two whole suites on two machines of their own (network namespaces) exchange
mail by MX records; one is cut off and comes back."""
import contextlib
import email
import email.policy
import re

import pytest

from dns import DnsServer, have_dns
from netns import Net, have_netns
from suite import BIN, Suite, wait_until

pytestmark = [
    pytest.mark.skipif(not have_netns(), reason="needs root and namespaces"),
    pytest.mark.skipif(not have_dns(), reason="needs nsd"),
    pytest.mark.skipif(not (BIN / "remote").exists(), reason="no remote yet"),
]
PORT = 2525


class Place:
    """A machine with its suite; its resolver asks a server of its own."""

    def __init__(self, net, name, zones, stack):
        self.net, self.name = net, name
        self.domain = f"{name}.example"
        with self.here():
            dns = stack.enter_context(DnsServer(zones))
            self.suite = stack.enter_context(Suite(dns.config({
                "hostname": f"mx.{self.domain}",
                "local_domain": self.domain,
                "remote_port": PORT,
                "retry_first": "200ms",
                "retry_max": "1s",
                "remote_connect_timeout": "1s",
                "smtp/address":
                    f"127.0.0.1:{PORT}, {net.address[name]}:{PORT}",
            }), domains=(self.domain,),
                users=f"ann@{self.domain}:{{PLAIN}}secret::::::\n",
                aliases=f"postmaster@{self.domain}: ann@{self.domain}\n"))
        self.suite.ports["smtp"] = PORT

    def here(self):
        return self.net.inside(self.name)

    def send(self, to, subject):
        with self.here():
            return self.suite.send(
                f"ann@{self.domain}", [to],
                f"From: ann@{self.domain}\r\nTo: {to}\r\n"
                f"Subject: {subject}\r\n\r\n{subject}\r\n.dot\r\n".encode())

    def subjects(self):
        found = []
        for path in self.suite.messages(f"ann@{self.domain}"):
            text = path.read_bytes()
            found.append(re.search(rb"^Subject: (.*)$", text, re.M).group(1)
                         .decode())
        return sorted(found)

    def wait_subjects(self, wanted, timeout=40):
        wait_until(lambda: set(wanted) <= set(self.subjects()), timeout,
                   lambda: f"{set(wanted) - set(self.subjects())} at "
                   f"{self.name}\n{self.suite.log('qmgr')[-2000:]}"
                   f"\n{self.suite.log('remote')[-2000:]}")


@pytest.fixture
def world():
    zones = {f"{n}.example": ["@ MX 10 mx", f"mx A {a}"]
             for n, a in (("a", "10.77.0.1"), ("b", "10.77.0.2"))}
    with Net("a", "b") as net, contextlib.ExitStack() as stack:
        yield net, Place(net, "a", zones, stack), Place(net, "b", zones, stack)


def test_exchange(world):
    _, a, b = world
    there = [f"to b {i}" for i in range(20)]
    back = [f"to a {i}" for i in range(20)]
    for x, y in zip(there, back):
        a.send("ann@b.example", x)
        b.send("ann@a.example", y)
    b.wait_subjects(there)
    a.wait_subjects(back)
    assert b.subjects() == sorted(there)
    assert a.subjects() == sorted(back)
    message = email.message_from_bytes(
        b.suite.messages("ann@b.example")[0].read_bytes(),
        policy=email.policy.default)
    received = message.get_all("Received")
    assert len(received) == 2, received
    assert "mx.a.example" in received[0] and "10.77.0.1" in received[0]
    for p in (a, b):
        p.suite.wait_queue_empty()


def test_unknown_user_is_told_to_the_sender(world):
    _, a, b = world
    a.send("nobody@b.example", "who is this")
    wait_until(lambda: len(a.suite.messages("ann@a.example")) == 1, 30,
               lambda: a.suite.log()[-6000:])
    text = a.suite.messages("ann@a.example")[0].read_bytes()
    notice = email.message_from_bytes(text, policy=email.policy.default)
    assert notice.get_content_type() == "multipart/report"
    assert b"nobody@b.example" in text and b"550" in text
    assert b"\nAction: failed\n" in text
    assert b"\nRemote-MTA: dns; mx.b.example" in text
    a.suite.wait_queue_empty()
    assert b.suite.messages("ann@b.example") == []


def test_one_is_cut_off_and_comes_back(world):
    net, a, b = world
    a.send("ann@b.example", "before")
    b.wait_subjects(["before"])
    net.cut("b")
    there = [f"to b {i}" for i in range(20)]
    back = [f"to a {i}" for i in range(20)]
    for x, y in zip(there, back):
        a.send("ann@b.example", x)
        b.send("ann@a.example", y)
    # One may hang on the connection that was open; TCP mends that later.
    for p in (a, b):
        p.suite.wait_queue(lambda q: len(q) >= 19, 30, "deferred")
        assert len(p.suite.queue()) == 20
    assert b.subjects() == ["before"]
    net.mend("b")
    b.wait_subjects(there)
    a.wait_subjects(back)
    for p in (a, b):
        p.suite.wait_queue_empty(60)
    # Nothing twice: no end-of-data reply was lost.
    assert b.subjects() == sorted(["before", *there])
    assert a.subjects() == sorted(back)
