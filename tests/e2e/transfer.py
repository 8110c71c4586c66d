"""remote alone, driven over the contract "transfer" as qmgr does (through
tests/tool/transfer.c).

    with Remote() as r, Sink() as sink:
        d = r.send(b"Subject: a\\r\\n\\r\\nb\\r\\n", ["ann@example.org"],
                   route=sink.route)
        assert d.rcpt[1].code == 250
"""
import contextlib
import itertools
import os
import pwd
import subprocess
import threading
import time

from suite import BIN, Suite, is_root

FINE, DOWN, BUSY, UNKNOWN = 1, 2, 3, 4
EIGHT_BIT, SMTPUTF8, BINARYMIME = 1, 2, 4
RET_FULL, RET_HDRS = 8, 16
BY_RETURN, BY_NOTIFY, BY_TRACE = 32, 64, 128
NEVER, SUCCESS, FAILURE, DELAY = 1, 2, 4, 8
MESSAGE = b"Subject: hello\r\n\r\nHello.\r\n"


def encode(s):
    """A word of the tool's language."""
    if isinstance(s, str):
        s = s.encode("utf-8", "surrogateescape")
    if not s:
        return "-"
    if s == b"-":
        return "%2D"
    return "".join(chr(c) if 0x20 < c < 0x7f and c not in b"%," else
                   f"%{c:02X}" for c in s)


def decode(word):
    if word == "-":
        return ""
    out = bytearray()
    i = 0
    while i < len(word):
        if word[i] == "%":
            out.append(int(word[i + 1:i + 3], 16))
            i += 3
        else:
            out.append(ord(word[i]))
            i += 1
    return out.decode("utf-8", "surrogateescape")


class Rcpt:
    """An outcome."""

    def __init__(self, words):
        (self.number, self.code, self.subject, self.detail, self.own,
         self.relayed) = map(int, words[:6])
        self.text = decode(words[6])

    @property
    def status(self):
        return f"{self.code // 100}.{self.subject}.{self.detail}"

    def __repr__(self):
        return f"<{self.code} {self.status} {self.text!r} own={self.own}>"


class Done:
    def __init__(self, words):
        self.job = int(words[0])
        self.dest = int(words[1])
        self.host = decode(words[2])
        self.rcpt = {}

    def __repr__(self):
        return f"<dest {self.dest} {self.host} {self.rcpt}>"


class Remote:
    """config: of postern.conf.  Its destination's time-outs are short."""

    def __init__(self, config=None, *, daemons=("remote",), start=True,
                 **more):
        values = {"remote_quit_timeout": "1s"}
        values.update(config or {})
        self.suite = Suite(values, daemons=daemons, start=start, **more)
        self.tool = None
        self.lock = threading.Condition()
        self.done = {}
        self.capacity = None
        self.closed = False
        self.made = 0
        self.numbers = itertools.count(1)
        self.files = {}
        if start:
            self.connect()

    def connect(self):
        """To a new start of remote."""
        extra = {}
        if is_root() and self.suite.as_user is None:
            queue = pwd.getpwnam("postern-queue")
            extra = {"user": queue.pw_uid, "group": queue.pw_gid,
                     "extra_groups": []}
        elif self.suite.as_user is not None:
            extra = self.suite.identity()
        self.dir = self.suite.dir / "messages"
        self.dir.mkdir(exist_ok=True)
        self.dir.chmod(0o777)
        self.closed = False
        self.capacity = None
        self.tool = subprocess.Popen(
            [str(BIN / "test-transfer"),
             str(self.suite.run_dir / "remote.sock")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1, **extra)
        threading.Thread(target=self._read, args=(self.tool,),
                         daemon=True).start()

    def _read(self, tool):
        d = None
        for line in tool.stdout:
            words = line.rstrip("\n").split(" ")
            with self.lock:
                if words[0] == "ready":
                    self.capacity = int(words[1])
                elif words[0] == "done":
                    d = Done(words[1:])
                elif words[0] == "rcpt":
                    r = Rcpt(words[1:])
                    d.rcpt[r.number] = r
                elif words[0] == "end":
                    self.done[d.job] = d
                elif words[0] == "made":
                    self.made += 1
                self.lock.notify_all()
        with self.lock:
            if tool is self.tool:
                self.closed = True
            self.lock.notify_all()

    def stop(self, **how):
        if self.tool is not None:
            with contextlib.suppress(OSError):
                self.tool.stdin.close()
            self.tool.wait(20)
        self.suite.stop(**how)

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        self.stop(check=kind is None)

    def wait(self, question, timeout=30.0, what="?"):
        end = time.monotonic() + timeout
        with self.lock:
            while True:
                answer = question()
                if answer:
                    return answer
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(
                        f"waited {timeout} s for {what}\n"
                        f"{self.suite.log('remote')[-3000:]}")
                self.lock.wait(min(left, 0.5))

    def say(self, line):
        self.tool.stdin.write(line + "\n")
        self.tool.stdin.flush()

    def message(self, content=MESSAGE, flags=0):
        """A queue file; its (path, id)."""
        key = (content, flags)
        if key in self.files:
            return self.files[key]
        n = len(self.files)
        ident = f"01jar9fq3raaaaaaa{n:03d}"
        source, path = self.dir / f"c{n}", self.dir / ident
        source.write_bytes(content)
        source.chmod(0o644)
        before = self.made
        self.say(f"make {path} {ident} {flags} {source}")
        self.wait(lambda: self.made > before, what="the queue file")
        self.files[key] = (path, ident)
        return self.files[key]

    def begin(self, content, recipients, *, route="", domain=None,
              sender="sender@example.net", flags=0, envid="", by_at_ms=0,
              path=None, ident=None):
        """Hands a job over; its number.  A recipient is an address or
        (address, notify, orcpt)."""
        if path is None:
            path, ident = self.message(content, flags)
        number = next(self.numbers)
        full = [r if isinstance(r, tuple) else (r, 0, "")
                for r in recipients]
        if domain is None:
            domain = full[0][0].rpartition("@")[2]
        words = [f"{i},{notify},{encode(orcpt)},{encode(address)}"
                 for i, (address, notify, orcpt) in enumerate(full, 1)]
        self.say(" ".join(["job", str(number), str(path), ident,
                           encode(sender), str(flags), encode(envid),
                           str(by_at_ms), encode(domain), encode(route)]
                          + words))
        return number

    def result(self, number, timeout=30.0):
        return self.wait(lambda: self.done.get(number), timeout,
                         f"job {number}")

    def send(self, content=MESSAGE, recipients=("ann@example.org",),
             timeout=30.0, **how):
        return self.result(self.begin(content, recipients, **how), timeout)


def have_tool():
    return os.access(BIN / "test-transfer", os.X_OK)
