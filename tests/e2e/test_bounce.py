"""bounce, spoken to over its contract, with a real queued behind it: what is in
the queue afterwards is a message that other people's parsers read."""
import base64
import contextlib
import email
import email.policy
import os
import pathlib
import quopri
import re
import signal
import subprocess
import threading
import time

import pytest

from suite import BIN, HOSTNAME, Suite, wait_until

ID = "01jar9fq3raaaaaaaaaa"
EIGHT, SMTPUTF8, BINARY, FULL, HDRS, DOUBLE = 1, 2, 4, 8, 16, 512
NEVER, SUCCESS, FAILURE, DELAY = 1, 2, 4, 8
KIND = {"failure": 1, "delay": 2, "success": 3}
ACTION = {"failed": 1, "delayed": 2, "delivered": 3, "relayed": 4,
          "expanded": 5}
UNTIL = 1796000000000  # 2026-11-30

PLAIN = (b"Subject: lunch\r\nMessage-ID: <m1@client.example>\r\n"
         b"From: Ann <ann@here.example>\r\n\r\nAt one?\r\n")
GERMAN = PLAIN.replace(b"At one?", "Um zwölf?".encode())
UNMARKED = GERMAN.replace(b"lunch", "Grüße".encode())
BINARY_MAIL = (b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream"
               b"\r\nContent-Transfer-Encoding: binary\r\n\r\n"
               + bytes(range(256)) * 4)

BAD_MAILBOX = ("550 1 1 mx.there.example[192.0.2.1]:25 "
               "<carl@there.example>: no such user")
NO_ANSWER = "451 4 1 - connect to mx.there.example[192.0.2.1]:25: timed out"
FINE = "250 0 0 mx.there.example[192.0.2.1]:25 queued as 4711"


class Bounce(Suite):
    def __init__(self, config=None, daemons=("queued", "bounce"), **more):
        super().__init__(config, daemons=daemons, **more)
        self.jobs = self.dir / "jobs"
        self.jobs.mkdir()
        self.jobs.chmod(0o755)

    def make(self, lines, content=PLAIN, ident=ID, sender="ann@here.example"):
        """A queue file; lines: of the tool's description."""
        text = "\n".join([f"id {ident}", f"from {sender}", *lines, "", ""])
        path = self.jobs / ident
        path.unlink(missing_ok=True)
        done = subprocess.run([BIN / "test-bounce", "make", self.jobs],
                              input=text.encode() + content, check=True,
                              stdout=subprocess.PIPE)
        return pathlib.Path(done.stdout.decode().strip())

    def command(self, path, kind, recipients, sender):
        return [BIN / "test-bounce", "job", self.run_dir / "bounce.sock",
                path, str(KIND[kind]), sender,
                *(f"{n}:{ACTION[a]}:{until}" for n, a, until in recipients)]

    def who(self):
        return {"user": "postern-queue", "group": "postern",
                "extra_groups": []} if self.root else {}

    def job(self, path, kind="failure", recipients=((1, "failed", 0),),
            sender="ann@here.example"):
        """(code, id or None, text)"""
        done = subprocess.run(self.command(path, kind, recipients, sender),
                              stdout=subprocess.PIPE, check=True, timeout=60,
                              **self.who())
        words = done.stdout.decode().rstrip("\n").split(" ", 4)
        return (int(words[1]), None if words[3] == "-" else words[3],
                words[4])

    def notice(self, *args, **more):
        code, ident, text = self.job(*args, **more)
        assert code == 250 and ident, text
        return Notice(self.queue_dir / "incoming" / ident)


class Notice:
    """A notice in the queue: envelope, octets, parsed message."""

    def __init__(self, path):
        data = path.read_bytes()
        m = re.search(rb"^content (\d+) (\d+)$", data, re.M)
        at, length = int(m[1]), int(m[2])
        self.ident = path.name
        self.envelope = data[:at].decode()
        self.raw = data[at:at + length]
        self.trailer = data[at + length:].decode()
        m = re.search(r"^flags (.*)$", self.envelope, re.M)
        self.flags = set(m[1].split()) if m else set()
        self.to = re.search(r"^rcpt T (.*)$", self.envelope, re.M)[1]
        self.message = email.message_from_bytes(
            self.raw, policy=email.policy.default.clone(utf8=True))
        self.parts = self.message.get_payload()
        self.check()

    def check(self):
        """What is true of every notice."""
        assert re.search(r"^from <>$", self.envelope, re.M)
        assert re.search(r"\nReceived: by mx\.here\.example .* id %s;"
                         % self.ident, self.trailer)
        check_lines(self.raw)
        head = self.raw.partition(b"\r\n\r\n")[0]
        assert "smtputf8" in self.flags or head.isascii()
        assert "8bitmime" in self.flags or self.raw.isascii()
        m = self.message
        for name in ("Date", "From", "To", "Subject", "Message-ID",
                     "MIME-Version", "Content-Type", "Auto-Submitted"):
            assert len(m.get_all(name, [])) == 1, name
        assert m["Auto-Submitted"] == "auto-replied"
        assert m["Message-ID"] == f"<{self.ident}@{HOSTNAME}>"
        assert m["From"].addresses[0].addr_spec == f"MAILER-DAEMON@{HOSTNAME}"
        assert m.get_content_type() == "multipart/report"
        assert m.get_param("report-type") == "delivery-status"
        assert [] == [d for part in [m, *self.parts[:2]]
                      for d in part.defects]
        boundary = m.get_boundary().encode()
        assert self.raw.count(b"\r\n--" + boundary) == len(self.parts) + 1
        self.check_encodings()
        assert self.parts[0].get_content_type() == "text/plain"
        assert all(len(x) <= 72 or " " not in x.strip()
                   for x in self.words().splitlines())
        kind = self.parts[1].get_content_type()
        assert kind in ("message/delivery-status",
                        "message/global-delivery-status")
        self.about, *self.told = self.status()

    def check_encodings(self):
        """What is said of each part is true of its octets."""
        boundary = self.message.get_boundary().encode()
        chunks = self.raw.split(b"\r\n--" + boundary)[1:-1]
        outer = self.message["Content-Transfer-Encoding"]
        # What was converted may need less than was said.
        assert outer == ("7bit" if all(c.isascii() for c in chunks)
                         else "8bit") or b"base64" in self.raw
        for chunk in chunks:
            head, _, body = chunk.partition(b"\r\n\r\n")
            m = re.search(rb"Content-Transfer-Encoding: (\S+)", head)
            assert m[1] in (b"7bit", b"8bit", b"quoted-printable")
            assert head.isascii()
            assert m[1] == b"8bit" or body.isascii()

    def words(self):
        return self.parts[0].get_payload(decode=True).decode(
            self.parts[0].get_content_charset())

    def status(self):
        """The groups of fields: one for the message, one a recipient."""
        body = self.part(1).decode().replace("\r\n ", " ")
        groups = []
        for text in body.rstrip("\r\n").split("\r\n\r\n"):
            group = {}
            for line in text.split("\r\n"):
                name, _, value = line.partition(": ")
                assert re.fullmatch("[A-Za-z-]+", name) and value, line
                assert name not in group
                group[name] = value
            groups.append(group)
        return groups

    def part(self, n):
        """The octets of a part, as they stand there."""
        boundary = self.message.get_boundary().encode()
        chunk = self.raw.split(b"\r\n--" + boundary)[1 + n]
        return chunk.partition(b"\r\n\r\n")[2]

    def returned(self):
        """(type, octets) of the third part, decoded."""
        if len(self.parts) < 3:
            return None, b""
        kind = self.parts[2].get_content_type()
        octets = self.part(2)
        if self.parts[2]["Content-Transfer-Encoding"] == "quoted-printable":
            octets = quopri.decodestring(octets)
        return kind, octets


def decoded(part):
    """What a part holds: of its transfer encoding nothing is left."""
    head, _, body = part.partition(b"\r\n\r\n")
    m = re.search(rb"(?i)Content-Transfer-Encoding: (\S+)", head)
    how = m[1].lower() if m else b"7bit"
    return {b"base64": base64.b64decode,
            b"quoted-printable": quopri.decodestring}.get(
                how, lambda x: x)(body)


def check_lines(raw):
    assert b"\0" not in raw
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
    assert max(len(x) for x in raw.split(b"\r\n")) <= 998


@pytest.fixture(scope="module")
def b():
    with Bounce() as s:
        yield s


def rcpt(address="carl@there.example", notify=0, orcpt="-"):
    return f"rcpt {notify} {orcpt} {address}"


def failed(words=BAD_MAILBOX, who="remote", number=1):
    return f"attempt {number} failed {who} {words}"


# ---- what is said ----

def test_failure(b):
    n = b.notice(b.make([rcpt(), failed()]))
    assert n.to == "ann@here.example"
    assert n.message["To"].addresses[0].addr_spec == "ann@here.example"
    assert n.message["In-Reply-To"] == "<m1@client.example>"
    assert n.message["References"] == "<m1@client.example>"
    assert n.about["Reporting-MTA"] == f"dns; {HOSTNAME}"
    assert email.utils.parsedate_to_datetime(n.about["Arrival-Date"])
    assert "Original-Envelope-Id" not in n.about
    (t,) = n.told
    assert t["Final-Recipient"] == "rfc822; carl@there.example"
    assert t["Action"] == "failed" and t["Status"] == "5.1.1"
    assert t["Remote-MTA"] == "dns; mx.there.example (192.0.2.1)"
    assert t["Diagnostic-Code"] == \
        "smtp; 550 5.1.1 <carl@there.example>: no such user"
    assert email.utils.parsedate_to_datetime(t["Last-Attempt-Date"])
    assert "Original-Recipient" not in t and "Will-Retry-Until" not in t
    words = " ".join(n.words().split())
    assert "<carl@there.example> There is no mailbox with this" in words
    assert "550 5.1.1 <carl@there.example>: no such user" in words
    assert "Subject: lunch" in words and ID in words
    assert n.flags == set()


def test_delay(b):
    n = b.notice(b.make([rcpt(), f"attempt 1 deferred own {NO_ANSWER}"]),
                 "delay", ((1, "delayed", UNTIL),))
    (t,) = n.told
    assert t["Action"] == "delayed" and t["Status"] == "4.4.1"
    assert "Remote-MTA" not in t
    assert t["Diagnostic-Code"].startswith("X-Postern; connect to mx.there")
    when = email.utils.parsedate_to_datetime(t["Will-Retry-Until"])
    assert when.timestamp() == UNTIL // 1000
    words = " ".join(n.words().split())
    assert "should not send it again" in words
    assert "It will be tried again until Mon, 30 Nov 2026" in words
    assert n.returned()[0] == "text/rfc822-headers"


@pytest.mark.parametrize("action, phrase", [
    ("delivered", "The message was delivered."),
    ("relayed", "does not report deliveries"),
    ("expanded", "This address is a list")])
def test_success(b, action, phrase):
    n = b.notice(b.make([rcpt(notify=SUCCESS),
                         f"attempt 1 delivered remote {FINE}"]),
                 "success", ((1, action, 0),))
    (t,) = n.told
    assert t["Action"] == action and t["Status"] == "2.0.0"
    assert t["Diagnostic-Code"] == "smtp; 250 queued as 4711"
    assert phrase in " ".join(n.words().split())
    assert n.returned()[0] == "text/rfc822-headers"


def test_success_after_an_earlier_failure(b):
    """What is recorded of an earlier attempt is not the outcome."""
    n = b.notice(b.make([rcpt(notify=SUCCESS),
                         f"attempt 1 deferred remote {NO_ANSWER}"]),
                 "success", ((1, "delivered", 0),))
    assert n.told[0]["Status"] == "2.0.0"
    assert "Diagnostic-Code" not in n.told[0]
    assert "timed out" not in n.words()


def test_given_up_after_temporary_failures(b):
    n = b.notice(b.make([rcpt(), failed(NO_ANSWER, "own")]))
    assert n.told[0]["Action"] == "failed"
    assert n.told[0]["Status"] == "4.4.1"
    assert "tried again for 1 hour, without success" in \
        " ".join(n.words().split())


def test_groups(b):
    """Those who share a fate are told of together, each once."""
    lines, told = [], []
    for i in range(1, 301):
        lines.append(rcpt(f"u{i}@there.example"))
        told.append((i, "failed", 0))
    for i in range(1, 301):
        lines.append(failed("550 1 1 mx.there.example[192.0.2.1]:25 "
                            f"<u{i}@there.example>: unknown", number=i)
                     if i % 3 else
                     failed("552 2 2 mx.there.example[192.0.2.1]:25 "
                            "full", number=i))
    n = b.notice(b.make(lines), recipients=told)
    words = n.words()
    assert words.count("There is no mailbox") == 1
    assert words.count("The mailbox is full.") == 1
    assert all(words.count(f"  <u{i}@there.example>\r\n") == 1
               for i in range(1, 301))
    assert len(n.told) == 300
    assert {t["Final-Recipient"] for t in n.told} == {
        f"rfc822; u{i}@there.example" for i in range(1, 301)}


def test_most_recipients(b):
    lines = [rcpt(f"{'x' * 60}{i}@there.example", orcpt="rfc822;" + "y" * 490)
             for i in range(1000)]
    told = [(i + 1, "failed", 0) for i in range(1000)]
    lines += [failed(f"550 1 1 mx{i}.there.example[192.0.2.1]:25 "
                     + f"{i} words" * 40, number=i + 1) for i in range(1000)]
    n = b.notice(b.make(lines), recipients=told)
    assert len(n.told) == 1000


# ---- who is told ----

@pytest.mark.parametrize("kind, notify, told", [
    ("failure", 0, True), ("failure", NEVER, False),
    ("failure", FAILURE, True), ("failure", SUCCESS | DELAY, False),
    ("delay", 0, True), ("delay", NEVER, False), ("delay", DELAY, True),
    ("delay", FAILURE | SUCCESS, False),
    ("success", 0, False), ("success", NEVER, False),
    ("success", SUCCESS, True), ("success", FAILURE | DELAY, False)])
def test_notify(b, kind, notify, told):
    action = {"failure": "failed", "delay": "delayed",
              "success": "delivered"}[kind]
    path = b.make([rcpt("one@there.example", notify)])
    code, ident, text = b.job(path, kind, ((1, action, 0),))
    assert code == 250
    assert (ident is not None) == told, text


def test_some_are_told(b):
    path = b.make([rcpt("one@there.example", NEVER),
                   rcpt("two@there.example"), rcpt("three@there.example"),
                   "state 3 B"])
    n = b.notice(path, recipients=[(i, "failed", 0) for i in (1, 2, 3, 99)])
    assert [t["Final-Recipient"] for t in n.told] == \
        ["rfc822; two@there.example"]


def test_double_bounce(b):
    path = b.make([rcpt(), failed()], sender="-")
    n = b.notice(path, sender="-")
    assert n.to == f"postmaster@{HOSTNAME}"
    assert "double" in n.flags
    assert n.message["Subject"].startswith("Mail without a sender")
    path = b.make([rcpt(), failed(), f"flags {DOUBLE}"], sender="-")
    code, ident, text = b.job(path, sender="-")
    assert (code, ident) == (250, None) and "given up" in text
    path = b.make([rcpt()], sender="-")
    assert b.job(path, "delay", ((1, "delayed", 0),), "-")[:2] == (250, None)


@pytest.mark.parametrize("config, to", [
    ({"double_bounce": "boss"}, f"boss@{HOSTNAME}"),
    ({"double_bounce": "boss", "local_domain": "there.example"},
     "boss@there.example"),
    ({"double_bounce": "b@x.example"}, "b@x.example"),
    ({"double_bounce": ""}, None)])
def test_double_bounce_parameter(config, to):
    with Bounce(config) as s:
        path = s.make([rcpt(), failed()], sender="-")
        if to:
            assert s.notice(path, sender="-").to == to
        else:
            assert s.job(path, sender="-")[:2] == (250, None)


def test_envelope_values(b):
    n = b.notice(b.make(["envid QQ+2B+3D314", "helo client.example",
                         rcpt(orcpt="rfc822;carl+2Bx@there.example"),
                         failed()]))
    assert n.about["Original-Envelope-Id"] == "QQ+=314"
    assert n.about["Received-From-MTA"] == "dns; client.example"
    assert n.told[0]["Original-Recipient"] == "rfc822; carl+x@there.example"


@pytest.mark.parametrize("envid, orcpt, helo", [
    ("a+0D+0AAction:+20x", "rfc822;a+0D+0AStatus:+202.0.0@x", "a b"),
    ("+", "nothing", "[192.0.2.1]"), ("a=b", "rfc822;", "x(y)"),
    ("a+ZZ", "r f;x", "-"), ("a+80", "rf(c;x", "a..b"),
    ("+FF", ";x", "x;y")])
def test_hostile_envelope_values(b, envid, orcpt, helo):
    """Nothing in them becomes a field, or an octet that may not be there."""
    n = b.notice(b.make([f"envid {envid}", f"helo {helo}",
                         rcpt(orcpt=orcpt.replace(" ", "_")), failed()]))
    assert set(n.about) <= {"Reporting-MTA", "Arrival-Date",
                            "X-Postern-Queue-Id"}
    assert "Original-Recipient" not in n.told[0]
    assert n.told[0]["Status"] == "5.1.1"


def test_expansion(b):
    """The sender knows what he wrote; the report has what became of it."""
    n = b.notice(b.make([rcpt("list@here.example"),
                         "expand 1 2 inner@here.example",
                         "expand 2 3 |/bin/false", "expand 3 2",
                         failed("550 0 0 local exit 100", "own", 3)]),
                 recipients=((3, "failed", 0), (1, "failed", 0)))
    assert n.told[0]["Final-Recipient"] == "rfc822; inner@here.example"
    assert n.told[1]["Final-Recipient"] == "rfc822; list@here.example"
    assert n.told[0]["Diagnostic-Code"] == "X-Postern; exit 100"
    assert "<list@here.example> (which leads to\r\n  <inner@here.example>)" \
        in n.words() or "(which leads to <inner@here.example>)" in n.words()
    assert "/bin/false" not in n.raw.decode()


@pytest.mark.parametrize("sender", [
    "a" * 64 + "@" + "b" * 60 + ".example", '"a b"@here.example',
    '"a\\"b<>"@here.example', "ann@[192.0.2.1]", "no-address", "a@b@c",
    "x%0D%0ABcc: y@z.example"])
def test_senders(b, sender):
    n = b.notice(b.make([rcpt(), failed()]), sender=sender)
    assert "Bcc" not in n.message
    if sender in ("no-address", "a@b@c") or "%" in sender:
        assert n.message["To"] == "undisclosed-recipients:;"
    else:
        assert f"To: <{sender}>\r\n".encode() in n.raw


# ---- what is returned ----

CONTENTS = {
    # name: content, flags, whole, header, encoding of whole and of header
    "plain": (PLAIN, 0, "message/rfc822", "text/rfc822-headers"),
    "8bit": (GERMAN, EIGHT, "message/rfc822", "text/rfc822-headers"),
    "8bit header": (UNMARKED, EIGHT, "message/rfc822",
                    "text/rfc822-headers"),
    "utf8": (UNMARKED, EIGHT | SMTPUTF8, "message/global",
             "message/global-headers"),
    "no body": (b"Subject: x\r\n", 0, "message/rfc822",
                "text/rfc822-headers"),
    "no header": (b"\r\nbody\r\n", 0, "message/rfc822",
                  "text/rfc822-headers"),
    "no last line end": (PLAIN + b"end", 0, "message/rfc822",
                         "text/rfc822-headers"),
    "a bounce": (b"Content-Type: multipart/report; boundary=x\r\n\r\n"
                 b"--x\r\n\r\n--x--\r\n", 0, "message/rfc822",
                 "text/rfc822-headers"),
}


@pytest.mark.parametrize("ret", [0, FULL, HDRS])
@pytest.mark.parametrize("kind", list(KIND))
@pytest.mark.parametrize("name", list(CONTENTS))
def test_return(b, name, kind, ret):
    """RFC 3461 4.3: RET is about failures; else the header."""
    content, flags, whole, header = CONTENTS[name]
    action = {"failure": "failed", "delay": "delayed",
              "success": "relayed"}[kind]
    path = b.make([rcpt(notify=SUCCESS | FAILURE | DELAY),
                   f"flags {flags | ret}"], content)
    n = b.notice(path, kind, ((1, action, 0),))
    got, octets = n.returned()
    effective = b"Received: by test\r\n" + content
    if kind == "failure" and ret != HDRS:
        assert got == whole
        assert octets == effective
        inner = n.parts[2].get_payload()[0] if got == "message/rfc822" \
            else None
        assert inner is None or inner["Received"] == "by test"
    else:
        assert got == header
        assert octets == effective.partition(b"\r\n\r\n")[0] + b"\r\n" or \
            (name == "no body" and octets == effective)


@pytest.mark.parametrize("ret", [FULL, HDRS])
@pytest.mark.parametrize("name", [n for n in CONTENTS
                                  if n.startswith(("8bit", "utf8"))])
def test_return_to_seven_bits(b, name, ret):
    """What remote makes of a notice for a host of old still says it all."""
    content, flags, _, _ = CONTENTS[name]
    n = b.notice(b.make([rcpt("list@here.example"),
                         "expand 1 2 jörg@grün.example",
                         failed(number=2), f"flags {flags | ret}"], content),
                 recipients=((2, "failed", 0),))
    seven = subprocess.run([BIN / "test-mime", "convert", "7"], input=n.raw,
                           stdout=subprocess.PIPE, check=True).stdout
    check_lines(seven)
    assert seven.isascii() or name == "8bit header"
    boundary = n.message.get_boundary().encode()
    words, status, original = [
        decoded(c) for c in seven.split(b"\r\n--" + boundary)[1:-1]]
    assert "<jörg@grün.example>".encode() in words
    if flags & SMTPUTF8:
        assert "utf-8; jörg@grün.example".encode() in status
    else:
        assert rb"utf-8; j\x{F6}rg@gr\x{FC}n.example" in status
    if original.startswith(b"Received:") and ret == FULL:
        original = decoded(original)
    wanted = "zwölf" if ret == FULL else "lunch" if name == "8bit" \
        else "Grüße"
    assert wanted.encode() in original


def test_binary_is_converted(b):
    n = b.notice(b.make([rcpt(), failed(), f"flags {BINARY | FULL}"],
                        BINARY_MAIL))
    kind, octets = n.returned()
    assert kind == "message/rfc822"
    inner = n.parts[2].get_payload()[0]
    assert inner["Content-Transfer-Encoding"] == "base64"
    assert inner.get_payload(decode=True) == bytes(range(256)) * 4


NO_TEXT = {
    "NUL": b"Subject: a\0b\r\n\r\nbody\r\n",
    "bare CR": b"Subject: a\rb\r\n\r\nbody\r\n",
    "bare LF": b"Subject: a\nBcc: b\r\n\r\nbody\r\n",
    "long": b"Subject: " + b"x" * 5000 + b"\r\n\r\nbody\r\n",
    "no end": b"X" * 100000,
    "8-bit rubbish": b"Subject: \xff\xfe\0\x80\r\n\r\n\xff\r\n",
}


@pytest.mark.parametrize("content", NO_TEXT.values(), ids=NO_TEXT)
def test_header_that_is_no_text(b, content):
    """It is returned alone, each octet, encoded."""
    n = b.notice(b.make([rcpt(), failed(), f"flags {FULL}"], content))
    kind, octets = n.returned()
    assert kind == "text/rfc822-headers"
    assert n.parts[2]["Content-Transfer-Encoding"] == "quoted-printable"
    want = content.partition(b"\r\n\r\n")[0]
    assert octets.startswith(b"Received: by test\r\n" + want)


def test_header_without_end_is_cut():
    with Bounce({"bounce_header_size_max": "4096"}) as s:
        long = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 60)
                        for i in range(1000)) + b"\r\nbody\r\n"
        n = s.notice(s.make([rcpt(), failed(), f"flags {FULL}"], long))
        kind, octets = n.returned()
        assert kind == "text/rfc822-headers"
        assert 4000 < len(octets) <= 4096
        assert octets == (b"Received: by test\r\n" + long)[:len(octets)]
        assert octets.endswith(b"y\r\n")
        assert "as far as there was room" in n.words()


def test_sizes():
    with Bounce({"bounce_message_size_max": "2K",
                 "bounce_unasked_size_max": "1K"}) as s:
        for length, flags, whole in ((500, 0, True), (1500, 0, False),
                                     (1500, FULL, True), (2500, FULL, False),
                                     (500, HDRS, False)):
            content = PLAIN + b"x" * 50 + b"\r\n" * ((length - 170) // 2)
            n = s.notice(s.make([rcpt(), failed(), f"flags {flags}"],
                                content))
            assert (n.returned()[0] == "message/rfc822") == whole, length


def test_damaged_content(b):
    """The sender hears of the failure; what is damaged is not returned."""
    path = b.make([rcpt(), failed(), f"flags {FULL}"],
                  PLAIN + b"x" * 70 + b"\r\n" * 100000)
    data = bytearray(path.read_bytes())
    data[data.index(b"xxxx")] = ord("y")
    path.write_bytes(data)
    n = b.notice(path)
    assert n.returned() == (None, b"")
    assert "cannot be attached" in n.words()


def test_damaged_file(b):
    path = b.make([rcpt(), failed()])
    data = bytearray(path.read_bytes())
    data[data.index(b"carl")] = ord("x")
    path.write_bytes(data)
    code, ident, _ = b.job(path)
    assert code == 451 and ident is None


def peak(pid):
    """Kilobytes of the process's own at the most."""
    with contextlib.suppress(OSError, AttributeError):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1])
    return 0


def test_memory():
    """A message of 50 MB passes through, it is not held."""
    with Bounce() as s:
        line = b"z" * 998 + b"\r\n"
        path = s.make([rcpt(), failed(), f"flags {FULL}"],
                      PLAIN + line * 49000)
        most, stop = [0], threading.Event()

        def watch():
            while not stop.is_set():
                for pid in s.daemons["bounce"].children():
                    most[0] = max(most[0], peak(pid))
                time.sleep(0.002)

        t = threading.Thread(target=watch)
        t.start()
        try:
            code, ident, text = s.job(path)
        finally:
            stop.set()
            t.join()
        assert code == 250, text
        assert (s.queue_dir / "incoming" / ident).stat().st_size > 49000000
        assert 0 < most[0] < 20000 or "libasan" in str(BIN)


# ---- UTF-8 addresses (RFC 6533) ----

def test_utf8_recipient_of_a_utf8_sender(b):
    n = b.notice(b.make([rcpt("jörg@grün.example",
                              orcpt=r"utf-8;j\x{F6}rg@grün.example"),
                         failed(), f"flags {SMTPUTF8 | EIGHT}"],
                        sender="änn@here.example"),
                 sender="änn@here.example")
    assert n.flags == {"smtputf8", "8bitmime"}
    assert "To: <änn@here.example>\r\n".encode() in n.raw
    assert n.parts[1].get_content_type() == "message/global-delivery-status"
    assert n.told[0]["Final-Recipient"] == "utf-8; jörg@grün.example"
    assert n.told[0]["Original-Recipient"] == r"utf-8; j\x{F6}rg@grün.example"
    assert "<jörg@grün.example>" in n.words()


def test_utf8_recipient_of_an_ascii_message(b):
    """An alias may lead there; programs of old get seven bits."""
    n = b.notice(b.make([rcpt("list@here.example"),
                         "expand 1 2 jörg@grün.example",
                         failed("550 6 7 - SMTPUTF8 is needed", "own", 2)]),
                 recipients=((2, "failed", 0),))
    assert "smtputf8" not in n.flags
    assert n.parts[1].get_content_type() == "message/delivery-status"
    assert n.told[0]["Final-Recipient"] == \
        r"utf-8; j\x{F6}rg@gr\x{FC}n.example"


@pytest.mark.parametrize("subject, shown", [
    (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    (b"=?UTF-8?B?R3LDvMOf?=\r\n =?utf-8?b?ZQ==?=", "Grüße"),
    (b"=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?= an alle", "Grüße an alle"),
    (b"=?iso-8859-1?q?Gr=FC=DFe?=", "Grüße"),
    (b"=?koi8-r?q?=FC?= raw", "=?koi8-r?q?=FC?= raw"),
    (b"=?utf-8?q?a=0D=0ABcc:_x?=", "a??Bcc: x"),
    (b"=?utf-8?q?=E2=80=AEevil?=", "?evil"),
    (b"\xff\xfe", "??"), ("Grüße".encode(), "Grüße"),
    (b"=?utf-8?b?####?= =?", "=?utf-8?b?####?= =?")])
def test_subjects(b, subject, shown):
    n = b.notice(b.make([rcpt(), failed()],
                        b"Subject: " + subject + b"\r\n\r\nbody\r\n"))
    assert f"  Subject: {shown}\r\n" in n.words()


@pytest.mark.parametrize("ident, good", [
    (b"<a@b>", True), (b"\r\n <long.one@client.example>", True),
    (b"a@b", False), (b"<a@b> <c@d>", False), (b"<a b@c>", False),
    (b"<a@b\xff>", False), (b"<" + b"x" * 400 + b"@y>", False),
    (b"<@>", False), (b"", False)])
def test_message_ids(b, ident, good):
    n = b.notice(b.make([rcpt(), failed()],
                        b"Message-ID: " + ident + b"\r\n\r\nbody\r\n"))
    assert ("In-Reply-To" in n.message) == good
    assert not good or n.message["References"] == ident.strip().decode()


# ---- what other people's programs make of it ----

def test_flufl_bounce(b):
    scan = pytest.importorskip("flufl.bounce").scan_message
    n = b.notice(b.make([rcpt("one@there.example"),
                         rcpt("two@there.example"),
                         failed(), failed(BAD_MAILBOX, number=2)]),
                 recipients=((1, "failed", 0), (2, "failed", 0)))
    found = scan(email.message_from_bytes(n.raw))
    assert set(found) == {b"one@there.example", b"two@there.example"}
    n = b.notice(b.make([rcpt("one@there.example")]), "delay",
                 ((1, "delayed", 0),))
    assert not scan(email.message_from_bytes(n.raw))


# ---- faults ----

def test_queued_is_down():
    with Bounce() as s:
        path = s.make([rcpt(), failed()])
        s.terminate("queued")
        code, ident, _ = s.job(path)
        assert code == 451 and ident is None
        s.start("queued")
        assert s.notice(path)


def test_queued_killed_in_the_middle():
    """Never 2xx for what is not there; at the end it is there."""
    with Bounce() as s:
        path = s.make([rcpt(), failed(), f"flags {FULL}"],
                      PLAIN + (b"z" * 998 + b"\r\n") * 40000)
        told = 0
        for pause in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
            p = subprocess.Popen(
                s.command(path, "failure", ((1, "failed", 0),),
                          "ann@here.example"),
                stdout=subprocess.PIPE, **s.who())
            time.sleep(pause)
            s.kill("queued", tree=True)
            code = int(p.communicate(timeout=60)[0].split()[1])
            assert code in (250, 451)
            told += code == 250
            assert len(s.queue("incoming")) >= told
            s.start("queued")
        assert s.notice(path)
        for name in s.queue("incoming"):
            Notice(s.queue_dir / name)


def test_no_room():
    with Bounce({"queue_reserve": "1000G"}) as s:
        code, ident, text = s.job(s.make([rcpt(), failed()]))
        assert code == 452 and ident is None, text


def test_killed_process():
    """Its job is answered; the others go on."""
    with Bounce() as s:
        big = s.make([rcpt(), failed(), f"flags {FULL}"],
                     PLAIN + (b"z" * 998 + b"\r\n") * 49000)
        p = subprocess.Popen(
            s.command(big, "failure", ((1, "failed", 0),),
                      "ann@here.example"), stdout=subprocess.PIPE, **s.who())
        pid = wait_until(lambda: s.daemons["bounce"].children())[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        words = p.communicate(timeout=60)[0].split()
        assert words[1] in (b"451", b"250")
        small = s.make([rcpt(), failed()], ident=ID[:-1] + "b")
        assert s.notice(small)
        s.alarms = False


def test_many_at_once():
    """More than bounce_processes: the rest is told to come again."""
    with Bounce({"bounce_processes": "2"}) as s:
        path = s.make([rcpt(), failed()])
        command = s.command(path, "failure", ((1, "failed", 0),),
                            "ann@here.example")
        all_of_them = [subprocess.Popen(command, stdout=subprocess.PIPE,
                                        **s.who()) for _ in range(30)]
        codes = [int(p.communicate(timeout=60)[0].split()[1])
                 for p in all_of_them]
        assert set(codes) <= {250, 451} and 250 in codes
        assert len(s.queue("incoming")) == codes.count(250)


def test_term_finishes():
    with Bounce() as s:
        path = s.make([rcpt(), failed(), f"flags {FULL}"],
                      PLAIN + (b"z" * 998 + b"\r\n") * 20000)
        p = subprocess.Popen(
            s.command(path, "failure", ((1, "failed", 0),),
                      "ann@here.example"), stdout=subprocess.PIPE, **s.who())
        for pid in wait_until(lambda: s.daemons["bounce"].children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        assert s.terminate("bounce") == 0
        # Told before the end, ended at its very start, or the asker was
        # lost.
        said = p.communicate(timeout=60)[0]
        assert not said or said.split()[1] in (b"250", b"451")
        s.start("bounce")


def test_hup():
    with Bounce() as s:
        path = s.make([rcpt(), failed()])
        assert s.notice(path)
        s.write_conf({"bounce_from": "robot@there.example"})
        s.hup("bounce")
        s.wait_log("bounce", "(?s)ready.*ready")
        code, ident, _ = s.job(path)
        raw = (s.queue_dir / "incoming" / ident).read_bytes()
        assert b"<robot@there.example>" in raw


def test_wrong_configuration():
    for key, value in (("bounce_from", "a b"), ("double_bounce", "a@"),
                       ("bounce_from", "")):
        with Bounce({key: value}, start=False) as s:
            s.start("queued")
            with pytest.raises(Exception, match="ended with 100"):
                s.start("bounce")
            assert key in s.log("bounce")
