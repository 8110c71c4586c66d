"""keyd and TLS, through a small server that has its sessions caged as smtpd's
are (tests/tool/tlsserve.c), with openssl s_client and Python's ssl as clients."""
import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from suite import BIN, Suite, is_root, sanitized, wait_until

KINDS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
         "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
         "rsa": ["rsa:2048"], "ed25519": ["ed25519"]}


def make_pair(directory, name="mx.here.example", kind="ec", days=30,
              suffix=""):
    """cert.pem and key.pem, fresh; the certificate as DER."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    key, cert = (directory / f"{n}{suffix}.pem" for n in ("key", "cert"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-nodes",
         "-days", str(days), "-subj", f"/CN={name}", "-addext",
         f"subjectAltName=DNS:{name}", "-keyout", str(key) + ".new",
         "-out", str(cert) + ".new"], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    os.chmod(str(cert) + ".new", 0o644)
    if is_root():
        shutil.chown(str(key) + ".new", "postern-key")
    os.rename(str(key) + ".new", key)
    os.rename(str(cert) + ".new", cert)
    return ssl.PEM_cert_to_DER_cert(
        cert.read_text()[cert.read_text().index("-----BEGIN"):])


class Server:
    """test-tlsserve beside a keyd."""

    def __init__(self, suite, *args):
        self.log_path = suite.dir / "log" / "tlsserve"
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [str(BIN / "test-tlsserve"), *args, str(suite.run_dir)],
            stdout=subprocess.PIPE, stderr=self.log_file, cwd="/")
        self.port = int(self.process.stdout.readline())
        wait_until(lambda: "ready" in self.log(), what=self.log)

    def log(self):
        return self.log_path.read_text(errors="backslashreplace")

    def close(self):
        self.process.terminate()
        assert self.process.wait(10) == 0
        self.process.stdout.close()
        self.log_file.close()
        assert "session-died" not in self.log()

    def connect(self, name="mx.here.example", version=None, session=None,
                ctx=None, timeout=20, **more):
        ctx = ctx or context(**more)
        if version:
            ctx.minimum_version = ctx.maximum_version = version
        return ctx.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port), timeout),
            server_hostname=name, session=session)

    def s_client(self, *args, input=b"QUIT\r\n"):
        """Connected through openssl s_client; all it said."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}",
             "-ign_eof", *args], input=input, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60)
        return done.stdout.decode(errors="replace")


def context(alpn=None, ciphers=None, cert=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if alpn:
        ctx.set_alpn_protocols(alpn)
    if ciphers:
        ctx.set_ciphers(ciphers)
    if cert:
        ctx.load_cert_chain(cert / "cert.pem", cert / "key.pem")
    return ctx


def read_line(c):
    text = b""
    while not text.endswith(b"\r\n"):
        part = c.recv(1)
        if not part:
            break
        text += part
    return text.decode()


def greeting(c):
    """What the server knows of the handshake."""
    line = read_line(c)
    assert line.startswith("220 "), line
    return json.loads(line[4:])


def ask(c, command):
    c.sendall(command.encode() + b"\r\n")
    return read_line(c).rstrip("\r\n")


def quit(c):
    assert ask(c, "QUIT") == "221 bye"
    assert c.recv(1) == b""  # close_notify: otherwise SSLEOFError
    c.close()


@contextlib.contextmanager
def keyd(config=None, *args, kind="ec"):
    with Suite(config or {}, daemons=("keyd",), start=False) as s:
        s.certificate = make_pair(s.tls_dir / "default", kind=kind)
        s.start()
        s.server = Server(s, *args)
        try:
            yield s
        finally:
            s.server.close()


@pytest.fixture(scope="module")
def one():
    with keyd() as s:
        yield s


# ---- versions and ciphers, as testssl would ask ----

@pytest.mark.parametrize("option, good", [
    ("-tls1", False), ("-tls1_1", False), ("-tls1_2", True),
    ("-tls1_3", True)])
def test_versions(one, option, good):
    said = one.server.s_client(option, "-cipher", "ALL:@SECLEVEL=0")
    assert ("221 bye" in said) == good, said
    if not good:
        assert "alert protocol version" in said


@pytest.mark.parametrize("cipher", [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_ciphers(one, cipher):
    said = one.server.s_client("-tls1_2", "-cipher", cipher)
    assert "221 bye" in said and f"Cipher is {cipher}" in said


@pytest.mark.parametrize("cipher", [
    "aNULL", "eNULL", "3DES", "RC4", "kRSA", "kDHE", "SHA1", "AESCCM",
    "CAMELLIA", "PSK", "SRP", "ARIA", "ECDHE-ECDSA-AES128-SHA256"])
def test_weak_ciphers(one, cipher):
    said = one.server.s_client("-tls1_2", "-cipher",
                               f"{cipher}:@SECLEVEL=0")
    assert "221 bye" not in said


def test_server_prefers(one):
    """Its own order, but for a client that puts ChaCha20 first."""
    for ciphers, want in (
            ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
             "ECDHE-ECDSA-AES128-GCM-SHA256"),
            ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
             "ECDHE-ECDSA-CHACHA20-POLY1305")):
        said = one.server.s_client("-tls1_2", "-cipher", ciphers)
        assert f"Cipher is {want}" in said


def test_nothing_odd(one):
    said = one.server.s_client("-tls1_2")
    assert "Secure Renegotiation IS supported" in said  # RFC 5746 is spoken
    assert "Compression: NONE" in said
    assert "TLS session ticket:" not in said
    assert "Extended master secret: yes" in said
    said = one.server.s_client()
    assert "Max Early Data: 0" in said or "Early data was not sent" in said


def test_renegotiation(one):
    """s_client's R asks for one."""
    done = subprocess.Popen(
        ["openssl", "s_client", "-tls1_2", "-connect",
         f"127.0.0.1:{one.server.port}"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    done.stdin.write(b"R\n")
    done.stdin.flush()
    said, _ = done.communicate(timeout=30)
    assert b"no renegotiation" in said or b"RENEGOTIATING" in said
    assert b"221" not in said


@pytest.mark.parametrize("kind", ["rsa", "p384", "ed25519"])
def test_kinds(kind):
    with keyd(kind=kind) as s:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            c = s.server.connect(version=version)
            assert c.getpeercert(True) == s.certificate
            assert greeting(c)["version"].replace(
                ".", "_") == version.name
            quit(c)


def test_old_clients():
    with keyd({"tls_min": "1.0"}, "-m", "1.0", kind="rsa") as s:
        make_pair(s.tls_dir / "default", kind="ec", suffix="-ecdsa")
        time.sleep(0.12)
        for option in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
            for auth in ("ECDSA", "RSA"):
                more = [] if option == "-tls1_3" else [
                    "-cipher", f"a{auth}:@SECLEVEL=0"]
                said = s.server.s_client(option, *more)
                assert "221 bye" in said, (option, auth, said)


def test_random(one):
    """Children of one parent do not share their random numbers."""
    seen = set()
    for _ in range(6):
        said = one.server.s_client("-tls1_2", "-msg")
        m = re.search(r"ServerHello\n((?:    [0-9a-f ]+\n)+)", said)
        octets = bytes.fromhex("".join(m.group(1).split()))
        seen.add(octets[6:38])
    assert len(seen) == 6


# ---- names ----

def test_sni(one):
    other = make_pair(one.tls_dir / "pop.here.example", "pop.here.example")
    wild = make_pair(one.tls_dir / "*.wild.example", "*.wild.example")
    for name, want in (("mx.here.example", one.certificate),
                       ("pop.here.example", other),
                       ("POP.here.example", other),
                       ("a.wild.example", wild),
                       ("b.a.wild.example", one.certificate),
                       (None, one.certificate),
                       ("..", None), (".".join(["a" * 60] * 4),
                                        one.certificate)):
        try:
            c = one.server.connect(name)
        except (ValueError, ssl.SSLError, UnicodeError):
            assert want is None
            continue
        assert c.getpeercert(True) == want, name
        assert greeting(c)["sni"] == (name or "")
        quit(c)
    for name in ("../default", "/etc", "default/../default", "a\\x00b"):
        said = one.server.s_client("-servername", name)
        assert "221 bye" in said or "alert" in said, said


def test_many_names():
    """10,000 names cost nothing at the start and little memory."""
    with keyd({"keyd_workers": "1", "keyd_names_max": "50"}) as s:
        for i in range(10000):
            d = s.tls_dir / f"n{i}.here.example"
            d.mkdir()
            for n in ("cert.pem", "key.pem"):
                os.link(s.tls_dir / "default" / n, d / n)
        began = time.monotonic()
        s.restart("keyd")
        assert time.monotonic() - began < 2
        for i in range(0, 10000, 50):
            quit_after(s.server.connect(f"n{i}.here.example"))
        memory = sum(anonymous(p) for p in s.daemons["keyd"].pids())
        assert memory < 12000 or sanitized("keyd"), memory


def quit_after(c):
    greeting(c)
    quit(c)


def anonymous(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text).group(1))


# ---- ALPN ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_alpn(one, version):
    c = one.server.connect(version=version, alpn=["h2", "smtp"])
    assert greeting(c)["alpn"] == c.selected_alpn_protocol() == "smtp"
    quit(c)
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        one.server.connect(version=version, alpn=["h2", "http/1.1"])


# ---- resumption ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_resumption(one, version):
    """Across processes, and with one session once only."""
    ctx = context()
    ctx.minimum_version = ctx.maximum_version = version
    c = one.server.connect(ctx=ctx)
    assert not greeting(c)["resumed"]
    session = c.session
    quit(c)
    got = []
    for _ in range(3):
        c = one.server.connect(ctx=ctx, session=session)
        got.append(greeting(c)["resumed"])
        assert c.session_reused == got[-1]
        quit(c)
    assert got == [True, False, False]


def test_resumption_off():
    with keyd(None, "-r") as s:
        ctx = context()
        c = s.server.connect(ctx=ctx)
        greeting(c)
        session = c.session
        quit(c)
        c = s.server.connect(ctx=ctx, session=session)
        assert not greeting(c)["resumed"]
        quit(c)


def test_resumption_life():
    with keyd({"tls_session_life": "1s"}) as s:
        ctx = context()
        c = s.server.connect(ctx=ctx)
        greeting(c)
        session = c.session
        quit(c)
        time.sleep(1.2)
        c = s.server.connect(ctx=ctx, session=session)
        assert not greeting(c)["resumed"]
        quit(c)


# ---- client certificates, bindings ----

def test_client_certificate(tmp_path):
    der = make_pair(tmp_path / "client", "ann@here.example")
    with keyd(None, "-a") as s:
        c = s.server.connect(cert=tmp_path / "client")
        import hashlib
        assert greeting(c)["fingerprint"] == hashlib.sha256(der).hexdigest()
        quit(c)
        c = s.server.connect()
        assert greeting(c)["fingerprint"] == ""
        quit(c)


def test_bindings(one):
    c = one.server.connect(version=ssl.TLSVersion.TLSv1_2)
    greeting(c)
    assert ask(c, "BIND unique") == \
        "250 " + c.get_channel_binding("tls-unique").hex()
    quit(c)
    c = one.server.connect(version=ssl.TLSVersion.TLSv1_3)
    greeting(c)
    assert ask(c, "BIND unique") == "250 "  # RFC 9266: none with TLS 1.3
    import hashlib
    assert ask(c, "BIND endpoint") == \
        "250 " + hashlib.sha256(one.certificate).hexdigest()
    assert re.fullmatch("250 [0-9a-f]{64}", ask(c, "BIND exporter"))
    quit(c)


# ---- data ----

def test_data(one):
    c = one.server.connect()
    greeting(c)
    size = 20_000_000
    c.sendall(f"SINK {size}\r\n".encode())
    block = bytes(65536)
    for at in range(0, size, len(block)):
        c.sendall(block[:size - at])
    assert read_line(c) == f"250 {size}\r\n"
    c.sendall(f"GIVE {size}\r\n".encode())
    left = size
    while left:
        left -= len(c.recv(min(left, 65536)))
    quit(c)


def test_no_delay(one):
    """The first answer does not wait for an acknowledgement (Nagle)."""
    took = []
    for _ in range(20):
        began = time.monotonic()
        c = one.server.connect()
        greeting(c)
        ask(c, "hello")
        took.append(time.monotonic() - began)
        quit(c)
    assert sorted(took)[10] < 0.03, took


def test_idle_memory():
    """An idle session, in all its processes: keyd has forgotten it."""
    if sanitized("keyd"):
        pytest.skip("sanitizers take more")
    with keyd() as s:
        clients = [s.server.connect() for _ in range(200)]
        pids = [greeting(c)["pid"] for c in clients]
        for c in clients:
            ask(c, "hello")
        if not is_root():
            pytest.skip("only root may look")
        time.sleep(1.5)  # what is free goes back after a second
        pss = []
        for pid in pids:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            pss.append(int(re.search(r"\nPss:\s+(\d+)", text).group(1)))
        print("PSS of idle sessions, kB:", sorted(pss))
        assert sorted(pss)[100] < 250, pss
        for c in clients:
            quit(c)


# ---- keys that change ----

def test_renewal(one):
    """A hundred times under load: nobody is refused, and the new one is served
    to who comes after its files are there and the last look is old."""
    directory = one.tls_dir / "renewed.here.example"
    ready = [make_pair(one.dir / "new" / str(i), "renewed.here.example",
                       kind="ec" if i % 4 else "ed25519")
             for i in range(12)]
    make_pair(directory, "renewed.here.example")
    failures, done = [], threading.Event()
    count = [0]

    def load():
        while not done.is_set():
            try:
                c = one.server.connect("renewed.here.example")
                greeting(c)
                quit(c)
                count[0] += 1
            except OSError as e:
                failures.append(repr(e))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    late = 0
    for i in range(100):
        source = one.dir / "new" / str(i % 12)
        for n in ("key.pem", "cert.pem"):
            shutil.copy(source / n, directory / (n + ".new"))
            if is_root():
                shutil.chown(directory / (n + ".new"), "postern-key")
            os.rename(directory / (n + ".new"), directory / n)
        time.sleep(0.12)
        c = one.server.connect("renewed.here.example")
        late += c.getpeercert(True) != ready[i % 12]
        quit_after(c)
    done.set()
    for t in threads:
        t.join()
    assert not failures, failures[:3]
    assert late == 0
    assert count[0] > 50


def test_renewed_default(one):
    """The certificate that sessions have from their parent."""
    for kind in ("rsa", "ec"):
        new = make_pair(one.tls_dir / "default", kind=kind)
        time.sleep(0.12)
        for _ in range(3):
            c = one.server.connect(None)
            assert c.getpeercert(True) == new
            quit_after(c)
        time.sleep(1.1)
        for _ in range(3):
            c = one.server.connect()
            assert c.getpeercert(True) == new
            quit_after(c)
    one.certificate = new


def test_wrong_pair(one):
    directory = one.tls_dir / "wrong.here.example"
    good = make_pair(directory, "wrong.here.example")
    assert one.server.connect("wrong.here.example").getpeercert(True) == good
    make_pair(one.dir / "other", "wrong.here.example")
    shutil.copy(one.dir / "other/cert.pem", directory / "x")
    os.rename(directory / "x", directory / "cert.pem")
    time.sleep(0.12)
    c = one.server.connect("wrong.here.example")
    assert c.getpeercert(True) == good
    quit_after(c)
    one.wait_log("keyd", r"certificate-unusable .*folder=wrong.here.example "
                 r'why="key.pem: is not the key of cert.pem; .*" '
                 r'served="the one before"')


def test_unreadable():
    if not is_root():
        pytest.skip("needs two users")
    with keyd() as s:
        key = s.tls_dir / "default/key.pem"
        key.chmod(0o600)
        os.chown(key, 0, 0)
        s.restart("keyd")
        with pytest.raises(ssl.SSLError):
            s.server.connect()
        s.wait_log("keyd", "key.pem: cannot be read: Permission denied; "
                   "chown it to postern-key")
        wait_until(lambda: 'result="local fault"' in s.server.log())
        shutil.chown(key, "postern-key")
        time.sleep(0.12)
        quit_after(s.server.connect())


# ---- keyd gone ----

def test_keyd_gone():
    with keyd() as s:
        quit_after(s.server.connect())
        s.kill("keyd", tree=True)
        with pytest.raises((ssl.SSLError, OSError)):
            s.server.connect()
        wait_until(lambda: 'result="local fault"' in s.server.log())
        s.start("keyd")
        quit_after(s.server.connect())
        # Its workers alone: the next one is there at once.
        for pid in s.daemons["keyd"].children():
            os.kill(pid, 9)
        wait_until(lambda: try_connect(s), 5)
        s.hup("keyd")
        for _ in range(20):
            quit_after(s.server.connect())


def try_connect(s):
    try:
        quit_after(s.server.connect())
        return True
    except OSError:
        return False


def test_keyd_stopped():
    """A keyd that hangs costs the time of a handshake and no more."""
    with keyd(None, "-t", "700") as s:
        pids = [s.daemons["keyd"].pid, *s.daemons["keyd"].children()]
        for pid in pids:
            os.kill(pid, 19)
        began = time.monotonic()
        try:
            with pytest.raises((ssl.SSLError, OSError)):
                s.server.connect()
            assert 0.5 < time.monotonic() - began < 5
        finally:
            for pid in pids:
                os.kill(pid, 18)
        quit_after(s.server.connect())


# ---- who sees what ----

def key_numbers(pem):
    """The private numbers of a key as they may lie in memory."""
    text = subprocess.run(["openssl", "pkey", "-in", str(pem), "-noout",
                           "-text"], check=True, stdout=subprocess.PIPE
                          ).stdout.decode()
    found = []
    for name in ("priv", "privateExponent", "prime1", "prime2"):
        m = re.search(rf"^{name}:\s*\n((?:\s+[0-9a-f:]+\n)+)", text, re.M)
        if m:
            found.append(bytes.fromhex(re.sub(r"[\s:]", "", m.group(1))
                                       ).lstrip(b"\0"))
    assert found
    return found


def memory_of(pid):
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/mem", "rb") as f:
        for line in maps.splitlines():
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if m and "[v" not in line:
                start, end = (int(x, 16) for x in m.groups())
                f.seek(start)
                with contextlib.suppress(OSError):
                    yield f.read(end - start)


def holds(pid, numbers):
    """OpenSSL keeps numbers in words, the least first."""
    wanted = [n for x in numbers for n in (x, x[::-1])]
    for part in memory_of(pid):
        for n in wanted:
            if n[:24] in part or n[-24:] in part:
                return True
    return False


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_key_in_no_session(kind):
    if not is_root():
        pytest.skip("only root may look into memory")
    if sanitized("keyd"):
        pytest.skip("too much memory to look at")
    with keyd({"keyd_workers": "1"}, kind=kind) as s:
        numbers = key_numbers(s.tls_dir / "default/key.pem")
        clients = [s.server.connect(version=v)
                   for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
        for c in clients:
            assert not holds(greeting(c)["pid"], numbers)
        assert not holds(s.server.process.pid, numbers)
        # keyd's parent has never read it; and the test sees what there is.
        assert not holds(s.daemons["keyd"].pid, numbers)
        assert any(holds(pid, numbers)
                   for pid in s.daemons["keyd"].children())
        for c in clients:
            quit(c)


def test_cage(one):
    """No network, no core, no other user's process."""
    for pid in one.daemons["keyd"].pids():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        if sanitized("keyd"):
            continue
        assert re.search(r"^Seccomp:\s+2$", status, re.M)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size\s+0\s+0", limits, re.M)
        if is_root():
            uid = pwd.getpwnam("postern-key").pw_uid
            assert re.search(rf"^Uid:(\s+{uid}){{4}}$", status, re.M)
            assert os.readlink(f"/proc/{pid}/root") == \
                str(one.run_dir / "empty")


def test_others_are_refused(one):
    """Only the users of sessions may ask."""
    if not is_root():
        pytest.skip("needs two users")
    code = ("import socket,sys\n"
            "s=socket.socket(socket.AF_UNIX)\n"
            "s.connect(sys.argv[1]); s.settimeout(5)\n"
            "print(len(s.recv(1)))\n")
    for name, user in (("keyd.sock", "postern-remote"),
                       ("keyd-dkim.sock", "postern-smtpd"),
                       ("keyd-list.sock", "postern-smtpd")):
        who = pwd.getpwnam(user)
        done = subprocess.run(
            ["/usr/bin/python3", "-c", code, str(one.run_dir / name)],
            user=who.pw_uid, group=who.pw_gid, extra_groups=[],
            stdout=subprocess.PIPE, timeout=20, cwd="/")
        assert done.stdout == b"0\n", (name, user)
    assert one.log("keyd").count("channel-refused") >= 3


def test_stats():
    with keyd({"tls_expiry_warning": "60d"}) as s:
        quit_after(s.server.connect())
        s.wait_log("keyd", "certificate-expires .*folder=default .*days=")
        said = s.postern("stats").stdout
        assert re.search(r'keyd_signatures_total\{type="ecdsa"\} +1\b', said)
        wait_until(lambda: re.search(
            r"tls_certificates_expiring +1\b",
            s.postern("stats").stdout))
