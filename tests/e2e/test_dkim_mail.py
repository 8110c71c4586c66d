"""Mail that leaves is signed: the whole suite with keyd, a host that takes it,
and Python's dkim with the keys of `postern dkim show` as DNS."""
import json
import re
import smtplib
import socket
import subprocess

import pytest

from dns import DnsServer
from sink import Sink
from suite import BIN, DOMAIN, Suite

dkim = pytest.importorskip("dkim")
pytestmark = pytest.mark.skipif(not (BIN / "keyd").exists(),
                                reason="bin/keyd is not built")

TO = "ann@there.example"
TEXT = (f"From: Ann <ann@{DOMAIN}>\r\nTo: {TO}\r\nSubject: a\r\n folded\r\n"
        "Date: Mon, 23 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@x>\r\n"
        "\r\nHello.\r\n").encode()
EIGHT = TEXT.replace(b"\r\n\r\n", b"\r\nMIME-Version: 1.0\r\nContent-Type: "
                     b"text/plain; charset=utf-8\r\n"
                     b"Content-Transfer-Encoding: 8bit\r\n\r\n"
                     + "gr\u00fc\u00df dich  \r\n".encode())
BINARY = EIGHT.replace(b"encoding: 8bit", b"encoding: binary").replace(
    b"Encoding: 8bit", b"Encoding: binary") + b"\0\rx\n\xff" * 50
CONFIG = {"dkim_sign": "yes", "dkim_networks": "127.0.0.0/8",
          "retry_first": "200ms", "retry_max": "1s"}


class Signed(Suite):
    """With keys for DOMAIN, and everything routed to a sink."""

    def __init__(self, sink, config=None, keys=(("--rsa", "2048"),
                                                ("--ed25519",)),
                 domain=DOMAIN, **more):
        super().__init__({**CONFIG, **(config or {})}, start=False, **more)
        self.write_table("routes", f"* {sink.route}\n")
        self.postern("table", "routes")
        for k in keys:
            self.postern("dkim", "key", *k, domain)
        self.records = {}
        if keys:
            for row in json.loads(self.postern("--json", "dkim", "show",
                                               domain).stdout):
                self.records[row["name"]] = row["record"]
        self.start()

    def txt(self, name, timeout=5):
        return self.records.get(name.decode().rstrip("."), "").encode() or None

    def verdicts(self, octets):
        n = len(re.findall(rb"(?m)^DKIM-Signature:", head(octets)))
        d = dkim.DKIM(octets)
        return [d.verify(i, dnsfunc=self.txt) for i in range(n)]


def head(octets):
    return octets.split(b"\r\n\r\n")[0]


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


def send(s, data=TEXT, sender=f"ann@{DOMAIN}", to=TO, body="8BITMIME"):
    with s.smtp() as c:
        c.ehlo()
        assert c.mail(sender, [f"BODY={body}"])[0] == 250
        assert c.rcpt(to)[0] == 250
        c.sock.sendall(b"BDAT %d LAST\r\n" % len(data) + data)
        assert c.getreply()[0] == 250


@pytest.mark.parametrize("offers", [
    ["8BITMIME", "PIPELINING"], ["8BITMIME", "PIPELINING", "CHUNKING"],
    [], ["8BITMIME", "CHUNKING", "BINARYMIME", "SIZE 10000000"]])
def test_signed_as_it_leaves(offers):
    """Plain, converted, by DATA and by BDAT, small and large."""
    large = TEXT + b"".join(b"line %d \t of many\r\n" % i
                            for i in range(20000)) + b"\r\n\r\n"
    with Sink(extensions=offers) as sink, Signed(sink) as s:
        for i, (text, body) in enumerate([
                (TEXT, "7BIT"), (EIGHT, "8BITMIME"), (BINARY, "BINARYMIME"),
                (large, "7BIT"), (large + "\u00fc\r\n".encode(), "8BITMIME"),
                (TEXT + b".\r\n..\r\n", "7BIT")]):
            send(s, text, body=body)
            m = sink.wait_messages(i + 1)[i]
            if b"\0" in m.content:  # Python's dkim takes LF for a line's end
                assert verify_ours(s, m.content) == ["pass", "pass"]
            else:
                assert s.verdicts(m.content) == [True, True], (offers, i)
            assert verify_ours(s, m.content) == ["pass", "pass"]
            assert m.content.startswith(b"DKIM-Signature:")
        s.wait_queue_empty()


def verify_ours(s, octets):
    """By test-dkim, which knows binary."""
    file = s.dir / "records"
    file.write_text("".join(f"{k} {v}\n" for k, v in s.records.items()))
    out = subprocess.run([BIN / "test-dkim", "verify", "4096", file],
                         input=octets, capture_output=True,
                         check=True).stdout.decode()
    return [line.split()[0] for line in out.splitlines()]


def test_strangers_are_not_signed(sink):
    """Relayed or forwarded for somebody outside, with our From on it."""
    with Signed(sink, {"dkim_networks": ""},
                aliases=f"away@{DOMAIN}: x@there.example\n") as s:
        send(s, to=f"away@{DOMAIN}", sender="eve@evil.example")
        assert b"DKIM-Signature" not in sink.wait_messages(1)[0].content
        # ... and from networks of ours only with a key.
    with Signed(sink) as s:
        send(s, TEXT.replace(DOMAIN.encode(), b"other.example"))
        assert b"DKIM-Signature" not in sink.wait_messages(2)[1].content
        send(s, TEXT.replace(b"From: ", b"X-From: "))
        assert b"DKIM-Signature" not in sink.wait_messages(3)[2].content
        s.wait_log("remote", r"not-signed .*why=\"it has no From\"")


def test_parents_sign(sink):
    text = TEXT.replace(DOMAIN.encode(), b"news.sub." + DOMAIN.encode())
    with Signed(sink, {"dkim_identity": "author", "dkim_expire": "7d"}) as s:
        send(s, text)
        m = sink.wait_messages(1)[0]
        assert s.verdicts(m.content) == [True, True]
        field = re.sub(rb"\s+", b" ", head(m.content))
        assert f" d={DOMAIN};".encode() in field
        assert f" i=ann@news.sub.{DOMAIN};".encode() in field
        t, x = map(int, re.search(rb" t=(\d+); x=(\d+);", field).groups())
        assert x - t == 7 * 86400
    with Signed(sink, {"dkim_parents": "no"}) as s:
        send(s, text)
        assert b"DKIM-Signature" not in sink.wait_messages(2)[1].content


def test_users_of_this_host_and_notices(sink):
    """Both without any network of ours."""
    with Signed(sink, {"dkim_networks": "", "hostname": DOMAIN}) as s:
        path = str(s.dir / "submit" / "smtp.sock")
        with smtplib.SMTP() as c:
            c.sock = socket.socket(socket.AF_UNIX)
            c.sock.settimeout(20)
            c.sock.connect(path)
            c._host = "local"
            assert c.getreply()[0] == 220
            c.ehlo("local")
            c.sendmail(f"ann@{DOMAIN}", [TO], TEXT)
        m = sink.wait_messages(1)[0]
        assert s.verdicts(m.content) == [True, True]
        sink.script["rcpt"] = {"no@there.example": "550 5.1.1 no"}
        send(s, to="no@there.example", sender="x@else.example")
        m = sink.wait_messages(2)[1]
        assert m.sender == "" and s.verdicts(m.content) == [True, True]


def test_keyd_away(sink):
    """Mail waits, and goes when keyd is back; not for ever."""
    with Signed(sink) as s:
        s.kill("keyd")
        send(s)
        s.wait_log("remote", "sign-later .*keyd")
        assert not sink.messages
        s.daemons["keyd"].start()
        s.daemons["keyd"].wait_ready()
        assert s.verdicts(sink.wait_messages(1)[0].content) == [True, True]
        s.wait_queue_empty()
        # keyd is started again between two messages of one connection.
        s.kill("keyd")
        s.daemons["keyd"].start()
        s.daemons["keyd"].wait_ready()
        send(s)
        assert s.verdicts(sink.wait_messages(2)[1].content) == [True, True]
    with Signed(sink, {"dkim_wait": "0s"}) as s:
        s.kill("keyd")
        send(s)
        assert b"DKIM-Signature" not in sink.wait_messages(3)[2].content
        s.wait_log("remote", "sent-unsigned ")


# ---- postern dkim ----

def test_keys_and_records(sink):
    with Signed(sink, keys=()) as s:
        out = s.postern("dkim", "key", "B\u00fccher.example", "one").stdout
        folder = s.dir / "dkim" / "xn--bcher-kva.example"
        assert (folder / "one.pem").stat().st_mode & 0o777 == 0o600
        assert [p.name for p in folder.iterdir()] == ["one.pem"]
        strings = re.findall(r'"([^"]*)"', out)
        assert len(strings) == 2 and max(map(len, strings)) <= 255
        assert "one._domainkey.xn--bcher-kva.example. IN TXT (" in out
        again = s.postern("dkim", "show", "b\u00fccher.example").stdout
        assert re.findall(r'"([^"]*)"', again) == strings
        for bad in (["b\u00fccher.example", "one"], ["x..y"], ["a.example",
                    "Up"], ["a.example", "a/b"], ["--rsa", "512", "a.example"],
                    ["--rsa", "x", "a.example"], [".."], ["../x"],
                    ["--rsa", "2048", "--ed25519", "a.example"]):
            assert s.postern("dkim", "key", *bad, check=False).returncode == 100
        assert s.postern("dkim", "show", "none.example",
                         check=False).returncode == 100


def test_published(sink):
    names = ("good", "missing", "other", "revoked", "twice")
    with DnsServer({"here.example": []}) as d, \
            Signed(sink, d.config(), keys=[]) as s:
        records = {}
        for n in names:
            s.postern("dkim", "key", "--ed25519", DOMAIN, n)
        for row in json.loads(s.postern("--json", "dkim", "show",
                                        DOMAIN).stdout):
            records[row["selector"]] = row["record"]
        lines = [f'good._domainkey TXT "{records["good"][:30]}" '
                 f'"{records["good"][30:]}"',
                 f'other._domainkey TXT "{records["good"]}"',
                 'revoked._domainkey TXT "v=DKIM1; k=ed25519; p="',
                 f'twice._domainkey TXT "{records["twice"]}"',
                 'twice._domainkey TXT "v=DKIM1; p="']
        d.set("here.example", lines)
        s.hup("dnsd")
        p = s.postern("--json", "dkim", "check", DOMAIN, check=False)
        got = {r["selector"]: r["state"] for r in json.loads(p.stdout)}
        assert got == {"good": "published", "missing": "missing",
                       "other": "different", "revoked": "different",
                       "twice": "different"}
        assert p.returncode == 100
        assert s.postern("dkim", "check", DOMAIN, "good").returncode == 0
        found = s.postern("check", check=False).stdout
        for n in names[1:]:
            assert f"warning: {n}._domainkey.{DOMAIN}" in found
        assert f"good._domainkey.{DOMAIN}" not in found
