"""Where connections come from: the PROXY protocol, sockets that a supervisor
hands over, several addresses, sd_notify."""
import os
import re
import socket
import struct
import subprocess

import pytest

import letters
from suite import BIN, DOMAIN, Suite, have_ipv6, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, port=4711, command=1):
    """A version 2 header for a TCP connection from this address."""
    if ":" in source:
        addresses = (socket.inet_pton(socket.AF_INET6, source)
                     + socket.inet_pton(socket.AF_INET6, "2001:db8::25"))
        family = 0x21
    else:
        addresses = (socket.inet_aton(source) + socket.inet_aton("192.0.2.25"))
        family = 0x11
    body = addresses + struct.pack("!HH", port, 25)
    body += b"\x04\0\x03abc"  # PP2_TYPE_NOOP: skipped
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(
        "!H", len(body)) + body


def talk(sock, *commands):
    """The answers' last lines."""
    f = sock.makefile("rb")
    out = []
    for c in (None, *commands):
        if c is not None:
            sock.sendall(c + b"\r\n")
        while True:
            line = f.readline()
            if line[3:4] != b"-":
                break
        out.append(line)
    return out


PROXY = {"smtp/proxy": "yes", "proxy_from": "127.0.0.1, ::1",
         "relay_networks": "198.51.100.0/24"}


@pytest.mark.parametrize("header,ip,relays", [
    (b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\n", "198.51.100.7", True),
    (b"PROXY TCP4 203.0.113.7 192.0.2.25 4711 25\r\n", "203.0.113.7", False),
    (b"PROXY TCP6 2001:db8::7 2001:db8::25 4711 25\r\n", "IPv6:2001:db8::7",
     False),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1", False),
    (v2("198.51.100.7"), "198.51.100.7", True),
    (v2("2001:db8::7"), "IPv6:2001:db8::7", False),
    (v2("198.51.100.7", command=0), "127.0.0.1", False),
], ids=["v1-4", "v1-4-other", "v1-6", "v1-unknown", "v2-4", "v2-6",
        "v2-local"])
def test_proxy(proxy_suite, header, ip, relays):
    """The address in the header is the client's: for relaying, limits, trace
    and log."""
    s = proxy_suite
    ident = f"proxy-{re.sub('[^0-9a-z]', '', ip.lower())}-{len(header)}"
    with s.connect() as c:
        c.sendall(header)
        got = talk(c, b"EHLO client.example", b"MAIL FROM:<x@client.example>",
                   b"RCPT TO:<who@elsewhere.example>",
                   f"RCPT TO:<ann@{DOMAIN}>".encode())
        assert got[0].startswith(b"220"), got
        assert got[3].startswith(b"550") != relays, got
        assert got[4].startswith(b"250"), got
        c.sendall(b"RSET\r\n")
        talk_on = c.makefile("rb")
        talk_on.readline()
    with s.connect() as c:
        c.sendall(header)
        got = talk(c, b"EHLO client.example", b"MAIL FROM:<x@client.example>",
                   f"RCPT TO:<ann@{DOMAIN}>".encode(), b"DATA",
                   letters.make(ident).replace(b"\r\n.", b"\r\n..") + b".")
        assert got[5].startswith(b"250"), got

    def there():
        return [f for f in s.messages("ann")
                if letters.header(f, "X-Test-Id") == [ident]]
    [f] = wait_until(there, 10)
    assert f"[{ip}]" in letters.header(f, "Received")[0]


@pytest.fixture(scope="module")
def proxy_suite():
    with Suite(PROXY) as s:
        yield s


@pytest.mark.parametrize("header", [
    b"EHLO client.example\r\n", b"PROXY TCP4 nonsense\r\n",
    b"PROXY " + b"x" * 200 + b"\r\n", SIGNATURE + b"\x31\x11\0\x0c" + b"x" * 12,
    SIGNATURE + b"\x21\x11\xff\xff"])
def test_proxy_header_is_needed(proxy_suite, header):
    """No header, or a broken one: no greeting, closed."""
    with proxy_suite.connect() as c:
        c.sendall(header)
        c.shutdown(socket.SHUT_WR)
        text = b""
        try:
            while True:
                got = c.recv(1000)
                if not got:
                    break
                text += got
        except ConnectionResetError:
            pass
        assert not text.startswith(b"220"), text


def test_proxy_only_from_listed_peers():
    """Anybody else is an ordinary client: greeted as the one he is, and what
    he says of another address is no command."""
    with Suite(dict(PROXY, proxy_from="192.0.2.1",
                    relay_networks="198.51.100.7")) as s:
        with s.connect() as c:
            got = talk(c, b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25",
                       b"EHLO client.example", b"MAIL FROM:<x@c.example>",
                       b"RCPT TO:<who@elsewhere.example>")
            assert [x[:3] for x in got] == [b"220", b"500", b"250", b"250",
                                            b"550"], got


def test_proxy_header_must_come_in_time():
    with Suite(dict(PROXY, proxy_timeout="300ms")) as s, s.connect() as c:
        c.settimeout(5)
        try:
            assert not c.recv(1000).startswith(b"220")
        except ConnectionResetError:
            pass


def listening(host="127.0.0.1"):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.bind((host, 0))
    s.listen(64)
    return s


def test_sockets_handed_over():
    """LISTEN_FDS as systemd sets it: by number and by name."""
    with listening() as a, listening() as b, listening() as p:
        ports = [x.getsockname()[1] for x in (a, b, p)]
        with Suite(listen={"smtp": ["fd:3", "fd:second"], "pop3": ["fd:3"]},
                   listen_fds={"smtpd": [a, b], "pop3d": [p]},
                   daemon_env={"smtpd": {"LISTEN_FDNAMES": "first:second"}}
                   ) as s:
            for port in ports[:2]:
                s.ports["smtp"] = port
                s.send("x@client.example", f"ann@{DOMAIN}")
            s.wait_delivered("ann", 2)
            s.ports["pop3"] = ports[2]
            c = s.pop3("ann")
            assert c.stat()[0] == 2
            c.quit()
            # The sockets stay when the daemon restarts: no connection lost.
            s.terminate("smtpd")
            s.ports["smtp"] = ports[0]
            early = s.connect()
            s.start("smtpd")
            assert early.recv(100).startswith(b"220")
            early.close()


def test_descriptor_that_is_no_socket():
    with Suite(listen={"smtp": ["fd:9"], "pop3": ["127.0.0.1"]},
               start=False) as s:
        done = subprocess.run([str(BIN / "smtpd"), "-c", str(s.conf)],
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=20)
        assert done.returncode == 100
        assert "fd:9" in done.stdout or "9" in done.stdout


def test_several_addresses():
    hosts = ["127.0.0.1", "127.0.0.2"] + (["[::1]"] if have_ipv6() else [])
    with Suite(listen={"smtp": hosts, "pop3": hosts}) as s:
        for host in hosts:
            for listener in ("smtp", "pop3"):
                with s.connect(listener, host.strip("[]")) as c:
                    assert c.recv(10)[:3] in (b"220", b"+OK")


def test_every_address():
    """*:PORT and [::]:PORT side by side."""
    with Suite(listen={"smtp": ["*"] + (["[::]"] if have_ipv6() else []),
                       "pop3": ["127.0.0.1"]}) as s:
        for host in ["127.0.0.1", "127.0.0.9"] + (
                ["::1"] if have_ipv6() else []):
            with s.connect("smtp", host) as c:
                assert c.recv(10).startswith(b"220")


def test_sd_notify(tmp_path):
    """READY=1, RELOADING=1 with its time, STOPPING=1, through a socket whose
    path the cage hides."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
        n.bind(path)
        os.chmod(path, 0o777)
        n.settimeout(10)
        with Suite(daemon_env={"smtpd": {"NOTIFY_SOCKET": path}}) as s:
            assert n.recv(500) == b"READY=1"
            s.hup("smtpd")
            text = n.recv(500)
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+\n?", text)
            assert n.recv(500) == b"READY=1"
            s.terminate("smtpd")
            assert n.recv(500) == b"STOPPING=1"


def test_abstract_notify_socket():
    name = f"@postern-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
        n.bind("\0" + name[1:])
        n.settimeout(10)
        with Suite(daemon_env={"qmgr": {"NOTIFY_SOCKET": name}}):
            assert n.recv(500) == b"READY=1"


def test_second_instance():
    """Two suites side by side need nothing but another -c FILE."""
    with Suite() as a, Suite() as b:
        for s, ident in ((a, "one"), (b, "two")):
            s.send("x@client.example", f"ann@{DOMAIN}", letters.make(ident))
        for s, ident in ((a, "one"), (b, "two")):
            assert letters.idents(s.wait_delivered("ann", 1)) == [ident]


def test_backlog():
    """A burst of connections is not refused."""
    with Suite({"smtp_sessions_per_client_max": "500"}) as s:
        held = [s.connect() for _ in range(300)]
        for c in held:
            assert c.recv(100).startswith(b"220")
            c.close()
