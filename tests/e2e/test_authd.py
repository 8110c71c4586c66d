"""authd as the other daemons see it: tables that change and vanish, passwords,
blocks, children that die, a new configuration."""
import os
import poplib
import signal
import time

import pytest

from suite import DOMAIN, PASSWORD, Suite, wait_until

DAEMONS = ("authd", "queued", "qmgr", "local", "smtpd", "pop3d-mailbox",
           "pop3d")


@pytest.fixture
def suite():
    with Suite({"auth_failure_delay": "20ms", "auth_failures_max": "4",
                "auth_block": "1s", "relay_networks": "192.0.2.1"},
               daemons=DAEMONS) as s:
        yield s


def rcpt(s, address):
    """The code of RCPT."""
    with s.smtp() as c:
        c.ehlo()
        c.mail("sender@client.example")
        return c.rcpt(address)[0]


def login(s, user, password):
    """The answer to PASS, or True."""
    try:
        s.pop3(user, password).quit()
        return True
    except poplib.error_proto as e:
        return e.args[0].decode() if isinstance(e.args[0], bytes) else str(e)


def test_tables_change_without_a_signal(suite):
    s = suite
    assert rcpt(s, f"new@{DOMAIN}") == 550
    s.postern("user", "add", f"new@{DOMAIN}", input="secret\n")
    wait_until(lambda: rcpt(s, f"new@{DOMAIN}") == 250)
    s.postern("domain", "add", "added.example")
    s.postern("alias", "add", "@added.example", f"new@{DOMAIN}")
    wait_until(lambda: rcpt(s, "any@added.example") == 250)
    s.send("sender@client.example", "any@added.example")
    s.wait_delivered(f"new@{DOMAIN}", 1)
    s.postern("user", "remove", f"new@{DOMAIN}")
    wait_until(lambda: rcpt(s, f"new@{DOMAIN}") == 550)
    # The catch-all leads nowhere now: refused, not bounced later.
    assert rcpt(s, "any@added.example") == 550


@pytest.mark.parametrize("name", ["domains", "aliases", "users"])
def test_a_table_that_vanishes_is_temporary(suite, name):
    s = suite
    assert rcpt(s, f"ann@{DOMAIN}") == 250
    cdb = s.table_dir / f"{name}.cdb"
    cdb.rename(cdb.with_suffix(".away"))
    # What is mapped stays good; a new authd has nothing.
    s.restart("authd")
    wait_until(lambda: rcpt(s, f"ann@{DOMAIN}") // 100 == 4)
    assert f"{name}.cdb" in s.log("authd")
    cdb.with_suffix(".away").rename(cdb)
    wait_until(lambda: rcpt(s, f"ann@{DOMAIN}") == 250)


def test_broken_compiled_table_is_temporary(suite):
    s = suite
    cdb = s.table_dir / "users.cdb"
    good = cdb.read_bytes()
    for bad in (b"", b"x" * 100, good[:-10], good[:2048] + b"\xff" * 4096):
        new = s.table_dir / "users.new"
        new.write_bytes(bad)
        os.chown(new, cdb.stat().st_uid, cdb.stat().st_gid)
        new.chmod(0o600)
        new.rename(cdb)
        s.restart("authd")
        assert rcpt(s, f"ann@{DOMAIN}") // 100 == 4, bad[:10]
    s.postern("table", "users")
    wait_until(lambda: rcpt(s, f"ann@{DOMAIN}") == 250)


def test_authd_away_is_temporary(suite):
    s = suite
    s.terminate("authd")
    assert rcpt(s, f"ann@{DOMAIN}") // 100 == 4
    assert login(s, "ann", PASSWORD) is not True
    s.start("authd")
    wait_until(lambda: rcpt(s, f"ann@{DOMAIN}") == 250)
    wait_until(lambda: login(s, "ann", PASSWORD) is True)


def test_failures_block_and_end(suite):
    s = suite
    assert login(s, "ann", PASSWORD) is True
    words = {login(s, f"{u}@{DOMAIN}", "wrong")
             for u in ("bob", "bob", "nobody")}
    assert len(words) == 1, "the same words for all"
    assert login(s, "nobody@elsewhere.example", "wrong") in words
    blocked = login(s, "bob", PASSWORD)
    assert blocked is not True
    assert "login-blocked" in s.log("authd")
    wait_until(lambda: login(s, "ann", PASSWORD) is True)
    assert "wrong" not in s.log("authd").replace("wrong password", "")
    assert PASSWORD not in s.log("authd")


def test_children_may_die(suite):
    s = suite
    for _ in range(3):
        children = s.daemons["authd"].children()
        assert len(children) == 2
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: login(s, "bob", PASSWORD) is True)
        wait_until(lambda: len(s.daemons["authd"].children()) == 2)


def test_new_configuration(suite):
    s = suite
    assert rcpt(s, f"ann=x@{DOMAIN}") == 550
    s.write_conf({**s.config, "recipient_delimiter": "=+"})
    s.hup("authd")
    wait_until(lambda: rcpt(s, f"ann=x@{DOMAIN}") == 250)
    s.write_conf({**s.config, "frob": "1"})
    s.hup("authd")
    s.wait_log("authd", "frob")
    assert rcpt(s, f"ann=x@{DOMAIN}") == 250


def test_extension_and_owner(suite):
    s = suite
    s.postern("alias", "add", f"club@{DOMAIN}", f"ann+club@{DOMAIN}")
    s.postern("alias", "add", f"owner-club@{DOMAIN}", f"bob@{DOMAIN}")
    wait_until(lambda: rcpt(s, f"club@{DOMAIN}") == 250)
    s.send("sender@client.example", f"club@{DOMAIN}")
    text = s.wait_delivered(f"ann@{DOMAIN}", 1)[0].read_text()
    assert f"Return-Path: <owner-club@{DOMAIN}>" in text
    # A bounce keeps its null sender.
    s.send("", f"club@{DOMAIN}")
    texts = [p.read_text() for p in s.wait_delivered(f"ann@{DOMAIN}", 2)]
    assert sum("Return-Path: <>\n" in t for t in texts) == 1


def test_slow_hashes_stall_nobody(suite):
    """A password that takes seconds; addresses are answered meanwhile."""
    s = suite
    s.write_table("users", s.default_users()
                  + f"slow@{DOMAIN}:{{CRYPT}}$6$rounds=9000000$saltstring$x"
                  "::::::\n")
    s.postern("table", "users")
    wait_until(lambda: rcpt(s, f"slow@{DOMAIN}") == 250)
    with s.connect("pop3") as c:
        c.recv(500)
        c.sendall(f"USER slow@{DOMAIN}\r\n".encode())
        c.recv(500)
        c.sendall(b"PASS x\r\n")
        start = time.monotonic()
        for _ in range(5):
            assert rcpt(s, f"ann@{DOMAIN}") == 250
        assert login(s, "ann", PASSWORD) is True
        assert time.monotonic() - start < 2
    s.kill("authd", signal.SIGKILL, tree=True)
    s.start("authd")


def test_expn_and_vrfy():
    with Suite({"smtp_expn": "yes", "smtp_vrfy": "yes"},
               daemons=("authd", "queued", "qmgr", "smtpd")) as s:
        with s.smtp() as c:
            c.ehlo()
            code, text = c.docmd("EXPN", f"staff@{DOMAIN}")
            assert code == 250
            assert f"ann@{DOMAIN}" in text.decode()
            assert f"bob@{DOMAIN}" in text.decode()
            assert c.docmd("EXPN", f"ann@{DOMAIN}")[0] == 550
            assert c.docmd("EXPN", f"nobody@{DOMAIN}")[0] == 550
            assert c.docmd("VRFY", f"ann@{DOMAIN}")[0] == 250
            assert c.docmd("VRFY", f"nobody@{DOMAIN}")[0] == 550


def test_dead_alias_is_refused(suite):
    s = suite
    s.postern("alias", "add", f"dead@{DOMAIN}", f"nobody@{DOMAIN}")
    s.postern("alias", "add", f"one@{DOMAIN}", f"two@{DOMAIN}")
    s.postern("alias", "add", f"two@{DOMAIN}", f"one@{DOMAIN}")
    wait_until(lambda: rcpt(s, f"two@{DOMAIN}") == 550)
    with s.smtp() as c:
        c.ehlo()
        c.mail("sender@client.example")
        assert c.rcpt(f"dead@{DOMAIN}")[1].startswith(b"5.2.4")
        assert c.rcpt(f"one@{DOMAIN}")[1].startswith(b"5.4.6")


