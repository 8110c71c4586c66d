"""POP3 over the whole suite: what a mailbox looks like, UIDLs that stay, two
sessions, crashes."""
import hashlib
import os
import poplib
import re
import signal
import time

import pytest

import letters
from conftest import needs_root
from suite import DOMAIN, HOSTNAME, PASSWORD, Suite, wait_until


@pytest.fixture
def s():
    with Suite() as made:
        yield made


def fill(s, user, n, **kw):
    """n messages, in an order their ids tell; their octets by ident."""
    sent = {}
    for i in range(n):
        data = letters.make(f"{user}{i}", **kw)
        s.send("x@client.example", f"{user}@{DOMAIN}", data)
        sent[f"{user}{i}"] = data
    s.wait_delivered(user, n)
    return sent


def uidls(c):
    """number -> uidl"""
    return {int(n): u.decode() for n, u in
            (line.split(b" ") for line in c.uidl()[1])}


def fetch(c, n):
    return b"\r\n".join(c.retr(n)[1]) + b"\r\n"


def test_content_and_sizes(s):
    sent = fill(s, "ann", 5, size=3000)
    c = s.pop3("ann")
    count, octets = c.stat()
    assert count == 5
    sizes = {int(n): int(o) for n, o in
             (line.split() for line in c.list()[1])}
    assert sum(sizes.values()) == octets
    for n in sizes:
        text = fetch(c, n)
        assert len(text) == sizes[n]
        [ident] = letters.header(text, "X-Test-Id")
        letters.assert_same(text, sent.pop(ident))
    assert not sent
    top = b"\r\n".join(c.top(1, 2)[1])
    head, body = top.split(b"\r\n\r\n", 1)
    assert b"X-Test-Id" in head and body.count(b"\r\n") == 1
    c.quit()
    assert len(s.messages("ann")) == 5


def test_uidl_stays(s):
    """The same after QUIT, after a crash, after restarts, after other
    messages came and went, and never given to another message."""
    fill(s, "ann", 4)
    c = s.pop3("ann")
    first = uidls(c)
    assert len(set(first.values())) == 4
    for u in first.values():
        assert re.fullmatch(r"[\x21-\x7e]{1,70}", u)
    by_ident = {letters.header(fetch(c, n), "X-Test-Id")[0]: first[n]
                for n in first}
    c.dele(2)
    gone = first[2]
    c.quit()
    s.restart("pop3d-mailbox", signal.SIGKILL)
    s.restart("pop3d", signal.SIGKILL)
    s.restart("authd", signal.SIGKILL)
    s.send("x@client.example", f"ann@{DOMAIN}", letters.make("new"))
    s.wait_delivered("ann", 4)
    c = s.pop3("ann")
    second = uidls(c)
    assert len(second) == 4
    for n, u in second.items():
        [ident] = letters.header(fetch(c, n), "X-Test-Id")
        assert by_ident.get(ident, u) == u
        assert u != gone
    c.quit()
    for f in s.messages("ann"):
        # What other programs of a Maildir do: read it, flag it.
        if f.parent.name == "new":
            f.rename(f.parent.parent / "cur" / (f.name + ":2,S"))
    c = s.pop3("ann")
    assert sorted(uidls(c).values()) == sorted(second.values())
    c.quit()


def test_uidl_before_a_crash(s):
    """A UIDL that was shown survives the death of the process that showed
    it."""
    fill(s, "ann", 3)
    c = s.pop3("ann")
    shown = uidls(c)
    s.kill("pop3d-mailbox", tree=True)
    s.start("pop3d-mailbox")
    c = s.pop3("ann")
    assert uidls(c) == shown
    c.quit()


def test_no_quit_no_delete(s):
    fill(s, "ann", 3)
    c = s.pop3("ann")
    c.dele(1)
    c.dele(2)
    c.sock.close()
    c.file.close()
    c = s.pop3("ann")
    assert c.stat()[0] == 3
    c.dele(3)
    assert c.stat()[0] == 2
    c.rset()
    assert c.stat()[0] == 3
    c.dele(3)
    c.quit()
    assert len(s.messages("ann")) == 2


def test_kill_between_dele_and_quit(s):
    fill(s, "ann", 2)
    c = s.pop3("ann")
    c.dele(1)
    s.kill("pop3d-mailbox", tree=True)
    s.start("pop3d-mailbox")
    assert len(s.messages("ann")) == 2
    c = s.pop3("ann")
    assert c.stat()[0] == 2
    c.quit()


def test_parent_dies_session_lives(s):
    """A session does not need its parents any more."""
    sent = fill(s, "ann", 1)
    c = s.pop3("ann")
    for name in ("pop3d", "pop3d-mailbox", "authd"):
        s.kill(name)
        s.start(name)
    letters.assert_same(fetch(c, 1), sent["ann0"])
    c.dele(1)
    c.quit()
    assert s.messages("ann") == []


def test_two_sessions(s):
    """Both see the mailbox or the second is told it is in use; neither harms
    the other."""
    fill(s, "ann", 3)
    one = s.pop3("ann")
    try:
        two = s.pop3("ann")
    except poplib.error_proto as e:
        assert b"[IN-USE]" in e.args[0]
        one.quit()
        return
    one.dele(1)
    one.quit()
    # The message is gone under the second session: an error, not a wrong one.
    try:
        text = fetch(two, 1)
        assert letters.header(text, "X-Test-Id")
    except poplib.error_proto as e:
        assert e.args[0].startswith(b"-ERR")
    fetch(two, 2)
    two.dele(2)
    two.quit()
    assert len(s.messages("ann")) == 1


def test_message_comes_during_a_session(s):
    fill(s, "ann", 1)
    c = s.pop3("ann")
    assert c.stat()[0] == 1
    s.send("x@client.example", f"ann@{DOMAIN}", letters.make("later"))
    s.wait_delivered("ann", 2)
    assert c.stat()[0] == 1
    c.quit()
    c = s.pop3("ann")
    assert c.stat()[0] == 2
    c.quit()


def test_foreign_maildir(s):
    """Files that other programs left: names without sizes, flags, folders,
    CRLF line ends; an uidlist of Dovecot with P fields is obeyed."""
    fill(s, "ann", 1)
    m = s.maildir("ann")
    owner = m.stat()
    files = {
        "cur/1700000001.M1P1.host:2,S": b"Subject: a\n\n.dot\nend\n",
        "cur/1700000002.M2P2.host,S=25,W=99:2,RS":
            b"Subject: b\r\n\r\nend\r\n",
        "new/1700000003.plain": b"Subject: c\n\nno line end",
    }
    for name, text in files.items():
        (m / name).write_bytes(text)
    (m / "dovecot-uidlist").write_text(
        "3 V1700000000 N12 Gaabbccdd00112233445566778899aabb\n"
        "7 :1700000001.M1P1.host\n"
        "9 Pold-uidl-of-another-server :1700000002.M2P2.host,S=25,W=99\n")
    for path in [m / n for n in files] + [m / "dovecot-uidlist"]:
        os.chown(path, owner.st_uid, owner.st_gid)
    c = s.pop3("ann")
    assert c.stat()[0] == 4
    by_subject = {}
    for n, u in uidls(c).items():
        text = fetch(c, n)
        by_subject[letters.header(text, "Subject")[0]] = (u, text)
    # Dovecot: %08Xu%08Xv, UID and UIDVALIDITY
    assert by_subject["a"][0] == "00000007%08x" % 1700000000
    assert by_subject["b"][0] == "old-uidl-of-another-server"
    assert by_subject["a"][1] == b"Subject: a\r\n\r\n.dot\r\nend\r\n"
    assert by_subject["b"][1] == b"Subject: b\r\n\r\nend\r\n"
    assert by_subject["c"][1] == b"Subject: c\r\n\r\nno line end\r\n"
    c.quit()


def test_apop(s):
    for user, works in (("ann", True), ("bob", False)):
        c = s.pop3()
        challenge = re.search(rb"<.*>", c.welcome).group(0)
        assert HOSTNAME.encode() in challenge
        digest = hashlib.md5(challenge + PASSWORD.encode()).hexdigest()
        line = f"APOP {user}@{DOMAIN} {digest}"
        if works:
            assert c._shortcmd(line).startswith(b"+OK")
            assert c.stat() == (0, 0)
        else:
            with pytest.raises(poplib.error_proto):
                c._shortcmd(line)
        c.quit()


def test_wrong_password_is_slow_and_the_same():
    """Users who exist and users who do not get the same words after the same
    time; the next failure waits longer or as long."""
    with Suite({"auth_failure_delay": "300ms"}) as s:
        answers = []
        for user in ("ann", "bob", "nobody"):
            began = time.monotonic()
            with pytest.raises(poplib.error_proto) as e:
                s.pop3(user, "wrong")
            answers.append((e.value.args[0], time.monotonic() - began))
        assert len({a for a, _ in answers}) == 1, answers
        assert b"[AUTH]" in answers[0][0]
        for _, seconds in answers:
            assert seconds >= 0.28, answers


def test_user_is_blocked_after_failures():
    with Suite({"auth_failure_delay": "1ms", "auth_failures_max": "3",
                "auth_block": "1s"}) as s:
        for _ in range(3):
            with pytest.raises(poplib.error_proto):
                s.pop3("ann", "wrong")
        with pytest.raises(poplib.error_proto):
            s.pop3("ann", PASSWORD)

        def in_again():
            try:
                s.pop3("ann", PASSWORD).quit()
                return True
            except poplib.error_proto:
                return False
        wait_until(in_again, 15, "the end of the block", pause=0.3)


def test_password_changed_by_command(s):
    s.postern("user", "passwd", f"ann@{DOMAIN}", input="new secret\n")

    def works():
        try:
            s.pop3("ann", "new secret").quit()
            return True
        except poplib.error_proto:
            return False
    wait_until(works, 10, "the new password", pause=0.1)
    with pytest.raises(poplib.error_proto):
        s.pop3("ann", PASSWORD)


def test_large_mailbox(s):
    """A thousand messages: STAT and UIDL need no message opened."""
    fill(s, "ann", 1)
    m = s.maildir("ann")
    owner = m.stat()
    text = (m / "new" / os.listdir(m / "new")[0]).read_bytes()
    for i in range(1000):
        path = m / "new" / (f"17000{i:05d}.M{i}.host,S={len(text)},"
                            f"W={len(text) + text.count(10)}")
        path.write_bytes(text)
        os.chown(path, owner.st_uid, owner.st_gid)
    began = time.monotonic()
    c = s.pop3("ann")
    count, octets = c.stat()
    first = uidls(c)
    assert count == 1001 and len(set(first.values())) == 1001
    assert octets == 1001 * (len(text) + text.count(b"\n"))
    assert time.monotonic() - began < 5
    c.quit()
    c = s.pop3("ann")
    assert uidls(c) == first
    for n in range(1, 1002, 2):
        c.dele(n)
    c.quit()
    assert len(s.messages("ann")) == 500
    c = s.pop3("ann")
    assert sorted(uidls(c).values()) == sorted(
        u for n, u in first.items() if n % 2 == 0)
    c.quit()


@needs_root
def test_unreadable_mailbox(s):
    """[SYS/TEMP], and the log says what and how to mend it."""
    fill(s, "ann", 1)
    m = s.maildir("ann")
    uid = m.stat().st_uid
    os.chown(m, 0, 0)
    with pytest.raises(poplib.error_proto) as e:
        s.pop3("ann").stat()
    assert b"[SYS/" in e.value.args[0], e.value
    assert str(m) in s.log("pop3d-mailbox")
    os.chown(m, uid, -1)
    c = s.pop3("ann")
    assert c.stat()[0] == 1
    c.quit()


def test_sessions_per_user():
    with Suite({"pop3_sessions_per_user_max": "2"}) as s:
        one, two = s.pop3("ann"), s.pop3("ann")
        with pytest.raises(poplib.error_proto) as e:
            s.pop3("ann")
        assert b"[IN-USE]" in e.value.args[0]
        s.pop3("bob").quit()
        one.quit()
        wait_until(lambda: s.pop3("ann").quit(), 10)
        two.quit()
