"""The way of a letter: SMTP in, queue, Maildir; aliases and what they lead to."""
import os
import pwd
import re
import smtplib
import socket
import stat
import textwrap

import pytest

import letters
from conftest import needs_root
from suite import DOMAIN, Suite, have_ipv6, is_root, wait_until

PIPE_PROGRAM = """\
#!/bin/sh
# What a program sees: its input, its words, its environment, who it is.
dir=$1
{ printf 'args=%s\\n' "$*"; id -u; id -g; id -G; env; } > "$dir/seen.$$"
cat > "$dir/mail.$$"
mv "$dir/seen.$$" "$dir/seen"
mv "$dir/mail.$$" "$dir/mail"
exit ${2:-0}
"""


@pytest.fixture(scope="module")
def routes():
    """A suite with one alias of each kind."""
    with Suite({"retry_first": "200ms", "retry_max": "400ms"},
               start=False) as s:
        out = s.dir / "out"
        out.mkdir()
        out.chmod(0o777)
        program = s.dir / "program"
        program.write_text(PIPE_PROGRAM)
        program.chmod(0o755)
        slow = s.dir / "fails"
        slow.write_text("#!/bin/sh\ncat >/dev/null\necho not today\nexit $1\n")
        slow.chmod(0o755)
        (s.list_dir / "staff").write_text(
            f"# members\nann@{DOMAIN}\n\nbob@{DOMAIN}, "
            f":include:{s.list_dir}/more\n")
        (s.list_dir / "more").write_text(f"carol@{DOMAIN}\n")
        for f in s.list_dir.iterdir():
            f.chmod(0o644)
        s.write_table("domains", f"{DOMAIN}\nother.example\n")
        s.write_table("users", s.default_users()
                      + f"carol@{DOMAIN}:{{PLAIN}}secret::::::\n"
                      + f"dora@{DOMAIN}:{{PLAIN}}secret::::::\n")
        s.write_table("aliases", textwrap.dedent(f"""\
            postmaster@{DOMAIN}: ann@{DOMAIN}
            team@{DOMAIN}: ann@{DOMAIN}, bob@{DOMAIN}
            nested@{DOMAIN}: team@{DOMAIN}, carol@{DOMAIN}, ann@{DOMAIN}
            list@{DOMAIN}: :include:{s.list_dir}/staff
            owned@{DOMAIN}: carol@{DOMAIN}
            owner-owned@{DOMAIN}: bob@{DOMAIN}
            loop1@{DOMAIN}: loop2@{DOMAIN}
            loop2@{DOMAIN}: loop1@{DOMAIN}
            program@{DOMAIN}: "|{program} {out} 0 'two words'"
            later@{DOMAIN}: "|{slow} 75"
            never@{DOMAIN}: "|{slow} 100"
            @other.example: dora@{DOMAIN}
            """))
        s.setup_again()
        s.start()
        s.out = out
        yield s


def send(s, to, ident, sender="x@client.example", **kw):
    """The message's octets; its id in the queue is kept in s.last."""
    data = letters.make(ident, **kw)
    s.last = s.send(sender, to, data)
    return data


def deferred(s):
    """Waits until the last message has had its first attempt."""
    s.wait_where(s.last, "deferred")
    return s.last


def got(s, user, ident, timeout=20):
    """Waits for this message in the user's Maildir; its files."""
    def there():
        return [f for f in s.messages(user)
                if letters.header(f, "X-Test-Id") == [ident]]
    return wait_until(there, timeout,
                      lambda: f"{ident} for {user}; queue {s.queue()}\n"
                      + s.log("qmgr")[-2000:] + s.log("local")[-1000:])


def test_to_a_mailbox(routes):
    data = send(routes, f"ann@{DOMAIN}", "plain")
    [f] = got(routes, "ann", "plain")
    letters.assert_same(f, data)
    text = f.read_bytes()
    assert b"\r" not in text
    assert text.startswith(b"Return-Path: <x@client.example>\n"
                           b"Delivered-To: ann@here.example\nReceived: from ")
    assert stat.S_IMODE(f.stat().st_mode) == 0o600
    m = re.fullmatch(r"(\d+)\.([0-9a-v]{20})\.1\.mx\.here\.example,"
                     r"S=(\d+),W=(\d+)", f.name)
    assert m, f.name
    assert int(m.group(3)) == len(text)
    assert int(m.group(4)) == len(text) + text.count(b"\n")
    [received] = letters.header(text, "Received")
    # RFC 5321 4.4: from, by, with, id, for, date; RFC 3848: ESMTP
    assert re.match(r"from client\.example \(.*\[127\.0\.0\.1\].*\) by "
                    r"mx\.here\.example .*with ESMTP id "
                    + m.group(2) + r".*for <ann@here\.example>.*; "
                    r"\w+, \d+ \w+ 20\d\d \d\d:\d\d:\d\d [+-]\d{4}",
                    received), received
    # The id is in every log line of the message.
    for daemon in ("smtpd", "qmgr"):
        assert m.group(2) in routes.log(daemon)
    routes.wait_gone(m.group(2))


def test_owner_of_the_files(routes):
    send(routes, f"ann@{DOMAIN}", "owner")
    [f] = got(routes, "ann", "owner")
    want = pwd.getpwnam("postern-vmail").pw_uid if is_root() else os.getuid()
    assert f.stat().st_uid == want
    d = routes.maildir("ann")
    for p in (d, d / "new", d / "cur", d / "tmp"):
        assert stat.S_IMODE(p.stat().st_mode) == 0o700
        assert p.stat().st_uid == want
    assert not os.listdir(d / "tmp")


def test_two_recipients(routes):
    data = send(routes, [f"ann@{DOMAIN}", f"bob@{DOMAIN}"], "two")
    [a], [b] = got(routes, "ann", "two"), got(routes, "bob", "two")
    letters.assert_same(a, data)
    letters.assert_same(b, data)
    assert letters.header(a, "Delivered-To") == ["ann@here.example"]
    assert letters.header(b, "Delivered-To") == ["bob@here.example"]
    # RFC 5321 7.2: no recipient learns of the others from the trace
    for f in (a, b):
        assert " for <" not in letters.header(f, "Received")[0]
    assert a.name.split(".")[1] == b.name.split(".")[1]
    assert a.name.split(".")[2] != b.name.split(".")[2]


def test_case_and_quotes(routes):
    send(routes, ['"ann"@here.example'], "quoted")
    got(routes, "ann", "quoted")
    send(routes, ["Ann@HERE.example"], "case")
    got(routes, "ann", "case")


def test_null_sender(routes):
    send(routes, f"ann@{DOMAIN}", "null", sender="")
    [f] = got(routes, "ann", "null")
    assert f.read_bytes().startswith(b"Return-Path: <>\n")


def test_alias(routes):
    send(routes, f"team@{DOMAIN}", "alias")
    for user in ("ann", "bob"):
        [f] = got(routes, user, "alias")
        assert letters.header(f, "Delivered-To") == [f"{user}@{DOMAIN}"]


def test_nested_alias_delivers_once(routes):
    send(routes, f"nested@{DOMAIN}", "nested")
    for user in ("bob", "carol", "ann"):
        assert len(got(routes, user, "nested")) == 1
    routes.wait_gone(routes.last)
    assert len(got(routes, "ann", "nested")) == 1


def test_include(routes):
    send(routes, f"list@{DOMAIN}", "include")
    for user in ("ann", "bob", "carol"):
        assert len(got(routes, user, "include")) == 1


def test_include_is_read_each_time(routes):
    path = routes.list_dir / "more"
    before = path.read_text()
    try:
        path.write_text(f"dora@{DOMAIN}\n")
        send(routes, f"list@{DOMAIN}", "include2")
        got(routes, "dora", "include2")
        got(routes, "ann", "include2")
        assert not [f for f in routes.messages("carol")
                    if letters.header(f, "X-Test-Id") == ["include2"]]
    finally:
        path.write_text(before)


def test_owner_address(routes):
    send(routes, f"owned@{DOMAIN}", "owned")
    [f] = got(routes, "carol", "owned")
    assert letters.header(f, "Return-Path") == [f"<owner-owned@{DOMAIN}>"]


def test_owner_address_itself(routes):
    send(routes, f"owner-owned@{DOMAIN}", "owner-itself")
    got(routes, "bob", "owner-itself")


def test_catch_all(routes):
    send(routes, "whoever@other.example", "catch")
    [f] = got(routes, "dora", "catch")
    letters.header(f, "Delivered-To")


def test_extension(routes):
    send(routes, f"ann+lists@{DOMAIN}", "extension")
    [f] = got(routes, "ann", "extension")
    assert letters.header(f, "Delivered-To")[0] in (
        f"ann+lists@{DOMAIN}", f"ann@{DOMAIN}")


def test_loop_of_aliases_is_refused_or_kept(routes):
    """An alias loop without a mailbox is said, and nothing spins."""
    with routes.smtp() as c:
        c.ehlo()
        c.mail("x@client.example")
        code, text = c.rcpt(f"loop1@{DOMAIN}")
        assert code // 100 == 5, (code, text)


def test_unknown_user(routes):
    with routes.smtp() as c:
        c.ehlo()
        c.mail("x@client.example")
        code, text = c.rcpt(f"nobody@{DOMAIN}")
        assert code == 550 and text.startswith(b"5.1.1"), (code, text)


def test_program(routes):
    data = send(routes, f"program@{DOMAIN}", "program")
    wait_until(lambda: (routes.out / "mail").exists(), 20,
               lambda: routes.log("spawner") + routes.log("qmgr"))
    got_mail = (routes.out / "mail").read_bytes()
    letters.assert_same(got_mail, data)
    assert b"\r" not in got_mail
    seen = (routes.out / "seen").read_text().split("\n")
    assert seen[0] == f"args={routes.out} 0 two words"
    uid = pwd.getpwnam("postern-pipe").pw_uid if is_root() else os.getuid()
    assert seen[1] == str(uid)
    if is_root():
        gid = pwd.getpwnam("postern-pipe").pw_gid
        assert seen[2:4] == [str(gid), str(gid)]
    env = dict(line.split("=", 1) for line in seen[4:] if "=" in line)
    assert env["SENDER"] == "x@client.example"
    assert env["RECIPIENT"] == f"program@{DOMAIN}"
    assert "LD_PRELOAD" not in env and "NOTIFY_SOCKET" not in env
    assert "ASAN_OPTIONS" not in env


def test_program_temporary(routes):
    """EX_TEMPFAIL: kept, with the program's words, tried again."""
    send(routes, f"later@{DOMAIN}", "later")
    ident = deferred(routes)
    wait_until(lambda: len(re.findall(rf"deferred.*{ident}|{ident}.*deferred",
                                      routes.log("qmgr"))) >= 2, 20,
               lambda: routes.log("qmgr")[-2000:])
    shown = routes.postern("queue", "explain", ident).stdout
    assert "not today" in shown and f"later@{DOMAIN}" in shown
    routes.postern("queue", "remove", ident)
    routes.wait_gone(ident)


def test_program_permanent(routes):
    """Exit 100: the sender hears of it, in the program's words."""
    send(routes, f"never@{DOMAIN}", "never", sender=f"bob@{DOMAIN}")
    routes.wait_gone(routes.last)
    assert "not today" in told(routes, "bob", "rfc822; never@")


def told(s, user, about):
    """The notice in this user's Maildir that names that recipient."""
    def there():
        texts = [f.read_text(errors="replace") for f in s.messages(user)]
        return [t for t in texts if "Action: failed" in t and about in t]
    return wait_until(there, 20, lambda: s.log("qmgr")[-2000:])[0]


@pytest.fixture
def forward(routes):
    """Writes bob's forward file; gone afterwards."""
    home = routes.maildir("bob").parent
    path = home / ".forward"

    def write(text):
        if not home.exists():
            routes.send("x@client.example", f"bob@{DOMAIN}",
                        letters.make("home"))
            got(routes, "bob", "home")
        path.write_text(text)
        st = home.stat()
        os.chown(path, st.st_uid, st.st_gid)
        path.chmod(0o600)
    yield write
    path.unlink(missing_ok=True)


def test_forward(routes, forward):
    forward(f"carol@{DOMAIN}\n")
    send(routes, f"bob@{DOMAIN}", "forward")
    got(routes, "carol", "forward")
    routes.wait_gone(routes.last)
    assert not [f for f in routes.messages("bob")
                if letters.header(f, "X-Test-Id") == ["forward"]]


def test_forward_and_keep(routes, forward):
    forward(f"\\bob\ncarol@{DOMAIN}\n")
    send(routes, f"bob@{DOMAIN}", "keep")
    assert len(got(routes, "carol", "keep")) == 1
    assert len(got(routes, "bob", "keep")) == 1
    routes.wait_gone(routes.last)
    assert len(got(routes, "bob", "keep")) == 1


def test_forward_to_a_maildir(routes, forward):
    other = routes.maildir("bob").parent / "Other"
    forward(f"{other}/\n")
    data = send(routes, f"bob@{DOMAIN}", "other")
    [f] = got(routes, other, "other")
    letters.assert_same(f, data)


def test_forward_to_a_program(routes, forward):
    for p in routes.out.iterdir():
        p.unlink()
    forward(f'"|{routes.dir}/program {routes.out}"\n')
    data = send(routes, f"bob@{DOMAIN}", "forward-program")
    wait_until(lambda: (routes.out / "mail").exists(), 20,
               lambda: routes.log("spawner") + routes.log("qmgr"))
    letters.assert_same(routes.out / "mail", data)
    seen = (routes.out / "seen").read_text().split("\n")
    assert seen[1] == str(routes.maildir("bob").stat().st_uid)


def test_forward_file_others_may_write(routes, forward):
    """Kept with its reason, delivered once it is mended."""
    forward(f"carol@{DOMAIN}\n")
    path = routes.maildir("bob").parent / ".forward"
    path.chmod(0o666)
    send(routes, f"bob@{DOMAIN}", "writable")
    ident = deferred(routes)
    shown = routes.postern("queue", "explain", ident).stdout
    assert "orward file" in shown
    path.chmod(0o600)
    got(routes, "carol", "writable")
    routes.wait_gone(routes.last)


def test_forward_loop_ends(routes, forward):
    """bob forwards to an alias that leads back to bob: one copy, no spin."""
    forward(f"team@{DOMAIN}\n")
    send(routes, f"bob@{DOMAIN}", "circle")
    got(routes, "ann", "circle")
    wait_until(lambda: [f for f in routes.messages("bob") if letters.header(
        f, "X-Test-Id") == ["circle"]] or routes.where(routes.last) in (
            "deferred", "hold"), 20)
    if routes.where(routes.last):
        routes.postern("queue", "remove", routes.last)
        routes.wait_gone(routes.last)


def test_delivered_before(routes):
    """A Delivered-To of this mailbox is a loop, and not delivered."""
    data = b"Delivered-To: ann@here.example\r\n" + letters.make("looped")
    routes.last = routes.send(f"bob@{DOMAIN}", f"ann@{DOMAIN}", data)
    routes.wait_gone(routes.last)
    assert "loop" in told(routes, "bob", "rfc822; ann@").lower()


def test_smtputf8(routes):
    with routes.smtp() as c:
        c.ehlo()
        c.mail("grüße@client.example", ["SMTPUTF8"])
        assert c.rcpt(f"ann@{DOMAIN}")[0] == 250
        assert c.data(letters.make("utf8"))[0] == 250
    [f] = got(routes, "ann", "utf8")
    assert f.read_bytes().startswith(
        "Return-Path: <grüße@client.example>\n".encode())
    assert "with UTF8SMTP" in letters.header(f, "Received")[0]


def test_bdat(routes):
    """RFC 3030: chunks that cut lines and end anywhere."""
    data = letters.make("bdat", 3000)
    with routes.connect() as sock:
        r = sock.makefile("rb")

        def reply(code):
            while True:
                line = r.readline()
                assert line.startswith(code), line
                if line[3:4] == b" ":
                    return

        reply(b"220")
        sock.sendall(b"EHLO client.example\r\n")
        reply(b"250")
        sock.sendall(b"MAIL FROM:<x@client.example>\r\n"
                     b"RCPT TO:<ann@here.example>\r\n")
        reply(b"250")
        reply(b"250")
        at = 0
        for n in (1, 2, 3, 700, 1, 1000):
            sock.sendall(b"BDAT %d\r\n" % n + data[at:at + n])
            reply(b"250")
            at += n
        sock.sendall(b"BDAT %d LAST\r\n" % (len(data) - at) + data[at:])
        reply(b"250")
        sock.sendall(b"QUIT\r\n")
        reply(b"221")
    [f] = got(routes, "ann", "bdat")
    letters.assert_same(f, data)


def test_many_messages_one_session(routes):
    with routes.smtp() as c:
        for i in range(50):
            c.sendmail("x@client.example", [f"carol@{DOMAIN}"],
                       letters.make(f"many{i}"))
    wait_until(lambda: sum(x.startswith("many") for x in letters.idents(
        routes.messages("carol"))) == 50, 20)


def test_interrupted_client_leaves_nothing(routes):
    """EOF within DATA: no message, no file."""
    before = len(routes.messages("ann")), routes.queue()
    with routes.connect() as sock:
        sock.sendall(b"EHLO client.example\r\nMAIL FROM:<x@client.example>\r\n"
                     b"RCPT TO:<ann@here.example>\r\nDATA\r\n")
        text = b""
        while b"354" not in text:
            text += sock.recv(4096)
        sock.sendall(b"Subject: cut\r\n\r\nhalf a li")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    assert (len(routes.messages("ann")), routes.queue()) == before


@needs_root
def test_ordinary_user():
    """The whole suite as one user without any right."""
    with Suite(as_user="nobody") as s:
        data = letters.make("nobody")
        s.send("x@client.example", f"ann@{DOMAIN}", data)
        [f] = s.wait_delivered("ann", 1)
        letters.assert_same(f, data)
        assert f.stat().st_uid == pwd.getpwnam("nobody").pw_uid
        c = s.pop3("bob")
        assert c.stat() == (0, 0)
        c.quit()


@needs_root
def test_owner_with_a_uid_of_his_own():
    with Suite(start=False) as s:
        uid = 20001
        home = s.home_dir / "carol"
        home.mkdir()
        os.chown(home, uid, uid)
        home.chmod(0o700)
        s.write_table("users", s.default_users() +
                      f"carol@{DOMAIN}:{{PLAIN}}secret:{uid}:{uid}::{home}::\n")
        s.setup_again()
        s.start()
        data = letters.make("carol")
        s.send("x@client.example", f"carol@{DOMAIN}", data)
        [f] = s.wait_delivered(home / "Maildir", 1)
        letters.assert_same(f, data)
        assert f.stat().st_uid == uid and f.stat().st_gid == uid
        c = s.pop3("carol")
        n, _ = c.stat()
        assert n == 1
        letters.assert_same(b"\n".join(c.retr(1)[1]) + b"\n", data)
        c.dele(1)
        c.quit()
        assert s.messages(home / "Maildir") == []


@needs_root
def test_virtual_only():
    """virtual_only: no parent keeps a capability, mail flows all the same."""
    with Suite({"virtual_only": "yes"}) as s:
        data = letters.make("virtual")
        s.send("x@client.example", f"ann@{DOMAIN}", data)
        [f] = s.wait_delivered("ann", 1)
        letters.assert_same(f, data)
        c = s.pop3("ann")
        assert c.stat()[0] == 1
        c.quit()


def test_relaying(routes):
    """Only listed networks may send elsewhere; nothing can carry it yet, so
    even they are told at once or the message is kept."""
    with Suite({"relay_networks": "192.0.2.0/24"}) as s:
        with s.smtp() as c:
            c.ehlo()
            c.mail("x@client.example")
            code, text = c.rcpt("who@elsewhere.example")
            assert code == 550 and text.startswith(b"5.7.1"), (code, text)
            assert c.rcpt(f"ann@{DOMAIN}")[0] == 250


def test_maildir_crlf():
    with Suite({"maildir_crlf": "yes"}) as s:
        data = letters.make("crlf")
        s.send("x@client.example", f"ann@{DOMAIN}", data)
        [f] = s.wait_delivered("ann", 1)
        text = f.read_bytes()
        assert letters.strip_added(text) == data
        assert text.count(b"\r\n") == text.count(b"\n")
        c = s.pop3("ann")
        assert c.stat() == (1, len(text))
        c.quit()


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6 loopback")
def test_ipv6():
    with Suite(listen={"smtp": ["127.0.0.1", "[::1]"],
                       "pop3": ["[::1]"]}) as s:
        data = letters.make("six")
        with smtplib.SMTP("::1", s.ports["smtp"], "client.example",
                          timeout=20) as c:
            c.sendmail("x@client.example", [f"ann@{DOMAIN}"], data)
        [f] = s.wait_delivered("ann", 1)
        letters.assert_same(f, data)
        assert "[IPv6:::1]" in letters.header(f, "Received")[0]
        with s.connect("pop3", "::1") as sock:
            assert sock.recv(100).startswith(b"+OK")
