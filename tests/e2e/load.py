"""SMTP clients that send without pause and remember what was answered 250."""
import itertools
import random
import smtplib
import threading
import time

import letters
from suite import DOMAIN


LOADS = itertools.count(1)


class Load:
    """`threads` clients; each message has its own X-Test-Id.  A client that is
    refused or thrown out connects again: only 250 after the dot counts."""

    def __init__(self, suite, threads=4, users=("ann", "bob"),
                 sizes=(300, 5000, 60_000), per_connection=20, pause=0.0):
        self.suite = suite
        self.users = users
        self.sizes = sizes
        self.per_connection = per_connection
        self.pause = pause
        self.name = f"load{next(LOADS)}"
        self.counter = itertools.count(1)
        self.accepted = {}   # ident -> (user, size, queue id)
        self.unknown = set()  # answer lost: may or may not arrive
        self.refused = []    # (ident, code, text)
        self.errors = []     # what must not happen
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join()

    def run(self, number):
        rnd = random.Random(number)
        while not self.ending.is_set():
            try:
                self.connection(rnd)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.01)
            except Exception as e:  # a bug of the test must not look like ok
                self.errors.append(repr(e))
                return

    def connection(self, rnd):
        with smtplib.SMTP("127.0.0.1", self.suite.ports["smtp"],
                          "client.example", timeout=30) as c:
            for _ in range(self.per_connection):
                if self.ending.is_set():
                    break
                self.message(c, f"{self.name}-{next(self.counter)}", rnd)
                if self.pause:
                    time.sleep(self.pause)

    def message(self, c, ident, rnd):
        user, size = rnd.choice(self.users), rnd.choice(self.sizes)
        data = letters.make(ident, size)
        sent = False
        try:
            code, text = c.ehlo() if not c.ehlo_resp else (250, b"")
            for step in (lambda: c.mail("x@client.example"),
                         lambda: c.rcpt(f"{user}@{DOMAIN}")):
                if code == 250:
                    code, text = step()
            if code == 250:
                sent = True
                code, text = c.data(data)
        except smtplib.SMTPDataError as e:
            code, text = e.smtp_code, e.smtp_error
        except (OSError, smtplib.SMTPException):
            if sent:
                with self.lock:
                    self.unknown.add(ident)
            raise
        with self.lock:
            if code == 250:
                self.accepted[ident] = (user, size, text.split()[-1].decode())
            else:
                self.refused.append((ident, code, text))
                # A worker may die between its commit and its answer: then
                # the message exists although the client was told 4xx.
                if sent and code // 100 == 4:
                    self.unknown.add(ident)
        if code != 250:
            c.rset()

    def wait_for(self, n, timeout=60):
        """Until so many more were accepted."""
        goal = len(self.accepted) + n
        end = time.monotonic() + timeout
        while len(self.accepted) < goal:
            assert time.monotonic() < end, (
                f"{len(self.accepted)} accepted, waited for {goal}; refused: "
                f"{self.refused[-3:]}\n{self.suite.log()[-4000:]}")
            time.sleep(0.01)

    def check_arrived(self, timeout=90):
        """Everything answered 250 is in its Maildir, whole; what arrived twice
        is returned."""
        assert not self.errors, self.errors
        arrived = {}
        known = set()
        missing = set(self.accepted)
        end = time.monotonic() + timeout
        while True:
            for user in self.users:
                for f in self.suite.messages(user):
                    if f.name in known:
                        continue
                    known.add(f.name)
                    text = f.read_bytes()
                    ident = letters.header(text, "X-Test-Id")
                    assert letters.whole(f), (
                        f"{f} is not whole: {len(text)} octets")
                    arrived.setdefault(ident[0], []).append(user)
                    missing.discard(ident[0])
            if not missing:
                break
            assert time.monotonic() < end, (
                f"{len(missing)} of {len(self.accepted)} are missing: "
                f"{sorted(missing)[:5]} "
                f"{[self.accepted[m] for m in sorted(missing)[:5]]}; queue "
                f"{self.suite.queue()[:10]}\n{self.suite.log()[-5000:]}")
            time.sleep(0.05)
        for ident, users in arrived.items():
            if ident in self.accepted:
                assert set(users) == {self.accepted[ident][0]}, ident
        strangers = set(arrived) - set(self.accepted) - self.unknown
        assert not strangers, f"never sent, but there: {strangers}"
        return {i: len(u) for i, u in arrived.items() if len(u) > 1}

    def check_content(self, files=200):
        """The octets of some of them."""
        left = files
        for user in self.users:
            for f in self.suite.messages(user)[:left]:
                [ident] = letters.header(f, "X-Test-Id")
                if ident in self.accepted:
                    size = self.accepted[ident][1]
                    letters.assert_same(f, letters.make(ident, size), f.name)
