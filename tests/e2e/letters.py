"""Messages for tests, and what may differ when they have arrived."""
import pathlib
import random
import re

ADDED = (b"return-path", b"delivered-to", b"received")


def make(ident, size=400, eight_bit=True, long_lines=True):
    """A message of about `size` octets with CRLF line ends, the same for the
    same arguments: lines that begin with dots, UTF-8, single high octets,
    white space at line ends, long and empty lines.  The last line says that
    it is the last."""
    rnd = random.Random(f"{ident} {size}")
    head = (f"From: Sender <x@client.example>\r\n"
            f"To: Ann <ann@here.example>\r\n"
            f"Subject: test {ident}\r\n"
            f"Date: Sun, 22 Nov 2026 19:20:51 +0000\r\n"
            f"Message-ID: <{ident}@client.example>\r\n"
            f"X-Test-Id: {ident}\r\n")
    if eight_bit:
        head += ("MIME-Version: 1.0\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: 8bit\r\n")
    kinds = [b".", b"..", b". dot and more", b"..two dots", b"",
             b"white space at the end \t ", b"From the start of a line",
             b"=3D =0A %00 \\r\\n", b"250 OK", b"-- "]
    if eight_bit:
        kinds += ["Grüße aus Köln, 你好, 🎈".encode(), b"\xff\xfe\x80\xa0\xad"]
    if long_lines:
        kinds += [b"x" * 998, b"." * 997]
    last = f"This is the end of {ident}.\r\n".encode()
    parts = [head.encode(), b"\r\n"]
    left = size - len(head) - 2 - len(last)
    if left > 200_000:
        # Large ones are made of one block again and again.
        block = b"".join(rnd.choice(kinds) + b"\r\n" for _ in range(500))
        parts += [block] * (left // len(block))
        left %= len(block)
    while left > 2:
        line = rnd.choice(kinds)[:left - 2]
        parts.append(line + b"\r\n")
        left -= len(line) + 2
    parts.append(last)
    return b"".join(parts)


def strip_added(text):
    """The message without what postern put on top of it (and clients that
    fetch: getmail and fetchmail are told to add nothing)."""
    at = 0
    while True:
        m = re.compile(rb"([\w-]+):[^\n]*\n(?:[ \t][^\n]*\n)*").match(text, at)
        if m is None or m.group(1).lower() not in ADDED:
            return text[at:]
        at = m.end()


def lf(text):
    return text.replace(b"\r\n", b"\n")


def assert_same(got, sent, what=""):
    """got: a Maildir file or what a client fetched, in either line ends."""
    if isinstance(got, pathlib.Path):
        got = got.read_bytes()
    got, sent = lf(strip_added(got)), lf(sent)
    if got == sent:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, sent)) if a != b),
              min(len(got), len(sent)))
    raise AssertionError(
        f"{what} differs at octet {at} (lengths {len(got)}, sent "
        f"{len(sent)}): got {got[max(0, at - 60):at + 60]!r}, sent "
        f"{sent[max(0, at - 60):at + 60]!r}")


def header(text, name):
    """Values of a field, in order, unfolded."""
    if isinstance(text, pathlib.Path):
        text = text.read_bytes()
    head = lf(text).split(b"\n\n", 1)[0].decode("utf-8", "replace")
    head = re.sub(r"\n[ \t]+", " ", head)
    return [line.split(":", 1)[1].strip() for line in head.split("\n")
            if line.lower().startswith(name.lower() + ":")]


def idents(files):
    """X-Test-Id of each file, in order."""
    return [header(f, "X-Test-Id")[0] for f in files]


def whole(path):
    """Is the delivered file complete?"""
    text = path.read_bytes()
    ident = header(text, "X-Test-Id")
    return bool(ident) and text.endswith(
        f"This is the end of {ident[0]}.\n".encode())
