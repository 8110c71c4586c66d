"""dnsd as its clients see it (common/dns through test-dnsask): each kind of
answer, DNSSEC, servers that fail, restarts, limits, the cage."""
import collections
import contextlib
import json
import os
import pathlib
import pwd
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import needs_root
from dns import (HOST, TYPES, DnsServer, Faker, have_dns, record, reply,
                 wire_name)
from suite import BIN, Suite, is_root, sanitized, wait_until

pytestmark = pytest.mark.skipif(not have_dns(), reason="needs nsd")

TOOL = BIN / "test-dnsask"
DNSD = ("dnsd",)
PATIENCE = 30000  # ms

THERE = [
    "@ MX 20 b", "@ MX 10 a", "@ TXT \"v=spf1 \" \"-all\"",
    "a A 127.0.1.1", "a AAAA ::1", "b A 127.0.1.2",
    "www CNAME a", "far CNAME mx.other.example.", "lost CNAME nowhere",
    "loop1 CNAME loop2", "loop2 CNAME loop1",
    "mailalias MX 10 www",
    "null MX 0 .", "byname MX 10 127.0.0.1.", "mixed MX 5 127.0.0.1.",
    "mixed MX 10 a", "strange MX 5 a\\032b",
    "big TXT " + " ".join('"%s"' % ("x" * 250) for _ in range(12)),
    "huge TXT " + " ".join('"%s"' % ("x" * 250) for _ in range(20)),
    "_25._tcp.a TLSA 3 1 1 " + "ab" * 32,
    "nodata TXT here",
] + [f"many A 10.0.{i // 200}.{i % 200}" for i in range(150)] \
  + [f"chain{i} CNAME chain{i + 1}" for i in range(20)] \
  + ["chain20 A 127.0.1.9"]
OTHER = ["mx A 127.0.1.3", "hosts A 127.0.1.4"]
SIGNED = ["@ MX 10 mx", "mx A 127.0.1.5", "bad A 127.0.1.6", "www CNAME mx",
          "_25._tcp.mx TLSA 3 1 1 " + "cd" * 32, "! stripped A 127.0.1.7",
          "out CNAME mx.other.example."]
REVERSE = ["1 PTR a.there.example."]


def ask(s, *words, ms=PATIENCE, times=1, own=None, check=True):
    """All answers as dictionaries."""
    args = [str(TOOL), "-m", str(ms), "-n", str(times)]
    if own:
        args += ["-o", own]
    done = subprocess.run(args + [str(s.run_dir), *words], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=ms / 1000 + 30, **s.identity())
    assert not check or done.returncode == 0, done.stderr
    return [json.loads(x) for x in done.stdout.splitlines()]


def one(s, kind, name, **more):
    return ask(s, kind, name, **more)[0]


@contextlib.contextmanager
def dnsd(config, **more):
    with Suite(config, daemons=DNSD, **more) as s:
        yield s


@pytest.fixture(scope="module")
def server():
    with DnsServer({"there.example": THERE, "other.example": OTHER,
                    "signed.example": SIGNED,
                    "1.0.127.in-addr.arpa": REVERSE},
                   signed=["signed.example"],
                   bogus=["bad.signed.example"], ttl=300) as d:
        yield d


@pytest.fixture(scope="module")
def s(server):
    with dnsd(server.config()) as made:
        yield made


def memory(s):
    """kB"""
    text = pathlib.Path(f"/proc/{s.daemons['dnsd'].pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def names(answer):
    return sorted((r["preference"], r["name"]) for r in answer["records"])


def data(answer):
    return [bytes.fromhex(r["data"]) for r in answer["records"]]


# ---- kinds of answers ----

def test_mx(s):
    a = one(s, "mx", "there.example")
    assert a["result"] == "ok" and a["secure"] == 0
    assert names(a) == [(10, "a.there.example"), (20, "b.there.example")]
    assert 0 < a["ttl"] <= 300 and a["canonical"] == ""


def test_address(s):
    four, six = ask(s, "a", "A.There.Example.", "aaaa", "a.there.example")
    assert data(four) == [socket.inet_aton("127.0.1.1")]
    assert data(six) == [socket.inet_pton(socket.AF_INET6, "::1")]


def test_txt_strings_are_joined(s):
    assert data(one(s, "txt", "there.example")) == [b"v=spf1 -all"]


def test_ptr(s):
    assert names(one(s, "ptr", "1.1.0.127.in-addr.arpa")) == \
        [(0, "a.there.example")]


def test_tlsa(s):
    assert data(one(s, "tlsa", "_25._tcp.a.there.example")) == \
        [b"\3\1\1" + b"\xab" * 32]


@pytest.mark.parametrize("name", ["b.there.example", "there.example"])
def test_no_such_type(s, name):
    a = one(s, "aaaa", name)
    assert a["result"] == "nodata" and a["records"] == [] and a["ttl"] > 0


@pytest.mark.parametrize("name", ["none.there.example", "foo.example"])
def test_no_such_name(s, name):
    a = one(s, "mx", name)
    assert a["result"] == "nxdomain" and a["why"] == "" and a["ttl"] > 0


def test_the_root_and_localhost(s):
    assert one(s, "a", ".")["result"] == "nodata"
    assert one(s, "a", "")["result"] == "nodata"
    assert data(one(s, "a", "localhost")) == [b"\x7f\0\0\1"]


# ---- aliases ----

@pytest.mark.parametrize("name, canonical, address", [
    ("www.there.example", "a.there.example", "127.0.1.1"),
    ("far.there.example", "mx.other.example", "127.0.1.3"),
])
def test_alias(s, name, canonical, address):
    a = one(s, "a", name)
    assert a["result"] == "ok" and a["canonical"] == canonical
    assert data(a) == [socket.inet_aton(address)]


def test_alias_of_nothing(s):
    a = one(s, "a", "lost.there.example")
    assert a["result"] == "nxdomain"
    assert a["canonical"] == "nowhere.there.example"


def test_alias_without_the_type(s):
    a = one(s, "txt", "www.there.example")
    assert a["result"] == "nodata" and a["canonical"] == "a.there.example"


def test_alias_loop(s):
    a = one(s, "a", "loop1.there.example")
    assert a["result"] == "temp" and a["why"]


def test_long_chain(s):
    """Ends one way or the other, soon."""
    a = one(s, "a", "chain12.there.example")
    assert a["result"] == "ok" and a["canonical"] == "chain20.there.example"
    assert one(s, "a", "chain0.there.example")["result"] in ("ok", "temp")


# ---- large ones ----

def test_truncated_answers_come_over_tcp(s):
    assert data(one(s, "txt", "big.there.example")) == [b"x" * 3000]


def test_too_large_a_record(s):
    a = one(s, "txt", "huge.there.example")
    assert a["result"] == "temp" and "cannot be used" in a["why"]


def test_many_records(s):
    assert len(one(s, "a", "many.there.example")["records"]) == 100


# ---- hostile names ----

@pytest.mark.parametrize("name", [
    "x" * 64 + ".example", ".".join(["x" * 63] * 4) + ".example",
    "a..example", ".example", "..", "a b.example", "a\\x00.example",
    "\\x00", "\\xff\\xfe.example", "a\\x5c.example", "a\\x0a.example",
    "b\\xc3\\xbccher.example", "x" * 1024,
])
def test_hostile_names(s, name):
    a = one(s, "a", name)
    assert a["result"] == "nxdomain" and a["why"]
    assert s.daemons["dnsd"].running()


def test_unprintable_target(s):
    a = one(s, "mx", "strange.there.example")
    assert a["result"] == "temp" and a["records"] == []


def test_unknown_type_ends_the_connection(s):
    assert one(s, "5", "there.example", ms=3000)["result"] == "temp"
    assert "peer-refused" in s.log("dnsd")
    assert one(s, "mx", "there.example")["result"] == "ok"


# ---- DNSSEC ----

@pytest.mark.parametrize("kind, name, result", [
    ("mx", "signed.example", "ok"), ("a", "mx.signed.example", "ok"),
    ("a", "www.signed.example", "ok"),
    ("tlsa", "_25._tcp.mx.signed.example", "ok"),
    ("txt", "mx.signed.example", "nodata"),
    ("a", "none.signed.example", "nxdomain"),
])
def test_secure(s, kind, name, result):
    a = one(s, kind, name)
    assert (a["result"], a["secure"]) == (result, 1)


def test_out_of_the_signed_zone(s):
    a = one(s, "a", "out.signed.example")
    assert (a["result"], a["secure"]) == ("ok", 0)


@pytest.mark.parametrize("name", ["bad.signed.example",
                                  "stripped.signed.example"])
def test_bogus(s, name):
    for _ in range(2):  # from the cache, too
        a = one(s, "a", name)
        assert a["result"] == "bogus" and a["secure"] == 0
        assert a["records"] == [] and "valid" in a["why"]
    assert f"bogus level=warn name={name}" in s.log("dnsd")


def test_expired_signatures(server):
    """A zone whose signatures are of the past."""
    with DnsServer({"old.example": ["mx A 127.0.1.1"]}, signed=True) as d:
        subprocess.run(
            ["ldns-signzone", "-o", "old.example.", "-e", "20200102000000",
             "-i", "20200101000000", "-f", "old.example.zone", "unsigned",
             d.keys["old.example"].with_suffix("").name], cwd=d.dir,
            check=True, stdout=subprocess.DEVNULL)
        d.stop()
        d.start()
        with dnsd(d.config()) as s:
            assert one(s, "a", "mx.old.example")["result"] == "bogus"


def forwarding(server, **more):
    """The same server as a resolver that is asked for everything."""
    rows = server.config({"dns_resolvers": server.address, **more})
    rows["dns_stubs"] = None
    return rows


def test_secure_through_a_resolver(server):
    with dnsd(forwarding(server)) as s:
        a = one(s, "mx", "signed.example")
        assert (a["result"], a["secure"]) == ("ok", 1)
        a = one(s, "a", "none.signed.example")
        assert (a["result"], a["secure"]) == ("nxdomain", 1)
        assert one(s, "a", "bad.signed.example")["result"] == "bogus"
        assert one(s, "a", "far.there.example")["result"] == "ok"


def test_resolver_without_dnssec(server):
    """One that strips signatures: bogus, not insecure."""
    def answer(packet, tcp):
        kind = struct.unpack("!H", packet[12 + len(wire_name(
            "mx.signed.example")):][:2])[0]
        if kind == TYPES["A"]:
            return reply(packet, record("A", b"\x7f\0\1\1", ttl=60), 1,
                         aa=False)
        return reply(packet, aa=False)

    with Faker(answer) as f, dnsd(forwarding(
            server, dns_resolvers=f.address)) as s:
        a = one(s, "a", "mx.signed.example")
        assert a["result"] == "bogus", a


ROOT = "127.0.53.1"


@pytest.mark.skipif(not is_root(), reason="needs port 53")
def test_recursive():
    """From the root on, by hints and referrals, with a chain of trust from the
    root's key alone."""
    glue = ["ns.signed.example A " + ROOT]
    zones = {"signed.example": ["@ NS ns", f"ns A {ROOT}", "@ MX 10 mx",
                                "mx A 127.0.1.1"],
             "plain.example": ["@ NS ns.signed.example.", "mx A 127.0.1.2"]}
    with DnsServer(zones, signed=["signed.example"], host=ROOT, port=53,
                   ttl=60, start=False) as d:
        d.zones[""] = ["@ NS a.root-servers.net.",
                       f"a.root-servers.net. A {ROOT}",
                       "signed.example. NS ns.signed.example.",
                       d.ds("signed.example"),
                       "plain.example. NS ns.signed.example."] + glue
        d.signed.add("")
        d.write()
        try:
            d.start()
        except Exception as e:  # somebody else's port 53
            pytest.skip(str(e))
        hints, anchor = d.dir / "hints", d.dir / "key"
        hints.write_text(f". 3600 NS a.root-servers.net.\n"
                         f"a.root-servers.net. 3600 A {ROOT}\n")
        anchor.write_text(d.keys[""].with_suffix(".key").read_text())
        for p in (hints, anchor):
            p.chmod(0o644)
        with dnsd({"dns_resolvers": "recursive", "dns_ipv6": "no",
                   "dns_root_hints": hints,
                   "dns_trust_anchor": anchor}) as s:
            a = one(s, "mx", "signed.example")
            assert (a["result"], a["secure"]) == ("ok", 1), a
            a = one(s, "a", "mx.plain.example")
            assert (a["result"], a["secure"]) == ("ok", 0), a
            a = one(s, "a", "none.example")
            assert (a["result"], a["secure"]) == ("nxdomain", 1), a
            a = one(s, "a", ".")
            assert (a["result"], a["secure"]) == ("nodata", 1), a
            # Nobody asks the world for private addresses' names.
            assert one(s, "ptr", "1.0.168.192.in-addr.arpa")["result"] == \
                "nxdomain"
            s.hup("dnsd")
            assert one(s, "mx", "signed.example")["secure"] == 1


def test_insecure_domains(server):
    """dns_insecure: what is broken for good is believed unsigned."""
    with dnsd(server.config({"dns_insecure": "bad.signed.example"})) as s:
        a = one(s, "a", "bad.signed.example")
        assert (a["result"], a["secure"]) == ("ok", 0)
        assert one(s, "a", "mx.signed.example")["secure"] == 1


@pytest.mark.parametrize("rows, words", [
    ({"dns_dnssec": "no"}, "dns_dnssec = no: answers are not validated"),
    ({"dns_trust_anchor": "/nowhere/root.key"},
     r"dns_trust_anchor /nowhere/root.key: cannot be read, answers are not"),
    ({"dns_trust_anchor": "/dev/null"}, "cannot be read"),
])
def test_without_anchors(server, rows, words):
    """Starts, says so, answers, and calls nothing secure."""
    with dnsd(server.config(rows)) as s:
        assert words in s.log("dnsd")
        assert "validates=no" in s.log("dnsd")
        for name in ("mx.signed.example", "bad.signed.example"):
            a = one(s, "a", name)
            assert (a["result"], a["secure"]) == ("ok", 0)


def test_bad_anchor(server):
    """What cannot be understood is an error that names the file."""
    bad = server.dir / "bad-anchor"
    bad.write_text("there.example. DS what is this\n")
    bad.chmod(0o644)
    s = Suite(server.config({"dns_trust_anchor": str(bad)}), daemons=DNSD,
              start=False)
    try:
        s.daemons["dnsd"].start()
        assert s.daemons["dnsd"].process.wait(20) == 100
        os.close(s.daemons["dnsd"].ready_fd)
        assert "anchor" in s.log("dnsd")
    finally:
        s.stop()


# ---- hosts in order ----

@pytest.mark.parametrize("domain, own, status, hosts", [
    ("there.example", None, "250 0.0",
     [[10, "a.there.example"], [20, "b.there.example"]]),
    ("there.example", "B.There.example", "250 0.0",
     [[10, "a.there.example"]]),
    ("there.example", "a.there.example", "554 4.6", []),
    ("mailalias.there.example", None, "250 0.0",
     [[10, "www.there.example"]]),
    ("www.there.example", None, "250 0.0", [[0, "www.there.example"]]),
    ("null.there.example", None, "556 1.10", []),
    ("byname.there.example", None, "550 4.4", []),
    ("mixed.there.example", None, "250 0.0", [[10, "a.there.example"]]),
    ("none.there.example", None, "550 1.2", []),
    ("loop1.there.example", None, "451 4.3", []),
    ("strange.there.example", None, "451 4.3", []),
])
def test_hosts(s, domain, own, status, hosts):
    a = one(s, "hosts", domain, own=own)
    assert (a["status"], a["hosts"]) == (status, hosts), a


@pytest.mark.parametrize("host, status, addresses", [
    ("www.there.example", "250 0.0", ["::1", "127.0.1.1"]),
    ("b.there.example", "250 0.0", ["127.0.1.2"]),
    ("nodata.there.example", "550 4.4", []),
    ("none.there.example", "550 4.4", []),
    ("bad.signed.example", "451 4.3", []),
])
def test_addresses(s, host, status, addresses):
    a = one(s, "addresses", host)
    assert (a["status"], a["addresses"]) == (status, addresses), a


# ---- servers that fail ----

@contextlib.contextmanager
def silent():
    """A port that takes questions and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        u.bind((HOST, 0))
        yield f"{HOST}@{u.getsockname()[1]}"


def test_dead_resolver_is_temporary_in_time():
    with silent() as address, dnsd({"dns_resolvers": address,
                                    "dns_timeout": "1s"}) as s:
        t = time.monotonic()
        a = one(s, "mx", "there.example")
        assert a["result"] == "temp" and a["why"]
        assert 0.9 < time.monotonic() - t < 3
        # A client that waits for less gets its own answer.
        t = time.monotonic()
        a = one(s, "mx", "other.example", ms=300)
        assert a["result"] == "temp" and time.monotonic() - t < 1


def test_nobody_on_the_port():
    with dnsd({"dns_resolvers": f"{HOST}@1", "dns_timeout": "1s"}) as s:
        assert one(s, "mx", "there.example")["result"] == "temp"


def test_one_dead_resolver_of_two():
    """Costs the first questions something and then nothing."""
    zone = [f"n{i} A 127.0.1.1" for i in range(60)]
    with DnsServer({"there.example": zone}) as d, silent() as dead, \
            dnsd({"dns_resolvers": f"{dead}, {d.address}"}) as s:
        times = []
        for i in range(40):
            t = time.monotonic()
            assert one(s, "a", f"n{i}.there.example")["result"] == "ok"
            times.append(time.monotonic() - t)
        assert max(times) < 6
        assert sum(times[10:]) < 3, times


def test_resolver_comes_back():
    with DnsServer({"there.example": ["a A 127.0.1.1"]}) as d, \
            dnsd({"dns_resolvers": d.address, "dns_timeout": "1s"}) as s:
        assert one(s, "a", "a.there.example")["result"] == "ok"
        d.stop()
        time.sleep(2.1)  # the time to live
        assert one(s, "a", "a.there.example")["result"] == "temp"
        d.start()
        wait_until(lambda: one(s, "a", "a.there.example")["result"] == "ok",
                   20, "an answer of the server that came back", pause=0.5)


@pytest.mark.parametrize("rcode", [1, 2, 4, 5, 9])
def test_failures_of_the_server(rcode):
    with Faker(lambda packet, tcp: reply(packet, rcode=rcode)) as f, \
            dnsd({"dns_resolvers": f.address}) as s:
        assert one(s, "mx", "there.example")["result"] == "temp"


def test_garbage_from_the_server():
    """Answers of random octets, and right ones cut short."""
    calls = collections.Counter()

    def answer(packet, tcp):
        calls["n"] += 1
        if calls["n"] % 3 == 0:
            return packet[:2] + os.urandom(200)
        if calls["n"] % 3 == 1:
            return reply(packet, b"\xc0\x0c\0\1\0\1", 1)
        return packet[:7]

    with Faker(answer) as f, dnsd({"dns_resolvers": f.address,
                                   "dns_timeout": "3s"}) as s:
        for i in range(4):
            assert one(s, "a", f"n{i}.example")["result"] == "temp"
        assert s.daemons["dnsd"].running()


def test_truncated_and_no_tcp():
    """A truncated answer is never taken for a whole one."""
    def answer(packet, tcp):
        return "close" if tcp else reply(
            packet, record("A", b"\x7f\0\1\1"), 1, tc=True)

    with Faker(answer) as f, dnsd({"dns_resolvers": f.address,
                                   "dns_timeout": "3s"}) as s:
        assert one(s, "a", "a.example")["result"] == "temp"


def test_poisoned_additional_records():
    """Records that were not asked for do not get into the cache."""
    def answer(packet, tcp):
        if b"\x04evil" in packet:
            return reply(packet, record("A", b"\x01\1\1\1")
                         + record("A", b"\x06\6\6\6",
                                  wire_name("good.example")), 2)
        return reply(packet, record("A", b"\x7f\0\1\1"), 1)

    with Faker(answer) as f, dnsd({"dns_resolvers": f.address}) as s:
        one(s, "a", "evil.example")
        assert data(one(s, "a", "good.example")) == [b"\x7f\0\1\1"]


# ---- cache ----

def counting(ttl=300, rcode=0):
    def answer(packet, tcp):
        kind = struct.unpack("!H", packet[12 + len(wire_name(
            "name.example")):][:2])[0]
        if rcode or kind != TYPES["A"]:
            soa = wire_name("example") + struct.pack(
                "!2HIH", TYPES["SOA"], 1, ttl, 22 + 0) + b"\0\0" \
                + struct.pack("!5I", 1, 1, 1, 1, ttl)
            head = reply(packet, rcode=rcode)
            return head[:8] + b"\0\1" + head[10:] + soa
        return reply(packet, record("A", b"\x7f\0\1\1", ttl=ttl), 1)
    return answer


@pytest.mark.parametrize("kind, rcode, result", [
    ("a", 0, "ok"), ("txt", 0, "nodata"), ("a", 3, "nxdomain")])
def test_cached(kind, rcode, result):
    with Faker(counting(rcode=rcode)) as f, \
            dnsd({"dns_resolvers": f.address}) as s:
        assert one(s, kind, "name.example")["result"] == result
        asked = f.asked
        assert asked > 0
        for a in ask(s, kind, "name.example", times=50):
            assert a["result"] == result and a["ttl"] <= 300
        assert f.asked == asked
        s.hup("dnsd")  # forgets
        s.wait_log("dnsd", r"(?s)resolvers ask.*resolvers ask")
        assert one(s, kind, "name.example")["result"] == result
        assert f.asked > asked


@pytest.mark.parametrize("kind, rcode, row", [
    ("a", 0, "dns_ttl_max"), ("a", 3, "dns_negative_ttl_max")])
def test_largest_time_to_live(kind, rcode, row):
    with Faker(counting(rcode=rcode, ttl=100000)) as f, \
            dnsd({"dns_resolvers": f.address, row: "7s"}) as s:
        assert one(s, kind, "name.example")["ttl"] <= 7
        assert one(s, kind, "name.example")["ttl"] <= 7


def test_same_question_is_asked_once():
    """A hundred sessions that ask for one name are one question outside."""
    def answer(packet, tcp):
        time.sleep(0.3)
        return counting()(packet, tcp)

    with Faker(answer) as f, dnsd({"dns_resolvers": f.address}) as s:
        for a in ask(s, "a", "name.example", times=20):
            assert a["result"] == "ok"
        assert f.asked == 1


@pytest.mark.seconds(120)
def test_cache_is_bounded():
    """Many names, small cache: the memory stays."""
    if sanitized("dnsd"):
        pytest.skip("sanitizers keep what was freed")
    zone = ["* TXT " + " ".join('"%s"' % ("x" * 250) for _ in range(4))]
    with DnsServer({"there.example": zone}, ttl=300) as d, \
            dnsd(d.config({"dns_cache_size": "1M"})) as s:
        words = [w for i in range(500) for w in ("txt",
                                                 f"n{i}.there.example")]
        assert all(a["result"] == "ok" for a in ask(s, *words))
        before = memory(s)
        for k in range(8):
            words = [w for i in range(500)
                     for w in ("txt", f"n{k}-{i}.there.example")]
            assert all(a["result"] == "ok" for a in ask(s, *words))
        assert memory(s) < before + 3000  # of 8 MB asked for


# ---- limits ----

def test_questions_under_way_are_bounded():
    with silent() as address, dnsd({
            "dns_resolvers": address, "dns_timeout": "4s",
            "dns_queries_max": "8"}) as s:
        t = time.monotonic()
        words = [w for i in range(20) for w in ("a", f"n{i}.example")]
        answers = ask(s, *words, ms=15000)
        assert all(a["result"] == "temp" for a in answers)
        refused = [a for a in answers if "too many" in a["why"]]
        assert len(refused) >= 12
        assert time.monotonic() - t < 14
        assert "too-many-questions level=warn limit=dns_queries_max" \
            in s.log("dnsd")


def test_one_client_does_not_take_all():
    """Past a share of all, one connection is refused and others are served."""
    def answer(packet, tcp):
        return None if b"\x04slow" in packet else counting()(packet, tcp)

    with Faker(answer) as f, dnsd({
            "dns_resolvers": f.address, "dns_timeout": "5s",
            "dns_queries_max": "300"}) as s:
        # Frames of 100 questions at once; the tool's client would not.
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(str(s.run_dir / "dnsd.sock"))

            def frame(kind, *fields):
                body = struct.pack("<2H", kind, 0) + b"".join(
                    struct.pack("<BI", tag, len(v)) + v for tag, v in fields)
                return struct.pack("<I", len(body)) + body
            c.sendall(hello(b"dns") + b"".join(
                frame(1, (1, struct.pack("<Q", i)), (2, struct.pack("<I", 1)),
                      (3, b"n%d.slow.example" % i)) for i in range(100)))
            s.wait_log("dnsd", "limit=of-one-connection")
            assert one(s, "a", "name.example", ms=4000)["result"] == "ok"


def hello(name):
    """As the connecting side says it (common/io/chan.h)."""
    fields = b"".join(struct.pack("<BI", tag, len(v)) + v for tag, v in (
        (1, name), (2, struct.pack("<I", 1)), (3, struct.pack("<I", 1))))
    body = struct.pack("<2H", 0, 0) + fields
    return struct.pack("<I", len(body)) + body


# ---- restarts and reloads ----

def slow(delay):
    def answer(packet, tcp):
        time.sleep(delay)
        return counting()(packet, tcp)
    return answer


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_restart_under_questions(sig):
    """What was not answered is asked again of the next dnsd."""
    with Faker(slow(0.25)) as f, dnsd({"dns_resolvers": f.address}) as s:
        found = []
        t = threading.Thread(target=lambda: found.extend(ask(
            s, *[w for i in range(99) for w in ("a", f"na{i:02}.example")],
            ms=20000)))
        t.start()
        for _ in range(3):
            time.sleep(0.4)
            s.restart("dnsd", sig)
        t.join()
        assert len(found) == 99
        assert [a for a in found if a["result"] != "ok"] == []


def test_reload_loses_no_question():
    with Faker(slow(0.25)) as f, Faker(slow(0.01)) as g, \
            dnsd({"dns_resolvers": f.address}) as s:
        found = []
        t = threading.Thread(target=lambda: found.extend(ask(
            s, *[w for i in range(99) for w in ("a", f"na{i:02}.example")],
            ms=20000)))
        t.start()
        time.sleep(0.3)
        s.hup("dnsd")
        time.sleep(0.3)
        s.write_conf({"dns_resolvers": g.address})
        s.hup("dnsd")
        t.join()
        assert [a for a in found if a["result"] != "ok"] == []
        assert g.asked > 0


def test_reload_moves_questions_from_a_dead_resolver():
    with silent() as dead, Faker(counting()) as g, \
            dnsd({"dns_resolvers": dead}) as s:
        found = []
        t = threading.Thread(target=lambda: found.append(one(
            s, "a", "name.example")))
        t.start()
        time.sleep(0.5)
        start = time.monotonic()
        s.write_conf({"dns_resolvers": g.address})
        s.hup("dnsd")
        t.join()
        assert found[0]["result"] == "ok"
        assert time.monotonic() - start < 3


def test_bad_reload_changes_nothing(server):
    with dnsd(server.config()) as s:
        s.write_conf(server.config({"dns_stubs": "there.example"}))
        s.hup("dnsd")
        s.wait_log("dnsd", 'dns_stubs: "there.example" is not allowed')
        assert one(s, "mx", "there.example")["result"] == "ok"
        s.write_conf(server.config({"dns_resolvers": "nobody"}))
        s.hup("dnsd")
        s.wait_log("dnsd", 'dns_resolvers: "nobody" is not allowed')
        assert one(s, "mx", "there.example")["result"] == "ok"


def test_many_reloads(server):
    """Each resolver is given back whole: descriptors and memory stay."""
    with dnsd(server.config()) as s:
        def files():
            return len(os.listdir(f"/proc/{s.daemons['dnsd'].pid}/fd"))

        def reload(times):
            done = s.log("dnsd").count("ready ")
            for i in range(times):
                s.hup("dnsd")
                one(s, "mx", "there.example")
                wait_until(lambda: s.log("dnsd").count("ready ") > done + i)
        reload(20)
        before = files(), memory(s)
        reload(100)
        assert files() <= before[0] + 2
        if not sanitized("dnsd"):
            assert memory(s) < before[1] + 2000


# ---- postern check ----

def findings(s):
    done = s.postern("check", "--json", check=False)
    return [f"{f['level']}: {f['what']}"
            for f in json.loads(done.stdout)["findings"]
            if "DNS" in f["what"] or "dns" in f["what"]]


@pytest.mark.parametrize("rows, want", [
    ({"dns_check_name": "mx.signed.example"},
     "note: DNS: answers are validated (mx.signed.example is secure)"),
    ({"dns_check_name": "none.signed.example"},
     "note: DNS: answers are validated (none.signed.example is secure)"),
    ({}, "warning: DNS: the answer for . is not validated, although"),
    ({"dns_check_name": "bad.signed.example"},
     "warning: DNS: the answer for bad.signed.example does not validate:"),
    ({"dns_check_name": "loop1.there.example"},
     "warning: DNS: no answer for loop1.there.example:"),
    ({"dns_dnssec": "no"}, "note: DNS: answers come, and are not validated"),
    ({"dns_trust_anchor": "/nowhere/key"},
     "warning: dns_trust_anchor /nowhere/key: cannot be read"),
])
def test_check(server, rows, want):
    with dnsd(server.config(rows)) as s:
        found = findings(s)
        assert any(f.startswith(want) for f in found), found


def test_check_without_dnsd(server):
    with dnsd(server.config()) as s:
        s.terminate("dnsd")
        assert any("nobody listens" in f for f in findings(s))
        (s.run_dir / "dnsd.sock").unlink()
        assert findings(s) == []
        s.write_conf(server.config({"dns_stubs": "a.example"}))
        assert any(f.startswith("error:") and "dns_stubs" in f
                   for f in findings(s))


def test_check_of_a_dead_resolver():
    with silent() as address, dnsd({"dns_resolvers": address,
                                    "dns_timeout": "500ms"}) as s:
        t = time.monotonic()
        assert any("no answer for ." in f for f in findings(s))
        assert time.monotonic() - t < 5


# ---- the cage ----

def test_system_resolvers():
    """Those of resolv.conf; read again within the cage."""
    try:
        text = pathlib.Path("/etc/resolv.conf").read_text()
    except OSError:
        pytest.skip("no resolv.conf")
    want = [x.split()[1] for x in text.splitlines()
            if x.startswith("nameserver ") and "%" not in x] or ["127.0.0.1"]
    with dnsd({"dns_resolvers": ""}) as s:
        s.hup("dnsd")
        wait_until(lambda: s.log("dnsd").count("resolvers ask=") == 2)
        line = s.log("dnsd").split("resolvers ask=")[2]
        assert f"{want[0]}@53" in line
        assert "cannot be read" not in s.log("dnsd")


def test_nobody_else_may_ask(server):
    """SO_PEERCRED decides."""
    if not is_root():
        pytest.skip("needs root")
    with dnsd(server.config()) as s:
        def as_user(name):
            u = pwd.getpwnam(name)
            done = subprocess.run(
                [str(TOOL), "-m", "2000", str(s.run_dir), "a",
                 "a.there.example"], text=True, stdout=subprocess.PIPE,
                user=u.pw_uid, group="postern", extra_groups=[])
            return json.loads(done.stdout)["result"]
        for name in ("postern-remote", "postern-smtpd", "postern-queue"):
            assert as_user(name) == "ok", name
        for name in ("postern-local", "postern-pop3d"):
            assert as_user(name) == "temp", name


@needs_root
def test_rights(server):
    with dnsd(server.config()) as s:
        one(s, "mx", "there.example")
        pid = s.daemons["dnsd"].pid
        status = dict(x.split(":\t", 1) for x in pathlib.Path(
            f"/proc/{pid}/status").read_text().splitlines() if ":\t" in x)
        uid = str(pwd.getpwnam("postern-dns").pw_uid)
        assert status["Uid"].split() == [uid] * 4
        assert status["Groups"].strip() == ""
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
        assert status["Threads"] == "1"
        assert s.daemons["dnsd"].children() == []


def test_as_an_ordinary_user(server):
    if is_root():
        with dnsd(server.config(), as_user="nobody") as s:
            assert one(s, "mx", "there.example")["result"] == "ok"
            s.hup("dnsd")
            assert one(s, "a", "mx.signed.example")["secure"] == 1
    else:
        with dnsd(server.config()) as s:
            assert one(s, "mx", "there.example")["result"] == "ok"
