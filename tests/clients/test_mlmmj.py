"""A mailing list: mlmmj behind an alias pipe.  Subscribing, a posting to three
members, bounces that come back to the list's own addresses, unsubscribing; all
by mail, as docs/mailing-lists.md has it."""
import os
import pathlib
import pwd
import shutil
import subprocess

import pytest

import letters
from sendmail import Mail
from suite import DOMAIN, Suite, is_root, wait_until

LIST = f"list@{DOMAIN}"
MEMBERS = ("ann", "bob", "carl")
NEEDED = ("mlmmj-receive", "mlmmj-make-ml", "mlmmj-sub", "mlmmj-list",
          "mlmmj-maintd")


class List:
    def __init__(self, s):
        self.s = s
        self.dir = s.dir / "spool" / "list"
        spool = self.dir.parent
        spool.mkdir(mode=0o755)
        spool.chmod(0o755)
        made = subprocess.run(
            ["mlmmj-make-ml", "-s", str(spool), "-L", "list"], timeout=60,
            input=f"{DOMAIN}\nowner@{DOMAIN}\nen\nn\nn\n".encode(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (self.dir / "control" / "listaddress").exists(), made
        self.control("listaddress", LIST)
        self.control("relayhost", "127.0.0.1")
        self.control("smtpport", str(s.ports["smtp"]))
        self.control("smtphelo", "mx.here.example")
        self.own()

    def control(self, name, text):
        path = self.dir / "control" / name
        path.write_text(text + "\n")
        path.chmod(0o644)

    def own(self):
        """All of it belongs to whom programs of aliases run as."""
        if is_root():
            uid = pwd.getpwnam("postern-pipe").pw_uid
            for p in [self.dir, *self.dir.rglob("*")]:
                os.chown(p, uid, -1, follow_symlinks=False)

    def run(self, *args):
        who = {}
        if is_root():
            who = {"user": "postern-pipe", "extra_groups": []}
        done = subprocess.run([shutil.which(args[0]), "-L", str(self.dir),
                               *args[1:]],
                              timeout=60, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd="/", **who)
        assert done.returncode == 0, done
        return done.stdout

    def members(self):
        return set(self.run("mlmmj-list").split())

    def bouncing(self):
        return sorted(p.name for p in (self.dir / "bounce").iterdir())


@pytest.fixture(scope="module")
def s():
    for program in NEEDED:
        if shutil.which(program) is None:
            pytest.skip("mlmmj is not installed")
    aliases = (f"postmaster@{DOMAIN}: ann@{DOMAIN}\n"
               + f"owner@{DOMAIN}: ann@{DOMAIN}\n"
               + f"gone@{DOMAIN}: \"|/bin/sh -c 'cat >/dev/null; exit 100'\"\n")
    users = Suite.default_users() + f"carl@{DOMAIN}:{{PLAIN}}secret::::::\n"
    with Mail({"retry_first": "1s"}, users=users, aliases=aliases,
              start=False) as made:
        made.list = List(made)
        made.write_table("aliases", aliases + f"list@{DOMAIN}: "
                         f"\"|/usr/bin/mlmmj-receive -L {made.list.dir}\"\n")
        made.setup_again()
        made.start()
        yield made


def letter(user, to, subject, text="x"):
    return (f"From: {user}@{DOMAIN}\nTo: {to}\nSubject: {subject}\n\n"
            f"{text}\n").encode()


def mail(s, user, to, subject="x", text="x"):
    """As this person: by sendmail, with an envelope sender of their own."""
    done = s.sendmail("-i", "-f", f"{user}@{DOMAIN}", to,
                      text=letter(user, to, subject, text))
    assert done.returncode == 0, done


def next_message(s, user, count=1):
    """Waits for it, reads it, takes it away."""
    files = s.wait_delivered(user, count)
    texts = [f.read_bytes() for f in files]
    for f in files:
        f.unlink()
    return texts if count > 1 else texts[0]


def confirm(s, user):
    """Answers the question that the list asked."""
    text = next_message(s, user)
    [reply] = letters.header(text, "Reply-To") or \
        letters.header(text, "From")
    assert f"@{DOMAIN}" in reply and "conf" in reply, text.decode()
    mail(s, user, reply.split("<")[-1].rstrip(">"))
    return reply


def test_list(s):
    """The whole life of a list, in order."""
    lst = s.list
    # Subscribing: the question goes to the address that asked for it.
    for user in MEMBERS:
        mail(s, user, f"list+subscribe@{DOMAIN}")
        confirm(s, user)
        wait_until(lambda: f"{user}@{DOMAIN}" in lst.members(), 30,
                   lambda: s.log("spawner")[-2000:])
        welcome = next_message(s, user)
        assert b"Welcome" in letters.header(welcome, "Subject")[0].encode()
    assert lst.members() == {f"{u}@{DOMAIN}" for u in MEMBERS}

    # A posting.
    mail(s, "ann", LIST, "hello all", "Grüße.\n.\nend")
    for user in MEMBERS:
        text = next_message(s, user)
        assert letters.header(text, "Subject") == ["hello all"]
        assert text.rstrip(b"\n").endswith("Grüße.\n.\nend".encode())
        [back] = letters.header(text, "Return-Path")
        assert back.startswith("<list+bounces-") and f"{user}={DOMAIN}" in back
        assert len(letters.header(text, "Message-ID")) == 1

    # Who is no member may not post where only members may.
    lst.control("subonlypost", "")
    lst.own()
    mail(s, "postmaster", LIST, "spam")
    denied = next_message(s, "ann")  # postmaster's alias
    assert b"spam" in denied and lst.members() == {
        f"{u}@{DOMAIN}" for u in MEMBERS}
    for user in ("bob", "carl"):
        assert s.messages(user) == []

    # A member whose mail cannot be delivered: the report of failure comes to
    # the list, which remembers it.
    lst.run("mlmmj-sub", "-a", f"gone@{DOMAIN}")
    assert not lst.bouncing()
    mail(s, "bob", LIST, "second")
    for user in MEMBERS:
        assert letters.header(next_message(s, user), "Subject") == ["second"]
    wait_until(lambda: f"gone={DOMAIN}" in lst.bouncing(), 30,
               lambda: f"{lst.bouncing()} {s.log('spawner')[-2000:]}"
               f"{s.log('bounce')[-2000:]}")
    record = (lst.dir / "bounce" / f"gone={DOMAIN}").read_text()
    assert record.split(":")[0].isdigit()
    last = lst.dir / "bounce" / f"gone={DOMAIN}.lastmsg"
    assert b"Final-Recipient: rfc822; gone@" in last.read_bytes()

    # Nobody who still bounces after five days and a probe stays a member.
    path = lst.dir / "bounce" / f"gone={DOMAIN}"
    number, _, rest = record.partition(":")
    then = int(rest.split()[0]) - 6 * 86400
    path.write_text(f"{number}:{then} # as if it were old\n")
    lst.own()
    lst.run("mlmmj-maintd", "-F")
    wait_until(lambda: f"gone@{DOMAIN}" not in lst.members(), 30, lambda:
               (lst.dir / "mlmmj-maintd.lastrun.log").read_text())

    # Unsubscribing.
    mail(s, "carl", f"list+unsubscribe@{DOMAIN}")
    confirm(s, "carl")
    wait_until(lambda: f"carl@{DOMAIN}" not in lst.members(), 30)
    next_message(s, "carl")  # the farewell
    mail(s, "ann", LIST, "third")
    for user in ("ann", "bob"):
        assert letters.header(next_message(s, user), "Subject") == ["third"]
    s.wait_queue_empty()
    assert s.messages("carl") == []


def test_unknown_member_is_refused_at_once(s):
    """smtpd says 550 to mlmmj's own client, which remembers that as well."""
    lst = s.list
    lst.run("mlmmj-sub", "-a", f"never@{DOMAIN}")
    mail(s, "ann", LIST, "fourth")
    wait_until(lambda: f"never={DOMAIN}" in lst.bouncing(), 30)
    s.wait_queue_empty()
    lst.run("mlmmj-unsub", "-a", f"never@{DOMAIN}")
    for user in ("ann", "bob"):
        for f in s.messages(user):
            f.unlink()


__all__ = ["pathlib"]
