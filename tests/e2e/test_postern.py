"""The admin's command: tables, the queue with and without qmgr, findings."""
import json
import os
import poplib
import pwd
import subprocess

import pytest

from suite import BIN, DOMAIN, Suite, is_root, wait_until


@pytest.fixture(scope="module")
def tables():
    """Tables to change; authd and pop3d to see the changes."""
    with Suite({"auth_failure_delay": "10ms"},
               daemons=("authd", "pop3d-mailbox", "pop3d")) as s:
        yield s


@pytest.fixture
def queue():
    """A queue in which mail for later@ waits for a list that is not there."""
    s = Suite({"retry_first": "1h", "retry_max": "1h"}, start=False)
    with s:
        s.write_table("aliases", s.default_aliases()
                      + f"later@{DOMAIN}: :include:{s.list_dir}/missing\n")
        s.setup_again()
        s.start()
        yield s


def lines(done):
    return done.stdout.splitlines()


def refused(s, *args, code=100, **kwargs):
    done = s.postern(*args, check=False, **kwargs)
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("postern: ")
    return done.stderr


def login_works(s, user, password):
    try:
        s.pop3(user, password).quit()
        return True
    except poplib.error_proto:
        return False


def listed(s, *args):
    return json.loads(s.postern("queue", "list", "--json", *args).stdout)


def defer(s, sender="sender@client.example", recipient=f"later@{DOMAIN}"):
    ident = s.send(sender, recipient)
    s.wait_where(ident, "deferred")
    return ident


# ---- users ----

def test_user_life(tables):
    s, user = tables, f"eve@{DOMAIN}"
    assert s.postern("user", "add", user, input="first\nnot this\n").stdout \
        == f"added user {user}\n"
    assert [r for r in lines(s.postern("user", "list")) if "eve" in r] == \
        [f"{user:32}  hash   "]
    assert login_works(s, user, "first")
    s.postern("user", "passwd", user, input="second\n")
    wait_until(lambda: login_works(s, user, "second"))
    assert not login_works(s, user, "first")
    s.postern("user", "remove", user.upper())
    wait_until(lambda: not login_works(s, user, "second"))
    assert "no such user" in refused(s, "user", "remove", user)


def test_user_password_is_nowhere_in_clear(tables):
    s = tables
    s.postern("user", "add", f"fay@{DOMAIN}", input="unforgettable\n")
    for name in ("users", "users.cdb"):
        path = s.table_dir / name
        assert b"unforgettable" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
        if s.root:
            assert path.stat().st_uid == pwd.getpwnam("postern-auth").pw_uid
    s.postern("user", "remove", f"fay@{DOMAIN}")


def test_user_options(tables):
    s = tables
    secret = s.dir / "secret"
    secret.write_text("from a file\n")
    s.postern("user", "add", "-p", secret, "--scheme=plain", "--home",
              "/srv/gil", "--maildir", "~/mail", f"gil@{DOMAIN}")
    s.postern("user", "add", "--no-password", f"hal@{DOMAIN}")
    s.postern("user", "add", "--uid", 4711, "--gid", 4712, "--hash",
              "{CRYPT}$6$saltstring$x", f"ida@{DOMAIN}")
    got = {u["user"]: u for u in json.loads(
        s.postern("user", "list", "--json").stdout)}
    assert got[f"gil@{DOMAIN}"] == {
        "user": f"gil@{DOMAIN}", "password": "plain", "home": "/srv/gil",
        "maildir": "~/mail"}
    assert got[f"hal@{DOMAIN}"] == {"user": f"hal@{DOMAIN}",
                                    "password": "none"}
    assert got[f"ida@{DOMAIN}"] == {"user": f"ida@{DOMAIN}",
                                    "password": "hash", "uid": 4711,
                                    "gid": 4712}
    assert lines(s.postern("user", "list", "IDA")) == \
        [f"{'ida@' + DOMAIN:32}  hash     uid=4711"]
    for name in ("gil", "hal", "ida"):
        s.postern("user", "remove", f"{name}@{DOMAIN}")


def test_user_keeps_what_it_does_not_know(tables):
    s = tables
    text = (s.table_dir / "users").read_text()
    s.write_table("users", text + "# a comment\n"
                  f"old@{DOMAIN}:x:4711:4712:Old:/srv/old:/bin/sh:"
                  "userdb_mail=maildir:~/m quota_rule=*:storage=1G\n")
    s.postern("table", "users")
    s.postern("user", "passwd", "--scheme", "plain", f"old@{DOMAIN}",
              input="new\n")
    now = (s.table_dir / "users").read_text()
    assert now.endswith(
        "# a comment\n"
        f"old@{DOMAIN}:{{PLAIN}}new:4711:4712:Old:/srv/old:/bin/sh:"
        "userdb_mail=maildir:~/m quota_rule=*:storage=1G\n")
    s.postern("user", "remove", f"old@{DOMAIN}")


@pytest.mark.parametrize("args, stdin, words", [
    (["a@elsewhere.example"], "x\n", "postern domain add elsewhere.example"),
    (["a@b@c"], "x\n", "no address"),
    (["a..b@" + DOMAIN], "x\n", "no address"),
    (["ann@" + DOMAIN], "x\n", "is there already"),
    (["ANN@" + DOMAIN], "x\n", "is there already"),
    (["new@" + DOMAIN], "", "the password is empty"),
    (["new@" + DOMAIN], "x" * 512 + "\n", "longer than 511"),
    (["--scheme", "rot13", "new@" + DOMAIN], "x\n", "unknown"),
    (["--scheme", "plain", "new@" + DOMAIN], "a:b\n", "colon"),
    (["--hash", "{ROT13}x", "new@" + DOMAIN], None, "unknown scheme"),
    (["--hash", "{PLAIN}x", "new@" + DOMAIN], None, "ps would show"),
    (["--hash", "x:y", "new@" + DOMAIN], None, "colon"),
    (["--uid", "4294967297", "new@" + DOMAIN], "x\n", "--uid"),
    (["--uid", "0", "new@" + DOMAIN], "x\n", "mailbox_uid_min"),
    (["--home", "relative", "new@" + DOMAIN], "x\n", "absolute"),
    (["--home", "/a:b", "new@" + DOMAIN], "x\n", "colons"),
    (["--maildir", "Maildir", "new@" + DOMAIN], "x\n", "absolute"),
    (["-p", "/nonexistent/x", "new@" + DOMAIN], None, "/nonexistent/x"),
    (["--no-password", "--hash", "x", "new@" + DOMAIN], None, "only one"),
    (["--frob", "new@" + DOMAIN], None, "unknown option"),
    (["new@" + DOMAIN, "--uid"], None, "needs a value"),
    ([], None, "usage"),
])
def test_user_add_refuses(tables, args, stdin, words):
    before = (tables.table_dir / "users").read_bytes()
    assert words in refused(tables, "user", "add", *args, input=stdin or "")
    assert (tables.table_dir / "users").read_bytes() == before


# ---- aliases, domains, tables by hand ----

def test_alias_life(tables):
    s = tables
    s.postern("alias", "add", f"crew@{DOMAIN}", f"ann@{DOMAIN}",
              "|/bin/prog 'a, b'", "bob@elsewhere.example")
    row = (f'crew@{DOMAIN}: ann@{DOMAIN}, "|/bin/prog \'a, b\'", '
           "bob@elsewhere.example")
    assert row in lines(s.postern("alias", "list"))
    assert row in (s.table_dir / "aliases").read_text().splitlines()
    assert json.loads(s.postern("alias", "list", "crew", "--json").stdout) \
        == [{"alias": f"crew@{DOMAIN}", "targets": [
            {"kind": "address", "target": f"ann@{DOMAIN}"},
            {"kind": "program", "target": "/bin/prog 'a, b'"},
            {"kind": "address", "target": "bob@elsewhere.example"}]}]
    assert "already" in refused(s, "alias", "add", f"crew@{DOMAIN}", "ann")
    s.postern("alias", "add", "--replace", f"crew@{DOMAIN}", "ann")
    assert lines(s.postern("alias", "list", "crew")) == \
        [f"crew@{DOMAIN}: ann"]
    s.postern("alias", "remove", f"Crew@{DOMAIN}")
    assert "no such entry" in refused(s, "alias", "remove", f"crew@{DOMAIN}")


@pytest.mark.parametrize("args, words", [
    (["@elsewhere.example", "ann"], "not a domain of this host"),
    (["x@elsewhere.example", "ann"], "not a domain of this host"),
    (["x y", "ann"], "no address"),
    (["x", "a@@b"], "no target"),
    (["x", ""], "no target"),
    (["x", "a@b.example, c@b.example"], "one target at a time"),
    (["x", "/tmp/Maildir/"], "forward file"),
    (["x", '|/bin/a "b"', "ann"], "must be the last"),
    (["x"], "usage"),
])
def test_alias_add_refuses(tables, args, words):
    assert words in refused(tables, "alias", "add", *args)


def test_domain_life(tables):
    s = tables
    s.postern("domain", "add", "Other.Example")
    assert "other.example" in lines(s.postern("domain", "list"))
    s.postern("user", "add", "--no-password", "x@other.example")
    assert "1 users and 0 aliases" in refused(s, "domain", "remove",
                                              "other.example")
    s.postern("user", "remove", "x@other.example")
    s.postern("domain", "remove", "other.example")
    assert "other.example" not in json.loads(
        s.postern("domain", "list", "--json").stdout)
    assert "no domain" in refused(s, "domain", "add", "a..b")


def test_table_by_hand(tables):
    s = tables
    text = (s.table_dir / "aliases").read_text()
    s.write_table("aliases", text + f"hand@{DOMAIN}: ann@{DOMAIN}\n")
    os.utime(s.table_dir / "aliases.cdb", (1, 1))
    done = s.postern("check", check=False)
    assert "changed and not compiled since; say `postern table`" in \
        done.stdout and done.returncode == 100
    assert lines(s.postern("table", "aliases")) == ["compiled table aliases"]
    s.write_table("aliases", text + "no colon here\n")
    count = text.count("\n") + 1
    assert f"aliases:{count}:" in refused(s, "table", "aliases")
    assert f"hand@{DOMAIN}" in s.postern("alias", "list").stdout
    s.write_table("aliases", text)
    assert len(lines(s.postern("table"))) == 4
    assert "no such table" in refused(s, "table", "users2")


# ---- the queue ----

def test_queue_list(queue):
    s = queue
    assert lines(s.postern("queue", "list")) == ["0 messages, 0 octets"]
    assert listed(s) == []
    first = defer(s)
    second = defer(s, "second@client.example")
    rows = lines(s.postern("queue", "list"))
    assert len(rows) == 4 and rows[0].startswith("ID ")
    assert rows[1].split()[:2] == [first, "deferred"]
    assert f"<sender@client.example> -> later@{DOMAIN}" in rows[1]
    assert rows[2].split()[0] == second
    assert rows[3].startswith("2 messages, ")
    got = listed(s)
    assert [m["id"] for m in got] == [first, second]
    assert got[0]["state"] == "deferred" and got[0]["next"] > got[0]["created"]
    assert got[0]["recipients"][0]["attempts"] == 1
    assert got[0]["recipients"][0]["why"].startswith("4.3.0 ")
    for args, want in ((["--sender", "SECOND@"], [second]),
                       (["--recipient", "later@"], [first, second]),
                       (["--recipient", "nobody"], []),
                       (["--state", "hold"], []),
                       (["--state", "deferred"], [first, second]),
                       (["--age", "1h"], []),
                       (["--age", "0s"], [first, second]),
                       (["--older", "1h"], []),
                       (["--newer", "1h"], [first, second]),
                       (["--newer", "0s"], []),
                       (["--limit", "1"], [first]),
                       (["--sender", "*@client.example"], [first, second]),
                       (["--sender", "s*"], [first, second]),
                       (["--sender", "<>"], []), (["--sender="], []),
                       (["--sender", "*second"], []),
                       (["--recipient", "*er@*"], [first, second]),
                       (["--dest", DOMAIN], [first, second]),
                       (["--dest", "*.EXAMPLE"], [first, second]),
                       (["--dest", "example"], []),
                       (["--dest", DOMAIN, "--sender", "second"],
                        [second])):
        assert [m["id"] for m in listed(s, *args)] == want, args


def test_queue_show_and_explain(queue):
    s = queue
    ident = defer(s)
    text = s.postern("queue", "show", ident).stdout
    assert f"id: {ident}\nstate: deferred\n" in text
    assert f"recipient 1: todo <later@{DOMAIN}>" in text
    shown = json.loads(s.postern("queue", "show", "--json", ident).stdout)
    assert shown[0]["sender"] == "sender@client.example"
    assert shown[0]["recipients"][0]["rule"] == "first"
    message = s.postern("queue", "show", "--message", ident).stdout
    assert message.startswith("Received: from client.example")
    assert message.endswith("Subject: test\n\nbody\n")
    said = lines(s.postern("queue", "explain", ident))
    assert said[0].startswith(f"{ident}: a message of ")
    assert "from <sender@client.example>" in said[0]
    assert "deferred/" in said[1]
    assert said[2] == "1 of its 1 recipient is not done:"
    assert "after 1 attempt." in said[3] and "retry_first (1h)" in said[3]
    assert "ago): deferred" in said[4] and ": 4.3.0 " in said[4]
    assert "delay_warning" in said[5] and "(in 3h 59m)" in said[5]
    assert "queue_lifetime" in said[6] and "(in 4d 23h)" in said[6]
    assert json.loads(s.postern("queue", "explain", "--json", ident).stdout
                      )[0]["sentences"][2] == said[2]
    assert lines(s.postern("explain", ident[:15]))[:2] == said[:2]


def test_explain_tells_every_attempt(queue):
    """From the files alone: all daemons are stopped."""
    s = queue
    ident = defer(s)
    for n in (2, 3):
        s.postern("queue", "retry", "--reason", f"try {n}", ident)
        wait_until(lambda: listed(s)[0]["recipients"][0]["attempts"] >= n)
    for name in reversed(list(s.daemons)):
        assert s.terminate(name) == 0
    text = s.postern("explain", ident).stdout
    assert text.count("ago): deferred") == 3
    assert "an admin wanted it tried again: try 3." in text
    got = json.loads(s.postern("explain", "--json", ident).stdout)[0]
    attempts = got["recipients"][0]["attempts"]
    assert [a["outcome"] for a in attempts] == ["deferred"] * 3
    assert [a["at"] for a in attempts] == sorted(a["at"] for a in attempts)
    assert all(a["why"].startswith("4.3.0 ") for a in attempts)
    assert [n["note"] for n in got["notes"]] == ["retry", "retry"]
    assert got["expires"] > got["recipients"][0]["next"] > attempts[2]["at"]
    assert got["warned"] is False


def test_queue_prefix(queue):
    s = queue
    ids = [defer(s), defer(s)]
    both = os.path.commonprefix(ids)
    assert "2 messages start so" in refused(s, "queue", "show", both)
    short = ids[0][:len(both) + 1]
    assert f"id: {ids[0]}" in s.postern("queue", "show", short).stdout
    assert "no such message" in refused(s, "queue", "show", "zzzz")
    assert "messages start so" in refused(s, "queue", "remove", "")


@pytest.mark.parametrize("args, words", [
    (["--state", "lost"], "incoming, deferred, hold and corrupt"),
    (["--older", "x"], "--older x: no time"),
    (["--newer", "-1"], "--newer -1: no time"),
    (["--limit", "0"], "--limit 0: no number"),
    (["--limit", "4294967297"], "no number"),
    (["surplus"], "usage"),
])
def test_queue_list_refuses(tables, args, words):
    assert words in refused(tables, "queue", "list", *args)


@pytest.mark.parametrize("stopped", [False, True],
                         ids=["with qmgr", "without qmgr"])
def test_queue_changes(queue, stopped):
    s = queue
    ident = defer(s)
    if stopped:
        assert s.terminate("qmgr") == 0
    assert "is not on hold" in refused(s, "queue", "release", ident)
    s.postern("queue", "hold", "--reason", "let me look", ident)
    assert s.where(ident) == "hold"
    assert "let me look" in s.postern("queue", "explain", ident).stdout
    assert "held because: let me look" in \
        s.postern("queue", "show", ident).stdout
    assert "on hold: release it" in refused(s, "queue", "retry", ident)
    assert "already" in s.postern("queue", "hold", ident).stdout
    s.postern("queue", "release", ident)
    s.wait_where(ident, "deferred")
    done = json.loads(s.postern("queue", "retry", "--json", ident).stdout)
    assert done[0]["id"] == ident and done[0]["result"] == "done"
    if stopped:
        s.start("qmgr")
    wait_until(lambda: listed(s)[0]["recipients"][0]["attempts"] >= 2)
    if stopped:
        s.terminate("qmgr")
    assert s.postern("queue", "remove", ident).stdout == f"{ident}: removed\n"
    assert s.where(ident) is None
    assert "no such message" in refused(s, "queue", "remove", ident)


@pytest.mark.parametrize("stopped", [False, True],
                         ids=["with qmgr", "without qmgr"])
def test_queue_changes_all(queue, stopped):
    s = queue
    ids = [defer(s, f"{n}@client.example") for n in ("a", "b", "c")]
    if stopped:
        s.terminate("qmgr")
    s.postern("queue", "hold", "--all", "--sender", "b@")
    assert [s.where(i) for i in ids] == ["deferred", "hold", "deferred"]
    s.postern("queue", "hold", "--all")
    assert [s.where(i) for i in ids] == ["hold"] * 3
    s.postern("queue", "remove", "--all", "--sender", "a@")
    assert [s.where(i) for i in ids] == [None, "hold", "hold"]
    s.postern("queue", "release", "--all")
    s.wait_where(ids[2], "deferred")
    assert "usage" in refused(s, "queue", "remove", "--all", ids[2])
    assert "usage" in refused(s, "queue", "remove", "--sender", "b@", ids[2])
    s.postern("queue", "remove", "--all")
    assert s.queue() == []


def test_queue_retry_sends_it_on(queue):
    s = queue
    ident = defer(s)
    missing = s.list_dir / "missing"
    missing.write_text(f"ann@{DOMAIN}\n")
    missing.chmod(0o644)
    s.postern("queue", "retry", ident[:15])
    s.wait_delivered(f"ann@{DOMAIN}", 1)
    s.wait_gone(ident)


# ---- destinations ----

ELSEWHERE = "elsewhere.example"


def dests(s, *args):
    return {d["dest"]: d for d in json.loads(
        s.postern("queue", "dest", "--json", *args).stdout)}


def test_dest_pause_and_resume(queue):
    s = queue
    assert s.postern("queue", "dest", "pause", ELSEWHERE,
                     "they move house").stdout == f"{ELSEWHERE}: is paused\n"
    ident = s.send("sender@client.example", f"bob@{ELSEWHERE}")
    got = dests(s)[ELSEWHERE]
    assert got["paused"] is True and got["reason"] == "they move house"
    assert ELSEWHERE in dests(s, "*.EXAMPLE") and not dests(s, "example")
    assert "paused: they move house" in s.postern("queue", "dest").stdout
    text = s.postern("explain", ident).stdout
    assert f"Mail to {ELSEWHERE} is paused: they move house" in text
    assert json.loads(s.postern("explain", "--json", ident).stdout)[0][
        "recipients"][0]["paused"] == "they move house"
    s.restart("qmgr")
    assert dests(s)[ELSEWHERE]["paused"] is True
    assert "is paused: resume it" in refused(s, "queue", "dest", "retry",
                                             ELSEWHERE)
    s.postern("queue", "dest", "resume", ELSEWHERE)
    assert not any(d["paused"] for d in dests(s).values())
    assert "is not paused" in refused(s, "queue", "dest", "resume", ELSEWHERE)


def test_dest_with_qmgr_stopped(queue):
    s = queue
    s.terminate("qmgr")
    done = s.postern("queue", "dest")
    assert "qmgr is stopped" in done.stderr
    assert done.stdout == "nothing is known of any destination\n"
    assert "is paused when qmgr starts" in s.postern(
        "queue", "dest", "pause", ELSEWHERE, "one\ttwo\nthree").stdout
    s.postern("queue", "dest", "pause", "other.example")
    s.postern("queue", "dest", "pause", ELSEWHERE.upper(), "again")
    got = dests(s)
    assert {n: d["reason"] for n, d in got.items()} == {
        ELSEWHERE.upper(): "again", "other.example": "no reason given"}
    assert "qmgr is stopped" in refused(s, "queue", "dest", "retry",
                                        ELSEWHERE)
    assert "is not paused" in refused(s, "queue", "dest", "resume", "x")
    for bad in ("#x", " x", "x\ny"):
        assert "no name" in refused(s, "queue", "dest", "pause", bad)
    s.postern("queue", "dest", "resume", ELSEWHERE)
    s.start("qmgr")
    assert [n for n, d in dests(s).items() if d["paused"]] == \
        ["other.example"]
    path = s.queue_dir / "paused"
    assert path.stat().st_mode & 0o777 == 0o600
    if s.root:
        assert path.stat().st_uid == pwd.getpwnam("postern-queue").pw_uid


@pytest.mark.parametrize("args", [
    ["pause", "a", "b", "c"], ["resume", "a", "b"], ["a", "b"],
])
def test_dest_usage(tables, args):
    assert "usage" in refused(tables, "queue", "dest", *args)


def test_queue_corrupt(queue):
    s = queue
    ident = defer(s)
    s.terminate("qmgr")
    path = s.queue_dir / "deferred" / ident
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    path.rename(s.queue_dir / "corrupt" / ident)
    assert listed(s)[0]["state"] == "corrupt"
    assert listed(s)[0]["why"]
    said = s.postern("queue", "explain", ident).stdout
    assert "corrupt/" in said and "cannot be used" in said
    for action in ("hold", "release", "retry", "remove"):
        assert "corrupt/" in refused(s, "queue", action, ident)
    assert s.where(ident) == "corrupt"
    done = s.postern("check")
    assert "1 message did not verify" in done.stdout


def test_queue_lock_is_respected(queue):
    """Somebody holds the lock, but answers nobody."""
    s = queue
    ident = defer(s)
    s.terminate("qmgr")
    lock = open(s.queue_dir / "lock", "r+")
    import fcntl
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "does not answer" in refused(s, "queue", "hold", ident, code=111)
    lock.close()
    s.postern("queue", "hold", ident)


@pytest.mark.skipif(not is_root(), reason="needs two users")
def test_queue_of_somebody_else(queue):
    done = subprocess.run([BIN / "postern", "-c", queue.conf, "queue",
                           "list"], capture_output=True, text=True,
                          user="nobody", group="nogroup", extra_groups=[])
    assert done.returncode == 100
    assert "run this as root or as user_queue" in done.stderr


# ---- check ----

@pytest.fixture
def still():
    """A suite of which nothing runs."""
    with Suite(start=False) as s:
        yield s


def findings(s, code):
    done = s.postern("check", "--json", check=False)
    assert done.returncode == code, done
    return [f"{f['level']}: {f['what']}; {f['mend']}"
            for f in json.loads(done.stdout)["findings"]]


def test_check_finds_nothing(still):
    still.postern("alias", "add", "postmaster", f"ann@{DOMAIN}")
    assert still.postern("check").stdout == "all is well\n"
    assert findings(still, 0) == []


def test_check_configuration(still):
    still.write_conf({"frob": "1", "recipients_max": "0"})
    found = findings(still, 100)
    assert len(found) == 2 and all(str(still.conf) in f for f in found)
    assert any("frob" in f for f in found)


def spoil_mode(s):
    (s.table_dir / "users").chmod(0o644)


def spoil_queue(s):
    (s.queue_dir / "deferred").rmdir()


def spoil_queue_mode(s):
    (s.queue_dir / "hold").chmod(0o755)


def spoil_run(s):
    s.run_dir.chmod(0o777)


def spoil_tables(s):
    s.table_dir.chmod(0o777)


def spoil_entry(s):
    s.write_table("users", f"x@{DOMAIN}:::::relative:\n")


def spoil_uid(s):
    s.write_table("users", f"x@{DOMAIN}::5:5::/x:\n")
    s.postern("table", "users")


def spoil_domain(s):
    s.write_table("users", "x@elsewhere.example:::::::\n")
    s.postern("table", "users")


def spoil_target(s):
    s.write_table("aliases", f"postmaster: x\na@{DOMAIN}: b@@c\n")
    s.postern("table", "aliases")


def spoil_postmaster(s):
    pass


@pytest.mark.parametrize("spoil, level, words", [
    (spoil_mode, "error", "lets others see password hashes; chown it"),
    (spoil_queue, "error", "deferred: No such file or directory; `postern "
                           "setup` makes it"),
    (spoil_queue_mode, "error", "mode 0755 lets others do too much; `postern "
                                "setup` mends it"),
    (spoil_run, "error", "run_dir"),
    (spoil_tables, "error", "table_dir"),
    (spoil_entry, "error", "users:1:"),
    (spoil_uid, "error", "uid 5 is below mailbox_uid_min"),
    (spoil_domain, "warning", "elsewhere.example is not a domain"),
    (spoil_target, "warning", "a target is ignored"),
    (spoil_postmaster, "warning", "postern alias add postmaster"),
], ids=lambda v: v.__name__[6:] if callable(v) else None)
def test_check_finds(still, spoil, level, words):
    spoil(still)
    found = findings(still, 100 if level == "error" else 0)
    assert any(f.startswith(level) and words in f for f in found), found


@pytest.mark.skipif(not is_root(), reason="needs users")
def test_check_owners(still):
    os.chown(still.queue_dir / "hold", 0, 0)
    os.chown(still.table_dir / "users.cdb", 0, 0)
    found = findings(still, 100)
    assert any("belongs to uid 0" in f and "hold" in f for f in found)
    assert any("may not read it" in f for f in found)
    still.setup()
    assert not any("hold" in f for f in findings(still, 100))


@pytest.mark.skipif(not is_root(), reason="needs users")
def test_check_users(still):
    still.write_conf({"user_queue": "postern-nobody",
                      "user_auth": "postern-smtpd", "user_pop3d": "root"})
    found = findings(still, 100)
    assert any("user_queue = postern-nobody: no such system user" in f
               for f in found)
    assert any("user_smtpd and user_auth are both uid" in f for f in found)
    assert any("user_pop3d = root: is root" in f for f in found)


def test_check_room(still):
    still.write_conf({"queue_reserve": "1023G"})
    assert any("less than the reserve of 1023G" in f
               for f in findings(still, 100))


# ---- the command line ----

@pytest.mark.parametrize("args, words", [
    ([], "usage: postern"),
    (["frob"], "frob: unknown command"),
    (["user"], "unknown"),
    (["user", "frob"], "user frob: unknown"),
    (["--frob"], "--frob: unknown option"),
    (["check", "x"], "usage"),
    (["queue", "list", "x"], "usage"),
    (["queue", "list", "--state", "x"], "there are incoming"),
    (["queue", "list", "--age", "x"], "no time"),
    (["--json=yes", "check"], "takes no value"),
])
def test_usage(tables, args, words):
    done = tables.postern(*args, check=False)
    assert done.returncode == 100
    assert words in done.stderr


def test_help(tables):
    assert "queue explain" in tables.postern("help").stdout
    assert tables.postern("--help").stdout == tables.postern("-h").stdout


def test_configuration_is_named(tables):
    done = subprocess.run([BIN / "postern", "-c", "/nonexistent/conf", "user",
                           "list"], capture_output=True, text=True)
    assert done.returncode == 100
    assert "/nonexistent/conf" in done.stderr


def test_full_output(tables):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "postern", "-c", tables.conf, "user",
                               "list"], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 111
    assert "standard output" in done.stderr
