"""Notices on their whole way: a message comes in over SMTP, fails, waits or
arrives, and its sender finds in his Maildir what became of it."""
import email
import email.policy
import signal
import time

import pytest

from suite import DOMAIN, HOSTNAME, Suite, wait_until

FAST = {"retry_first": "100ms", "retry_max": "200ms"}
ANN, BOB = f"ann@{DOMAIN}", f"bob@{DOMAIN}"
LETTER = (b"Subject: lunch\r\nMessage-ID: <m1@client.example>\r\n"
          b"From: Ann <ann@here.example>\r\n\r\nAt one?\r\n")
ALIASES = (f"postmaster@{DOMAIN}: {BOB}\n"
           f"postmaster@{HOSTNAME}: {BOB}\n"
           f"broken@{DOMAIN}: \"|/bin/sh -c 'echo sorry, no more; "
           "exit 100'\"\n"
           f"later@{DOMAIN}: \"|/bin/sh -c 'echo not now; exit 111'\"\n"
           f"staff@{DOMAIN}: {ANN}, {BOB}\n"
           f"mixed@{DOMAIN}: {BOB}, broken@{DOMAIN}\n")


def whole(config=None, aliases=ALIASES, **more):
    return Suite({**FAST, "local_domain": DOMAIN, **(config or {})},
                 aliases=aliases, domains=(DOMAIN, HOSTNAME), **more)


@pytest.fixture(scope="module")
def s():
    with whole({"bounce_unasked_size_max": "10K"}) as suite:
        yield suite


def send(s, to, sender=ANN, data=LETTER, mail=(), rcpt=()):
    """The id it is queued under."""
    with s.smtp() as c:
        c.ehlo()
        assert c.mail(sender, list(mail))[0] == 250
        for address in [to] if isinstance(to, str) else to:
            assert c.rcpt(address, list(rcpt))[0] == 250
        code, text = c.data(data)
        assert code == 250, text
        return text.decode().split()[-1]


class Box:
    """What is new in a Maildir since it was made."""

    def __init__(self, s, user="ann"):
        self.s, self.user = s, user
        self.before = set(self.names())

    def names(self):
        return [p.name for p in self.s.messages(self.user)]

    def new(self):
        return [p for p in self.s.messages(self.user)
                if p.name not in self.before]

    def wait(self, count=1, timeout=30):
        def there():
            found = self.new()
            return [found] if len(found) >= count else None
        found = wait_until(
            there, timeout, lambda: f"{count} for {self.user}\n"
            + self.s.log("qmgr")[-2000:] + self.s.log("bounce")[-2000:])[0]
        return [email.message_from_bytes(
            p.read_bytes(), policy=email.policy.default) for p in found]


def report(m):
    """(fields of the message, fields of each recipient)"""
    assert m.get_content_type() == "multipart/report", m
    assert m["Return-Path"] == "<>"
    about, *told = m.get_payload()[1].get_payload()
    return about, told


def test_failure(s):
    box = Box(s)
    ident = send(s, f"broken@{DOMAIN}", mail=["ENVID=QQ+2B314", "RET=HDRS"],
                 rcpt=["ORCPT=rfc822;old@there.example"])
    (m,) = box.wait()
    assert m["To"] == f"<{ANN}>" or ANN in str(m["To"])
    assert m["In-Reply-To"] == "<m1@client.example>"
    about, (t,) = report(m)
    assert about["Original-Envelope-Id"] == "QQ+314"
    assert about["X-Postern-Queue-Id"] == ident
    assert t["Original-Recipient"] == "rfc822; old@there.example"
    assert t["Action"] == "failed" and t["Status"].startswith("5.")
    assert f"broken@{DOMAIN}" in t["Final-Recipient"]
    assert "sorry, no more" in t["Diagnostic-Code"]
    words = m.get_payload()[0].get_content()
    assert "sorry, no more" in words and ident in words
    assert m.get_payload()[2].get_content_type() == "text/rfc822-headers"
    s.wait_gone(ident)
    s.wait_queue_empty()
    assert len(box.new()) == 1


def test_whole_message_comes_back(s):
    box = Box(s)
    data = LETTER + "zwölf\r\n".encode() * 1000
    send(s, f"broken@{DOMAIN}", data=data,
         mail=["RET=FULL", "BODY=8BITMIME"])
    (m,) = box.wait()
    inner = m.get_payload()[2]
    assert inner.get_content_type() == "message/rfc822"
    assert inner["Content-Transfer-Encoding"] == "8bit"
    assert inner.get_payload()[0].get_payload(decode=True) == \
        data.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


def test_one_notice_for_all_that_failed_together(s):
    box, other = Box(s), Box(s, "bob")
    ident = send(s, [f"broken@{DOMAIN}", BOB, f"mixed@{DOMAIN}"])
    (m,) = box.wait()
    _, told = report(m)
    assert len(told) == 2
    assert {t["Action"] for t in told} == {"failed"}
    other.wait(2)
    s.wait_gone(ident)
    assert len(box.new()) == 1


@pytest.mark.parametrize("to, notify, action", [
    (BOB, "SUCCESS", "delivered"),
    (f"staff@{DOMAIN}", "SUCCESS,FAILURE", "expanded"),
    (BOB, "FAILURE,DELAY", None), (BOB, "NEVER", None),
    (f"broken@{DOMAIN}", "NEVER", None),
    (f"broken@{DOMAIN}", "SUCCESS,DELAY", None),
    (f"broken@{DOMAIN}", "FAILURE", "failed")])
def test_notify(s, to, notify, action):
    box = Box(s)
    ident = send(s, to, rcpt=[f"NOTIFY={notify}"])
    s.wait_gone(ident)
    s.wait_queue_empty()
    reports = [m for m in box.wait(0)
               if m.get_content_type() == "multipart/report"]
    if action is None:
        assert not reports
    else:
        (m,) = reports
        assert [t["Action"] for t in report(m)[1]] == [action]


def test_delay_then_failure():
    with whole({"queue_lifetime": "4s", "delay_warning": "1s"}) as s:
        box = Box(s)
        ident = send(s, f"later@{DOMAIN}")
        (m,) = box.wait()
        _, (t,) = report(m)
        assert t["Action"] == "delayed" and t["Status"].startswith("4.")
        assert "not now" in t["Diagnostic-Code"]
        until = email.utils.parsedate_to_datetime(t["Will-Retry-Until"])
        assert 0 < until.timestamp() - time.time() < 4
        both = box.wait(2)
        actions = sorted(report(m)[1][0]["Action"] for m in both)
        assert actions == ["delayed", "failed"]
        s.wait_gone(ident)
        s.wait_queue_empty()
        assert len(box.new()) == 2


def test_mail_from_nobody(s):
    """The postmaster hears of it, once."""
    box = Box(s, "bob")
    ident = send(s, f"broken@{DOMAIN}", sender="")
    (m,) = box.wait()
    assert f"postmaster@{DOMAIN}" in str(m["To"])
    assert report(m)[1][0]["Action"] == "failed"
    s.wait_gone(ident)
    s.wait_queue_empty()


def test_nothing_goes_round():
    """Sender, recipient and postmaster all fail: it ends."""
    aliases = (f"postmaster@{DOMAIN}: broken@{DOMAIN}\n"
               f"broken@{DOMAIN}: \"|/bin/sh -c 'exit 100'\"\n")
    with whole(aliases=aliases) as s:
        ident = send(s, f"broken@{DOMAIN}", sender=f"broken@{DOMAIN}")
        s.wait_gone(ident)
        s.wait_queue_empty()
        # The notice to the sender, the one to the postmaster, no more.
        assert s.log("bounce").count(" notice id=") == 2
        time.sleep(0.5)
        assert not s.queue()


def test_bounce_comes_later():
    """As long as bounce is down the failure is kept."""
    with whole() as s:
        s.terminate("bounce")
        box = Box(s)
        ident = send(s, f"broken@{DOMAIN}")
        s.wait_log("qmgr", f"failed id={ident}")
        time.sleep(0.5)
        assert s.where(ident)
        s.restart("qmgr")
        s.start("bounce")
        box.wait()
        s.wait_gone(ident)


def test_queued_comes_later():
    with whole() as s:
        box = Box(s)
        s.terminate("bounce")
        ident = send(s, f"broken@{DOMAIN}")
        s.wait_log("qmgr", f"failed id={ident}")
        s.terminate("queued")
        s.start("bounce")
        s.wait_log("qmgr", f"not-reported id={ident}")
        s.start("queued")
        box.wait()
        s.wait_gone(ident)
        s.wait_queue_empty()
        assert len(box.new()) == 1


@pytest.mark.parametrize("name", ["bounce", "queued", "qmgr"])
def test_killed_again_and_again(name):
    """Nobody remains untold; somebody may be told twice."""
    with whole(alarms=False) as s:
        box = Box(s)
        idents = []
        for i in range(30):
            idents.append(send(
                s, f"broken@{DOMAIN}", rcpt=["NOTIFY=FAILURE"],
                data=LETTER.replace(b"<m1@", b"<m%d@" % i)))
            if i % 5 == 4:
                s.kill(name, signal.SIGKILL, tree=True)
                s.start(name)
        box.wait(30, timeout=60)
        s.wait_queue_empty()
        told = [report(m)[0]["X-Postern-Queue-Id"]
                for m in box.wait(30)]
        assert set(told) == set(idents)
        assert len(told) <= 60
