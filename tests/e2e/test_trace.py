"""postern trace: a message's life out of the logs of all daemons."""
import json
import os
import re
import subprocess
import time

import pytest

from suite import BIN, DOMAIN, Suite

NOBODY = f"gone@{DOMAIN}"


@pytest.fixture(scope="module")
def lived():
    """A message for two, of which one mailbox fails for good; its notice; and
    somebody else's."""
    with Suite({"retry_first": "1h"}) as s:
        s.write_table("aliases", s.default_aliases()
                      + f"{NOBODY}: \"|/bin/sh -c 'exit 100'\"\n")
        s.setup_again()
        s.ids = [
            s.send(f"ann@{DOMAIN}", [f"bob@{DOMAIN}", NOBODY],
                   b"Message-ID: <first.1@client.example>\r\n\r\nx\r\n"),
            s.send("eve@client.example", f"bob@{DOMAIN}",
                   b"message-id:\r\n <second\"2\"@client.example>\r\n\r\nx"
                   b"\r\n")]
        with s.smtp() as c:
            c.ehlo()
            c.mail("mallory@client.example")
            c.rcpt(f"unknown@{DOMAIN}")
        s.wait_delivered("bob", 2)
        s.wait_delivered("ann", 1)
        s.wait_queue_empty()
        s.wait_log("smtpd", "session .*messages=0")
        s.notice = re.search(r"notice=(\w{20})", s.log("bounce"))[1]
        yield s


def logs(s):
    return [d.log_path for d in s.daemons.values()]


def lives(s, what, *args, **kwargs):
    done = s.postern("trace", "--json", what, *(args or logs(s)), **kwargs)
    return {m["id"]: m for m in json.loads(done.stdout)}


def events(life):
    return [e["event"] for e in life["events"]]


def test_id(lived):
    s = lived
    got = lives(s, s.ids[0])
    assert set(got) == {s.ids[0], s.notice}
    life = got[s.ids[0]]
    assert life["from"] == f"ann@{DOMAIN}" and not life["linked"]
    assert life["message_id"] == "<first.1@client.example>"
    assert life["end"] == "removed"
    assert {r["address"]: r["outcome"] for r in life["recipients"]} == {
        f"bob@{DOMAIN}": "delivered", NOBODY: "failed"} or \
        "expanded" in events(life)
    for word in ("accepted", "delivered", "failed", "notice", "removed",
                 "session"):
        assert word in events(life), word
    assert events(life)[0] == "accepted"
    assert got[s.notice]["linked"] is True
    assert got[s.notice]["to"] == f"ann@{DOMAIN}"
    assert "delivered" in events(got[s.notice])
    assert all(e["fields"].get("id") != s.ids[1]
               for e in life["events"])


def test_text(lived):
    s = lived
    text = s.postern("trace", s.ids[0], *logs(s)).stdout
    assert text.startswith(f"{s.ids[0]} from <ann@{DOMAIN}>, client 127.0.0.1")
    assert "Message-ID <first.1@client.example>" in text
    assert re.search(rf"^  bob@{DOMAIN}: delivered 2\.0\.0 at ", text, re.M)
    assert re.search(r"^  ~ +\+0 ms  smtpd\[\d+\] +accepted ip=", text, re.M)
    assert f"\n{s.notice} from <>" in text


@pytest.mark.parametrize("what, count", [
    ("<first.1@client.example>", 2), ("first.1@client.example", 2),
    ('<second"2"@client.example>', 1), ("eve@client.example", 1),
    ("EVE@CLIENT.EXAMPLE", 1), ("eve@*", 1), (f"ann@{DOMAIN}", 2),
    (f"bob@{DOMAIN}", 3), ("mallory@client.example", 1),
    (f"unknown@{DOMAIN}", 1),
])
def test_addresses(lived, what, count):
    assert len(lives(lived, what)) == count


def test_start_of_an_id(lived):
    s = lived
    start = s.ids[1][:len(os.path.commonprefix(s.ids)) + 2]
    assert set(lives(s, max(start, s.ids[1][:12], key=len))) >= {s.ids[1]}


def test_session(lived):
    s = lived
    sid = lives(s, s.ids[1])[s.ids[1]]["sid"]
    assert re.fullmatch("[0-9a-v]{13}", sid)
    assert set(lives(s, sid)) == {s.ids[1]}


def test_several_are_listed(lived):
    s = lived
    text = s.postern("trace", f"bob@{DOMAIN}", *logs(s)).stdout
    assert s.ids[0] in text and s.ids[1] in text
    assert "`postern trace ID` shows one" in text
    assert "accepted ip=" not in text
    text = s.postern("trace", "--all", f"bob@{DOMAIN}", *logs(s)).stdout
    assert text.count("accepted ip=") == 2


def test_refused_one_is_told(lived):
    life, = lives(lived, f"unknown@{DOMAIN}").values()
    assert events(life)[0] == "refused" and life["recipients"] == []
    assert "550" in life["events"][0]["fields"]["reply"]


def test_stdin_and_where_nothing_is(lived):
    s = lived
    text = "".join(p.read_text() for p in logs(s))
    for args in ([], ["-"]):
        done = s.postern("trace", "--json", s.ids[1], *args, input=text)
        assert json.loads(done.stdout)[0]["id"] == s.ids[1]
    done = s.postern("trace", "nobody@x.example", *logs(s), check=False)
    assert done.returncode == 100 and "nothing in these logs" in done.stderr
    for args, words in ((["x"], "no id"), ([], "usage"),
                        ([s.ids[0], "/nonexistent"], "No such file"),
                        ([s.ids[0], str(s.run_dir)], "no log of a logger")):
        done = s.postern("trace", *args, check=False)
        assert done.returncode == 100 and words in done.stderr


def stamped(line, ms, kind):
    """As a logger would have written it at that time."""
    s, rest = divmod(ms, 1000)
    if kind == "tai":
        return f"@{4611686018427387914 + s:016x}{rest * 1000000:08x} {line}"
    if kind == "tai-leap":
        return f"@{4611686018427387941 + s:016x}{rest * 1000000:08x} {line}"
    if kind == "s6":
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(s)) + \
            f".{rest:03}000000  {line}"
    if kind == "svlogd":
        return time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(s)) + \
            f".{rest:03}00 {line}"
    if kind == "rfc3339":
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(s)) + \
            f".{rest:03}000+00:00 host {line}"
    if kind == "unix":
        return f"{s}.{rest:03}000 host {line}"
    return time.strftime("%b %e %H:%M:%S", time.localtime(s)) + f" host {line}"


@pytest.mark.parametrize("kind", ["tai", "tai-leap", "s6", "svlogd",
                                  "rfc3339", "syslog", "unix"])
def test_time_stamps(lived, kind, tmp_path):
    """Two daemons' logs, one in a logger's directory, in one order."""
    s = lived
    ident = s.ids[0]
    smtpd = [f"smtpd[1]: accepted sid=aaaaaaaaaaaaa id={ident} from=a@b",
             "smtpd[1]: session sid=aaaaaaaaaaaaa"]
    base = born(ident)
    d = tmp_path / "logs" / "smtpd"
    d.mkdir(parents=True)
    tmp_path.chmod(0o755)
    (d / "@400000000000000a00000000.s").write_text(
        stamped(smtpd[0], base, kind) + "\n")
    (d / "current").write_text(stamped(smtpd[1], base + 9000, kind) + "\n")
    other = tmp_path / "qmgr"
    other.write_text(stamped(f"qmgr[2]: delivered id={ident} to=c@d "
                             "delay=3000", base + 3000, kind) + "\n")
    for where in ([tmp_path / "logs"], [d]):
        life = lives(s, ident, other, *where)[ident]
        assert events(life) == ["accepted", "delivered", "session"]
        assert all(e["logged"] for e in life["events"])
        times = [e["time"] for e in life["events"]]
        want = [time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(
            (base + x) // 1000)) for x in (0, 3000, 9000)]
        assert [t[:19] for t in times] == want
    text = s.postern("trace", ident, other, d).stdout
    assert re.search(r"^ +\+3\.\d{3} s  qmgr\[2\] +delivered", text, re.M)


def born(ident):
    """Milliseconds since 1970."""
    n = 0
    for c in ident[:10]:
        n = n * 32 + "0123456789abcdefghijklmnopqrstuv".index(c)
    return n


def test_log_dir(tmp_path):
    """Where the services log is known from the configuration."""
    d = tmp_path / "smtpd"
    d.mkdir()
    (d / "current").write_text(
        "smtpd[1]: accepted id=01k82qrsadu13uflvia7 from=x@y.example\n")
    with Suite({"log_dir": str(tmp_path)}, start=False) as s:
        tmp_path.chmod(0o755)
        done = subprocess.run([str(BIN / "postern"), "-c", str(s.conf),
                               "trace", "x@y.example"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        assert done.returncode == 0, done
        assert done.stdout.startswith("01k82qrsadu13uflvia7 from <x@y.")


def test_large_logs_are_read_in_time(lived, tmp_path):
    s = lived
    line = ("smtpd[1]: accepted sid=bbbbbbbbbbbbb id=01k82qrsadu1%08d "
            "ip=192.0.2.1 from=a@b.example to=c@d.example rcpts=1 size=1000 "
            "msgid=<x@y>\n")
    big = tmp_path / "big"
    tmp_path.chmod(0o755)
    with open(big, "w") as f:
        for i in range(200000):
            f.write(line % i)
    start = time.monotonic()
    assert set(lives(s, s.ids[1], big, *logs(s))) == {s.ids[1]}
    assert time.monotonic() - start < 10
    done = s.postern("trace", "--json", "a@b.example", big)
    assert len(json.loads(done.stdout)) == 10000
    assert "there is more" in done.stderr
