"""SASL with GNU SASL's client at the other end, over POP3's AUTH: every
mechanism, application passwords, tokens, certificates that are none."""
import base64
import json
import os
import shutil
import socket
import socketserver
import statistics
import subprocess
import threading
import time

import pytest

from suite import DOMAIN, PASSWORD, Suite, YESCRYPT, wait_until

DAEMONS = ("authd", "queued", "qmgr", "local", "pop3d-mailbox", "pop3d")
HASHED = f"bob@{DOMAIN}"
PLAIN = f"ann@{DOMAIN}"

gsasl = pytest.mark.skipif(shutil.which("gsasl") is None,
                           reason="no gsasl here")


class Client:
    """A POP3 connection, line by line."""

    def __init__(self, s):
        self.sock = s.connect("pop3")
        self.file = self.sock.makefile("rwb")
        assert self.line().startswith("+OK")

    def line(self):
        return self.file.readline().decode().rstrip("\r\n")

    def say(self, text):
        self.file.write(text.encode() + b"\r\n")
        self.file.flush()
        return self.line()

    def lines(self, text):
        assert self.say(text).startswith("+OK")
        found = []
        while (line := self.line()) != ".":
            found.append(line)
        return found

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def b64(octets):
    if isinstance(octets, str):
        octets = octets.encode()
    return base64.b64encode(octets).decode()


def offered(s):
    with Client(s) as c:
        for line in c.lines("CAPA"):
            if line.startswith("SASL "):
                return line.split()[1:]
    return []


def with_gsasl(s, mechanism, user, password):
    """The end of AUTH: True, or what the server said."""
    p = subprocess.Popen(
        ["gsasl", "--client", "--mechanism", mechanism, "--no-cb",
         "--authentication-id", user, "--password", password, "--quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert p.stdout.readline().strip() == mechanism
        if mechanism == "CRAM-MD5":  # it says nothing, and says so
            assert p.stdout.readline().strip() == ""
        with Client(s) as c:
            answer = c.say(f"AUTH {mechanism}")
            first = mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1")
            while answer.startswith("+ "):
                if not first:
                    p.stdin.write(answer[2:] + "\n")
                    p.stdin.flush()
                first = False
                said = p.stdout.readline().strip()
                answer = c.say(said)
            if answer.startswith("+OK"):
                assert c.say("STAT").startswith("+OK")
                return True
            return answer
    finally:
        p.kill()
        p.wait()
        p.stdin.close()
        p.stdout.close()


def auth_plain(s, user, password):
    with Client(s) as c:
        answer = c.say(f"AUTH PLAIN {b64(f'{chr(0)}{user}{chr(0)}{password}')}")
        return True if answer.startswith("+OK") else answer


@pytest.fixture(scope="module")
def suite():
    with Suite({"auth_failure_delay": "0", "auth_failures_max": "1000",
                "pop3_errors_max": "1000",
                "auth_mechanisms": "SCRAM-SHA-256-PLUS SCRAM-SHA-256 "
                "SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN EXTERNAL"},
               daemons=DAEMONS) as s:
        yield s


def test_what_is_offered(suite):
    assert offered(suite) == ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5",
                              "PLAIN", "LOGIN"]
    with Client(suite) as c:
        assert c.lines("AUTH") == offered(suite)


@gsasl
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5",
                                       "SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_gsasl(suite, mechanism):
    s = suite
    assert with_gsasl(s, mechanism, PLAIN, PASSWORD) is True
    words = {with_gsasl(s, mechanism, PLAIN, "wrong"),
             with_gsasl(s, mechanism, f"nobody@{DOMAIN}", "wrong"),
             with_gsasl(s, mechanism, "nobody@elsewhere.example", "wrong")}
    assert words == {"-ERR [AUTH] Login failed"}
    if mechanism in ("PLAIN", "LOGIN"):
        assert with_gsasl(s, mechanism, HASHED, PASSWORD) is True
    else:  # only a hash is stored
        assert with_gsasl(s, mechanism, HASHED, PASSWORD) in words
    assert PASSWORD not in s.log("authd")


def test_refusals(suite):
    with Client(suite) as c:
        for words in ("AUTH FROB", "AUTH EXTERNAL", "AUTH DIGEST-MD5",
                      "AUTH SCRAM-SHA-256-PLUS", "AUTH OAUTHBEARER",
                      "AUTH PLAIN ???", "AUTH PLAIN =",
                      f"AUTH PLAIN {b64('x')}", f"AUTH PLAIN {b64('x')} y",
                      f"AUTH CRAM-MD5 {b64('x')}",
                      f"AUTH SCRAM-SHA-256 {b64('n,,n=a')}",
                      f"AUTH {'x' * 100}"):
            assert c.say(words).startswith("-ERR"), words
        # cancelled, broken base64, too long; the session goes on
        assert c.say("AUTH PLAIN") == "+ "
        assert c.say("*") == "-ERR Authentication cancelled"
        assert c.say("AUTH LOGIN") == f"+ {b64('Username:')}"
        assert c.say("=").startswith("-ERR")
        assert c.say("AUTH LOGIN") == f"+ {b64('Username:')}"
        assert c.say("A" * 20000).startswith("-ERR")
        assert c.say("AUTH LOGIN") == f"+ {b64('Username:')}"
        assert c.say(b64(PLAIN)) == f"+ {b64('Password:')}"
        assert c.say(b64(PASSWORD)).startswith("+OK")
        assert c.say("STAT").startswith("+OK")


def test_salts_do_not_tell_who_exists(suite):
    """Any spelling of a name has the one salt, whosever it is."""
    def salt(name):
        with Client(suite) as c:
            answer = c.say("AUTH SCRAM-SHA-256 " + b64(f"n,,n={name},r=abc"))
            parts = base64.b64decode(answer[2:]).decode().split(",")
            return parts[1:]

    for name in ("ann", "bob", "nobody"):
        assert len({tuple(salt(n)) for n in (
            f"{name}@{DOMAIN}", f"{name.upper()}@{DOMAIN}",
            f'"{name}"@{DOMAIN.upper()}')}) == 1, name
    assert salt(PLAIN) != salt(HASHED)


def test_acting_as_another(suite):
    with Client(suite) as c:
        word = b64(f"{HASHED}\0{PLAIN}\0{PASSWORD}")
        assert c.say(f"AUTH PLAIN {word}") == "-ERR [AUTH] Login failed"
        word = b64(f"ANN@{DOMAIN}\0{PLAIN}\0{PASSWORD}")
        assert c.say(f"AUTH PLAIN {word}").startswith("+OK")


def test_right_passwords_are_remembered(suite):
    s = suite
    assert auth_plain(s, HASHED, PASSWORD) is True
    before = stats(s, "auth_remembered_total")
    for _ in range(5):
        assert auth_plain(s, HASHED, PASSWORD) is True
    assert stats(s, "auth_remembered_total") == before + 5
    assert auth_plain(s, HASHED, "wrong") is not True
    # What the table says counts at once.
    s.write_table("users", s.default_users().replace(
        YESCRYPT, "{PLAIN}another"))
    s.postern("table", "users")
    try:
        wait_until(lambda: auth_plain(s, HASHED, PASSWORD) is not True)
        assert auth_plain(s, HASHED, "another") is True
    finally:
        s.write_table("users", s.default_users())
        s.postern("table", "users")
    wait_until(lambda: auth_plain(s, HASHED, PASSWORD) is True)


def stats(s, name):
    for line in s.postern("stats", "--openmetrics", "authd").stdout.split(
            "\n"):
        if name in line and not line.startswith("#"):
            return float(line.split()[-1])
    raise AssertionError(f"{name} is not counted")


def test_same_time_for_nobody():
    """With the delay off: what is seen is the work alone."""
    with Suite({"auth_failure_delay": "0", "auth_failures_max": "1000000",
                "pop3_errors_max": "10000"}, daemons=DAEMONS) as s:
        took = {HASHED: [], f"nobody@{DOMAIN}": []}
        with Client(s) as c:
            for _ in range(15):
                for user, times in took.items():
                    start = time.monotonic()
                    word = b64(f"\0{user}\0wrong")
                    assert c.say(f"AUTH PLAIN {word}").startswith("-ERR")
                    times.append(time.monotonic() - start)
        a, b = (statistics.median(t) for t in took.values())
        assert 0.6 < a / b < 1.67, (a, b)


def test_blocks_are_seen_and_ended():
    with Suite({"auth_failure_delay": "0", "auth_failures_max": "3",
                "auth_block": "1h"}, daemons=DAEMONS) as s:
        assert s.postern("auth", "list").stdout == ""
        for user in (f"nobody@{DOMAIN}", HASHED, HASHED):
            assert auth_plain(s, user, "wrong") is not True
        assert "Too many" in auth_plain(s, PLAIN, PASSWORD)
        blocked = json.loads(s.postern("--json", "auth", "list",
                                       "--blocked").stdout)
        assert [b["name"] for b in blocked] == ["127.0.0.1"]
        assert 3500 < blocked[0]["blocked_seconds"] <= 3600
        shown = s.postern("auth", "list").stdout
        assert HASHED in shown and f"nobody@{DOMAIN}" in shown
        s.postern("auth", "unblock", "127.0.0.1")
        assert auth_plain(s, PLAIN, PASSWORD) is True
        assert s.postern("auth", "unblock", "127.0.0.1",
                         check=False).returncode == 100
        assert s.postern("auth", "unblock", "--all").returncode == 0
        assert s.postern("auth", "list").stdout == ""


# ---- application passwords, keys, better hashes ----

def users_text(s):
    return (s.table_dir / "users").read_text()


@gsasl
def test_application_passwords():
    with Suite({"auth_failure_delay": "0"}, daemons=DAEMONS) as s:
        def add(name, scope):
            done = s.postern("user", "app-password", "add", "--scope", scope,
                             HASHED, name)
            return done.stdout.strip().split("\n")[-1].strip()

        phone = add("phone", "pop3+imap")
        laptop = add("laptop", "submission")
        assert phone != laptop and len(phone) >= 20
        assert phone not in users_text(s)
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            wait_until(lambda: with_gsasl(s, mechanism, HASHED,
                                          phone) is True)
            assert with_gsasl(s, mechanism, HASHED, laptop) is not True
        assert auth_plain(s, HASHED, PASSWORD) is True
        listed = s.postern("user", "app-password", "list", HASHED).stdout
        assert "phone" in listed and "submission" in listed
        again = s.postern("user", "app-password", "add", HASHED, "phone",
                          check=False)
        assert again.returncode == 100
        # another password leaves them alone
        s.postern("user", "passwd", HASHED, input="fresh\n")
        wait_until(lambda: auth_plain(s, HASHED, "fresh") is True)
        assert auth_plain(s, HASHED, phone) is True
        s.postern("user", "app-password", "remove", HASHED, "phone")
        wait_until(lambda: auth_plain(s, HASHED, phone) is not True)
        assert auth_plain(s, HASHED, "fresh") is True


@gsasl
def test_scram_keys():
    with Suite({"auth_failure_delay": "0"}, daemons=DAEMONS) as s:
        s.postern("user", "passwd", "--scheme", "scram-sha-256", HASHED,
                  input="keyed\n")
        wait_until(lambda: auth_plain(s, HASHED, "keyed") is True)
        assert with_gsasl(s, "SCRAM-SHA-256", HASHED, "keyed") is True
        assert with_gsasl(s, "SCRAM-SHA-256", HASHED, "other") is not True
        assert "{SCRAM-SHA-256}10000," in users_text(s)


def test_hashes_get_better():
    with Suite({"auth_failure_delay": "0", "auth_upgrade": "yes",
                "password_scheme": "sha512"}, daemons=DAEMONS) as s:
        assert auth_plain(s, HASHED, PASSWORD) is True
        assert YESCRYPT in users_text(s)  # authd writes no table
        assert s.postern("user", "upgrade").stdout.strip() == "1 of 1"
        assert YESCRYPT not in users_text(s)
        assert f"{HASHED}:{{CRYPT}}$6$" in users_text(s)
        wait_until(lambda: auth_plain(s, HASHED, PASSWORD) is True)
        assert s.postern("user", "upgrade").stdout.strip() == "0 of 0"
        # A note that is older than the password does nothing.
        s.postern("user", "passwd", "--scheme", "yescrypt", HASHED,
                  input="old\n")
        wait_until(lambda: auth_plain(s, HASHED, "old") is True)
        s.postern("user", "passwd", "--scheme", "yescrypt", HASHED,
                  input="new\n")
        assert s.postern("user", "upgrade").stdout.strip() == "0 of 1"
        wait_until(lambda: auth_plain(s, HASHED, "new") is True)


# ---- tokens ----

class Introspection(socketserver.ThreadingUnixStreamServer):
    """A socketmap helper that knows two tokens."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            size = b""
            while (c := self.rfile.read(1)) != b":":
                if not c:
                    return
                size += c
            body = self.rfile.read(int(size))
            self.rfile.read(1)
            name, _, token = body.partition(b" ")
            self.server.asked.append(token)
            answer = {b"good": b"OK " + PLAIN.encode(),
                      b"gone": b"OK gone@" + DOMAIN.encode(),
                      b"sick": b"TEMP no database"}.get(token,
                                                        b"NOTFOUND ")
            assert name == b"token"
            self.wfile.write(b"%d:%s," % (len(answer), answer))

    def __init__(self, path):
        super().__init__(str(path), self.Handler)
        self.asked = []
        os.chmod(path, 0o666)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def bearer(c, token, user=""):
    header = f"n,a={user}," if user else "n,,"
    return c.say("AUTH OAUTHBEARER " + b64(
        f"{header}\1auth=Bearer {token}\1\1"))


def test_tokens(tmp_path):
    tmp_path.chmod(0o755)
    path = f"/tmp/introspect.{os.getpid()}"
    with Introspection(path) as helper, Suite(
            {"auth_failure_delay": "20ms", "oauth_introspect": path},
            daemons=DAEMONS) as s:
        try:
            assert "OAUTHBEARER" in offered(s) and "XOAUTH2" in offered(s)
            for user in ("", PLAIN, f"ANN@{DOMAIN}"):
                with Client(s) as c:
                    assert bearer(c, "good", user).startswith("+OK")
            with Client(s) as c:
                assert c.say("AUTH XOAUTH2 " + b64(
                    f"user={PLAIN}\1auth=Bearer good\1\1")).startswith("+OK")
            with Client(s) as c:
                for token, user in (("bad", PLAIN), ("gone", ""),
                                    ("good", HASHED)):
                    answer = bearer(c, token, user)
                    assert answer.startswith("+ ")
                    assert b"invalid_token" in base64.b64decode(answer[2:])
                    assert c.say(b64("\1")) == "-ERR [AUTH] Login failed"
                assert bearer(c, "sick", PLAIN).startswith("-ERR [SYS/TEMP]")
            helper.shutdown()
            os.unlink(path)
            with Client(s) as c:
                assert bearer(c, "good", PLAIN).startswith("-ERR [SYS/TEMP]")
            assert "good" not in s.log("authd").replace("login", "")
        finally:
            if os.path.exists(path):
                helper.shutdown()
                os.unlink(path)


# ---- the Dovecot protocol ----

def test_dovecot_protocol(tmp_path):
    path = f"/tmp/dovecot-auth.{os.getpid()}"
    with Suite({"auth_failure_delay": "0", "dovecot_auth_socket": path},
               daemons=("authd",)) as s:
        try:
            with socket.socket(socket.AF_UNIX) as c:
                c.settimeout(20)
                c.connect(path)
                f = c.makefile("rwb", buffering=0)
                said = []
                while (line := f.readline().decode().strip()) != "DONE":
                    said.append(line)
                assert said[0] == "VERSION\t1\t2"
                assert "MECH\tPLAIN\tplaintext" in said

                def ask(*words):
                    f.write("\t".join(words).encode() + b"\n")
                    return f.readline().decode().rstrip("\n").split("\t")

                f.write(b"VERSION\t1\t2\nCPID\t42\n")
                right = b64(f"\0{HASHED}\0{PASSWORD}")
                wrong = b64(f"\0{HASHED}\0wrong")
                assert ask("AUTH", "1", "PLAIN", "service=smtp",
                           "rip=192.0.2.1", "secured", f"resp={right}") == [
                               "OK", "1", f"user={HASHED}"]
                assert ask("AUTH", "2", "PLAIN", "service=smtp",
                           f"resp={wrong}")[:2] == ["FAIL", "2"]
                assert ask("AUTH", "3", "PLAIN", "service=smtp") == [
                    "CONT", "3", ""]
                assert ask("CONT", "3", right)[:2] == ["OK", "3"]
                for bad in (("AUTH", "4", "PLAIN", "service=imap"),
                            ("AUTH", "4", "FROB", "service=smtp"),
                            ("AUTH", "4", "PLAIN", "service=smtp",
                             "resp=???"), ("CONT", "4", right)):
                    assert ask(*bad)[:2] == ["FAIL", "4"], bad
                f.write(b"AUTH\tx\tPLAIN\n")
                assert f.readline() == b""
        finally:
            os.unlink(path)
