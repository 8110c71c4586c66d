"""sendmail(1): options, messages, exit codes against a stand-in of smtpd."""
import os
import pwd
import re
import socket
import subprocess
import time

import pytest

from sendmail import Installed, Mail, Stub
from suite import BIN, Suite, is_root, sanitized

USAGE, DATAERR, NOUSER, NOHOST, UNAVAILABLE = 64, 65, 67, 68, 69
IOERR, TEMPFAIL, PROTOCOL, NOPERM, CONFIG = 74, 75, 76, 77, 78
ME = pwd.getpwuid(os.getuid()).pw_name + "@here.example"
MESSAGE = b"Subject: x\n\nx\n"


class Bench:
    """sendmail, a configuration, and no daemon."""

    def __init__(self, dir, **config):
        self.dir = dir
        self.conf = dir / "postern.conf"
        self.socket = dir / "s" / "smtp.sock"
        self.drop = dir / "drop"
        self.drop.mkdir()
        self.drop.chmod(0o3733)
        rows = {"hostname": "mx.here.example", "local_domain": "here.example",
                "submit_socket": self.socket, "drop_dir": self.drop,
                "queue_dir": dir / "queue", "run_dir": dir / "run",
                "table_dir": dir / "tables", "submit_wait": "2s",
                "queue_reserve": "0", **config}
        self.conf.write_text("".join(f"{k} = {v}\n" for k, v in rows.items()))
        self.mta = Installed(dir / "inst", self.conf)
        dir.chmod(0o755)

    def run(self, *args, text=MESSAGE, **kw):
        return self.mta.run(*args, text=text, **kw)

    def stub(self, answers=None, **kw):
        return Stub(self.socket, answers, **kw)

    def dropped(self):
        return sorted(p for p in self.drop.iterdir())


@pytest.fixture
def b(tmp_path):
    for d in list(tmp_path.parents)[:3]:
        if d.stat().st_uid == os.getuid() and str(d).startswith("/tmp/"):
            d.chmod(0o755)
    return Bench(tmp_path)


def sent(b, *args, text=MESSAGE, code=0, **kw):
    """(stub, message) after one call that succeeds."""
    with b.stub(**kw) as s:
        done = b.run(*args, text=text)
        assert done.returncode == code, done
    return s, (s.messages[0] if s.messages else None)


# ---- options ----

OPTIONS = [
    # what is given, MAIL, recipients
    (["a@b.example"], f"MAIL FROM:<{ME}>", ["a@b.example"]),
    (["-bm", "-i", "a@b.example"], f"MAIL FROM:<{ME}>", ["a@b.example"]),
    (["-f", "x@y.example", "bob"], "MAIL FROM:<x@y.example>",
     ["bob@here.example"]),
    (["-fx@y.example", "bob"], "MAIL FROM:<x@y.example>",
     ["bob@here.example"]),
    (["-rx@y.example", "bob"], "MAIL FROM:<x@y.example>",
     ["bob@here.example"]),
    (["-f", "ann", "bob"], "MAIL FROM:<ann@here.example>",
     ["bob@here.example"]),
    (["-f", "", "bob"], "MAIL FROM:<>", ["bob@here.example"]),
    (["-f", "<>", "bob"], "MAIL FROM:<>", ["bob@here.example"]),
    (["-f", "Ann Lee <ann@x.example>", "bob"], "MAIL FROM:<ann@x.example>",
     ["bob@here.example"]),
    (["-f", "ann@x.example (Ann)", "bob"], "MAIL FROM:<ann@x.example>",
     ["bob@here.example"]),
    (["a@b.example, c@d.example", "e@f.example"], f"MAIL FROM:<{ME}>",
     ["a@b.example", "c@d.example", "e@f.example"]),
    (["Ann <a@b.example>", '"Lee, Bob" <c@d.example>'],
     f"MAIL FROM:<{ME}>", ["a@b.example", "c@d.example"]),
    (["a@b.example", "A@B.EXAMPLE", "a@b.example"], f"MAIL FROM:<{ME}>",
     ["a@b.example"]),
    (["--", "-bp"], f"MAIL FROM:<{ME}>", ["-bp@here.example"]),
    (["bob", "-bp", "-oi"], f"MAIL FROM:<{ME}>",
     ["bob@here.example", "-bp@here.example", "-oi@here.example"]),
    (["-oi", "-oem", "-oep", "-oew", "-odb", "-odq", "-om", "-o7", "-oA/x",
      "-oQ/x", "-o8", "bob"], f"MAIL FROM:<{ME}>", ["bob@here.example"]),
    (["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"],
     f"MAIL FROM:<{ME}>", ["root@here.example"]),
    (["-Am", "-Ac", "-B", "7BIT", "-G", "-U", "-m", "-n", "-x", "-E", "-h",
      "5", "-L", "label", "-O", "DeliveryMode=b", "-X", "/x", "-d0.1", "-d",
      "-pLOCAL:x", "-em", "-Tx", "-Q", "-c", "-s", "bob"],
     f"MAIL FROM:<{ME}>", ["bob@here.example"]),
    (["-itfx@y.example", "bob"], "MAIL FROM:<x@y.example>",
     ["bob@here.example"]),
    (["-N", "success,FAILURE", "-R", "hdrs", "-V", "q+1", "bob"],
     f"MAIL FROM:<{ME}> SIZE=17 RET=HDRS ENVID=q+2B1",
     ["bob@here.example NOTIFY=SUCCESS,FAILURE"]),
    (["-Nnever", "-Rfull", "bob"], f"MAIL FROM:<{ME}> SIZE=17 RET=FULL",
     ["bob@here.example NOTIFY=NEVER"]),
    (["-Ndelay", "bob"], f"MAIL FROM:<{ME}>",
     ["bob@here.example NOTIFY=DELAY"]),
    (["jürgen@x.example"], f"MAIL FROM:<{ME}> SIZE=17 SMTPUTF8",
     ["jürgen@x.example"]),
    (["-f", "jürgen@x.example", "bob"],
     "MAIL FROM:<jürgen@x.example> SIZE=17 SMTPUTF8", ["bob@here.example"]),
    (["undisclosed-recipients:;", "bob"], f"MAIL FROM:<{ME}>",
     ["bob@here.example"]),
    (["staff: ann, bob;"], f"MAIL FROM:<{ME}>",
     ["ann@here.example", "bob@here.example"]),
    (['"ann lee"@x.example'], f"MAIL FROM:<{ME}>", ['"ann lee"@x.example']),
    (["a@[192.0.2.1]"], f"MAIL FROM:<{ME}>", ["a@[192.0.2.1]"]),
    (["\\root"], f"MAIL FROM:<{ME}>", ["root@here.example"]),
]


@pytest.mark.parametrize("args, mail, rcpts", OPTIONS,
                         ids=[" ".join(o[0])[:40] for o in OPTIONS])
def test_options(b, args, mail, rcpts):
    s, text = sent(b, *args)
    assert len(s.mail()) == 1
    got = s.mail()[0]
    assert got == mail or got.startswith(mail + " SIZE=")
    asked = [re.sub("[<>]", "", x[8:]) for x in s.said
             if x.startswith("RCPT TO:")]
    assert asked == rcpts
    assert text.endswith(b"\r\n\r\nx\r\n")


WRONG = [
    [], ["-t"], ["-bd"], ["-bD"], ["-bz", "bob"], ["-q15m"], ["-N", "often",
     "bob"], ["-Nnever,delay", "bob"], ["-R", "some", "bob"], ["-V", "", "bob"],
    ["-V", "x" * 101, "bob"], ["-V", "\x01", "bob"], ["-Z", "bob"], ["-f"],
    ["-qXsomething"],
]


@pytest.mark.parametrize("args", WRONG, ids=[" ".join(w)[:20] for w in WRONG])
def test_wrong_usage(b, args):
    with b.stub() as s:
        done = b.run(*args)
    assert done.returncode == USAGE, done
    assert done.stderr.startswith(b"sendmail: ")
    assert not s.said and not b.dropped()


@pytest.mark.parametrize("address", ["a b@x.example", "a@x@y.example",
                                     "@x.example", "<a@x.example",
                                     "a@" + "x" * 300, "/etc/passwd x",
                                     ":include:/etc/passwd"])
def test_broken_recipient(b, address):
    """The others go, and the code says that one did not."""
    s, text = sent(b, address, "bob", code=DATAERR)
    assert s.rcpts() == ["bob@here.example"]
    with b.stub() as s:
        done = b.run(address)
    assert done.returncode == DATAERR and not s.said, done
    assert address[1:30].encode() in done.stderr


def test_broken_sender(b):
    for f in ("a b", "a@x, b@y", "a@@x"):
        with b.stub() as s:
            done = b.run("-f", f, "bob")
        assert done.returncode == DATAERR and not s.said, done


def test_control_characters_are_not_shown(b):
    done = b.run("a\x1b[2Jb c")
    assert done.returncode == DATAERR
    assert b"\x1b" not in done.stderr


def test_full_name(b):
    for name, shown in (("Ann Lee", b"Ann Lee"), ("Lee, Ann", b'"Lee, Ann"'),
                        ("Jürgen", b"=?UTF-8?Q?J=C3=BCrgen?="),
                        ('a"b\\c', b'"a\\"b\\\\c"'),
                        ("x\r\nBcc: y@z", b'"x  Bcc: y@z"')):
        _, text = sent(b, "-F", name, "-f", "ann@x.example", "bob")
        assert b"From: " + shown + b" <ann@x.example>\r\n" in text
    _, text = sent(b, "-F", "Ann", "bob", text=b"From: carl@x\n\nx\n")
    assert text == b"From: carl@x\r\n\r\nx\r\n"
    _, text = sent(b, "-F", "Ann", "-f", "", "bob")
    assert f"From: Ann <{ME}>\r\n".encode() in text


def test_caller_is_the_kernels_word(b):
    """Neither USER nor LOGNAME: an address of somebody else is -f's."""
    with b.stub() as s:
        done = b.run("bob", env={"USER": "root2", "LOGNAME": "root2"})
        assert done.returncode == 0
        if is_root():
            assert b.run("bob", uid=23456).returncode == 0
    assert s.mail()[0].startswith(f"MAIL FROM:<{ME}>")
    if is_root():
        assert s.mail()[1].startswith("MAIL FROM:<uid-23456@here.example>")


# ---- the message ----

TEXTS = [
    ("lf", b"A: b\n\nx\ny\n", b"A: b\r\n\r\nx\r\ny\r\n"),
    ("crlf", b"A: b\r\n\r\nx\r\ny\r\n", b"A: b\r\n\r\nx\r\ny\r\n"),
    ("mixed", b"A: b\nB: c\r\n\nx\r\ny\n", b"A: b\r\nB: c\r\n\r\nx\r\ny\r\n"),
    ("no last line end", b"A: b\n\nx", b"A: b\r\n\r\nx\r\n"),
    ("header only", b"A: b\n", b"A: b\r\n\r\n"),
    ("header only, no line end", b"A: b", b"A: b\r\n\r\n"),
    ("empty", b"", b"\r\n"),
    ("no header", b"hello world\nA: b\n", b"\r\nhello world\r\nA: b\r\n"),
    ("empty line first", b"\nA: b\n", b"\r\nA: b\r\n"),
    ("header ends at text", b"A: b\nhello\nB: c\n",
     b"A: b\r\n\r\nhello\r\nB: c\r\n"),
    ("folded", b"A: b\n\tc\n d\n\nx\n", b"A: b\r\n\tc\r\n d\r\n\r\nx\r\n"),
    ("first line begins with a blank", b" A: b\nx\n", b"\r\n A: b\r\nx\r\n"),
    ("bare CR in the header", b"A: b\rBcc: c\n\nx\n",
     b"A: b Bcc: c\r\n\r\nx\r\n"),
    ("CR CR LF", b"A: b\r\r\nB: c\r\r\n\r\r\nx\r\r\n",
     b"A: b\r\nB: c\r\n\r\nx\r\n"),
    ("bare CR in the body", b"A: b\n\n10%\r20%\rdone\n",
     b"A: b\r\n\r\n10%\r\n20%\r\ndone\r\n"),
    ("CR at the end", b"A: b\n\nx\r", b"A: b\r\n\r\nx\r\n"),
    ("NUL", b"A: b\0c\n\nx\0\n", b"A: bc\r\n\r\nx\r\n"),
    ("mbox line", b"From ann Sun Nov 22 10:00:00 2026\nA: b\n\nFrom x\n",
     b"A: b\r\n\r\nFrom x\r\n"),
    ("quoted mbox line", b">From ann Sun Nov 22\nA: b\n\nx\n",
     b"A: b\r\n\r\nx\r\n"),
    ("From without a blank", b"From: ann@x\n\nx\n", b"From: ann@x\r\n\r\nx\r\n"),
    ("dot ends", b"A: b\n\nx\n.\ny\n", b"A: b\r\n\r\nx\r\n"),
    ("dot ends, CRLF", b"A: b\r\n\r\nx\r\n.\r\ny\r\n", b"A: b\r\n\r\nx\r\n"),
    ("dot in the header", b"A: b\n.\nx\n", b"A: b\r\n\r\n"),
    ("dot at the end", b"A: b\n\nx\n.", b"A: b\r\n\r\nx\r\n"),
    ("dots that do not end", b"A: b\n\n..\n. \n.x\n",
     b"A: b\r\n\r\n..\r\n. \r\n.x\r\n"),
    ("8 bit", "A: ü\n\nü\n".encode(), "A: ü\r\n\r\nü\r\n".encode()),
    ("blanks in front of the colon", b"A : b\n\nx\n", b"A : b\r\n\r\nx\r\n"),
    ("Bcc goes", b"A: b\nBCC: x@y,\n z@y\nC: d\n\nBcc: stays\n",
     b"A: b\r\nC: d\r\n\r\nBcc: stays\r\n"),
    ("one long line", b"x" * 3000 + b"\n", b"\r\n" + b"x" * 3000 + b"\r\n"),
    ("long lines", b"A: " + b"b" * 3000 + b"\n\n" + b"y" * 200000,
     b"A: " + b"b" * 3000 + b"\r\n\r\n" + b"y" * 200000 + b"\r\n"),
]


@pytest.mark.parametrize("text, want", [t[1:] for t in TEXTS],
                         ids=[t[0] for t in TEXTS])
def test_message(b, text, want):
    s, got = sent(b, "bob", text=text)
    assert got == want
    eight = any(c > 127 for c in text)
    assert ("BODY=8BITMIME" in s.mail()[0]) == eight
    assert f"SIZE={len(want)}" in s.mail()[0]


def test_dots_ignored(b):
    text = b"A: b\n\nx\n.\ny\n.\n"
    for how in (["-i"], ["-oi"], ["-O", "IgnoreDots=true"],
                ["-OIgnoreDots"]):
        _, got = sent(b, *how, "bob", text=text)
        assert got == b"A: b\r\n\r\nx\r\n.\r\ny\r\n.\r\n"
    _, got = sent(b, "-i", "-O", "IgnoreDots=false", "bob", text=text)
    assert got == b"A: b\r\n\r\nx\r\n"


def test_large(b):
    """Through a file beyond what is kept in memory."""
    line = bytes(range(32, 127)) + b"\n"
    text = b"Subject: large\n\n" + line * 200_000
    s, got = sent(b, "-i", "bob", text=text)
    assert got == text.replace(b"\n", b"\r\n")


def test_too_large(tmp_path):
    b = Bench(tmp_path, message_size_max="10000", header_size_max="2000")
    with b.stub() as s:
        for text in (b"A: b\n\n" + b"x" * 10000, b"A: " + b"x" * 3000,
                     b"A: b\n" * 1000):
            done = b.run("bob", text=text)
            assert done.returncode == UNAVAILABLE, done
            assert b"larger than" in done.stderr
    assert not s.said and not b.dropped()


# ---- recipients of the header ----

HEADERS = [
    ("to cc bcc", "To: a@x.example\nCc: b@x.example\nBcc: c@x.example\n",
     "a b c"),
    ("several fields", "To: a@x.example\nTo: b@x.example\n", "a b"),
    ("folded", "To: a@x.example,\n\tB <b@x.example>,\n \"C, D\"\n"
     " <c@x.example>\n", "a b c"),
    ("group", "To: staff: a@x.example, b@x.example;, c@x.example\n", "a b c"),
    ("empty group", "To: undisclosed-recipients:;\nBcc: a@x.example\n", "a"),
    ("comments", "To: a@x.example (x@y.example, (z)), (c) b@x.example\n",
     "a b"),
    ("encoded", "To: =?UTF-8?Q?J=C3=BCrgen=2C?= <a@x.example>\n", "a"),
    ("other fields", "To: a@x.example\nReply-To: b@x.example\n"
     "X-To: c@x.example\nDelivered-To: d@x.example\n", "a"),
    ("resent", "Resent-To: a@x.example\nResent-Cc: b@x.example\n"
     "Resent-Bcc: c@x.example\nTo: d@x.example\nCc: e@x.example\n", "a b c"),
    ("resent twice", "Resent-From: q@x.example\nResent-To: a@x.example\n"
     "Resent-From: q@x.example\nResent-To: b@x.example\nTo: c@x.example\n",
     "a"),
    ("resent, received, resent", "Resent-To: a@x.example\nReceived: x\n"
     "Resent-To: b@x.example\nTo: c@x.example\n", "a"),
    ("the same twice", "To: a@x.example\nCc: A@X.EXAMPLE\n", "a"),
]


@pytest.mark.parametrize("header, want", [h[1:] for h in HEADERS],
                         ids=[h[0] for h in HEADERS])
def test_from_header(b, header, want):
    s, text = sent(b, "-t", text=f"{header}\nTo: body@x.example\n".encode())
    assert s.rcpts() == [f"{w}@x.example" for w in want.split()]
    assert b"bcc" not in text.lower().split(b"\r\n\r\n")[0]
    for name in ("To:", "Resent-To:"):
        assert (name in header) == (name.encode() in text.split(
            b"\r\n\r\n")[0])


def test_from_header_and_arguments(b):
    """As Postfix has it: both."""
    s, _ = sent(b, "-t", "c@x.example", "a@x.example",
                text=b"To: a@x.example, b@x.example\n\nx\n")
    assert s.rcpts() == ["c@x.example", "a@x.example", "b@x.example"]


def test_from_header_broken_one(b):
    s, _ = sent(b, "-t", code=DATAERR,
                text=b"To: a@x.example, b c, d@x.example\n\nx\n")
    assert s.rcpts() == ["a@x.example", "d@x.example"]


def test_many_recipients(b):
    """More than one transaction takes."""
    names = [f"u{i}@x.example" for i in range(2500)]
    state = {"n": 0}

    def rcpt(_line):
        state["n"] += 1
        return "250 2.1.5 fine" if state["n"] <= 1000 else \
            "452 4.5.3 Too many recipients"

    def mail(_line):
        state["n"] = 0
        return "250 2.1.0 fine"

    with b.stub({"RCPT": rcpt, "MAIL": mail}) as s:
        done = b.run("-t", text=("To: " + ",\n ".join(names)
                                 + "\n\nx\n").encode())
    assert done.returncode == 0, done
    assert len(s.messages) == 3 and len(s.mail()) == 3
    assert set(s.rcpts()) == set(names)
    assert s.connections == 1


def test_many_unknown_recipients(b):
    """smtpd ends sessions with too many refusals: a new one goes on."""
    names = [f"u{i}@x.example" for i in range(100)] + ["bob@x.example"]
    with b.stub({"RCPT": lambda line: "250 2.1.5 fine" if "bob" in line
                 else "550 5.1.1 No such recipient here"}) as s:
        done = b.run(*names)
    assert done.returncode == NOUSER
    assert done.stderr.count(b"550 5.1.1") == 100
    assert len(s.messages) == 1 and s.connections > 4
    assert sorted(s.rcpts()) == sorted(names)


# ---- what smtpd says ----

@pytest.mark.parametrize("reply, code", [
    ("550 5.1.1 No such recipient here", NOUSER),
    ("550 No such user", NOUSER),
    ("553 no", NOUSER),
    ("550 5.1.2 No such domain", NOHOST),
    ("501 5.1.3 Broken address", DATAERR),
    ("552 5.2.2 Full", UNAVAILABLE),
    ("552 5.3.4 Too large", UNAVAILABLE),
    ("554 5.4.6 Circle", UNAVAILABLE),
    ("503 5.5.1 Sequence", PROTOCOL),
    ("554 5.6.0 Content", DATAERR),
    ("550 5.7.1 Relaying denied", NOPERM),
    ("554 no", UNAVAILABLE),
    ("452 4.3.1 No room", TEMPFAIL),
    ("450 4.7.1 Too fast", TEMPFAIL),
    ("451 local error", TEMPFAIL),
])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
def test_refusals(b, step, reply, code):
    with b.stub({step: reply}) as s:
        done = b.run("bob")
    assert done.returncode == code, done
    assert reply.encode() in done.stderr
    assert not b.dropped()
    assert s.connections == 1


def test_partly_refused(b):
    """The others get it; who calls hears of the refused ones."""
    with b.stub({"RCPT": lambda line: "250 2.1.5 fine" if "bob" in line
                 else "550 5.1.1 No such recipient here"}) as s:
        done = b.run("nobody", "bob", "none")
        quiet = b.run("-oeq", "nobody", "bob")
    assert done.returncode == quiet.returncode == NOUSER
    assert len(s.messages) == 2
    assert done.stderr.splitlines() == [
        b"sendmail: nobody@here.example: 550 5.1.1 No such recipient here",
        b"sendmail: none@here.example: 550 5.1.1 No such recipient here"]
    assert quiet.stderr == b""


def test_without_extensions(b):
    with b.stub(extensions=("mx.here.example",)) as s:
        done = b.run("-N", "success", "-V", "x", "-R", "full", "bob", "ann",
                     text="A: ü\n\n".encode())
    assert done.returncode == 0
    assert s.mail() == [f"MAIL FROM:<{ME}>"]
    assert s.rcpts() == ["bob@here.example", "ann@here.example"]


def test_verbose(b):
    with b.stub():
        done = b.run("-v", "bob")
    assert done.returncode == 0
    assert b">>> RCPT TO:<bob@here.example>" in done.stdout
    assert b"250 2.0.0 Queued as x" in done.stdout
    assert b"Subject" not in done.stdout


# ---- smtpd does not answer ----

def head_of(path):
    head, _, text = path.read_bytes().partition(b"\n\n")
    return head.decode().split("\n"), text


def check_drop(b, rcpts=("bob@here.example",)):
    [f] = b.dropped()
    head, text = head_of(f)
    assert head[0] == "postern-drop 1"
    assert head[1] == f"from {ME}"
    assert [x[5:] for x in head if x.startswith("rcpt ")] == list(rcpts)
    assert f"size {len(text)}" == head[-1]
    assert text == b"Subject: x\r\n\r\nx\r\n"
    assert f.stat().st_mode & 0o7777 == 0o640
    assert f.stat().st_nlink == 1
    assert f.stat().st_gid == b.drop.stat().st_gid
    f.unlink()


def test_drop_no_socket(b):
    done = b.run("bob")
    assert done.returncode == 0 and not done.stderr, done
    check_drop(b)


def test_drop_socket_parameter_empty(tmp_path):
    b = Bench(tmp_path, submit_socket="")
    assert b.run("bob").returncode == 0
    check_drop(b)


def test_drop_nobody_listens(b):
    b.socket.parent.mkdir()
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(b.socket))
    assert b.run("bob").returncode == 0
    check_drop(b)
    s.close()


def test_drop_smtpd_hangs(tmp_path):
    """It accepts and is silent: a bounded time."""
    b = Bench(tmp_path, submit_wait="500ms")
    b.socket.parent.mkdir()
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(b.socket))
    s.listen(1)
    start = time.monotonic()
    assert b.run("bob").returncode == 0
    check_drop(b)
    # Its back-log is full: connecting hangs as well.
    held = []
    for _ in range(3):
        c = socket.socket(socket.AF_UNIX)
        c.setblocking(False)
        try:
            c.connect(str(b.socket))
        except BlockingIOError:
            pass
        held.append(c)
    assert b.run("bob").returncode == 0
    check_drop(b)
    assert time.monotonic() - start < 10
    for c in (s, *held):
        c.close()


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA",
                                  "."])
@pytest.mark.parametrize("reply", [None, "421 4.3.2 Closing", "nonsense",
                                   "451 4.3.0 Queue is not reachable"])
def test_drop_smtpd_ends(b, step, reply):
    """It goes away, or says itself that it does not work."""
    with b.stub({step: reply}):
        done = b.run("bob")
    assert done.returncode == 0, done
    check_drop(b)


def test_drop_takes_those_that_are_left(b):
    """Refused and sent ones are not sent again."""
    replies = {"bob": "250 2.1.5 fine", "ann": "550 5.1.1 No",
               "carl": "451 4.3.0 Cannot be looked up now"}

    def rcpt(line):
        return next(v for k, v in replies.items() if k in line)

    with b.stub({"RCPT": rcpt}) as s:
        done = b.run("bob", "ann", "carl")
    assert done.returncode == NOUSER
    assert len(s.messages) == 1
    check_drop(b, ["carl@here.example"])


def test_drop_many_recipients(b):
    """Ten thousand a file."""
    names = [f"u{i}@x.example" for i in range(25_000)]
    text = "To: " + ",\n ".join(names) + "\n\nx\n"
    # The header is larger than usual.
    b.conf.write_text(b.conf.read_text() + "header_size_max = 2000000\n")
    assert b.run("-t", text=text.encode()).returncode == 0
    got, sizes = [], []
    for f in b.dropped():
        rcpts = [x[5:] for x in head_of(f)[0] if x.startswith("rcpt ")]
        got += rcpts
        sizes.append(len(rcpts))
    assert sorted(got) == sorted(names)
    assert sorted(sizes) == [5000, 10000, 10000]


def test_drop_all_options(b):
    done = b.run("-f", "", "-N", "success,delay", "-R", "full", "-V", "a b",
                 "jürgen@x.example", text="A: ü\n\n".encode())
    assert done.returncode == 0
    [f] = b.dropped()
    head, text = head_of(f)
    assert head == ["postern-drop 1", "from <>",
                    "rcpt j%C3%BCrgen@x.example", "body 8bit", "utf8",
                    "notify success,delay", "ret full", "envid a+20b",
                    f"size {len(text)}"]


def test_drop_not_possible(b):
    b.drop.rmdir()
    done = b.run("bob")
    assert done.returncode == TEMPFAIL, done
    assert str(b.drop).encode() in done.stderr


def test_drop_no_room(tmp_path):
    b = Bench(tmp_path, queue_reserve="1024G")
    done = b.run("bob")
    assert done.returncode == TEMPFAIL, done
    assert b"No space" in done.stderr and not b.dropped()


@pytest.mark.skipif(sanitized("sendmail"),
                    reason="the shim is not for sanitizers")
@pytest.mark.parametrize("do", ["kill-before", "kill-after", "errno=EIO",
                                "errno=ENOSPC", "short"])
def test_drop_faults(b, tmp_path, do):
    """Each write, fsync and link goes wrong in turn: a file that can be seen is
    whole, and 0 means that there is one."""
    shim = BIN / "fault-shim.so"
    if not shim.exists():
        pytest.skip("no fault-shim.so")
    counter = tmp_path / "counter"
    text = b"Subject: x\n\n" + b"line\n" * 50_000
    for n in range(1, 200):
        counter.unlink(missing_ok=True)
        done = subprocess.run(
            [b.mta.dir / "sbin/sendmail", "-C", b.conf, "bob"], input=text,
            stderr=subprocess.PIPE, timeout=60, env={
                "PATH": "/usr/bin:/bin", "LD_PRELOAD": str(shim),
                "POSTERN_FAULT": f"call=any,n={n},do={do}",
                "POSTERN_FAULT_REACHED": str(counter)})
        for f in [p for p in b.dropped() if p.name[0] != "."]:
            head, got = head_of(f)
            assert head[-1] == f"size {len(got)}", f"after call {n}"
            assert got == text.replace(b"\n", b"\r\n")
        whole = [p for p in b.dropped() if p.name[0] != "."]
        assert len(whole) <= 1
        if done.returncode == 0:
            assert len(whole) == 1, f"after call {n}"
        elif done.returncode > 0:
            assert done.returncode in (TEMPFAIL, IOERR), (n, done)
            assert not whole, f"after call {n}: {done}"
        for p in b.dropped():
            p.unlink()
        if counter.read_bytes()[:1] != b"1":
            assert n > 2
            return
    pytest.fail("still calls after 200")


# ---- other modes ----

def test_verify(b):
    with b.stub({"RCPT": lambda line: "250 2.1.5 fine" if "bob" in line
                 else "550 5.1.1 No such recipient here"}) as s:
        done = b.run("-bv", "bob", "nobody")
        good = b.run("-bv", "bob")
    assert done.returncode == NOUSER and good.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "bob@here.example... deliverable: 250 2.1.5 fine",
        "nobody@here.example... 550 5.1.1 No such recipient here"]
    assert not s.messages
    assert b.run("-bv", "bob").returncode == TEMPFAIL
    assert not b.dropped()


def test_smtp_on_stdin(b):
    """-bs: what comes is smtpd's, both ways."""
    with b.stub() as s:
        done = b.run("-bs", text=b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n"
                     b"RCPT TO:<c@d.example>\r\nDATA\r\nA: b\r\n\r\n..\r\n"
                     b".\r\nQUIT\r\n")
    assert done.returncode == 0, done
    assert done.stdout.startswith(b"220 mx.here.example ready\r\n250-")
    assert done.stdout.endswith(b"221 2.0.0 bye\r\n")
    assert s.messages == [b"A: b\r\n\r\n.\r\n"]
    done = b.run("-bs", text=b"QUIT\r\n")
    assert done.returncode == TEMPFAIL
    assert done.stdout.startswith(b"421 4.3.2 ")


def test_configuration(b):
    assert b.mta.run("-C", "/nonexistent", "bob").returncode == CONFIG
    b.conf.write_text("nonsense = 1\n")
    done = b.run("bob")
    assert done.returncode == CONFIG and b"nonsense" in done.stderr


def test_configuration_not_readable(b):
    """Without -C, what cannot be read is taken for the default: then neither
    smtpd nor drop_dir is where it was looked for, or both are."""
    done = b.mta.run(program="../sbin/sendmail", text=b"")
    assert done.returncode == USAGE  # no recipient, and no complaint


@pytest.mark.skipif(not is_root(), reason="needs root")
def test_admins_words_need_rights():
    with Suite(start=False, daemons=()) as s:
        mta = Installed(s.dir / "inst", s.conf)
        for name, args, what in (
                ("mailq", [], b"look at the queue"),
                ("sendmail", ["-bp"], b"look at the queue"),
                ("sendmail", ["-q"], b"run the queue"),
                ("sendmail", ["-qIxyz"], b"run the queue"),
                ("newaliases", [], b"compile the aliases"),
                ("sendmail", ["-bi"], b"compile the aliases")):
            done = mta.run(*args, program=name, uid=65534)
            assert done.returncode == NOPERM, done
            assert what in done.stderr
            assert done.stderr.startswith(name.encode() + b": ")


def test_admins_words():
    with Mail({"retry_first": "1h", "retry_max": "1h"}, start=False) as s:
        later = f"later@here.example: :include:{s.list_dir}/missing\n"
        s.write_table("aliases", s.default_aliases())
        s.start()
        s.write_table("aliases", s.default_aliases() + later)
        done = s.mta.run(program="newaliases")
        assert done.returncode == 0, done
        assert s.sendmail("later@here.example").returncode == 0
        s.wait_queue(lambda q: [x for x in q if x.startswith("deferred/")])
        [ident] = [x.split("/")[1] for x in s.queue()]
        for name, args in (("mailq", []), ("sendmail", ["-bp"])):
            done = s.mta.run(*args, program=name)
            assert done.returncode == 0 and ident.encode() in done.stdout
        (s.list_dir / "missing").write_text("ann@here.example\n")
        (s.list_dir / "missing").chmod(0o644)
        done = s.sendmail("-q")
        assert done.returncode == 0, done
        s.wait_delivered("ann", 1)
