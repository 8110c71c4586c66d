"""Other hosts' mail servers for tests: scripted SMTP and LMTP sinks.

    with Sink() as sink:                        # 127.0.1.x, a free high port
        ...
        m = sink.wait_messages(1)[0]
        assert m.content == b"Subject: a\\r\\n\\r\\nb\\r\\n"

    with Sink({"rcpt": {"bob@example.org": "550 5.1.1 no bob"},
               "content": ["451 4.3.0 later", None]}) as sink: ...

A script says what is answered at which step.  Steps are

    connect ehlo helo lhlo mail rcpt data content bdat rset noop quit other

(content: behind the final dot, and BDAT LAST; bdat: each other chunk).  What
stands for a step is

    None            the usual answer
    "450 4.2.0 x"   this reply (several lines: with \\n, the dashes are put in)
    b"..."          these octets, whatever they are
    [a, b, c]       one after the other, the last one for ever
    {address: a}    rcpt, and content of an LMTP sink: by recipient ("*" else)
    Drop(x)         says x (reply, octets or nothing) and closes
    Reset(x)        the same with a RST
    Hang()          never answers and keeps the connection
    Delay(s, x)     x after s seconds
    Drip(x, s)      x octet by octet, s seconds between them
    a function      called with (connection, argument), gives one of these

What the clients sent is kept octet for octet: Connection.raw, and for each
message that was answered 2xx (or whatever stood in the script, see
Message.reply) a Message.
"""
import contextlib
import itertools
import os
import random
import re
import select
import socket
import struct
import threading
import time

EXTENSIONS = ("PIPELINING", "SIZE 100000000", "8BITMIME",
              "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
WAIT = 20.0


class _Named:
    """Shown the same in every process: names of test cases are made of it."""

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(repr, vars(self).values()))})"


class Drop(_Named):
    def __init__(self, said=None):
        self.said = said


class Reset(Drop):
    pass


class Hang(_Named):
    pass


class Delay(_Named):
    def __init__(self, seconds, said=None):
        self.seconds, self.said = seconds, said


class Drip(_Named):
    def __init__(self, said, seconds=0.01):
        self.said, self.seconds = said, seconds


class Gone(Exception):
    """The connection is over."""


class Message:
    """One transaction that reached its content."""

    def __init__(self, sender, params):
        self.sender = sender
        self.params = params        # of MAIL: ["SIZE=12", "BODY=8BITMIME"]
        self.recipients = []        # accepted ones
        self.rcpt_params = []       # theirs
        self.content = b""          # dots taken away
        self.wire = b""             # as it came, final dot included
        self.chunks = []            # sizes of BDAT chunks
        self.reply = None           # code behind the content (None: none);
        self.codes = []             # of LMTP one for each recipient
        self.connection = None
        self.helo = None

    def __repr__(self):
        return (f"<from {self.sender} to {self.recipients} "
                f"{len(self.content)} octets, {self.reply}>")


class Connection:
    def __init__(self, number, peer):
        self.number = number
        self.peer = peer            # the client's (address, port)
        self.raw = b""              # all it sent
        self.commands = []          # lines, content left out
        self.messages = []
        self.early = False          # it spoke before the greeting
        self.closed_by_client = False
        self.quit = False
        self.over = False


def _family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _free_port(host):
    """Below the ephemeral ports, free on this host and on all of
    127.0.1.0/24."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        try:
            for at in (host, "0.0.0.0"):
                with socket.socket(_family(at)) as s:
                    s.bind((at, port))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


_hosts = itertools.cycle(range(1, 250))


def free_host():
    """127.0.1.x: one after the other."""
    return f"127.0.1.{next(_hosts)}"


def free_port():
    """A port that is free on all of 127.0.1.x: for several hosts' MX."""
    return _free_port("127.0.1.1")


def _reply(said):
    """Octets of a reply; text of several lines gets its dashes."""
    if isinstance(said, bytes):
        return said
    lines = said.split("\n")
    code = lines[0][:3]
    out = []
    for i, line in enumerate(lines):
        text = line[4:] if re.match(r"\d\d\d[ -]", line) else line
        if line[:3] == code and len(line) == 3:
            text = ""
        out.append(f"{code}{' ' if i + 1 == len(lines) else '-'}{text}\r\n")
    return "".join(out).encode("utf-8", "surrogateescape")


def _path(arg):
    """The address of "FROM:<a@b> X=Y" and its parameters."""
    m = re.match(rb"(?i)(?:FROM|TO):\s*<([^>]*)>\s*(.*)$", arg, re.S)
    if not m:
        return None, []
    return (m.group(1).decode("utf-8", "surrogateescape"),
            m.group(2).decode("utf-8", "surrogateescape").split())


class Sink:
    """extensions: what EHLO announces ("": no EHLO at all, None: 250 alone).
    path: a UNIX socket instead of TCP.  sndbuf, rcvbuf: sizes of the socket's
    buffers.  read_pause: seconds between reads (a slow server).  It reads nothing
    while it has something to write, as most servers."""

    def __init__(self, script=None, *, host=None, port=None, path=None,
                 lmtp=False, extensions=EXTENSIONS, name="sink.example",
                 rcvbuf=None, sndbuf=None, read_pause=0.0, start=True,
                 backlog=100):
        self.script = dict(script or {})
        self.extensions = extensions
        self.lmtp = lmtp
        self.name = name
        self.path = path
        self.rcvbuf, self.sndbuf, self.read_pause = rcvbuf, sndbuf, read_pause
        self.backlog = backlog
        self.host = host or ("" if path else free_host())
        self.port = port or (0 if path else _free_port(self.host))
        self.connections = []
        self.messages = []
        self.errors = []
        self.lock = threading.Condition()
        self.used = {}              # (step, key) -> how often
        self.stopping = False
        self.listener = None
        self.thread = None
        self.threads = []
        self.open_socks = set()
        if start:
            self.start()

    # ---- life ----

    def start(self):
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.path))
            os.chmod(self.path, 0o777)
        else:
            self.listener = socket.socket(_family(self.host))
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.rcvbuf:
                self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                         self.rcvbuf)
            if self.sndbuf:
                self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF,
                                         self.sndbuf)
            self.listener.bind((self.host, self.port))
        self.listener.listen(self.backlog)
        self.stopping = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """Closes everything; start() opens it again at the same place."""
        self.stopping = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            socks = list(self.open_socks)
        for s in socks:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        self.thread.join(WAIT)
        for t in self.threads:
            t.join(WAIT)
        self.threads = []

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        if self.listener is not None:
            self.stop()

    @property
    def literal(self):
        """The host as an address literal."""
        return f"[IPv6:{self.host}]" if ":" in self.host else f"[{self.host}]"

    @property
    def route(self):
        """Its way in the table "routes"."""
        kind = "lmtp" if self.lmtp else "smtp"
        if self.path:
            return f"{kind}:{self.path}"
        return f"{kind}:[{self.host}]:{self.port}"

    # ---- what happened ----

    def wait(self, question, timeout=WAIT, what="?"):
        end = time.monotonic() + timeout
        with self.lock:
            while True:
                answer = question()
                if answer:
                    return answer
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(
                        f"{self.name}: waited {timeout} s for {what}; "
                        f"{len(self.connections)} connections, messages "
                        f"{self.messages}")
                self.lock.wait(min(left, 0.5))

    def wait_messages(self, n, timeout=WAIT):
        return self.wait(lambda: len(self.messages) >= n and
                         list(self.messages), timeout, f"{n} messages")

    def wait_connections(self, n, timeout=WAIT):
        return self.wait(lambda: len(self.connections) >= n and
                         list(self.connections), timeout, f"{n} connections")

    def wait_over(self, timeout=WAIT):
        """Until no connection is open."""
        return self.wait(lambda: all(c.over for c in self.connections),
                         timeout, "the connections' ends") or True

    def commands(self, verb=None):
        """Command lines of all connections, decoded."""
        with self.lock:
            lines = [line.decode("utf-8", "surrogateescape")
                     for c in self.connections for line in c.commands]
        if verb is None:
            return lines
        return [x for x in lines if x.upper().split()[:1] == [verb.upper()]]

    # ---- serving ----

    def _accept(self):
        while not self.stopping:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            if not self.path:
                # It answers each command with a write of its own.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                c = Connection(len(self.connections), peer)
                self.connections.append(c)
                self.open_socks.add(sock)
                self.lock.notify_all()
            t = threading.Thread(target=self._serve, args=(sock, c),
                                 daemon=True)
            self.threads.append(t)
            t.start()

    def _serve(self, sock, c):
        try:
            _Session(self, sock, c).run()
        except Gone:
            pass
        except OSError:
            pass
        except Exception as e:  # a test's own function may fail
            self.errors.append(e)
            raise
        finally:
            with self.lock:
                self.open_socks.discard(sock)
                c.over = True
                self.lock.notify_all()
            with contextlib.suppress(OSError):
                sock.close()

    def pick(self, step, key=None):
        """What the script says now, lists and dicts resolved."""
        said = self.script.get(step)
        if isinstance(said, dict):
            said = said.get(key, said.get("*"))
        else:
            key = None
        if isinstance(said, list):
            with self.lock:
                n = self.used.get((step, key), 0)
                self.used[(step, key)] = n + 1
            said = said[min(n, len(said) - 1)] if said else None
        return said


class _Session:
    def __init__(self, sink, sock, connection):
        self.sink, self.sock, self.c = sink, sock, connection
        self.input = b""
        self.helo = None
        self.message = None
        self.bdat = b""
        self.refused = 0

    # ---- octets ----

    def fill(self):
        if self.sink.read_pause:
            time.sleep(self.sink.read_pause)
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b""
        if not got:
            self.c.closed_by_client = True
            raise Gone
        self.c.raw += got
        self.input += got

    def line(self):
        while b"\n" not in self.input:
            self.fill()
        line, _, self.input = self.input.partition(b"\n")
        return line + b"\n"

    def octets(self, n):
        while len(self.input) < n:
            self.fill()
        got, self.input = self.input[:n], self.input[n:]
        return got

    def send(self, octets):
        self.sock.sendall(octets)

    # ---- replies ----

    def say(self, said, usual, arg=None, before=None):
        """Says it; the code that was said (0: none).  before: called with the
        code when it is about to leave."""
        while callable(said) and not isinstance(said, (str, bytes)):
            said = said(self.c, arg)
        if said is None:
            said = usual
        if isinstance(said, Hang):
            while not self.sink.stopping:
                ready, _, _ = select.select([self.sock], [], [], 0.05)
                if ready:
                    self.fill()
            raise Gone
        if isinstance(said, Delay):
            end = time.monotonic() + said.seconds
            while time.monotonic() < end and not self.sink.stopping:
                time.sleep(min(0.02, max(0, end - time.monotonic())))
            return self.say(said.said, usual, arg, before)
        if isinstance(said, Drop):
            if said.said is not None:
                self.say(said.said, usual, arg, before)
            if isinstance(said, Reset):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     struct.pack("ii", 1, 0))
            raise Gone
        if isinstance(said, Drip):
            if before is not None:
                before(self.code(_reply(said.said or usual)))
            for octet in _reply(said.said if said.said is not None
                                else usual):
                if self.sink.stopping:
                    raise Gone
                self.send(bytes([octet]))
                time.sleep(said.seconds)
            text = said.said if said.said is not None else usual
            return self.code(_reply(text))
        octets = _reply(said)
        if before is not None:
            before(self.code(octets))
        self.send(octets)
        return self.code(octets)

    @staticmethod
    def code(octets):
        m = re.match(rb"(\d\d\d)", octets)
        return int(m.group(1)) if m else 0

    def step(self, step, usual, arg=None, key=None, before=None):
        return self.say(self.sink.pick(step, key), usual, arg, before)

    # ---- the dialogue ----

    def run(self):
        ready, _, _ = select.select([self.sock], [], [], 0)
        self.c.early = bool(ready)
        code = self.step("connect", f"220 {self.sink.name} ESMTP sink")
        if code // 100 != 2:
            self.refusing()
        while True:
            line = self.line()
            with self.sink.lock:
                self.c.commands.append(line.rstrip(b"\r\n"))
                self.sink.lock.notify_all()
            verb, _, arg = line.rstrip(b"\r\n").partition(b" ")
            name = verb.decode("latin-1").lower()
            handler = getattr(self, "do_" + name, None)
            if handler is None:
                self.step("other", "500 5.5.2 what?", arg)
            else:
                handler(arg)

    def refusing(self):
        """RFC 5321 3.1: after a 554 everything but QUIT is answered 503."""
        while True:
            line = self.line()
            self.c.commands.append(line.rstrip(b"\r\n"))
            if line[:4].upper() == b"QUIT":
                self.do_quit(b"")
            self.send(b"503 5.5.1 no service\r\n")

    def hello(self, step, arg):
        extensions = self.sink.extensions
        if extensions == "" and step == "ehlo":
            self.step(step, "502 5.5.1 no EHLO here", arg)
            return
        lines = [f"250 {self.sink.name}"]
        if step != "helo":
            lines += list(extensions or ())
        code = self.step(step, "\n".join(lines), arg)
        if code // 100 == 2:
            self.helo = arg.decode("latin-1")
            self.message = None

    def do_ehlo(self, arg):
        if self.sink.lmtp:
            self.step("ehlo", "500 5.5.1 LHLO, please", arg)
        else:
            self.hello("ehlo", arg)

    def do_lhlo(self, arg):
        if not self.sink.lmtp:
            self.step("lhlo", "500 5.5.1 EHLO, please", arg)
        else:
            self.hello("lhlo", arg)

    def do_helo(self, arg):
        self.hello("helo", arg)

    def do_mail(self, arg):
        sender, params = _path(arg)
        if sender is None:
            self.step("mail", "501 5.5.4 MAIL FROM:<address>", arg)
            return
        if self.message is not None:
            self.say(None, "503 5.5.1 nested MAIL")
            return
        if self.step("mail", "250 2.1.0 sender ok", arg, sender) // 100 == 2:
            self.message = Message(sender, params)
            self.message.connection = self.c
            self.message.helo = self.helo
            self.bdat = b""

    def do_rcpt(self, arg):
        address, params = _path(arg)
        if self.message is None:
            self.say(None, "503 5.5.1 MAIL first")
        elif address is None:
            self.step("rcpt", "501 5.5.4 RCPT TO:<address>", arg)
        elif self.step("rcpt", "250 2.1.5 recipient ok", arg,
                       address) // 100 == 2:
            self.message.recipients.append(address)
            self.message.rcpt_params.append(params)

    def do_data(self, arg):
        m = self.message
        usual = "354 go on"
        if m is None:
            usual = "503 5.5.1 MAIL first"
        elif not m.recipients:
            usual = "554 5.5.1 no valid recipients"
        if self.step("data", usual, arg) // 100 != 3:
            return
        lines, wire = [], []
        while True:
            line = self.line()
            wire.append(line)
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        if m is None:
            m = Message(None, [])
        m.content = b"".join(lines)
        m.wire = b"".join(wire)
        self.finish(m)

    def do_bdat(self, arg):
        words = arg.split()
        size = int(words[0])
        last = words[1:2] == [b"LAST"]
        octets = self.octets(size)
        m = self.message
        if m is None or not m.recipients:
            self.say(None, "503 5.5.1 MAIL and RCPT first" if m is None
                     else "554 5.5.1 no valid recipients")
            return
        m.chunks.append(size)
        self.bdat += octets
        if not last:
            if self.step("bdat", f"250 2.0.0 {size} octets",
                         arg) // 100 != 2:
                self.message = None
            return
        m.content = m.wire = self.bdat
        self.finish(m)

    def finish(self, m):
        self.message = None
        m.codes = []
        keys = m.recipients if self.sink.lmtp else [None]
        known = False

        def before(code):
            """Known to the test before the client hears of it."""
            nonlocal known
            m.codes.append(code)
            m.reply = m.codes[0]
            if len(m.codes) == len(keys):
                known = True
                self.know(m)
        try:
            for key in keys:
                self.step("content", "250 2.0.0 taken", m, key, before)
        finally:
            if not known:
                self.know(m)

    def know(self, m):
        with self.sink.lock:
            self.c.messages.append(m)
            self.sink.messages.append(m)
            self.sink.lock.notify_all()

    def do_rset(self, arg):
        self.message = None
        self.step("rset", "250 2.0.0 reset", arg)

    def do_noop(self, arg):
        self.step("noop", "250 2.0.0 ok", arg)

    def do_quit(self, arg):
        self.c.quit = True
        self.step("quit", "221 2.0.0 bye", arg)
        raise Gone
