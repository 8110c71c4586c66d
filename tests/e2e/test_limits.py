"""Limits, each with its answer, and what an idle session costs."""
import contextlib
import os
import pathlib
import re
import socket
import time

import pytest

import letters
from conftest import needs_root
from suite import DOMAIN, Suite, is_root, sanitized, wait_until


def banner(sock):
    """What the server says first; b"" when it only closes."""
    try:
        return sock.recv(300)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("listener,key", [
    ("smtp", "smtp_sessions"), ("pop3", "pop3_sessions")])
def test_connections_per_client(listener, key):
    with Suite({f"{key}_per_client_max": "5"}) as s, \
            contextlib.ExitStack() as stack:
        held = [stack.enter_context(s.connect(listener)) for _ in range(5)]
        for c in held:
            assert banner(c)[:3] in (b"220", b"+OK")
        with s.connect(listener) as c:
            said = banner(c)
            assert said[:4] in (b"421 ", b"-ERR", b""), said
        # Another client is not locked out.
        if listener == "smtp":
            with socket.socket() as c:
                c.bind(("127.0.0.2", 0))
                c.connect(("127.0.0.1", s.ports[listener]))
                assert banner(c).startswith(b"220")
        held.pop().close()

        def free_again():
            with s.connect(listener) as c:
                return banner(c)[:3] in (b"220", b"+OK")
        wait_until(free_again, 5)


@pytest.mark.parametrize("listener,key", [
    ("smtp", "smtp_sessions"), ("pop3", "pop3_sessions")])
def test_connections_in_all(listener, key):
    with Suite({f"{key}_max": "4"}) as s, contextlib.ExitStack() as stack:
        held = [stack.enter_context(s.connect(listener)) for _ in range(4)]
        for c in held:
            assert banner(c)[:3] in (b"220", b"+OK")
        with s.connect(listener) as c:
            c.settimeout(1)
            with contextlib.suppress(TimeoutError):
                assert banner(c)[:4] in (b"421 ", b"-ERR", b"")
        for c in held:
            c.close()

        def free_again():
            with s.connect(listener) as c:
                return banner(c)[:3] in (b"220", b"+OK")
        wait_until(free_again, 5)


def test_patient_clients_do_not_lock_others_out():
    """Many silent clients of one address; another address gets through, and
    the silent ones are sent away after the time for a command."""
    with Suite({"smtp_command_timeout": "1s",
                "smtp_sessions_per_client_max": "30"}) as s:
        held = []
        for _ in range(40):
            held.append(s.connect())
        with socket.socket() as c:
            c.bind(("127.0.0.3", 0))
            c.settimeout(5)
            c.connect(("127.0.0.1", s.ports["smtp"]))
            assert banner(c).startswith(b"220")
        for c in held:
            c.settimeout(10)
            text = b""
            with contextlib.suppress(ConnectionResetError):
                while True:
                    got = c.recv(1000)
                    if not got:
                        break
                    text += got
            assert b"421" in text or not text, text
            c.close()


def test_transaction_deadline():
    """One octet now and then does not keep a transaction alive for ever."""
    with Suite({"smtp_transaction_timeout": "1s"}) as s, s.connect() as c:
        banner(c)
        c.sendall(b"EHLO c.example\r\nMAIL FROM:<x@c.example>\r\n"
                  + f"RCPT TO:<ann@{DOMAIN}>\r\nDATA\r\n".encode())
        text = b""
        while b"354" not in text:
            text += c.recv(1000)
        began = time.monotonic()
        c.settimeout(0.1)
        text = b""
        while time.monotonic() - began < 8:
            try:
                c.sendall(b"x\r\n")
            except OSError:
                break
            try:
                got = c.recv(1000)
            except TimeoutError:
                continue
            except ConnectionResetError:
                break
            if not got:
                break
            text += got
        assert time.monotonic() - began < 6
        assert text.startswith(b"421") or text.startswith(b"451") or not text
        assert s.queue() == []


def test_message_size():
    with Suite({"message_size_max": "100K"}) as s:
        with s.smtp() as c:
            c.ehlo()
            assert c.esmtp_features["size"] == "102400"
            code, text = c.mail("x@client.example", ["SIZE=102401"])
            assert code == 552 and text.startswith(b"5.3.4"), (code, text)
            assert c.mail("x@client.example")[0] == 250
            c.rcpt(f"ann@{DOMAIN}")
            code, text = c.data(letters.make("big", 150_000))
            assert code == 552 and text.startswith(b"5.3.4"), (code, text)
            c.sendmail("x@client.example", [f"ann@{DOMAIN}"],
                       letters.make("fits", 90_000))
        s.wait_delivered("ann", 1)


def test_recipients():
    with Suite({"recipients_max": "100"}) as s:
        with s.smtp() as c:
            c.ehlo()
            assert "RCPTMAX=100" in c.esmtp_features["limits"]
            c.mail("x@client.example")
            for i in range(100):
                assert c.rcpt(f"ann+{i}@{DOMAIN}")[0] == 250
            code, text = c.rcpt(f"ann@{DOMAIN}")
            assert code == 452 and text.startswith(b"4.5.3"), (code, text)
            assert c.data(letters.make("hundred"))[0] == 250
        s.wait_delivered("ann", 100)
        s.wait_queue_empty()


def test_hops():
    with Suite({"hops_max": "10"}) as s:
        for n, code in ((9, 250), (11, 554)):
            data = b"".join(b"Received: from a by b; Sun, 22 Nov 2026 19:20:51"
                            b" +0000\r\n" for _ in range(n))
            with s.smtp() as c:
                c.ehlo()
                c.mail("x@client.example")
                c.rcpt(f"ann@{DOMAIN}")
                got, text = c.data(data + letters.make("hops"))
                assert got == code, (n, got, text)
                if code == 554:
                    assert text.startswith(b"5.4.6"), text


def test_errors_close_the_session():
    with Suite({"errors_max": "5"}) as s, s.connect() as c:
        banner(c)
        c.sendall(b"NONSENSE\r\n" * 20)
        text = b""
        with contextlib.suppress(ConnectionResetError):
            while True:
                got = c.recv(4096)
                if not got:
                    break
                text += got
        lines = text.split(b"\r\n")
        assert len([x for x in lines if x.startswith(b"5")]) <= 6
        assert any(x.startswith(b"421") for x in lines), text


def test_hundred_thousand_octets_without_a_line_end():
    with Suite() as s, s.connect() as c:
        banner(c)
        with contextlib.suppress(OSError):
            c.sendall(b"A" * 1_000_000 + b"\r\n")
        text = b""
        with contextlib.suppress(OSError):
            c.settimeout(5)
            while b"\r\n" not in text:
                got = c.recv(4096)
                if not got:
                    break
                text += got
        assert text[:1] in (b"5", b"4", b""), text[:100]


def pss_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))


def private_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(
        r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M))


@pytest.mark.skipif(not is_root(), reason="needs root: smaps of other users")
@pytest.mark.skipif(sanitized(), reason="sanitizers cost memory")
@pytest.mark.parametrize("listener,daemon", [("smtp", "smtpd"),
                                             ("pop3", "pop3d")])
def test_memory_of_idle_sessions(listener, daemon):
    """100 sessions that were greeted and wait cost 60 KB of PSS each, their
    parent less than 2 MB of its own."""
    with Suite({"smtp_sessions_per_client_max": "200",
                "pop3_sessions_per_client_max": "200"}) as s, \
            contextlib.ExitStack() as stack:
        for _ in range(100):
            c = stack.enter_context(s.connect(listener))
            banner(c)
            c.sendall(b"EHLO client.example\r\n" if listener == "smtp"
                      else b"CAPA\r\n")
            c.recv(1000)
        pids = s.daemons[daemon].children()
        assert len(pids) == 100
        pss = sorted(pss_kb(p) for p in pids)
        average = sum(pss) / len(pss)
        assert average <= 60, f"{average} KB, from {pss[0]} to {pss[-1]}"
        own = private_kb(s.daemons[daemon].pid)
        assert own < 2048, own


@pytest.mark.skipif(not is_root(), reason="needs root: smaps of other users")
@pytest.mark.skipif(sanitized(), reason="sanitizers cost memory")
def test_memory_after_much_mail():
    """A thousand messages and sessions later nothing has grown much."""
    with Suite() as s:
        def send(n, name):
            for i in range(n):
                with s.smtp() as c:
                    c.sendmail("x@client.example", [f"ann@{DOMAIN}"],
                               letters.make(f"{name}{i}", 2000))
        send(100, "warm")
        s.wait_delivered("ann", 100)
        s.wait_queue_empty()
        names = ("smtpd", "queued", "qmgr", "local", "authd")
        before = {n: sum(private_kb(p) for p in s.daemons[n].pids())
                  for n in names}
        send(500, "more")
        s.wait_delivered("ann", 600)
        s.wait_queue_empty()
        after = {n: sum(private_kb(p) for p in s.daemons[n].pids())
                 for n in names}
        for n in names:
            assert after[n] - before[n] < 2048, (n, before, after)


@needs_root
def test_descriptors_do_not_leak():
    with Suite() as s:
        def count():
            return {n: len(os.listdir(f"/proc/{d.pid}/fd"))
                    for n, d in s.daemons.items()}
        for _ in range(20):
            s.send("x@client.example", f"ann@{DOMAIN}")
            s.pop3("ann").quit()
        s.wait_queue_empty()
        wait_until(lambda: not s.daemons["smtpd"].children(), 5)
        before = count()
        for _ in range(50):
            s.send("x@client.example", f"ann@{DOMAIN}")
            s.pop3("ann").quit()
            with s.connect("pop3") as c:
                banner(c)
            with s.connect() as c:
                banner(c)
        s.wait_queue_empty()
        wait_until(lambda: not s.daemons["smtpd"].children()
                   and not s.daemons["pop3d"].children(), 5)

        def same():
            now = count()
            return all(now[n] <= before[n] + 2 for n in now)
        wait_until(same, 5, lambda: f"{before} {count()}")
