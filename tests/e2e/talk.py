"""Runs dialog files (docs: STYLE, section 10) against a listening port.

    # RFC 5321 4.1.4: RCPT before MAIL is refused, the session goes on
    # config: smtp_vrfy = yes
    S: 220 *
    C: EHLO client.example
    S* 250
    C! MAIL FROM:<>\\r\\nQUIT\\r\\n
    S: 250 2.1.0 *
    S.

    S: glob     one line (CRLF); * and ? are the only special characters,
                a backslash takes them literally
    S* text     a whole multi-line reply.  SMTP: `S* 250` all lines have this
                code; `S* 250 glob` one of them also reads so.  POP3: `S* glob`
                the first line, then everything up to the lone dot
    S.          the peer closes, nothing more comes
    C: text     a line
    C! text     raw octets: \\r \\n \\t \\0 \\\\ \\xHH, and \\{N:text} repeats text
    TLS         a handshake (not known yet)

Lines "# config: key = value" right at the top choose the configuration; a key
"smtp/proxy" goes into the section [listen smtp].
"""
import re
import socket

TIMEOUT = 15
LINE_MAX = 1 << 20


class DialogError(Exception):
    """file:line, what was wanted, what came."""


class Step:
    def __init__(self, line, kind, text):
        self.line, self.kind, self.text = line, kind, text


class Dialog:
    """A parsed file: title, config, steps."""

    def __init__(self, path):
        self.path = path
        self.config = {}
        self.title = ""
        self.steps = []
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            self.parse(number, line)
        if not self.steps:
            raise DialogError(f"{path}: no steps")

    def parse(self, number, line):
        if line.startswith("#"):
            m = re.match(r"#\s*config:\s*([\w/-]+)\s*=\s*(.*?)\s*$", line)
            if m and self.steps:
                raise DialogError(f"{self.path}:{number}: config after the "
                                  "first step")
            if m:
                self.config[m.group(1)] = m.group(2)
            elif not self.title:
                self.title = line.lstrip("# ").strip()
            return
        if not line.strip():
            return
        if line.rstrip() in ("S.", "TLS"):
            self.steps.append(Step(number, line.rstrip(), ""))
            return
        kind, rest = line[:2], line[2:]
        if kind not in ("S:", "S*", "C:", "C!"):
            raise DialogError(f"{self.path}:{number}: not understood: {line}")
        # One space belongs to the notation, further ones to the text.
        rest = rest[1:] if rest.startswith(" ") else rest
        if kind == "C!":
            rest = unescape(rest, f"{self.path}:{number}")
        self.steps.append(Step(number, kind, rest))


ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def unescape(text, where):
    """What a C! line stands for, as octets."""
    out, at = b"", 0
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode("utf-8")
            at += 1
            continue
        rest = text[at + 1:]
        m = re.match(r"\{(\d+):([^{}]*)\}", rest)
        if m:
            out += unescape(m.group(2), where) * int(m.group(1))
            at += 1 + m.end()
        elif re.match(r"x[0-9a-fA-F]{2}", rest):
            out += bytes([int(rest[1:3], 16)])
            at += 4
        elif rest[:1] in ESCAPES:
            out += ESCAPES[rest[0]].encode()
            at += 2
        else:
            raise DialogError(f"{where}: unknown escape: \\{rest[:2]}")
    return out


def glob_match(pattern, text):
    rx, at = "", 0
    while at < len(pattern):
        c = pattern[at]
        if c == "\\" and at + 1 < len(pattern):
            at += 1
            rx += re.escape(pattern[at])
        else:
            rx += {"*": ".*", "?": "."}.get(c, re.escape(c))
        at += 1
    return re.fullmatch(rx, text, re.S) is not None


class Peer:
    """The connection, seen as lines."""

    def __init__(self, address):
        self.sock = socket.create_connection(address, TIMEOUT)
        self.sock.settimeout(TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closed = False

    def fill(self):
        try:
            got = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            got = b""
        if not got:
            self.closed = True
        self.buffer += got
        return bool(got)

    def line(self):
        """A line without its CRLF; None at the end, TimeoutError."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > LINE_MAX or self.closed or not self.fill():
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def send(self, data):
        # A peer that has closed is reported by the next S line.
        try:
            self.sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass

    def close(self):
        self.sock.close()


def shown(data):
    if data is None:
        return "the end of the connection"
    return repr(data.decode("utf-8", "backslashreplace"))


class Runner:
    def __init__(self, dialog, address, protocol):
        self.dialog = dialog
        self.protocol = protocol
        self.peer = Peer(address)
        self.step = None

    def fail(self, want, got):
        raise DialogError(f"{self.dialog.path}:{self.step.line}: want {want}, "
                          f"got {got}")

    def read(self, want):
        try:
            raw = self.peer.line()
        except TimeoutError:
            self.fail(want, f"nothing for {TIMEOUT} s; in the buffer: "
                      f"{shown(self.peer.buffer)}")
        if raw is None:
            self.fail(want, shown(self.peer.buffer or None))
        if not raw.endswith(b"\r\n") or b"\r" in raw[:-2]:
            self.fail(want, f"a line that does not end in CRLF: {shown(raw)}")
        return raw[:-2].decode("utf-8", "backslashreplace")

    def one_line(self, pattern):
        got = self.read(repr(pattern))
        if not glob_match(pattern, got):
            self.fail(repr(pattern), repr(got))

    def smtp_reply(self, text):
        code, _, pattern = text.partition(" ")
        lines = []
        while True:
            got = self.read(f"a reply {text!r}")
            lines.append(got)
            if got[:3] != code or got[3:4] not in ("-", " ", ""):
                self.fail(f"a reply {text!r}", repr(got))
            if got[3:4] != "-":
                break
        if pattern and not any(glob_match(pattern, x[4:]) for x in lines):
            self.fail(f"a reply with a line {pattern!r}", repr(lines))

    def pop3_reply(self, pattern):
        self.one_line(pattern)
        while self.read("lines up to the dot") != ".":
            pass

    def end(self):
        try:
            while self.peer.fill():
                pass
        except TimeoutError:
            self.fail("the end of the connection", f"nothing for {TIMEOUT} s")
        if self.peer.buffer:
            self.fail("the end of the connection", shown(self.peer.buffer))

    def run_step(self, step):
        self.step = step
        if step.kind == "S:":
            self.one_line(step.text)
        elif step.kind == "S*" and self.protocol == "pop3":
            self.pop3_reply(step.text)
        elif step.kind == "S*":
            self.smtp_reply(step.text)
        elif step.kind == "S.":
            self.end()
        elif step.kind == "C:":
            self.peer.send(step.text.encode("utf-8") + b"\r\n")
        elif step.kind == "C!":
            self.peer.send(step.text)
        else:
            raise DialogError(f"{self.dialog.path}:{step.line}: {step.kind} "
                              "is not known yet")

    def run(self):
        try:
            for step in self.dialog.steps:
                self.run_step(step)
            if self.step.kind.startswith("S") and self.peer.buffer:
                self.fail("nothing more", shown(self.peer.buffer))
        finally:
            self.peer.close()


def run(dialog, address, protocol):
    Runner(dialog, address, protocol).run()
