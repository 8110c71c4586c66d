"""Mail from users of this host: submit_socket, who they are, what their
messages lack, and what the parameters of the envelope become."""
import calendar
import contextlib
import email
import os
import pathlib
import re
import smtplib
import socket
import struct
import threading
import time

import pytest

from suite import DOMAIN, HOSTNAME, Failure, Suite, is_root, stuffed, \
    wait_until

LOCAL = HOSTNAME  # local_domain: empty
NAMELESS = 54321
DATE = re.compile(rb"^Date: \w{3}, \d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$")


def make_suite(config=None, **more):
    """A suite whose submit_socket is there."""
    s = Suite(config, start=False, **more)
    where = s.dir / "submit"
    if not where.exists():  # `postern setup` makes it
        where.mkdir()
        where.chmod(0o755)
        s.own(where)
    s.socket = where / "smtp.sock"
    s.start()
    return s


@pytest.fixture(scope="module")
def suite():
    with make_suite() as s:
        yield s


@contextlib.contextmanager
def being(uid):
    """The kernel takes a connection's credentials when it is made."""
    if uid is None or uid == os.geteuid():
        yield
        return
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def connect(s, uid=None):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(20)
    with being(uid):
        c.connect(str(s.socket))
    return c


def smtp(s, uid=None):
    c = smtplib.SMTP(timeout=20)
    c.sock = connect(s, uid)
    c.file = None
    code, text = c.getreply()
    if code != 220:
        raise Failure(f"{code} {text}")
    c.ehlo("client.example")
    return c


def submit(s, data, sender=f"x@{DOMAIN}", to=(f"ann@{DOMAIN}",), uid=None,
           options=()):
    with smtp(s, uid) as c:
        code, text = c.mail(sender, list(options))
        assert code == 250, text
        for r in to:
            code, text = c.rcpt(r)
            assert code == 250, text
        c.putcmd("data")
        assert c.getreply()[0] == 354
        c.send(stuffed(data) + b".\r\n")
        code, text = c.getreply()
        return code, text.decode()


def delivered(s, ident, user="ann"):
    """The message of that id, with CRLF as it was."""
    def there():
        return [p for p in s.messages(user) if ident in p.name]
    path = wait_until(there, 20, lambda: f"{ident}: {s.messages(user)}\n"
                      + s.log("qmgr")[-1000:] + s.log("local")[-1000:])[0]
    return path.read_bytes().replace(b"\n", b"\r\n")


def unfolded(message):
    head = message.split(b"\r\n\r\n", 1)[0]
    return re.sub(rb"\r\n([ \t])", rb"\1", head).split(b"\r\n")


def accepted(answer):
    code, text = answer
    assert code == 250, text
    return text.split()[-1]


root_only = pytest.mark.skipif(not is_root(), reason="several users")


# ---- who it is ----

@root_only
@pytest.mark.parametrize("uid,login", [
    (0, "root"), (1, "daemon"), (65534, "nobody"),
    (NAMELESS, f"uid:{NAMELESS}")])
def test_login(suite, uid, login):
    ident = accepted(submit(suite, b"Subject: who\r\n\r\n", uid=uid))
    received = [f for f in unfolded(delivered(suite, ident))
                if f.startswith(b"Received:")][0].decode()
    assert received.startswith(
        f"Received: from {HOSTNAME} (user {login}, uid {uid})\t"
        f"by {HOSTNAME} with ESMTP id {ident}")
    line = suite.wait_log("smtpd", f"accepted .*id={ident}.*").group(0)
    assert f"ip=uid:{uid}" in line
    suite.wait_log("smtpd", f"user .*uid={uid} login={login}")


@root_only
def test_queue_file_says_who(suite):
    """Held where a destination is not there: the file stays."""
    ident = accepted(submit(suite, b"Subject: x\r\n\r\n", uid=1,
                            to=["x@nowhere.invalid"]))
    wait_until(lambda: suite.where(ident), 10, lambda: suite.queue())
    head = (suite.queue_dir / suite.where(ident) / ident).read_bytes()
    client = re.search(rb"^client .*$", head, re.M).group(0).split()
    assert b"login=daemon" in client
    assert b"protocol=ESMTP" in client
    assert not [w for w in client if w.startswith(b"ip=") and w != b"ip="]
    suite.postern("queue", "remove", ident, check=False)


def test_relaying_is_allowed(suite):
    with smtp(suite) as c:
        assert c.mail(f"x@{DOMAIN}")[0] == 250
        assert c.rcpt("somebody@elsewhere.example")[0] == 250
        assert c.rcpt(f"nobody-there@{DOMAIN}")[0] == 550


def test_relaying_is_allowed_without_networks():
    with make_suite({"relay_networks": "192.0.2.0/24"}) as s:
        with smtp(s) as c:
            assert c.mail(f"x@{DOMAIN}")[0] == 250
            assert c.rcpt("somebody@elsewhere.example")[0] == 250
            assert c.has_extn("etrn")
        with s.smtp() as c:
            c.ehlo()
            assert not c.has_extn("etrn")
            assert c.mail(f"x@{DOMAIN}")[0] == 250
            assert c.rcpt("somebody@elsewhere.example")[0] == 550


def test_rights_of_the_socket(suite):
    assert suite.socket.stat().st_mode & 0o7777 == 0o666
    assert suite.socket.parent.stat().st_mode & 0o022 == 0


def test_names_without_a_domain():
    """Users of this host are local_domain's; from the network they are
    nobody."""
    with make_suite(users=f"ann@{LOCAL}:{{PLAIN}}x::::::\n") as s:
        ident = accepted(submit(s, b"Subject: s\r\n\r\n", sender="carl",
                                to=["ann"]))
        line = s.wait_log("smtpd", f"accepted .*id={ident}.*").group(0)
        assert f"from=carl@{LOCAL} to=ann@{LOCAL}" in line
        got = unfolded(delivered(s, ident, f"ann@{LOCAL}"))
        assert f"From: carl@{LOCAL}".encode() in got
        with smtp(s) as c:
            for wrong in ("a b", "a..b", "a\x01", ".a", "@", "a@"):
                assert c.docmd(f"MAIL FROM:<{wrong}>")[0] == 501, wrong
            assert c.docmd("MAIL FROM:<carl>x")[0] == 501
            assert c.docmd("MAIL FROM:<carl> X=1")[0] == 555
            assert c.docmd("MAIL FROM:<carl> SIZE=1")[0] == 250
            assert c.docmd("RCPT TO:<nobody-there>")[0] == 550
            assert c.docmd("RCPT TO:<ann> NOTIFY=NEVER")[0] == 250
        with s.smtp() as c:
            c.ehlo()
            assert c.docmd("MAIL FROM:<carl>")[0] == 501


@root_only
def test_limit_counts_by_uid():
    with make_suite({"smtp_sessions_per_client_max": "2"}) as s:
        first = [connect(s, 1), connect(s, 1)]
        for c in first:
            assert c.recv(100).startswith(b"220 ")
        third = connect(s, 1)
        assert third.recv(200).startswith(b"421 4.7.0 ")
        assert third.recv(10) == b""
        other = connect(s, 2)
        assert other.recv(100).startswith(b"220 ")
        with s.smtp() as c:  # nor is the network's limit touched
            assert c.ehlo()[0] == 250
        first[0].close()
        wait_until(lambda: greeted(s, 1), 10, lambda: "room for uid 1")
        for c in first + [third, other]:
            c.close()
        s.wait_log("smtpd", "refused-connection .*ip=uid:1 "
                   "why=sessions-per-client")


def greeted(s, uid):
    with connect(s, uid) as c:
        return c.recv(100).startswith(b"220 ")


@root_only
def test_own_sender():
    with make_suite({"submit_sender_check": "own"}) as s:
        table = [
            (1, f"daemon@{LOCAL}", 250), (1, f"DAEMON@{LOCAL}", 250),
            (1, f"daemon+x@{LOCAL}", 250), (1, "", 250),
            (1, f"bin@{LOCAL}", 553), (1, f"daemon@{DOMAIN}", 553),
            (1, f"daemonx@{LOCAL}", 553), (1, f"x+daemon@{LOCAL}", 553),
            (1, "daemon", 250), (1, "bin", 553), (0, "bin", 250),
            (0, f"bin@{LOCAL}", 250), (NAMELESS, "", 250),
            (NAMELESS, f"uid@{LOCAL}", 553),
        ]
        for uid, sender, want in table:
            with smtp(s, uid) as c:
                assert c.mail(sender)[0] == want, (uid, sender)


def test_authd_away():
    """Who it is cannot be said: later."""
    with make_suite() as s:
        s.kill("authd")
        with smtp(s) as c:
            assert c.mail(f"x@{DOMAIN}")[0] == 451
            s.start("authd")
            assert c.mail(f"x@{DOMAIN}")[0] == 250
            assert c.rcpt(f"ann@{DOMAIN}")[0] == 250


def test_without_a_directory():
    """The network is served all the same, and the log says what is missing."""
    with make_suite() as s:
        s.terminate("smtpd")
        for p in s.socket.parent.iterdir():
            p.unlink()
        s.socket.parent.rmdir()
        s.start("smtpd")
        with s.smtp() as c:
            assert c.ehlo()[0] == 250
        s.wait_log("smtpd", "warning: submit_socket .*`postern setup`")


def test_switched_off():
    with make_suite({"submit_socket": ""}) as s:
        assert not s.socket.exists()
        with s.smtp() as c:
            assert c.ehlo()[0] == 250


def test_only_users():
    """A host that serves no network: no listener."""
    s = Suite(start=False, daemons=("queued", "qmgr", "local", "authd",
                                    "smtpd"), listen={"pop3": ["127.0.0.1"]})
    try:
        where = s.dir / "submit"
        where.mkdir(exist_ok=True)
        where.chmod(0o755)
        s.own(where)
        s.socket = where / "smtp.sock"
        s.start()
        accepted(submit(s, b"\r\n"))
    finally:
        s.stop()


def test_a_successor_takes_the_name():
    """The socket is replaced, and nobody meets a gap without a socket."""
    with make_suite() as s:
        before = s.socket.stat().st_ino
        s.restart("smtpd")
        assert s.socket.stat().st_ino != before
        accepted(submit(s, b"\r\n"))
        assert [p.name for p in s.socket.parent.iterdir()] == ["smtp.sock"]


# ---- what the header lacks ----

ALL = (b"Date: Sun, 22 Nov 2026 19:20:51 +0000\r\nFrom: a@b.example\r\n"
       b"Message-ID: <x@y.example>\r\n")

HEADERS = [
    ("nothing", ALL + b"Subject: s\r\n\r\nbody\r\n", b"",
     ALL + b"Subject: s\r\n\r\nbody\r\n"),
    ("all", b"Subject: s\r\n\r\nbody\r\n", b"DFM",
     b"Subject: s\r\n\r\nbody\r\n"),
    ("no header", b"body\r\n", b"DFM-", b"body\r\n"),
    ("empty header", b"\r\nbody\r\n", b"DFM", b"\r\nbody\r\n"),
    ("no body", b"Subject: s\r\n", b"DFM", b"Subject: s\r\n"),
    ("empty message", b"", b"DFM", b""),
    ("date", b"From: a@b.example\r\nMessage-ID: <x@y>\r\n\r\n", b"D",
     b"From: a@b.example\r\nMessage-ID: <x@y>\r\n\r\n"),
    ("bcc", ALL + b"Bcc: secret@b.example,\r\n more@b.example\r\nTo: c@d\r\n"
     b"bcc: again@b.example\r\n\r\nBcc: text\r\n", b"",
     ALL + b"To: c@d\r\n\r\nBcc: text\r\n"),
    ("return path", b"Return-Path: <x@y>\r\n" + ALL + b"\r\n", b"",
     ALL + b"\r\n"),
    ("mbox", b"From x Sun Nov 22 12:00:00 2026\r\n" + ALL + b"\r\nb\r\n", b"",
     ALL + b"\r\nb\r\n"),
    ("bare names", b"To: ann\r\n" + ALL + b"\r\n", b"",
     b"To: ann@" + LOCAL.encode() + b"\r\n" + ALL + b"\r\n"),
    ("dots", b"Subject: s\r\n\r\n.\r\n..\r\n", b"DFM",
     b"Subject: s\r\n\r\n.\r\n..\r\n"),
    ("large", b"Subject: s\r\n\r\n" + b"0123456789abcdef\r\n" * 20000, b"DFM",
     b"Subject: s\r\n\r\n" + b"0123456789abcdef\r\n" * 20000),
]


def strip_trace(message):
    """What stands behind Return-Path, Delivered-To and our Received."""
    while True:
        m = re.match(rb"(Return-Path|Delivered-To|Received):(?:[^\r]|\r\n[ \t])"
                     rb"*\r\n", message)
        if m is None:
            return message
        last = m.group(1)
        message = message[m.end():]
        if last == b"Received":
            return message


def strip_added(message, added, ident, sender):
    """Checks the added fields, which come first, and gives what follows."""
    for letter in added:
        line, _, rest = message.partition(b"\r\n")
        if letter == ord("D"):
            assert DATE.match(line), line
        elif letter == ord("F"):
            assert line == b"From: " + sender.encode()
        elif letter == ord("M"):
            assert line == f"Message-ID: <{ident}@{HOSTNAME}>".encode()
        else:
            assert line == b""
        message = rest
    return message


@pytest.mark.parametrize("data,added,want", [h[1:] for h in HEADERS],
                         ids=[h[0] for h in HEADERS])
def test_header(suite, data, added, want):
    ident = accepted(submit(suite, data))
    got = strip_trace(delivered(suite, ident))
    assert strip_added(got, added, ident, f"x@{DOMAIN}") == want


@pytest.mark.parametrize("data", [h[1] for h in HEADERS],
                         ids=[h[0] for h in HEADERS])
def test_header_on_its_way_stays(suite, data):
    """RFC 6409 8: what comes over the network is not a submission."""
    ident = suite.send(f"x@{DOMAIN}", [f"ann@{DOMAIN}"], data)
    assert strip_trace(delivered(suite, ident)) == data


@root_only
def test_full_name(suite):
    """Of the user's own address, and of no other."""
    import pwd
    user = next(u for u in pwd.getpwall()
                if u.pw_gecos and re.fullmatch(r"[\w ()-]+", u.pw_gecos)
                and u.pw_uid not in (0, 65534))
    for sender, named in ((f"{user.pw_name}@{LOCAL}", True),
                          (f"x@{DOMAIN}", False)):
        ident = accepted(submit(suite, b"Subject: s\r\n\r\n", sender=sender,
                                uid=user.pw_uid))
        line = [f for f in unfolded(delivered(suite, ident))
                if f.startswith(b"From:")][0].decode()
        if named:
            assert line.endswith(f" <{sender}>")
            assert user.pw_gecos.split(",")[0] in line
        else:
            assert line == f"From: {sender}"


def test_null_sender(suite):
    ident = accepted(submit(suite, b"Subject: s\r\n\r\n", sender=""))
    assert (f"From: MAILER-DAEMON@{LOCAL}".encode()
            in unfolded(delivered(suite, ident)))


def test_several_messages_of_a_session(suite):
    """Nothing of one message's completion is left for the next."""
    with smtp(suite) as c:
        for data, added in ((b"Bcc: a@b\r\nSubject: 1\r\n\r\n", b"DFM"),
                            (ALL + b"\r\n", b""), (b"body\r\n", b"DFM-")):
            c.mail(f"x@{DOMAIN}")
            c.rcpt(f"ann@{DOMAIN}")
            c.putcmd("data")
            c.getreply()
            c.send(data + b".\r\n")
            code, text = c.getreply()
            assert code == 250
            ident = text.decode().split()[-1]
            got = strip_trace(delivered(suite, ident))
            got = strip_added(got, added, ident, f"x@{DOMAIN}")
            assert got == data.replace(b"Bcc: a@b\r\n", b"")


def test_too_many_bcc(suite):
    code, text = submit(suite, ALL + b"Bcc: a@b\r\nX-Y: z\r\n" * 70 + b"\r\n")
    assert (code, text[:5]) == (554, "5.6.0")
    accepted(submit(suite, ALL + b"Bcc: a@b\r\n" * 700 + b"\r\n"))


def test_edits_in_the_queue_file():
    """The content stays as it came; what was added and taken out is behind
    it."""
    with make_suite({}) as s:
        s.terminate("qmgr")
        data = b"Subject: s\r\nBcc: a@b.example\r\n\r\nbody\r\n"
        ident = accepted(submit(s, data))
        text = (s.queue_dir / "incoming" / ident).read_bytes()
        assert data in text
        behind = text[text.index(data) + len(data):]
        assert b"skip 12 18\n" in behind
        assert re.search(rb"^insert 0 \d+\nDate: ", behind, re.M)
        s.start("qmgr")
        assert b"Bcc" not in delivered(s, ident)


class OldQueued(threading.Thread):
    """queued of a release that knows no edits: version 1 of its contract."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.said = []
        self.listener = socket.socket(socket.AF_UNIX)
        path = s.run_dir / "queued.sock"
        self.listener.bind(str(path))
        path.chmod(0o777)
        self.listener.listen()
        self.start()

    @staticmethod
    def record(kind, **fields):
        text = struct.pack("<HH", kind, 0)
        for tag, value in fields.items():
            value = (value.encode() if isinstance(value, str)
                     else struct.pack("<I", value))
            text += struct.pack("<BI", int(tag[1:]), len(value)) + value
        return struct.pack("<I", len(text)) + text

    def run(self):
        with contextlib.suppress(OSError, struct.error):
            while True:
                c = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=(c,),
                                 daemon=True).start()

    def serve(self, c):
        answers = {0: self.record(0, t1="queue", t2=1, t3=1),
                   2: self.record(3, t1=250, t2=0, t3=0, t4="OK"),
                   6: self.record(8, t1=250, t2=0, t3=0, t4="OK")}
        octets = b""
        pipe = []  # it must be open as long as it is written to
        while True:
            more, fds, _, _ = socket.recv_fds(c, 65536, 4)
            pipe += fds
            if not more:
                for fd in pipe:
                    os.close(fd)
                return
            octets += more
            while len(octets) > 6:
                size, kind = struct.unpack("<IH", octets[:6])
                if len(octets) < 4 + size:
                    break
                octets = octets[4 + size:]
                self.said.append(kind)
                c.sendall(answers.get(kind, b""))


def test_queued_of_an_older_release():
    """It would leave the edits out, and a Bcc in: later, then."""
    s = Suite(start=False)
    try:
        (s.dir / "submit").mkdir(exist_ok=True)
        (s.dir / "submit").chmod(0o755)
        s.own(s.dir / "submit")
        s.socket = s.dir / "submit" / "smtp.sock"
        old = OldQueued(s)
        s.start("authd", "smtpd")
        for _ in range(2):
            code, text = submit(s, b"Subject: s\r\n\r\n")
            assert code == 451, text
        assert 6 not in old.said
        accepted(submit(s, ALL + b"\r\n"))  # nothing is to be edited
        assert 6 in old.said
        ident = s.send(f"x@{DOMAIN}", [f"ann@{DOMAIN}"], b"\r\n")
        assert ident
    finally:
        s.stop()


# ---- the envelope ----

def test_dsn_parameters_are_kept():
    with make_suite() as s:
        s.terminate("qmgr")
        with s.smtp() as c:
            c.ehlo()
            for name in ("dsn", "deliverby", "binarymime", "chunking"):
                assert c.has_extn(name), name
            assert c.mail(f"x@{DOMAIN}", [
                "RET=HDRS", "ENVID=QQ+2B314", "BY=7200;NT"])[0] == 250
            assert c.rcpt(f"ann@{DOMAIN}", [
                "NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Ann+40old.example"]
                          )[0] == 250
            assert c.rcpt(f"bob@{DOMAIN}", ["NOTIFY=NEVER"])[0] == 250
            code, text = c.data(b"Subject: s\r\n\r\n")
            assert code == 250
        ident = text.decode().split()[-1]
        shown = s.postern("queue", "show", ident).stdout
        for word in ("ret=hdrs", "by=notify", "by=trace", "QQ+2B314",
                     "rfc822;Ann+40old.example"):
            assert word in shown, f"{word} is missing in:\n{shown}"
        text = (s.queue_dir / "incoming" / ident).read_text()
        assert re.search(r"^envid QQ\+2B314$", text, re.M)
        first, second = re.findall(r"^rcpt T (.*)$", text, re.M)
        assert "notify=success,delay" in first
        assert "orcpt=rfc822%3BAnn+40old.example" in first
        assert "notify=never" in second
        by = re.search(r"^by (\S{19})", text, re.M).group(1)
        assert abs(calendar.timegm(time.strptime(by, "%Y-%m-%dT%H:%M:%S"))
                   - time.time() - 7200) < 60
        s.start("qmgr")


BINARY = (b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
          b"Content-Transfer-Encoding: binary\r\n\r\n"
          + bytes(range(256)) + b"\n\r\0\r\n.\r\n\r\r\n\n" + b"\0" * 70000
          + b"end")


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_binary_is_kept_to_the_octet(piece):
    data = BINARY if piece > 100 else BINARY[:600]
    with make_suite() as s:
        s.terminate("qmgr")
        with s.smtp() as c:
            c.ehlo()
            assert c.mail(f"x@{DOMAIN}", ["BODY=BINARYMIME"])[0] == 250
            assert c.rcpt(f"ann@{DOMAIN}")[0] == 250
            for at in range(0, len(data), piece):
                part = data[at:at + piece]
                last = b" LAST" if at + piece >= len(data) else b""
                c.send(b"BDAT %d%s\r\n" % (len(part), last) + part)
                code, text = c.getreply()
                assert code == 250, text
        ident = text.decode().split()[-1]
        path = s.queue_dir / "incoming" / ident
        raw = path.read_bytes()
        offset, length = map(int, re.search(
            rb"^content +(\d+) +(\d+)", raw, re.M).groups())
        assert length == len(data)
        assert raw[offset:offset + length] == data
        assert b"binarymime" in raw[:offset]
        s.postern("queue", "remove", ident, check=False)


@pytest.mark.parametrize("local", [False, True], ids=["network", "user"])
def test_binary_is_delivered(suite, local):
    """A Maildir holds lines: the part is the same, its encoding is not."""
    with (smtp(suite) if local else suite.smtp()) as c:
        c.ehlo()
        c.mail(f"x@{DOMAIN}", ["BODY=BINARYMIME"])
        c.rcpt(f"ann@{DOMAIN}")
        c.send(b"BDAT %d LAST\r\n" % len(BINARY) + BINARY)
        code, text = c.getreply()
        assert code == 250
    ident = text.decode().split()[-1]
    got = email.message_from_bytes(delivered(suite, ident))
    assert got["Content-Transfer-Encoding"] == "base64"
    assert got.get_payload(decode=True) == BINARY.split(b"\r\n\r\n", 1)[1]
    assert (got["Message-ID"] is not None) == local


def test_binary_needs_its_word(suite):
    """Without BODY=BINARYMIME the same octets are refused, to the last."""
    with suite.smtp() as c:
        c.ehlo()
        c.mail(f"x@{DOMAIN}", ["BODY=8BITMIME"])
        c.rcpt(f"ann@{DOMAIN}")
        c.send(b"BDAT %d LAST\r\n" % len(BINARY) + BINARY)
        assert c.getreply()[0] == 554
        assert c.noop()[0] == 250


# ---- hostile ----

def test_garbage(suite):
    """The socket is open to everybody on the host."""
    for junk in (b"\0" * 5000, b"\r\n" * 3000, os.urandom(4000),
                 b"EHLO " + b"a" * 100000):
        with connect(suite) as c:
            with contextlib.suppress(OSError):
                c.sendall(junk)
                c.shutdown(socket.SHUT_WR)
                while c.recv(65536):
                    pass
    accepted(submit(suite, b"\r\n"))


def test_descriptors_are_not_taken(suite):
    """SCM_RIGHTS: what a client passes along is closed by the kernel."""
    with connect(suite) as c:
        c.recv(100)
        fd = os.open("/dev/null", os.O_RDONLY)
        c.sendmsg([b"NOOP\r\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                   struct.pack("i", fd))])
        os.close(fd)
        assert c.recv(100).startswith(b"250")


def test_many_at_once(suite):
    all_of_them = [connect(suite) for _ in range(40)]
    for c in all_of_them:
        assert c.recv(100).startswith(b"220 ")
        c.close()


def test_socket_is_a_socket():
    """Something else in its place is left alone."""
    with make_suite() as s:
        s.terminate("smtpd")
        s.socket.unlink()
        pathlib.Path(s.socket).write_text("mine")
        s.start("smtpd")
        assert s.socket.read_text() == "mine"
        s.wait_log("smtpd", "warning: submit_socket")
        s.socket.unlink()
