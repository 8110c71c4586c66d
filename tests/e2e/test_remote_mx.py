"""Where remote goes: MX records, addresses, routes, with a DNS of the tests'
own and sinks on 127.0.1.x that share one port."""
import contextlib
import re
import time

import pytest

import dns
import transfer
from sink import EXTENSIONS, Delay, Drop, Hang, Sink, free_port
from suite import have_ipv6, wait_until
from transfer import BUSY, DOWN, FINE, MESSAGE, UNKNOWN, Remote

pytestmark = pytest.mark.skipif(
    not (transfer.have_tool() and dns.have_dns()),
    reason="needs bin/test-transfer, nsd and ldns-signzone")

A, B, C, D = (f"127.0.1.{n}" for n in (11, 12, 13, 14))
NOBODY = "127.0.1.99"
HOSTNAME = "mx.here.example"

ZONES = {
    "one.example": ["@ MX 10 a", f"a A {A}"],
    # by preference, and b is behind it
    "order.example": ["@ MX 20 b", "@ MX 10 a", "@ MX 30 c", f"a A {A}",
                      f"b A {B}", f"c A {C}"],
    "equal.example": ["@ MX 10 a", "@ MX 10 b", "@ MX 10 c", "@ MX 10 d",
                      f"a A {A}", f"b A {B}", f"c A {C}", f"d A {D}"],
    "plain.example": [f"@ A {A}", "sub TXT nothing"],
    "null.example": ["@ MX 0 .", f"@ A {A}"],
    "empty.example": ["@ TXT nothing"],
    "many.example": ["@ MX 10 m"] + [f"m A 127.0.1.{n}"
                                     for n in range(60, 80)],
    "two.example": ["@ MX 10 m", f"m A {NOBODY}", f"m A {A}"],
    "alias.example": ["@ MX 10 mx", "mx CNAME real", f"real A {A}",
                      "www CNAME one.example."],
    "nohost.example": ["@ MX 10 gone"],
    "partly.example": ["@ MX 10 gone", "@ MX 20 a", f"a A {A}"],
    "literal.example": [f"@ MX 10 {A}.", f"@ A {A}"],
    # This host is among them
    "backup.example": ["@ MX 10 a", f"@ MX 20 {HOSTNAME}.", "@ MX 30 b",
                       f"a A {A}", f"b A {B}"],
    "best.example": [f"@ MX 10 {HOSTNAME}.", "@ MX 10 a", "@ MX 20 b",
                     f"a A {A}", f"b A {B}"],
    "ownip.example": ["@ MX 10 a", "@ MX 20 me", "@ MX 30 b", f"a A {A}",
                      "me A 127.0.0.1", f"b A {B}"],
    "ownbest.example": ["@ MX 10 me", "@ MX 10 a", f"a A {A}",
                        "me A 127.0.0.1"],
    "v6.example": ["@ MX 10 m", "m AAAA ::1"],
    "both.example": ["@ MX 10 m", f"m A {A}", "m AAAA ::1"],
    "xn--bcher-kva.example": ["@ MX 10 a", f"a A {A}"],
    "broken.example": ["@ MX 10 a.lame.example."],
    "here.example": ["mx A 127.0.0.1"],
}


@pytest.fixture(scope="module")
def world():
    with dns.DnsServer(ZONES) as server:
        yield server


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def r(world, port):
    """One that remembers no failures."""
    with Remote(world.config({
            "remote_port": str(port), "remote_failure_memory": "0",
            "remote_connect_timeout": "3s", "remote_idle": "20ms",
            "remote_first_connect_timeout": "500ms",
            "remote_greeting_timeout": "1s", "remote_end_timeout": "1s"}),
            daemons=("dnsd", "remote")) as remote:
        yield remote


@contextlib.contextmanager
def sinks(port, *hosts, **scripts):
    """Sinks at these addresses; scripts by a, b, c, d."""
    names = {A: "a", B: "b", C: "c", D: "d"}
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(
            Sink(scripts.get(names.get(h, h)), host=h, port=port,
                 name=names.get(h, "sink") + ".example")) for h in hosts]


def only(done):
    assert len(done.rcpt) == 1
    return done.rcpt[1]


def send(r, domain, **how):
    return r.send(recipients=[f"ann@{domain}"], **how)


# ---- the order ----

def test_mx(r, port):
    with sinks(port, A) as (a,):
        d = send(r, "one.example")
        assert (only(d).code, d.dest) == (250, FINE)
        assert d.host == f"a.one.example[{A}]:{port}"
        assert a.messages[0].recipients == ["ann@one.example"]


def test_preference(r, port):
    with sinks(port, A, B, C) as (a, b, c):
        for _ in range(5):
            assert only(send(r, "order.example")).code == 250
        assert len(a.messages) == 5
        assert not b.connections and not c.connections


@pytest.mark.parametrize("script", [
    {"connect": Drop()}, {"connect": "421 4.3.2 busy"},
    {"connect": "554 5.7.1 no"}, {"connect": Hang()},
    {"ehlo": "421 4.3.2 busy"}, {"ehlo": Drop()},
    {"ehlo": "550 5.7.1 no", "helo": "550 5.7.1 no"},
    {"mail": "450 4.7.1 later"}, {"mail": Drop()},
    {"mail": "421 4.7.1 later"}, {"rcpt": "450 4.7.1 grey"},
    {"rcpt": Drop()}, {"data": "451 4.3.0 later"}, {"data": Drop()},
    {"content": "451 4.7.1 later"}], ids=str)
def test_next_host(r, port, script):
    """What fails for now at the first goes to the second."""
    with sinks(port, A, B, a=script) as (a, b):
        d = send(r, "order.example")
        assert (only(d).code, d.dest) == (250, FINE), d
        assert a.connections and len(b.messages) == 1
        assert d.host == f"b.order.example[{B}]:{port}"


@pytest.mark.parametrize("script", [
    {"mail": "550 5.7.1 no"}, {"rcpt": "550 5.1.1 no"},
    {"data": "554 5.7.1 no"}, {"content": "554 5.6.0 no"}], ids=str)
def test_no_next_host_for_what_is_final(r, port, script):
    with sinks(port, A, B, a=script) as (a, b):
        d = send(r, "order.example")
        assert only(d).code // 100 == 5
        assert not b.connections


def test_no_next_host_in_doubt(r, port):
    """It may have arrived: nobody else is given a copy now."""
    with sinks(port, A, B, a={"content": Drop()}) as (a, b):
        d = send(r, "order.example")
        assert only(d).code == 451 and "may have arrived" in only(d).text
        assert not b.connections


def test_first_is_not_there(r, port):
    with sinks(port, B, C) as (b, c):
        d = send(r, "order.example")
        assert only(d).code == 250
        assert len(b.messages) == 1 and not c.connections


def test_nobody_is_there(r, port):
    d = send(r, "order.example")
    assert (only(d).code, only(d).status, d.dest) == (451, "4.4.1", DOWN)
    assert d.host == f"c.order.example[{C}]:{port}"


def test_words_of_a_server_outweigh_ours(r, port):
    with sinks(port, A, a={"rcpt": "450 4.7.1 greylisted"}):
        d = send(r, "order.example")
        assert (only(d).code, only(d).own) == (450, 0)
        assert only(d).text == "greylisted"


def test_each_recipient_his_own_way(r, port):
    """Accepted here, refused there, the rest at the next host."""
    script = {"rcpt": {"b@order.example": "550 5.1.1 no",
                       "c@order.example": "450 4.2.0 later"}}
    with sinks(port, A, B, a=script) as (a, b):
        d = r.send(recipients=[f"{x}@order.example" for x in "abc"])
        assert [d.rcpt[i].code for i in (1, 2, 3)] == [250, 550, 250]
        assert a.messages[0].recipients == ["a@order.example"]
        assert b.messages[0].recipients == ["c@order.example"]


def test_refused_by_all(r, port):
    no = {"ehlo": "550 5.7.1 no", "helo": "550 5.7.1 no"}
    with sinks(port, A, B, C, a=no, b=no, c=no) as hosts:
        d = send(r, "order.example")
        assert (only(d).code, only(d).own) == (550, 0)
        assert all(h.connections for h in hosts)
    with sinks(port, A, C, a=no, c=no):
        assert only(send(r, "order.example")).code // 100 == 4


def test_equal_preference_is_random(r, port):
    with sinks(port, A, B, C, D) as hosts:
        wait_until(lambda: [send(r, "equal.example"),
                            time.sleep(0.05)] and
                   all(h.messages for h in hosts), 30)


def test_all_addresses_of_a_host(r, port):
    with sinks(port, A) as (a,):
        for n in range(1, 7):
            assert only(send(r, "two.example")).code == 250
            a.wait_messages(n)
            time.sleep(0.05)


def test_addresses_are_bounded(world, port):
    with Remote(world.config({"remote_port": str(port),
                              "remote_addresses_max": "3"}),
                daemons=("dnsd", "remote")) as remote, \
            contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(
            Sink({"mail": "450 4.0.0 no"}, host=f"127.0.1.{n}", port=port))
            for n in range(60, 80)]
        assert only(send(remote, "many.example")).code == 450
        assert sum(len(h.connections) for h in hosts) == 3


# ---- what DNS says ----

def test_no_mx(r, port):
    with sinks(port, A) as (a,):
        d = send(r, "plain.example")
        assert only(d).code == 250
        assert d.host == f"plain.example[{A}]:{port}"


@pytest.mark.parametrize("domain,code,status,words", [
    ("null.example", 556, "5.1.10", "takes no mail"),
    ("nosuch.example", 550, "5.1.2", "no such domain"),
    ("empty.example", 550, "5.4.4", "address"),
    ("nohost.example", 550, "5.4.4", "no such host"),
    ("literal.example", 550, "5.4.4", "name no host")])
def test_nowhere(r, port, domain, code, status, words):
    with sinks(port, A) as (a,):
        d = send(r, domain)
        o = only(d)
        assert (o.code, o.status, o.own) == (code, status, 1), d
        assert words in o.text and domain in o.text
        assert not a.connections


def test_mx_partly_gone(r, port):
    with sinks(port, A):
        assert only(send(r, "partly.example")).code == 250


def test_cname(r, port):
    with sinks(port, A) as (a,):
        assert only(send(r, "alias.example")).code == 250
        assert only(send(r, "www.alias.example")).code == 250
        assert a.messages[1].recipients == ["ann@www.alias.example"]


def test_internationalised_domain(r, port):
    """Its recipient keeps his name, DNS is asked for the other form."""
    with sinks(port, A) as (a,):
        d = r.send(recipients=["ann@bücher.example"],
                   flags=transfer.SMTPUTF8, domain="xn--bcher-kva.example")
        assert only(d).code == 250
        assert a.messages[0].recipients == ["ann@bücher.example"]


def test_look_up_fails(port):
    """No answer is no reason to try A records, nor to give up."""
    def answer(packet, *_):
        return None
    with dns.Faker(answer) as fake:
        config = {"dns_resolvers": f"127.0.0.1@{fake.port}",
                  "dns_dnssec": "no", "dns_timeout": "1s",
                  "remote_port": str(port)}
        with Remote(config, daemons=("dnsd", "remote")) as remote:
            d = send(remote, "silent.example")
            o = only(d)
            assert (o.code, o.status, o.own, d.dest) == (451, "4.4.3", 1,
                                                         DOWN)
            assert "silent.example" in o.text


def test_without_dnsd(world, port):
    """Our own fault, for now; and it heals by itself."""
    with Remote(world.config({"remote_port": str(port),
                              "remote_idle": "20ms"}),
                daemons=("dnsd", "remote")) as remote, sinks(port, A):
        remote.suite.kill("dnsd")
        d = send(remote, "one.example")
        assert (only(d).code, d.dest) == (451, UNKNOWN)
        assert "name service" in only(d).text
        # Literals and routes need none.
        assert only(send(remote, "one.example",
                         route=f"smtp:[{A}]")).code == 250
        remote.suite.start("dnsd")
        assert only(send(remote, "one.example")).code == 250


def test_dnsd_is_restarted_under_a_process(world, port):
    with Remote(world.config({"remote_port": str(port),
                              "remote_messages_per_connection": "1",
                              "remote_idle": "1m"}),
                daemons=("dnsd", "remote")) as remote, \
            sinks(port, A) as (a,):
        for n in range(3):
            assert only(send(remote, "one.example")).code == 250
            remote.suite.restart("dnsd")
        assert len(a.connections) == 3


def test_internal_route_that_cannot_be_found(r, port):
    """The admin's mistake gives no mail back."""
    for route in ("smtp:nosuch.example", "smtp:[nosuch.example]",
                  "smtp:null.example"):
        o = only(send(r, "one.example", route=route))
        assert o.code == 451 and "route" in o.text, o


# ---- loops ----

def test_backup(r, port):
    """RFC 5321 5.1: this host is the second; only the first is asked."""
    with sinks(port, A, B) as (a, b):
        assert only(send(r, "backup.example")).code == 250
        assert len(a.messages) == 1
    with sinks(port, B) as (b,):
        assert only(send(r, "backup.example")).code // 100 == 4
        assert not b.connections


def test_loop_by_name(r, port):
    with sinks(port, A, B) as (a, b):
        o = only(send(r, "best.example"))
        assert (o.code, o.status, o.own) == (554, "5.4.6", 1)
        assert "best.example" in o.text
        assert not a.connections and not b.connections


def test_loop_by_address(world):
    """The listener's own port and address, whatever the name."""
    with Remote(world.config(), daemons=("dnsd", "remote"),
                start=False) as remote:
        port = remote.suite.ports["smtp"]
        remote.suite.config["remote_port"] = str(port)
        remote.suite.write_conf()
        remote.suite.start()
        remote.connect()
        with Sink(host=A, port=port) as a, Sink(host=B, port=port) as b:
            assert only(send(remote, "ownip.example")).code == 250
            assert len(a.messages) == 1
            a.script["mail"] = "450 4.0.0 later"
            assert only(send(remote, "ownip.example")).code == 450
            assert not b.connections
            o = only(send(remote, "ownbest.example"))
            assert (o.code, o.status) == (554, "5.4.6")
            assert len(a.connections) <= 2


# ---- routes ----

def test_route_by_mx_of_another_name(r, port):
    with sinks(port, A, B) as (a, b):
        d = send(r, "nosuch.example", route="smtp:order.example")
        assert only(d).code == 250
        assert d.host == f"a.order.example[{A}]:{port}"
    with Sink(host=A, port=free_port()) as other:
        d = send(r, "nosuch.example", route=f"smtp:one.example:{other.port}")
        assert only(d).code == 250
        d = send(r, "nosuch.example",
                 route=f"smtp:[a.one.example]:{other.port}")
        assert only(d).code == 250


def test_route_mx_with_options(r, port):
    with sinks(port, A) as (a,):
        d = send(r, "one.example", route="mx helo=other.example")
        assert only(d).code == 250
        assert a.messages[0].helo == "other.example"


# ---- IPv4, IPv6, what was learnt ----

needs_v6 = pytest.mark.skipif(not have_ipv6(), reason="no IPv6")


@needs_v6
def test_ipv6(r, port):
    with Sink(host="::1", port=port) as six:
        d = send(r, "v6.example")
        assert only(d).code == 250
        assert d.host == f"m.v6.example[::1]:{port}"
        assert six.messages


@needs_v6
@pytest.mark.parametrize("families,where", [("ipv4", A), ("ipv6", "::1")])
def test_one_family(world, port, families, where):
    with Remote(world.config({"remote_port": str(port),
                              "remote_families": families}),
                daemons=("dnsd", "remote")) as remote, \
            Sink(host=A, port=port), Sink(host="::1", port=port):
        for _ in range(3):
            d = send(remote, "both.example")
            assert f"[{where}]" in d.host


@needs_v6
def test_a_family_that_fails_is_tried_last(world, port):
    with Remote(world.config({"remote_port": str(port),
                              "remote_idle": "10ms"}),
                daemons=("dnsd", "remote")) as remote, \
            Sink(host=A, port=port) as four:
        # Nobody listens at ::1.  The address is known after one failure.
        for _ in range(5):
            assert only(send(remote, "both.example")).code == 250
            time.sleep(0.05)
        with Sink(host="::1", port=port) as six:
            assert only(send(remote, "both.example")).code == 250
            assert not six.connections
            four.stop()
            assert only(send(remote, "both.example")).code == 250
            assert six.messages
            four.start()
            time.sleep(0.05)
            # It worked: first again.
            assert only(send(remote, "both.example")).code == 250
            assert len(six.messages) == 2


def test_an_address_that_fails_is_tried_last(world, port):
    """Of a host with two, one dead: after the first time nobody waits."""
    with Remote(world.config({"remote_port": str(port),
                              "remote_greeting_timeout": "400ms",
                              "remote_idle": "10ms"}),
                daemons=("dnsd", "remote")) as remote, \
            Sink({"connect": Hang()}, host=NOBODY, port=port) as dead, \
            Sink(host=A, port=port) as live:
        wait_until(lambda: send(remote, "two.example") and dead.connections,
                   20)
        known = len(dead.connections)
        for _ in range(10):
            assert only(send(remote, "two.example")).code == 250
            time.sleep(0.03)
        assert len(dead.connections) == known
        assert len(live.messages) >= 10


def test_reuse_and_the_next_host(world, port):
    """On a kept connection: 4xx for a recipient, who goes to the next host,
    while the first is not asked again."""
    grey = {"rcpt": {"late@order.example": "450 4.7.1 grey"}}
    with Remote(world.config({"remote_port": str(port)}),
                daemons=("dnsd", "remote")) as remote, \
            sinks(port, A, B, a=grey) as (a, b):
        assert only(send(remote, "order.example")).code == 250
        d = remote.send(recipients=["late@order.example",
                                    "ann@order.example"])
        assert [d.rcpt[i].code for i in (1, 2)] == [250, 250]
        assert len(a.connections) == 1 and len(b.messages) == 1


def test_kept_where_there_is_no_other(world, port):
    with Remote(world.config({"remote_port": str(port)}),
                daemons=("dnsd", "remote")) as remote, \
            sinks(port, A, a={"rcpt": {"late@one.example": "450 4.7.1 no"}}
                  ) as (a,):
        for _ in range(3):
            d = remote.send(recipients=["late@one.example"])
            assert only(d).code == 450
        assert only(send(remote, "one.example")).code == 250
        assert len(a.connections) == 1


def test_busy(r, port):
    with sinks(port, A, a={"connect": "421 4.3.2 too many connections"}):
        d = send(r, "one.example")
        assert (only(d).code, d.dest) == (421, BUSY)


def test_one_hundred_domains(r, port):
    """Processes make way for each other; every domain is a place."""
    with sinks(port, A) as (a,):
        jobs = [r.begin(MESSAGE, [f"u@d{n}.one.example"],
                        route=f"smtp:[{A}] helo=h{n}.example")
                for n in range(100)]
        for j in jobs:
            assert only(r.result(j, 60)).code == 250
        assert len({m.helo for m in a.messages}) == 100


def test_texts_are_for_people(r, port):
    """No code, no enhanced status, no line break within the words."""
    texts = [only(send(r, x)).text for x in (
        "null.example", "nosuch.example", "nohost.example", "best.example",
        "order.example")]
    for t in texts:
        assert not re.match(r"\d", t) and "\n" not in t
        assert len(t) > 20, t


def test_a_slow_host_does_not_hold_others(world, port):
    with Remote(world.config({"remote_port": str(port)}),
                daemons=("dnsd", "remote")) as remote, \
            sinks(port, A, a={"content": [Delay(2), None]}) as (a,):
        slow = remote.begin(MESSAGE, ["x@one.example"])
        wait_until(lambda: a.connections and
                   a.connections[0].raw.endswith(b"\r\n.\r\n"))
        before = time.monotonic()
        assert only(send(remote, "plain.example")).code == 250
        assert time.monotonic() - before < 1.5
        assert only(remote.result(slow)).code == 250


def test_extensions_are_asked_anew(r, port):
    """What one connection offered is not believed of the next."""
    with sinks(port, A) as (a,):
        assert only(send(r, "one.example")).code == 250
        a.wait_over()
        a.extensions = ("SIZE 10",)
        assert only(send(r, "one.example")).code == 552
        a.wait_over()
        a.extensions = EXTENSIONS
        assert only(send(r, "one.example")).code == 250
