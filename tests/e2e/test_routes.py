"""The table routes and domains that are passed on, through the whole suite."""
import smtplib

import pytest

from sink import Drop, Sink
from suite import BIN, DOMAIN, Suite, wait_until

pytestmark = pytest.mark.skipif(not (BIN / "remote").exists(),
                                reason="bin/remote is not built")
RELAY = "relay.example"
TEXT = b"Subject: routed\r\n\r\nHello.\r\n"


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


def suite(routes, config=None, **more):
    s = Suite(config, domains=(DOMAIN, f"{RELAY} relay"), start=False, **more)
    s.write_table("routes", routes)
    s.postern("table", "routes")
    s.start()
    return s


def rcpt(s, address, host="127.0.0.1"):
    with s.smtp(host=host) as c:
        c.ehlo()
        c.mail("x@client.example")
        code, text = c.rcpt(address)
        return code, text.decode()


def test_routed_by_table(sink):
    with suite(f"there.example {sink.route}\n"
               f".there.example {sink.route} helo=below.example\n") as s:
        s.send("x@client.example", ["a@there.example", "b@a.there.example",
                                    "c@There.Example", f"ann@{DOMAIN}"], TEXT)
        s.wait_delivered("ann", 1)
        sink.wait(lambda: sum(len(m.recipients) for m in sink.messages) == 3)
        by = {r: m.helo for m in sink.messages for r in m.recipients}
        assert by == {"a@there.example": "mx.here.example",
                      "b@a.there.example": "below.example",
                      "c@There.Example": "mx.here.example"}
        assert all(b"Received: " in m.content and m.content.endswith(TEXT)
                   for m in sink.messages)
        s.wait_queue_empty()


def test_passed_on_from_anywhere(sink):
    """A relay domain is accepted from clients that may not relay."""
    with suite(f"{RELAY} {sink.route}\n", {"relay_networks": ""}) as s:
        assert rcpt(s, "a@elsewhere.example") == (
            550, "5.7.1 Relaying denied")
        assert rcpt(s, f"any@{RELAY}")[0] == 250
        s.send("x@client.example", [f"any@{RELAY}"], TEXT)
        assert sink.wait_messages(1)[0].recipients == [f"any@{RELAY}"]
        # Below it is somewhere else.
        assert rcpt(s, f"any@sub.{RELAY}")[0] == 550


def test_local_domain_by_lmtp(tmp_path):
    """Aliases first, the rest to an LMTP server by its socket."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    with Sink({"content": {f"full@{RELAY}": "452 4.2.2 full"}}, lmtp=True,
              path=str(tmp_path / "lmtp")) as lmtp, \
            suite(f"{RELAY} {lmtp.route}\n",
                  {"relay_networks": "", "retry_first": "1h"},
                  aliases=f"list@{RELAY}: one@{RELAY}, ann@{DOMAIN}, "
                  f"list@{RELAY}\n") as s:
        s.send("x@client.example", [f"list@{RELAY}", f"full@{RELAY}"], TEXT)
        s.wait_delivered("ann", 1)
        lmtp.wait(lambda: sorted(sum((m.recipients for m in lmtp.messages),
                                     [])) == sorted([f"one@{RELAY}",
                                                     f"list@{RELAY}",
                                                     f"full@{RELAY}"]))
        wait_until(lambda: s.queue("deferred"))
        ident, = (q.split("/")[1] for q in s.queue("deferred"))
        said = s.postern("queue", "explain", ident).stdout
        assert "full" in said and "4.2.2" in said


def test_drop_at_every_step(sink):
    """Nothing is lost, and there is one copy, but where the answer to the end
    was."""
    with suite(f"* {sink.route}\n", {"retry_first": "100ms",
                                     "retry_max": "100ms"}) as s:
        for step in ("connect", "ehlo", "mail", "rcpt", "data", "content"):
            sink.script = {step: [Drop(), Drop("421 4.3.2 not now"), None]}
            sink.used.clear()
            sink.messages.clear()
            ident = s.send("x@client.example", ["a@one.example"], TEXT)
            s.wait_gone(ident)
            codes = [m.reply for m in sink.messages]
            assert codes == ([None, 421, 250] if step == "content"
                             else [250]), step


def test_nothing_goes_there(sink):
    with suite("closed.example error:This company has closed.\n"
               f"{RELAY} error:\n", {"relay_networks": "127.0.0.0/8"}) as s:
        assert rcpt(s, "a@closed.example") == (
            550, "5.1.2 This company has closed.")
        assert rcpt(s, f"a@{RELAY}")[0] == 550
    with suite("closed.example error:This company has closed.\n",
               {"relay_networks": ""}) as s:
        assert rcpt(s, "a@closed.example") == (550, "5.7.1 Relaying denied")


def test_route_changes_while_mail_waits(sink):
    """What waits takes the new way at its next try."""
    with suite("there.example smtp:[127.0.0.1]:1\n",
               {"retry_first": "200ms", "retry_max": "200ms"}) as s:
        s.send("x@client.example", ["a@there.example"], TEXT)
        wait_until(lambda: s.queue("deferred"))
        s.write_table("routes", f"there.example {sink.route}\n")
        s.postern("table", "routes")
        sink.wait_messages(1)
        s.wait_queue_empty()


def test_smarthost(sink):
    with suite(f"* {sink.route}\ndirect.example smtp:[127.0.0.1]:1\n") as s:
        s.send("x@client.example", ["a@one.example", "b@two.example",
                                    "c@three.example"], TEXT)
        m = sink.wait_messages(1)[0]
        assert sorted(m.recipients) == ["a@one.example", "b@two.example",
                                        "c@three.example"]
        assert len(sink.messages) == 1


def test_without_the_table():
    """Installations from before have none."""
    with Suite(start=False) as s:
        (s.table_dir / "routes").unlink()
        (s.table_dir / "routes.cdb").unlink()
        s.start()
        assert rcpt(s, "a@elsewhere.example")[0] == 250
        assert "routes" not in s.log("authd")
        assert s.postern("table").returncode == 0


def test_commands(sink):
    with Suite(start=False) as s:
        s.postern("domain", "add", "--relay", "more.example")
        assert "more.example relay\n" in s.postern("domain", "list").stdout
        s.write_table("routes", "a.example uucp:x\n")
        done = s.postern("table", "routes", check=False)
        assert done.returncode == 100
        assert "routes:1:" in done.stderr and "unknown kind" in done.stderr
        s.write_table("routes", f"{DOMAIN} smtp:[127.0.0.1]\n"
                      "more.example smtp:[127.0.0.1]\n")
        s.postern("table", "routes")
        found = s.postern("check", check=False).stdout
        assert f"routes: {DOMAIN} is never used" in found
        assert "more.example is never used" not in found


def test_greylisted_then_taken(sink):
    """The whole way round: a refusal for now, recorded, tried again."""
    sink.script["rcpt"] = ["450 4.7.1 greylisted", None]
    with suite(f"* {sink.route}\n", {"retry_first": "200ms"}) as s:
        ident = s.send("x@client.example", ["a@one.example"], TEXT)
        sink.wait_messages(1)
        s.wait_gone(ident)
        assert "greylisted" in s.log("qmgr")


def test_smtplib_sees_relay_domain(sink):
    with suite(f"{RELAY} {sink.route}\n", {"relay_networks": ""}) as s:
        with s.smtp() as c:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                c.sendmail("x@client.example", ["a@no.example"], TEXT)
            assert c.sendmail("x@client.example", [f"a@{RELAY}"], TEXT) == {}
        sink.wait_messages(1)
