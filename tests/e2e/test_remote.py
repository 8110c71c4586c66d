"""remote alone, over the contract "transfer": the dialogue with other hosts,
what each failure at each step means for the recipients, and what hostile hosts
cannot do."""
import email
import os
import re
import signal
import socket
import threading
import time

import pytest

import transfer
from sink import (EXTENSIONS, Delay, Drip, Drop, Hang, Reset, Sink,
                  free_host, free_port)
from suite import have_ipv6, sanitized, wait_until
from transfer import BUSY, DOWN, FINE, MESSAGE, UNKNOWN, Remote

pytestmark = pytest.mark.skipif(not transfer.have_tool(),
                                reason="bin/test-transfer is not built")

PLAIN = ("SIZE 100000000", "8BITMIME", "ENHANCEDSTATUSCODES")
CHUNKED = EXTENSIONS + ("CHUNKING",)
WAYS = {"piped": EXTENSIONS, "plain": PLAIN, "chunked": CHUNKED, "helo": ""}
SHORT = {"remote_connect_timeout": "2s"}
SHORT.update({f"remote_{step}_timeout": "300ms" for step in (
    "greeting", "helo", "mail", "rcpt", "data", "block", "end", "quit")})


@pytest.fixture(scope="module")
def r():
    with Remote({"remote_greeting_timeout": "10s",
                 "remote_end_timeout": "10s"}) as remote:
        yield remote


@pytest.fixture(scope="module")
def hasty():
    """Every wait ends after a third of a second."""
    with Remote(SHORT) as remote:
        yield remote


def only(done):
    assert len(done.rcpt) == 1
    return done.rcpt[1]


# ---- delivery ----

@pytest.mark.parametrize("way", WAYS)
def test_delivers(r, way):
    with Sink(extensions=WAYS[way]) as sink:
        d = r.send(route=sink.route)
        o = only(d)
        assert (o.code, o.status, o.own, d.dest) == (250, "2.0.0", 0, FINE)
        assert o.text == "taken"
        assert d.host == f"[{sink.host}]:{sink.port}"
        m = sink.wait_messages(1)[0]
        assert m.content == MESSAGE
        assert m.sender == "sender@example.net"
        assert m.recipients == ["ann@example.org"]
        assert m.helo == "mx.here.example"
        if way != "helo":
            assert m.params == [f"SIZE={len(MESSAGE)}"]
        assert not sink.connections[0].early
        # One connection for more mail of the same place, without RSET.
        for n in range(2, 5):
            assert only(r.send(route=sink.route)).code == 250
            sink.wait_messages(n)
        assert len(sink.connections) == 1
        assert not sink.commands("RSET")


def test_null_sender(r):
    with Sink() as sink:
        assert only(r.send(sender="", route=sink.route)).code == 250
        assert sink.wait_messages(1)[0].sender == ""


def test_one_write(r):
    """PIPELINING with CHUNKING: everything in one, no octet before it is
    answered that must wait."""
    with Sink({"mail": Delay(0.3)}, extensions=CHUNKED) as sink:
        n = r.begin(MESSAGE, ["a@x.example", "b@x.example"],
                    route=sink.route)
        c = sink.wait_connections(1)[0]
        wait_until(lambda: c.raw.endswith(MESSAGE))
        assert only_codes(r.result(n)) == [250, 250]
        text = c.raw.decode()
        assert re.search(r"MAIL FROM:.*\r\nRCPT TO:<a@.*\r\nRCPT TO:<b@.*\r\n"
                         r"BDAT %d LAST\r\n" % len(MESSAGE), text)


def test_chunking_can_be_off():
    with Remote({"remote_chunking": "no"}) as remote, \
            Sink(extensions=CHUNKED) as sink:
        assert only(remote.send(route=sink.route)).code == 250
        assert sink.commands("DATA") and not sink.commands("BDAT")


def only_codes(done):
    return [done.rcpt[i].code for i in sorted(done.rcpt)]


def test_quits_when_idle():
    with Remote({"remote_idle": "200ms"}) as remote, Sink() as sink:
        assert only(remote.send(route=sink.route)).code == 250
        sink.wait_over()
        assert sink.connections[0].quit


def test_messages_per_connection():
    with Remote({"remote_messages_per_connection": "3"}) as remote, \
            Sink() as sink:
        for _ in range(7):
            assert only(remote.send(route=sink.route)).code == 250
        sink.wait_messages(7)
        assert [len(c.messages) for c in sink.connections] == [3, 3, 1]


def test_limits_mailmax(r):
    with Sink(extensions=EXTENSIONS + ("LIMITS MAILMAX=2",)) as sink:
        for _ in range(5):
            assert only(r.send(route=sink.route)).code == 250
        assert [len(c.messages) for c in sink.connections] == [2, 2, 1]


# ---- failures at every step ----

# (what is answered, code of the outcome, own words)
REPLIES = [("450 4.7.1 not now", 450, 0), ("550 5.7.1 never", 550, 0)]
STEPS = ("mail", "rcpt", "data", "content")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("said,code,own", REPLIES)
def test_refused(r, way, step, said, code, own):
    if way == "chunked" and step == "data":
        pytest.skip("there is no DATA")
    with Sink({step: [said, None]}, extensions=WAYS[way]) as sink:
        d = r.send(route=sink.route)
        o = only(d)
        assert (o.code, o.own, d.dest) == (code, own, FINE), d
        assert o.text == said[10:]
        assert o.status == said[4:9]
        assert d.host == f"[{sink.host}]:{sink.port}"
        # The connection serves again, after RSET where one is due.
        assert only(r.send(route=sink.route)).code == 250
        assert len(sink.connections) == 1
        assert len(sink.commands("RSET")) == (step in ("rcpt", "data"))
        good = [m for m in sink.messages if m.reply == 250]
        assert [m.content for m in good] == [MESSAGE]


@pytest.mark.parametrize("said,code,status,dest", [
    ("421 4.3.2 too busy", 421, "4.3.2", BUSY),
    ("450 come back", 450, "4.3.2", BUSY),
    ("554 5.7.1 blocked", 451, "4.3.2", DOWN),
    ("521 5.3.2 no mail here", 521, "5.3.2", FINE)])
def test_greeting_refused(r, said, code, status, dest):
    with Sink({"connect": said}) as sink:
        d = r.send(route=sink.route)
        o = only(d)
        assert (o.code, o.status, o.own, d.dest) == (code, status, 0, dest)
        assert said.split()[-1] in o.text
        # Who greets so is not told a single command.
        assert not sink.commands("EHLO")


@pytest.mark.parametrize("script,code,dest", [
    ({"ehlo": "421 4.3.2 later"}, 421, BUSY),
    ({"ehlo": "450 4.3.2 later"}, 450, BUSY),
    ({"ehlo": "500 5.5.1 what?", "helo": "450 4.3.2 later"}, 450, BUSY),
    ({"ehlo": "550 5.7.1 you again", "helo": "550 5.7.1 go away"}, 550,
     FINE)])
def test_hello_refused(r, script, code, dest):
    with Sink(script) as sink:
        d = r.send(route=sink.route)
        assert (only(d).code, only(d).own, d.dest) == (code, 0, dest), d


def test_helo_after_ehlo_refused_for_any_reason(r):
    with Sink({"ehlo": "550 5.7.1 no extensions for you"}) as sink:
        assert only(r.send(route=sink.route)).code == 250
        assert sink.wait_messages(1)[0].params == []


# What ends a connection, or is no SMTP: always temporary.
ENDS = {
    "drop": Drop(),
    "reset": Reset(),
    "421": Drop("421 4.3.2 good bye"),
    "half a line": Drop(b"25"),
    "half a reply": Drop(b"250-one\r\n"),
    "no code": b"hello\r\n",
    "a low code": b"150 x\r\n",
    "a high code": b"650 x\r\n",
    "a number": b"2500 x\r\n",
    "a code and a letter": b"250x\r\n",
    "an empty line": b"\r\n",
    "a bare LF": b"250 ok\n250 ok\r\n",
    "a bare CR": b"250 a\rb\r\n",
    "too long": b"250 " + b"x" * 70000 + b"\r\n",
    "NUL": b"\0" * 10 + b"\r\n",
    "endless": (b"250-" + b"y" * 60 + b"\r\n") * 300,
    "3xx": "334 what",
}


@pytest.mark.parametrize("way", ("piped", "plain", "chunked"))
@pytest.mark.parametrize("step", ("connect", "ehlo") + STEPS)
@pytest.mark.parametrize("end", ENDS)
def test_connection_ends(r, way, step, end):
    if way == "chunked" and step == "data":
        pytest.skip("there is no DATA")
    if end == "3xx" and step == "data":
        pytest.skip("that is what is waited for")
    with Sink({step: [ENDS[end], None]}, extensions=WAYS[way]) as sink:
        d = r.send(route=sink.route)
        o = only(d)
        assert o.code // 100 == 4, d
        assert d.dest in (FINE, DOWN, BUSY), d
        assert o.own == (0 if end == "421" else 1) or (
            end == "3xx" and step in ("connect", "ehlo")), d
        # Nothing of it is left over for the next one.
        assert only(r.send(route=sink.route)).code == 250
        # In one write the whole was there before the garbage came back; the
        # sink may still be at it.
        first = step == "content" or (way == "chunked" and
                                      step in ("mail", "rcpt"))
        assert 1 <= len(sink.messages) <= 1 + first
        assert all(m.content == MESSAGE for m in sink.messages)


@pytest.mark.parametrize("way", ("piped", "plain", "chunked"))
@pytest.mark.parametrize("step", ("connect", "ehlo") + STEPS)
@pytest.mark.parametrize("how", ["hang", "drip"])
def test_silence(hasty, way, step, how):
    """A reply that drips takes no longer than none at all."""
    if way == "chunked" and step == "data":
        pytest.skip("there is no DATA")
    said = Hang() if how == "hang" else Drip("250 " + "z" * 200, 0.1)
    with Sink({step: [said, None]}, extensions=WAYS[way]) as sink:
        before = time.monotonic()
        d = hasty.send(route=sink.route)
        took = time.monotonic() - before
        assert only(d).code // 100 == 4 and only(d).own == 1, d
        assert "silent" in only(d).text
        assert 0.2 < took < 2.5
        assert only(hasty.send(route=sink.route)).code == 250


def test_lost_after_the_end(r):
    """Delivered or not: the sender hears that it is not known."""
    with Sink({"content": Drop()}) as sink:
        o = only(r.send(route=sink.route))
        assert (o.code, o.status) == (451, "4.4.2")
        assert "may have arrived" in o.text


def test_nobody_there(r):
    port = free_port()
    d = r.send(route=f"smtp:[{free_host()}]:{port}")
    assert (only(d).code, only(d).status, d.dest) == (451, "4.4.1", DOWN)
    assert "Connection refused" in only(d).text


def test_words_of_several_lines(r):
    with Sink({"rcpt": "550 5.7.1 first\n550 5.7.1 second\n550 5.7.1 third"}
              ) as sink:
        o = only(r.send(route=sink.route))
        assert (o.code, o.status) == (550, "5.7.1")
        assert o.text == "first second third"


@pytest.mark.parametrize("said,status,text", [
    ("550 no such user", "5.0.0", "no such user"),
    ("550 4.2.1 wrong class", "5.0.0", "4.2.1 wrong class"),
    ("550 5.1000.1 too large", "5.0.0", "5.1000.1 too large"),
    (b"550 5.1.1\r\n", "5.1.1", "(no text)"),
    (b"550\r\n", "5.0.0", "(no text)"),
    (b"550 5.1.1 a\tb\x80\x1b[31mc\r\n", "5.1.1", "a?b??[31mc")])
def test_words(r, said, status, text):
    with Sink({"rcpt": said}) as sink:
        o = only(r.send(route=sink.route))
        assert (o.code, o.status, o.text) == (550, status, text)


# ---- several recipients ----

@pytest.mark.parametrize("way", WAYS)
def test_each_has_its_own_answer(r, way):
    script = {"rcpt": {"b@x.example": "550 5.1.1 no b",
                       "c@x.example": "450 4.2.1 c later"}}
    with Sink(script, extensions=WAYS[way]) as sink:
        d = r.send(recipients=[f"{c}@x.example" for c in "abcd"],
                   route=sink.route)
        assert only_codes(d) == [250, 550, 450, 250]
        assert d.rcpt[2].text == "no b" and d.rcpt[3].text == "c later"
        m = sink.wait_messages(1)[0]
        assert m.recipients == ["a@x.example", "d@x.example"]


@pytest.mark.parametrize("way", WAYS)
def test_all_refused(r, way):
    """Nothing but a dot where DATA was accepted all the same."""
    script = {"rcpt": "550 5.1.1 no", "data": "354 go on then"}
    with Sink(script, extensions=WAYS[way]) as sink:
        d = r.send(recipients=["a@x.example", "b@x.example"],
                   route=sink.route)
        assert only_codes(d) == [550, 550]
        if way == "piped":
            assert [m.wire for m in sink.wait_messages(1)] == [b".\r\n"]
        else:
            assert not sink.messages
        sink.script["rcpt"] = None
        del sink.script["data"]
        assert only(r.send(route=sink.route)).code == 250
        assert len(sink.connections) == 1


def count_accepted(limit, said):
    """RCPT handlers that accept so many a transaction."""
    state = {}

    def mail(c, _arg):
        state[c.number] = 0

    def rcpt(c, _arg):
        state[c.number] += 1
        return said if state[c.number] > limit else None
    return {"mail": mail, "rcpt": rcpt}


@pytest.mark.parametrize("way", ("piped", "plain", "chunked"))
@pytest.mark.parametrize("said", [
    "452 4.5.3 too many", "452 too many", "552 5.5.3 too many",
    "552 too many recipients", "451 4.5.3 too many", "550 5.5.3 too many"])
def test_too_many_recipients(r, way, said):
    with Sink(count_accepted(3, said), extensions=WAYS[way]) as sink:
        to = [f"u{i}@x.example" for i in range(8)]
        d = r.send(recipients=to, route=sink.route)
        assert only_codes(d) == [250] * 8
        assert [len(m.recipients) for m in sink.messages] == [3, 3, 2]
        assert sum((m.recipients for m in sink.messages), []) == to
        assert len(sink.connections) == 1
        # Known from then on: 8 + 5 + 2 when all are sent ahead.
        most = {"piped": 8 + 3 + 2, "chunked": 8 + 3 + 2, "plain": 4 + 4 + 2}
        assert len(sink.commands("RCPT")) <= most[way]


@pytest.mark.parametrize("said,code", [
    ("552 5.2.2 mailbox full", 552), ("452 4.2.2 mailbox full", 452),
    ("552 full", 452), ("552 5.5.3 too many", 452),
    ("550 5.5.3 too many", 550)])
def test_full_mailbox_is_not_too_many(r, said, code):
    with Sink({"rcpt": {"b@x.example": said}}) as sink:
        d = r.send(recipients=["b@x.example", "a@x.example"],
                   route=sink.route)
        assert only_codes(d) == [code, 250]
        assert len(sink.messages) == 1


def test_transactions_of_a_hundred(r):
    with Sink(extensions=CHUNKED) as sink:
        to = [f"u{i}@x.example" for i in range(250)]
        assert only_codes(r.send(recipients=to, route=sink.route)) == \
            [250] * 250
        assert [len(m.recipients) for m in sink.messages] == [100, 100, 50]
        assert len(sink.connections) == 1


def test_limits_rcptmax(r):
    with Sink(extensions=EXTENSIONS + ("LIMITS RCPTMAX=7 X=1",)) as sink:
        to = [f"u{i}@x.example" for i in range(20)]
        d = r.send(recipients=to, route=sink.route)
        assert only_codes(d) == [250] * 20
        assert [len(m.recipients) for m in sink.messages] == [7, 7, 6]


def test_limits_domains(r):
    with Sink(extensions=EXTENSIONS + ("LIMITS RCPTDOMAINMAX=1",)) as sink:
        to = ["a@x.example", "b@y.example", "c@X.example", "d@y.example"]
        assert only_codes(r.send(recipients=to, route=sink.route)) == \
            [250] * 4
        assert [m.recipients for m in sink.messages] == [
            ["a@x.example", "c@X.example"], ["b@y.example", "d@y.example"]]


@pytest.mark.parametrize("way", ("piped", "chunked"))
def test_a_thousand_sent_ahead(way):
    """Neither side waits for the other one to read: long answers, small
    buffers, and a host that does not read while it writes."""
    words = "250 " + "\n".join(["250 2.1.5 " + "w" * 450] * 20)
    with Remote({"remote_transaction_recipients_max": "1000"}) as remote, \
            Sink({"rcpt": words}, extensions=WAYS[way], rcvbuf=4096,
                 sndbuf=4096) as sink:
        to = [f"{'user%04d' % i}@{'x' * 60}.example" for i in range(1000)]
        content = b"Subject: x\r\n\r\n" + b"0123456789" * 5000 + b"\r\n"
        d = remote.send(content, to, route=sink.route, timeout=120)
        assert only_codes(d) == [250] * 1000
        m = sink.wait_messages(1)[0]
        assert m.recipients == to
        assert m.content == content


# ---- another connection, where that is right ----

@pytest.mark.parametrize("end", [Drop(), Drop("421 4.4.2 idle"), Reset()])
def test_idle_connection_was_closed(r, end):
    """Noticed before or after MAIL, and never an attempt."""
    with Sink({"mail": [None, end, None]}) as sink:
        for _ in range(3):
            assert only(r.send(route=sink.route)).code == 250
        assert len(sink.connections) == 2
        assert len(sink.messages) == 3


def test_restarted_host(r):
    sink = Sink()
    assert only(r.send(route=sink.route)).code == 250
    sink.stop()
    sink.start()
    with sink:
        assert only(r.send(route=sink.route)).code == 250
        assert len(sink.connections) == 2


def test_421_between_transactions(r):
    """The host wants a new connection for each transaction."""
    def end(c, _arg):
        return Drop("421 4.7.0 enough") if c.messages else None
    with Sink({"mail": end}) as sink:
        to = [f"u{i}@x.example" for i in range(250)]
        assert only_codes(r.send(recipients=to, route=sink.route)) == \
            [250] * 250
        assert [len(c.messages) for c in sink.connections] == [1, 1, 1]


def test_dies_in_the_second_transaction(r):
    """Those who were not in it get their chance on a new connection."""
    def end(c, _arg):
        return Drop() if c.number == 0 and c.messages else None
    with Sink({"data": end}) as sink:
        to = [f"u{i}@x.example" for i in range(300)]
        codes = only_codes(r.send(recipients=to, route=sink.route))
        assert codes == [250] * 100 + [451] * 100 + [250] * 100


# ---- the message itself ----

CONTENTS = {
    "nothing": b"",
    "a dot": b".",
    "a dot line": b".\r\n",
    "dots": b".\r\n..\r\n...\r\n.a\r\na.\r\n",
    "no line end": b"Subject: a\r\n\r\nend",
    "nothing but line ends": b"\r\n\r\n\r\n",
    "long lines": b"Subject: a\r\n\r\n" + b"x" * 998 + b"\r\n" +
                  b"y" * 100000 + b"\r\n.z\r\n",
    "header": b"A: b\r\n c\r\n\r\n",
    "small": b"Subject: a\r\n\r\n" + b".0123456\r\n" * 6000,
    "large": b"Subject: a\r\n\r\n" + b".line of a large one\r\n" * 60000,
    "dot at each 64 K": b"\r\n" + (b"x" * 65531 + b"\r\n.\r\n") * 5,
}


@pytest.mark.parametrize("way", ("piped", "plain", "chunked"))
@pytest.mark.parametrize("name", CONTENTS)
def test_content(r, way, name):
    content = CONTENTS[name]
    with Sink(extensions=WAYS[way]) as sink:
        assert only(r.send(content, route=sink.route)).code == 250
        assert only(r.send(route=sink.route)).code == 250
        first, second = sink.wait_messages(2)
        if first.chunks:
            assert first.content == content
        else:
            whole = content.endswith(b"\r\n") or not content
            assert first.content == content + (b"" if whole else b"\r\n")
            assert first.wire.endswith(b".\r\n")
        assert second.content == MESSAGE
        assert len(sink.connections) == 1


def test_slow_reader(r):
    with Sink(rcvbuf=4096, read_pause=0.002) as sink:
        content = CONTENTS["large"]
        assert only(r.send(content, route=sink.route)).code == 250
        assert sink.wait_messages(1)[0].content == content


def test_refused_while_it_is_sent(r):
    """An answer in the middle of the content ends the transaction: no dot."""
    def data(c, _arg):
        return b"354 go on\r\n552 5.3.4 too much already\r\n"
    content = b"Subject: a\r\n\r\n" + b"0123456789abcde\r\n" * 600000
    with Sink({"data": [data, None]}, rcvbuf=4096, read_pause=0.02) as sink:
        d = r.send(content, route=sink.route)
        assert (only(d).code, only(d).own) == (552, 0), d
        assert not sink.messages
        assert only(r.send(route=sink.route)).code == 250


def test_stops_reading(hasty):
    """It takes the beginning of the content and nothing more."""
    gate = threading.Event()

    def serve(listener):
        c, _ = listener.accept()
        with c:
            c.sendall(b"220 a\r\n")
            c.recv(1000)
            c.sendall(b"250-a\r\n250 PIPELINING\r\n")
            c.recv(1000)
            c.sendall(b"250 a\r\n250 b\r\n354 c\r\n")
            gate.wait(30)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        t = threading.Thread(target=serve, args=(listener,), daemon=True)
        t.start()
        host, port = listener.getsockname()
        before = time.monotonic()
        d = hasty.send(b"Subject: a\r\n\r\n" + b"0123456789\r\n" * 1000000,
                       route=f"smtp:[{host}]:{port}")
        assert time.monotonic() - before < 5
        assert (only(d).code, only(d).own, d.dest) == (451, 1, FINE)
        gate.set()
        t.join(10)


def test_last_words(r):
    """The host answers, closes and does not read the rest."""
    def data(c, _arg):
        return Drop(b"354 go on\r\n451 4.3.1 no space left\r\n")
    content = b"Subject: a\r\n\r\n" + b"0123456789abcde\r\n" * 600000
    with Sink({"data": data}) as sink:
        o = only(r.send(content, route=sink.route))
        assert o.code // 100 == 4


@pytest.mark.parametrize("way", ("piped", "plain", "chunked"))
@pytest.mark.parametrize("name", ("small", "large"))
@pytest.mark.parametrize("flags", (0, transfer.BINARYMIME))
def test_damaged_queue_file(r, way, name, flags):
    """What does not verify is never completed."""
    extensions = WAYS[way] + (("BINARYMIME",) if way == "chunked" else ())
    content = CONTENTS[name] + b"tail " * 10 + b"\r\n"
    path, ident = r.message(content, flags)
    good = path.read_bytes()
    bad = path.with_name(ident + ".bad")
    at = good.rindex(b"tail tail")
    bad.write_bytes(good[:at] + b"TAIL" + good[at + 4:])
    bad.chmod(0o644)
    with Sink(extensions=extensions) as sink:
        d = r.send(path=bad, ident=ident, flags=flags, route=sink.route)
        assert (only(d).code, only(d).own, d.dest) == (451, 1, UNKNOWN)
        assert "verify" in only(d).text
        assert not sink.messages
        assert only(r.send(route=sink.route)).code == 250
        assert [m.content for m in sink.messages] == [MESSAGE]


def test_no_queue_file(r):
    path, ident = r.message(b"x\r\n")
    other = path.with_name("other")
    other.write_bytes(b"no queue file\n")
    other.chmod(0o644)
    with Sink() as sink:
        d = r.send(path=other, ident=ident, route=sink.route)
        assert (only(d).code, d.dest) == (451, UNKNOWN)
        d = r.send(path=path, ident="01jar9fq3raaaaaaa999",
                   route=sink.route)
        assert (only(d).code, d.dest) == (451, UNKNOWN)
        assert not sink.connections


# ---- content that a host cannot take ----

BARE = {
    "LF": b"Subject: a\r\n\r\none\n.\r\ntwo\r\n",
    "LF dot LF": b"Subject: a\r\n\r\none\n.\nMAIL FROM:<x@y>\r\n",
    "CR": b"Subject: a\r\n\r\none\r.\r\ntwo\r\n",
    "CR at the end": b"Subject: a\r\n\r\none\r",
    "NUL": b"Subject: a\r\n\r\none\0two\r\n",
    "late": b"Subject: a\r\n\r\n" + b"0123456789\r\n" * 100000 +
            b"a\n.\r\nb\r\n",
}


@pytest.mark.parametrize("way", ("piped", "plain", "chunked", "binary"))
@pytest.mark.parametrize("name", BARE)
@pytest.mark.parametrize("flags", (0, transfer.BINARYMIME))
def test_binary_content(r, way, name, flags):
    """One message stays one: binary content goes by BDAT or is converted,
    whatever the envelope says of it."""
    extensions = CHUNKED + ("BINARYMIME",) if way == "binary" else WAYS[way]
    content = BARE[name]
    with Sink(extensions=extensions) as sink:
        d = r.send(content, flags=flags, route=sink.route)
        assert only(d).code == 250, d
        m = sink.wait_messages(1)[0]
        if m.chunks and (flags == 0 or way == "binary"):
            assert m.content == content
            assert ("BODY=BINARYMIME" in m.params) == (
                flags != 0 or name == "late")
        elif name == "CR at the end" and flags == 0:
            assert m.content == content + b"\n"
        else:
            assert not re.search(rb"(\A|[^\r])\n|\r([^\n]|\Z)|\0", m.wire)
            assert re.search(rb"(?i)content-transfer-encoding: *"
                             rb"(base64|quoted-printable)", m.content)
        assert only(r.send(route=sink.route)).code == 250
        assert [m.content for m in sink.messages[1:]] == [MESSAGE]


EIGHT = ("Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
         "grün\r\n").encode()


def test_eight_bit(r):
    with Sink() as sink:
        assert only(r.send(EIGHT, flags=transfer.EIGHT_BIT,
                           route=sink.route)).code == 250
        m = sink.wait_messages(1)[0]
        assert m.content == EIGHT and "BODY=8BITMIME" in m.params


@pytest.mark.parametrize("flags", (0, transfer.EIGHT_BIT))
@pytest.mark.parametrize("extensions", ("", ("PIPELINING", "CHUNKING")))
def test_eight_bit_is_converted(r, flags, extensions):
    with Sink(extensions=extensions) as sink:
        assert only(r.send(EIGHT, flags=flags, route=sink.route)).code == 250
        m = sink.wait_messages(1)[0]
        assert max(m.content) < 128
        text = email.message_from_bytes(m.content)
        assert text.get_payload(decode=True) == "grün\r\n".encode()
        assert not any(p.startswith("BODY") for p in m.params)
        # What needs no conversion is not touched.
        assert only(r.send(flags=flags, route=sink.route)).code == 250
        assert sink.wait_messages(2)[1].content == MESSAGE


def test_size(r):
    with Sink(extensions=("PIPELINING", "SIZE 20")) as sink:
        d = r.send(route=sink.route)
        o = only(d)
        assert (o.code, o.status, o.own, d.dest) == (552, "5.3.4", 1, FINE)
        assert "26" in o.text and "20" in o.text
        assert not sink.commands("MAIL")
    for said in ("SIZE", "SIZE 0", "SIZE x", "SIZE 99999999999999999999"):
        with Sink(extensions=(said,)) as sink:
            assert only(r.send(route=sink.route)).code == 250


# ---- SMTPUTF8 ----

UTF8 = ("From: x@y.example\r\nSubject: grün\r\n\r\n"
        "Hello.\r\n").encode()


def test_utf8(r):
    with Sink() as sink:
        d = r.send(UTF8, ["grün@bücher.example"], flags=transfer.SMTPUTF8,
                   sender="ä@x.example", route=sink.route)
        assert only(d).code == 250
        m = sink.wait_messages(1)[0]
        assert m.recipients == ["grün@bücher.example"]
        assert m.sender == "ä@x.example"
        assert "SMTPUTF8" in m.params and "BODY=8BITMIME" in m.params


def test_utf8_towards_those_without(r):
    with Sink(extensions=("PIPELINING", "8BITMIME")) as sink:
        # Header fields
        o = only(r.send(UTF8, flags=transfer.SMTPUTF8, route=sink.route))
        assert (o.code, o.status, o.own) == (554, "5.6.9", 1)
        assert "internationalised" in o.text
        assert not sink.commands("MAIL")
        # Addresses: the recipient's, then the sender's
        d = r.send(recipients=["grün@x.example", "a@x.example"],
                   flags=transfer.SMTPUTF8, route=sink.route)
        assert [d.rcpt[1].code, d.rcpt[1].status] == [553, "5.6.7"]
        assert d.rcpt[2].code == 250
        o = only(r.send(sender="grün@x.example", flags=transfer.SMTPUTF8,
                        route=sink.route))
        assert (o.code, o.status) == (553, "5.6.7")
        # A domain alone has an ASCII form.
        d = r.send(recipients=["ann@bücher.example"], sender="b@grün.example",
                   flags=transfer.SMTPUTF8, route=sink.route)
        assert only(d).code == 250
        m = sink.messages[-1]
        assert m.recipients == ["ann@xn--bcher-kva.example"]
        assert m.sender == "b@xn--grn-ioa.example"
        # All ASCII: nothing is needed.
        assert only(r.send(flags=transfer.SMTPUTF8,
                           route=sink.route)).code == 250
        assert "SMTPUTF8" not in sink.messages[-1].params


@pytest.mark.parametrize("address", [
    "no-domain", "a b@x.example", "a@x.example>\r\nRCPT TO:<b@x.example",
    "a@x.example\0", "<a@x.example>", "@x.example", "a@", "a@[x]"])
def test_address_that_is_none(r, address):
    """No address can forge a command."""
    with Sink() as sink:
        d = r.send(recipients=[address, "good@x.example"],
                   domain="x.example", route=sink.route)
        assert (d.rcpt[1].code, d.rcpt[1].status) == (553, "5.1.3")
        assert d.rcpt[2].code == 250
        assert sink.wait_messages(1)[0].recipients == ["good@x.example"]
        o = only(r.send(sender=address, route=sink.route))
        assert (o.code, o.status) == (553, "5.1.3")
        assert len(sink.commands("RCPT")) == 1


# ---- DSN, DELIVERBY ----

def test_dsn(r):
    to = [("a@x.example", transfer.SUCCESS | transfer.FAILURE |
           transfer.DELAY, "rfc822;a+2Bb@x.example"),
          ("b@x.example", transfer.NEVER, ""), ("c@x.example", 0, "")]
    with Sink() as sink:
        d = r.send(recipients=to, envid="QQ314+2B", flags=transfer.RET_FULL,
                   route=sink.route)
        assert [d.rcpt[i].relayed for i in (1, 2, 3)] == [0, 0, 0]
        m = sink.wait_messages(1)[0]
        assert m.params[1:] == ["RET=FULL", "ENVID=QQ314+2B"]
        assert m.rcpt_params == [
            ["NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;a+2Bb@x.example"],
            ["NOTIFY=NEVER"], []]
        r.send(recipients=to, flags=transfer.RET_HDRS, route=sink.route)
        assert sink.wait_messages(2)[1].params[1:] == ["RET=HDRS"]
    with Sink(extensions=PLAIN) as sink:
        d = r.send(recipients=to, envid="QQ314", flags=transfer.RET_FULL,
                   route=sink.route)
        assert [d.rcpt[i].relayed for i in (1, 2, 3)] == [1, 1, 1]
        m = sink.wait_messages(1)[0]
        assert m.params == [f"SIZE={len(MESSAGE)}"]
        assert m.rcpt_params == [[], [], []]
    with Sink(lmtp=True, extensions=PLAIN) as sink:
        d = r.send(recipients=to, route=sink.route)
        assert [d.rcpt[i].relayed for i in (1, 2, 3)] == [0, 0, 0]


def test_orcpt_in_utf8(r):
    to = [("a@x.example", 0, "utf-8;grün@x.example")]
    with Sink() as sink:
        r.send(recipients=to, flags=transfer.SMTPUTF8, route=sink.route)
        assert sink.wait_messages(1)[0].rcpt_params == [
            ["ORCPT=utf-8;grün@x.example"]]
    with Sink(extensions=("DSN",)) as sink:
        r.send(recipients=to, route=sink.route)
        assert sink.wait_messages(1)[0].rcpt_params == [
            ["ORCPT=utf-8;gr\\x{FC}n@x.example"]]


@pytest.mark.parametrize("orcpt", ["rfc822;a b", "rfc822;a\r\nDATA",
                                   "utf-8;\udcff"])
def test_orcpt_that_is_none(r, orcpt):
    with Sink() as sink:
        d = r.send(recipients=[("a@x.example", 0, orcpt)], envid="a b",
                   route=sink.route)
        assert only(d).code == 250
        assert sink.wait_messages(1)[0].rcpt_params == [[]]
        assert len(sink.messages[0].params) == 1


def by(seconds):
    return int((time.time() + seconds) * 1000)


def test_deliver_by(r):
    offers = EXTENSIONS + ("DELIVERBY 60",)
    with Sink(extensions=offers) as sink:
        d = r.send(flags=transfer.BY_RETURN | transfer.BY_TRACE,
                   by_at_ms=by(1000), route=sink.route)
        assert (only(d).code, only(d).relayed) == (250, 0)
        m = sink.wait_messages(1)[0]
        assert re.fullmatch(r"BY=99[0-9];RT|BY=1000;RT", m.params[-1])
        # Late already: told, and sent on where it may be late.
        d = r.send(flags=transfer.BY_NOTIFY, by_at_ms=by(-100),
                   route=sink.route)
        assert only(d).code == 250
        assert re.fullmatch(r"BY=-10\d;N", sink.messages[-1].params[-1])
        o = only(r.send(flags=transfer.BY_RETURN, by_at_ms=by(-1),
                        route=sink.route))
        assert (o.code, o.status, o.own) == (554, "5.4.7", 1)
        # Less time than the host needs.
        o = only(r.send(flags=transfer.BY_RETURN, by_at_ms=by(30),
                        route=sink.route))
        assert (o.code, o.status) == (554, "5.4.7")
        assert len(sink.messages) == 2
    with Sink() as sink:
        o = only(r.send(flags=transfer.BY_RETURN, by_at_ms=by(1000),
                        route=sink.route))
        assert (o.code, o.status) == (554, "5.3.3")
        d = r.send(flags=transfer.BY_NOTIFY, by_at_ms=by(1000),
                   route=sink.route)
        assert (only(d).code, only(d).relayed) == (250, 1)
        assert "BY" not in " ".join(sink.messages[0].params)


# ---- LMTP ----

def lmtp_place(r, kind):
    if kind == "tcp":
        return {}
    return {"path": str(r.suite.dir / "messages" / "lmtp")}


@pytest.mark.parametrize("kind", ("tcp", "unix"))
@pytest.mark.parametrize("way", ("piped", "plain", "chunked"))
def test_lmtp(r, kind, way):
    script = {"rcpt": {"b@x.example": "550 5.1.1 no b"},
              "content": {"c@x.example": "452 4.2.2 full",
                          "d@x.example": "554 5.6.0 virus"}}
    with Sink(script, lmtp=True, extensions=WAYS[way],
              **lmtp_place(r, kind)) as sink:
        d = r.send(recipients=[f"{c}@x.example" for c in "abcde"],
                   route=sink.route)
        assert only_codes(d) == [250, 550, 452, 554, 250]
        assert d.rcpt[3].text == "full" and d.rcpt[4].text == "virus"
        assert sink.commands()[0] == "LHLO mx.here.example"
        if kind == "unix":
            assert d.host == sink.path
        assert only(r.send(route=sink.route)).code == 250
        assert len(sink.connections) == 1


@pytest.mark.parametrize("kind", ("tcp", "unix"))
def test_lmtp_lost_between_answers(r, kind):
    script = {"content": {"b@x.example": Drop()}}
    with Sink(script, lmtp=True, **lmtp_place(r, kind)) as sink:
        d = r.send(recipients=[f"{c}@x.example" for c in "abc"],
                   route=sink.route)
        assert only_codes(d) == [250, 451, 451]
        assert "may have arrived" in d.rcpt[3].text
        assert only(r.send(route=sink.route)).code == 250


def test_lmtp_takes_binary(r):
    script = {"content": {"b@x.example": "452 4.2.2 full"}}
    with Sink(script, lmtp=True,
              extensions=CHUNKED + ("BINARYMIME",)) as sink:
        d = r.send(BARE["LF"], ["a@x.example", "b@x.example"],
                   flags=transfer.BINARYMIME, route=sink.route)
        assert only_codes(d) == [250, 452]
        assert sink.messages[0].content == BARE["LF"]
        assert only(r.send(route=sink.route)).code == 250


def test_lmtp_unix_socket_missing(r):
    d = r.send(route="lmtp:/nonexistent/lmtp")
    assert (only(d).code, only(d).status, d.dest) == (451, "4.4.1", DOWN)
    assert "/nonexistent/lmtp" in only(d).text
    assert d.host == "/nonexistent/lmtp"


def test_lmtp_has_no_helo(r):
    with Sink({"lhlo": "500 5.5.1 what?"}, lmtp=True) as sink:
        assert only(r.send(route=sink.route)).code == 500
        assert not sink.commands("HELO")


# ---- routes ----

def test_route_error(r):
    d = r.send(route="error:This company has closed.")
    o = only(d)
    assert (o.code, o.status, o.own) == (550, "5.1.2", 1)
    assert o.text == "This company has closed."


def test_route_unusable(r):
    d = r.send(route="uucp:there")
    assert (only(d).code, only(d).own, d.dest) == (451, 1, UNKNOWN)


def test_route_options(r):
    with Sink() as sink:
        d = r.send(route=sink.route + " source=127.0.0.7 helo=other.example")
        assert only(d).code == 250
        assert sink.messages[0].helo == "other.example"
        assert sink.connections[0].peer[0] == "127.0.0.7"
        d = r.send(route=sink.route + " source=192.0.2.77")
        assert (only(d).code, only(d).status, d.dest) == (
            451, "4.3.0", UNKNOWN)


def test_source_and_name():
    with Remote({"remote_source_ipv4": "127.0.0.8",
                 "remote_helo_name": "name.example"}) as remote, \
            Sink() as sink:
        assert only(remote.send(route=sink.route)).code == 250
        assert sink.messages[0].helo == "name.example"
        assert sink.connections[0].peer[0] == "127.0.0.8"


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
def test_ipv6(r):
    with Sink(host="::1") as sink:
        d = r.send(route=sink.route)
        assert only(d).code == 250
        assert d.host == f"[::1]:{sink.port}"


def test_address_literal():
    port = free_port()
    with Remote({"remote_port": str(port)}) as remote, \
            Sink(port=port) as sink:
        d = remote.send(recipients=[f"ann@{sink.literal}"])
        assert only(d).code == 250, d
        assert sink.messages[0].recipients == [f"ann@{sink.literal}"]
        o = only(remote.send(recipients=["ann@[127.0.1]"],
                             domain="[127.0.1]"))
        assert o.code // 100 == 5


def test_own_address_is_a_loop():
    """A literal that leads back here; by a route it is our own mistake."""
    with Remote(daemons=("remote",)) as remote:
        port = remote.suite.ports["smtp"]
        o = only(remote.send(route=f"smtp:[127.0.0.1]:{port}"))
        assert (o.code, o.status) == (451, "4.4.6")
    with Remote({"remote_port": str(port)}, start=False) as remote:
        remote.suite.ports["smtp"] = port
        remote.suite.write_conf()
        remote.suite.start()
        remote.connect()
        o = only(remote.send(recipients=["ann@[127.0.0.1]"]))
        assert (o.code, o.status) == (554, "5.4.6")


# ---- many at once, ends ----

def test_capacity():
    with Remote({"remote_processes_max": "2"}) as remote, \
            Sink({"content": Delay(1)}) as sink:
        wait_until(lambda: remote.capacity == 2)
        jobs = [remote.begin(MESSAGE, ["a@x.example"], route=sink.route)
                for _ in range(5)]
        codes = sorted(only(remote.result(j)).code for j in jobs)
        assert codes == [250, 250, 451, 451, 451]
        # An idle process makes way for another place.
        with Sink() as other, Sink() as third:
            for s in (other, third, sink):
                assert only(remote.send(route=s.route)).code == 250


def test_jobs_at_once_have_connections_of_their_own(r):
    with Sink({"content": Delay(0.5)}) as sink:
        jobs = [r.begin(MESSAGE, ["a@x.example"], route=sink.route)
                for _ in range(5)]
        assert [only(r.result(j)).code for j in jobs] == [250] * 5
        assert len(sink.connections) == 5


def test_process_is_killed():
    with Remote() as remote, Sink({"content": [Hang(), None]}) as sink:
        job = remote.begin(MESSAGE, ["a@x.example", "b@x.example"],
                           route=sink.route)
        sink.wait_connections(1)
        wait_until(lambda: sink.connections[0].raw.endswith(b"\r\n.\r\n"))
        for pid in remote.suite.daemons["remote"].children():
            os.kill(pid, signal.SIGKILL)
        d = remote.result(job)
        assert only_codes(d) == [451, 451]
        assert (d.rcpt[1].own, d.dest) == (1, UNKNOWN)
        assert only(remote.send(route=sink.route)).code == 250


@pytest.mark.parametrize("step", ("connect", "mail", "data"))
def test_sigterm_before_the_end(step):
    """Nothing is said of what was not done: qmgr keeps it."""
    with Remote() as remote, Sink({step: Hang()}) as sink:
        job = remote.begin(MESSAGE, ["a@x.example"], route=sink.route)
        sink.wait_connections(1)
        time.sleep(0.3)
        before = time.monotonic()
        assert remote.suite.terminate("remote") == 0
        assert time.monotonic() - before < 5
        remote.wait(lambda: remote.closed)
        assert job not in remote.done
        assert not sink.messages


def test_sigterm_at_the_end():
    """An answer that decides is waited for."""
    with Remote() as remote, Sink({"content": Delay(1)}) as sink:
        job = remote.begin(MESSAGE, ["a@x.example"], route=sink.route)
        wait_until(lambda: sink.connections and
                   sink.connections[0].raw.endswith(b"\r\n.\r\n"))
        assert remote.suite.terminate("remote") == 0
        assert only(remote.result(job)).code == 250


def test_sighup():
    with Remote() as remote, Sink() as sink:
        assert only(remote.send(route=sink.route)).code == 250
        config = dict(remote.suite.config, remote_helo_name="new.example")
        remote.suite.write_conf(config)
        remote.suite.hup("remote")
        sink.wait_over()
        assert only(remote.send(route=sink.route)).code == 250
        assert sink.messages[-1].helo == "new.example"


def test_bad_source_is_refused():
    with pytest.raises(Exception, match="remote_source_ipv4"):
        with Remote({"remote_source_ipv4": "::1"}):
            pass


def test_as_an_ordinary_user():
    if os.geteuid() != 0:
        pytest.skip("all the others are this")
    with Remote(as_user="nobody") as remote, Sink() as sink:
        assert only(remote.send(route=sink.route)).code == 250


@pytest.mark.skipif(sanitized("remote"), reason="keeps what was freed")
def test_memory_stays():
    """A process serves hundreds without growing."""
    with Remote({"remote_messages_per_connection": "1000000"}) as remote, \
            Sink(extensions=CHUNKED) as sink:
        def size():
            pid, = remote.suite.daemons["remote"].children()
            with open(f"/proc/{pid}/statm") as f:
                return int(f.read().split()[1])
        for _ in range(50):
            remote.send(route=sink.route)
        before = size()
        jobs = [remote.send(route=sink.route) for _ in range(300)]
        assert len(jobs) == 300
        assert size() < before + 64


def test_parent_is_small():
    """Its memory is what every fork starts with (STYLE, section 3)."""
    if sanitized("remote"):
        pytest.skip("the sanitizer's memory is not postern's")
    with Remote() as remote, Sink() as sink:
        for _ in range(20):
            remote.send(route=sink.route)
        with open(f"/proc/{remote.suite.daemons['remote'].pid}"
                  "/smaps_rollup") as f:
            text = f.read()
        kb = int(re.search(r"Private_Dirty:\s+(\d+)", text).group(1))
        assert kb < 2048, text


def test_fds_of_a_process():
    """Its channel, its connection, the log; nothing of its parent's."""
    with Remote() as remote, Sink() as sink:
        remote.send(route=sink.route)
        pid, = remote.suite.daemons["remote"].children()
        fds = [os.readlink(f"/proc/{pid}/fd/{n}")
               for n in os.listdir(f"/proc/{pid}/fd")]
        assert sum(x.startswith("socket:") for x in fds) == 2, fds
        assert len(fds) <= 6, fds


def test_half_open_host(r):
    """It listens and never accepts: the back-log takes the connection."""
    with socket.socket() as s:
        host, port = free_host(), free_port()
        s.bind((host, port))
        s.listen(1)
        with Remote(SHORT) as remote:
            d = remote.send(route=f"smtp:[{host}]:{port}")
            assert (only(d).code, only(d).own, d.dest) == (451, 1, DOWN)
