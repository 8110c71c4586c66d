"""common/mime against Python's email package, through bin/test-mime: the
collections of ../shared/data (or below $POSTERN_DATA), messages made at random
from a seed, and hostile ones."""
import base64
import email
import email.message
import json
import os
import pathlib
import quopri
import random
import re
import subprocess
import urllib.parse
import zlib

import pytest

from suite import BIN, DOMAIN, ROOT, Suite, wait_until

TOOL = BIN / "test-mime"
DATA = pathlib.Path(os.environ.get("POSTERN_DATA") or ROOT / "../shared/data")

pytestmark = pytest.mark.skipif(not TOOL.exists(),
                                reason=f"{TOOL} is not built")


def run(*args, text):
    p = subprocess.run([TOOL, *args], input=text, capture_output=True,
                       timeout=120, check=False)
    assert p.returncode == 0, p.stderr.decode()
    return p.stdout, p.stderr


def convert(to, text, step=None):
    """The converted message, and whether 8-bit header fields were left."""
    out, err = run("convert", to, *([str(step)] if step else []), text=text)
    return out, b"header-8bit" in err


# ---- what Python makes of a message ----

class Message(email.message.Message):
    """Python looks for a message in every message/...; that is in rfc822 and
    global only."""

    def get_content_type(self):
        name = super().get_content_type()
        if name.startswith("message/") and name[8:] not in (
                "rfc822", "global"):
            return name.replace("message/", "message-")
        return name


def parse(text):
    return email.message_from_bytes(text, _class=Message)


def content_of(part):
    """A leaf's octets as a reader gets them.  Python does not take blanks away
    at the end of quoted lines (RFC 2045 6.7 rule 3), and decodes uuencode; we
    do and do not."""
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    raw = part._payload or ""
    if encoding == "quoted-printable":
        raw = re.sub(r"[ \t]+(?=\r?\n|\Z)", "", raw)
        part = email.message_from_bytes(
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            + raw.encode("ascii", "surrogateescape"))
    elif encoding in ("x-uuencode", "uuencode", "x-uue"):
        return raw.encode("ascii", "surrogateescape")
    return part.get_payload(decode=True) or b""


def view(text):
    """(type, octets) of each leaf, "(" and ")" around what holds parts."""
    out = []

    def walk(m):
        if m.is_multipart():
            out.append("(" + m.get_content_type())
            for part in m.get_payload():
                walk(part)
            out.append(")")
        else:
            out.append((m.get_content_type().replace("message-", "message/"),
                        content_of(m)))

    walk(parse(text))
    return out


def our_view(text, lf=False):
    """The same as bin/test-mime prints it, contents as (length, CRC-32)."""
    lines = run("parts", *(["lf"] if lf else []), text=text)[0]
    out, kinds = [], []
    for line in lines.decode("latin-1").splitlines():
        w = line.split(" ")
        if w[0] == "begin":
            kinds.append((w[3], w[4]))
            if w[3] != "leaf":
                out.append("(" + w[4])
        else:
            kind, name = kinds.pop()
            out.append((name, int(w[7]), int(w[8], 16)) if kind == "leaf"
                       else ")")
    return out


def alike(ours, python):
    """Two views, but for what Python sees in its own way: a multipart without
    parts is a leaf to it, and the last line end of a message that ends within a
    part belongs to the delimiter that is missing."""
    joined = []
    for x in ours:
        if x == ")" and joined and isinstance(joined[-1], str) \
                and joined[-1].startswith("(multipart/"):
            joined[-1] = (joined[-1][1:], None, None)
        else:
            joined.append(x)
    if len(joined) != len(python):
        return False
    for i, (a, b) in enumerate(zip(joined, python)):
        if isinstance(a, str) or isinstance(b, str):
            if a != b:
                return False
            continue
        octets = b[1]
        last = all(x == ")" for x in joined[i + 1:])
        ends = [octets] + ([octets + b"\r\n", octets + b"\n"]
                           if last else [])
        if a[0] != b[0] or a[1] is not None and not any(
                a[1:] == (len(x), zlib.crc32(x)) for x in ends):
            return False
    return True


# ---- what must be true of every converted message ----

def check_carried(out, to, header_8bit):
    assert b"\0" not in out
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", out), "bare CR or LF"
    assert max(map(len, out.split(b"\r\n"))) <= 998
    if to == "7" and not header_8bit:
        assert out.isascii()


def check_message(text, same=True):
    for to in "78":
        out, header_8bit = convert(to, text)
        check_carried(out, to, header_8bit)
        assert convert(to, text, 7)[0] == out
        if same:
            assert alike(our_view(out), view(text))
            assert [x[0] if isinstance(x, tuple) else x for x in view(out)] \
                == [x[0] if isinstance(x, tuple) else x for x in view(text)]
            assert convert(to, out) == (out, header_8bit)


# ---- collections ----

def collection():
    names = sorted(
        p for d in ("mime-mail-parser", "mime-mailparser", "mime-mimekit",
                    "mime-mox", "mime-python", "arf-mail-auth", "tlsrpt",
                    "dkim-mailauth")
        if (DATA / d).is_dir()
        for p in (DATA / d).rglob("*")
        if p.suffix in (".eml", ".msg", ".txt") and p.name != "README"
        and "LICENSES" not in p.parts and p.name not in (
            "LICENSE.txt", "wikipedia.txt"))
    return names or [None]


def wire(path):
    text = path.read_bytes().replace(b"\r\n", b"\n")
    # Mailboxes of several messages: one is enough.
    text = re.sub(rb"\AFrom [^\n]*\n", b"", text)
    return text.replace(b"\n", b"\r\n")


# Where Python and we see different parts.
NO_COLON = "a line without a colon ends Python's header section, not ours"
SAME_BOUNDARY = "nested in each other with one boundary: Python takes the outer"
DIFFERENT = {
    "mime-mail-parser/legacy/026.eml": "8-bit file name of uuencode",
    "mime-mail-parser/malformed/003.eml": SAME_BOUNDARY,
    "mime-mail-parser/malformed/005.eml": SAME_BOUNDARY,
    "mime-mail-parser/malformed/007.eml": NO_COLON,
    "mime-mail-parser/malformed/013.eml": SAME_BOUNDARY,
    "mime-mail-parser/malformed/017.eml": "no semicolon before boundary",
    "mime-mail-parser/malformed/019.eml": NO_COLON,
    "mime-mail-parser/malformed/022.eml": NO_COLON,
    "mime-mail-parser/rfc/008.eml": "message/rfc822 in base64",
    "mime-mail-parser/thirdparty/012.eml": "a folded boundary",
    "mime-mail-parser/thirdparty/015.eml": NO_COLON,
    "mime-mimekit/messages/feedback-report.txt": NO_COLON,
    "mime-mimekit/messages/issue358.txt": NO_COLON,
    "mime-python/msg_15.txt": SAME_BOUNDARY,
    "mime-python/msg_19.txt": NO_COLON,
    "mime-python/msg_38.txt": NO_COLON,
}


@pytest.mark.parametrize("path", collection(), ids=lambda p: str(
    p.relative_to(DATA)) if p else "missing")
def test_collection(path):
    if path is None:
        pytest.skip(f"left out: no MIME collections below {DATA}")
    text = wire(path)
    name = str(path.relative_to(DATA))
    # Mailboxes hold several messages, with lines that are no fields.
    same = name not in DIFFERENT and "/mbox/" not in name
    if same:
        assert alike(our_view(text), view(text))
        local = text.replace(b"\r\n", b"\n")
        assert alike(our_view(local, lf=True), view(local))
    check_message(text, same)


# ---- the description ----

FIELDS = ["Content-Type", "Content-Transfer-Encoding", "Content-ID",
          "Content-Description", "Content-Disposition", "Content-Language",
          "Content-Location", "Content-MD5", "Date", "Subject", "From",
          "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To",
          "Message-ID", "References"]


def structure(text, lf=False):
    """[parent, number, kind, start, body, end, header on the wire, body there,
    header lines, body lines, fields] of each part."""
    out = []
    for line in run("structure", *(["lf"] if lf else []),
                    text=text)[0].decode().splitlines():
        w = line.split(" ")
        out.append([int(w[0]), int(w[1]), w[2], *map(int, w[3:10]),
                    {int(k): urllib.parse.unquote_to_bytes(v) for k, v in
                     (x.split("=", 1) for x in w[10:])}])
    return out


def unfolded(value):
    value = re.sub(rb"\r?\n(?=[ \t])", b"",
                   value.encode("utf-8", "surrogateescape"))
    return re.sub(rb"[\0\r\n]", b" ", value).strip(b" \t")


def check_structure(text):
    ours = structure(text)
    python = list(parse(text).walk())
    assert len(ours) == len(python)
    for i, (a, m) in enumerate(zip(ours, python)):
        parent, _, _, start, body, end, header_wire, body_wire, _, lines, \
            fields = a
        assert parent < i or i == 0
        assert (header_wire, body_wire) == (body - start, end - body)
        assert lines == text[body:end].count(b"\r\n")
        message = i == 0 or ours[parent][2] == "message"
        for k, name in enumerate(FIELDS[:None if message else 8]):
            # Raw 8-bit values become Header objects in Python.
            value = next((v for n, v in m._headers
                          if n.lower() == name.lower()), None)
            value = None if value is None else unfolded(value)
            if value is not None and len(value) > 7000:
                continue  # cut
            assert fields.get(k) == value, name
        if a[2] == "leaf":
            octets = (m._payload or "").encode("ascii", "surrogateescape")
            assert text[body:end] in (octets, octets + b"\r\n")
    local = text.replace(b"\r\n", b"\n")
    if local.replace(b"\n", b"\r\n") != text or b"\r" in local:
        return  # it has no lines only
    for a, b in zip(ours, structure(local, lf=True), strict=True):
        assert a[:3] + a[6:-1] == b[:3] + b[6:-1]
        assert a[-1] == b[-1] or any(len(v) > 7000 for v in a[-1].values())
        assert text[:a[3]].replace(b"\r\n", b"\n") == local[:b[3]]
        assert text[:a[5]].replace(b"\r\n", b"\n") == local[:b[5]]


@pytest.mark.parametrize("path", collection(), ids=lambda p: str(
    p.relative_to(DATA)) if p else "missing")
def test_structure(path):
    if path is None:
        pytest.skip(f"left out: no MIME collections below {DATA}")
    name = str(path.relative_to(DATA))
    text = wire(path)
    if name in DIFFERENT or "/mbox/" in name:
        structure(text)
    else:
        check_structure(text)


SECTIONS = (b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
            b"--a\r\n\r\none\r\n"
            b"--a\r\nContent-Type: message/rfc822\r\n\r\n"
            b"Subject: inner\r\nContent-Type: multipart/x; boundary=b\r\n"
            b"\r\n--b\r\n\r\ntwo-one\r\n--b\r\n\r\ntwo-two\r\n--b--"
            b"\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n"
            b"Subject: single\r\n\r\nthree\r\n--a--\r\n")


@pytest.mark.parametrize("path,want", [
    ("1", b"one"), ("2.1", b"two-one"), ("2.2", b"two-two"), ("3.1", b"three"),
    ("3", b"Subject: single\r\n\r\nthree"), ("4", None), ("1.1", None),
    ("2.3", None), ("3.2", None), ("3.1.1", None), ("2.1.1", None)])
def test_section(path, want):
    got = run("section", path, text=SECTIONS)[0].decode().strip()
    if want is None:
        assert got == "none"
    else:
        _, body, end = map(int, got.split())
        assert SECTIONS[body:end] == want


def test_section_of_single():
    for text in (b"A: b\r\n\r\ntext\r\n",
                 b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx\r\n"):
        start, body, end = map(int, run("section", "1", text=text)[0].split())
        assert (start, end) == (0, len(text))
    assert run("section", "1.1", text=text)[0] != b"none\n"
    assert run("section", "1.2", text=text)[0] == b"none\n"


# ---- values of Content-Type ----

# Of a type without a subtype we take nothing (RFC 2045 5.2), encoded words are
# not decoded here, and these are no parameters by any rule.
OTHERWISE = ("malicious/attempt", "test/encoded", "inva/lid", "name=  ",
             "text/plain/format", "iso-8859-1'%20r")


def type_vectors():
    path = DATA / "mime-mail-parser/content_type.json"
    if not path.is_file():
        return [None]
    return [v for v in json.loads(path.read_text())
            if v["expected"] and v["expected"]["c_subtype"]
            and "=?" not in v["header"]
            and not any(x in v["header"] for x in OTHERWISE)]


@pytest.mark.parametrize("vector", type_vectors(),
                         ids=lambda v: v["header"].strip()[:40] if v else "-")
def test_content_type(vector):
    if vector is None:
        pytest.skip(f"left out: no content_type.json below {DATA}")
    want = vector["expected"]
    lines = run("type", text=vector["header"].encode())[0].decode()
    first, *rest = lines.splitlines()
    assert urllib.parse.unquote(first) == \
        f"{want['c_type']}/{want['c_subtype']}".lower()
    ours = {}
    for line in rest:
        name, value, charset = re.fullmatch("(.*?)=(.*) (.*)", line).groups()
        ours[urllib.parse.unquote(name)] = urllib.parse.unquote_to_bytes(value).decode(
            charset or "utf-8", "replace")
    assert ours == {n: v for n, v in (
        a.values() if isinstance(a, dict) else a
        for a in want.get("attributes") or []) if not n.endswith("-language")}


# ---- encoded words, charsets ----

# Of the collection's files: hz and JIS X 0213 are not known here, and euc_kr
# has Hangul spelled out, which Python alone puts together.
CHARSETS = ("cp949", "euc-jp", "gb18030", "gb2312", "gbk", "shift_jis")


@pytest.mark.parametrize("name", CHARSETS)
def test_charset(name):
    stem = DATA / "charset-python" / name.replace("-", "_")
    if not stem.with_suffix(".txt").is_file():
        pytest.skip(f"left out: no {stem}.txt")
    out = run("charset", name, text=stem.with_suffix(".txt").read_bytes())[0]
    assert out == stem.with_name(stem.name + "-utf8.txt").read_bytes()


TEXTS = {"utf-8": "Gr\u00fc\u00dfe \u4e16\u754c \U0001f600 ?=_",
         "iso-8859-1": "Gr\u00fc\u00dfe = caf\u00e9?",
         "iso-8859-15": "20 \u20ac", "koi8-r": "\u041f\u0440\u0438",
         "windows-1251": "\u0416\u0443\u043a", "us-ascii": "plain_text",
         "euc-jp": "\u65e5\u672c\u8a9e", "iso-2022-jp": "\u65e5\u672c a",
         "shift_jis": "\u30c6\u30b9\u30c8", "gb2312": "\u4e2d\u6587",
         "big5": "\u4e2d\u6587", "euc-kr": "\ud55c\uad6d\uc5b4"}


def word(r, charset, octets):
    if r.random() < 0.5:
        coded = base64.b64encode(octets).decode()
        return f"=?{charset}?{r.choice('bB')}?{coded}?="
    coded = "".join(chr(c) if chr(c).isalnum() and c < 128 else "_"
                    if c == 32 else f"={c:02X}" for c in octets)
    return f"=?{charset}?{r.choice('qQ')}?{coded}?="


@pytest.mark.parametrize("seed", range(100))
def test_words(seed):
    r = random.Random(seed)
    value, want, after_word = "", "", False
    for _ in range(r.randrange(8)):
        if r.random() < 0.4:
            text = r.choice(("plain", "=?", "=?x?y?z?=", "a=?b",
                             "=?utf-8?B?AA", "=?no-such?Q?a?=", "(c)"))
            if after_word or value:
                value += " "
                want += " "
            value += text
            want += text
            after_word = False
            continue
        charset, text = r.choice(list(TEXTS.items()))
        gap = r.choice((" ", "\r\n ", "\r\n\t", "  "))
        if value:
            value += gap
            if not after_word:
                want += gap.replace("\r\n", "")
        octets = text.encode(charset)
        cut = r.randrange(len(octets))
        name = charset + r.choice(("", "", "*en"))
        if charset == "utf-8" and r.random() < 0.5 and cut:
            # A character on two words.
            value += word(r, name, octets[:cut]) + gap \
                + word(r, name, octets[cut:])
        else:
            value += word(r, name.upper() if r.random() < 0.5 else name,
                          octets)
        want += text
        after_word = True
    assert run("words", text=value.encode())[0].decode() == want


# ---- messages made at random ----

class Maker:
    """Nested messages of which every leaf's octets are known."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.leaves = []
        self.boundaries = []

    def text(self, octets):
        """Lines of text; octets: what it is made of besides letters."""
        r = self.r
        lines = []
        for _ in range(r.choice((0, 1, 2, 5, 40, 400))):
            line = b"".join(r.choice(octets) if r.random() < 0.1 else
                            r.choice(b"abc xyz. ,=\t-FFrom").to_bytes(1, "big")
                            for _ in range(r.choice((0, 1, 3, 30, 76, 90))))
            lines.append(r.choice((b"", b"", b"", b"From ", b"--", b".", b"-- ",
                                   b"--" + r.choice(self.boundaries or [b"x"])
                                   + b"x")) + line
                         + r.choice((b"", b"", b" ", b"\t")))
        return b"\r\n".join(lines)

    def leaf(self):
        r = self.r
        kind = r.choice(("ascii", "latin", "utf8", "binary", "long", "noise",
                         "base64", "qp"))
        label = None
        name = "text/plain; charset=x"
        if kind == "ascii":
            body = self.text([b"!", b"~"])
            label = r.choice((None, "7bit", "8bit", "binary", "7BIT (x)"))
        elif kind == "latin":
            body = self.text([b"\xe4", b"\xff"])
            label = r.choice((None, "7bit", "8bit", "8bit", "binary"))
        elif kind == "utf8":
            body = self.text(["\u0434".encode(), "\u4e16".encode()] * 3)
            label = r.choice((None, "8bit", "unheard-of"))
        elif kind == "long":
            body = self.text([b"y" * 500])
            label = r.choice((None, "7bit", "binary"))
        elif kind == "noise":
            body = bytes(r.choice(b"\r\n\0a\xe4-= ") for _ in range(
                r.choice((1, 20, 3000))))
            label = "binary"
            name = r.choice((name, "text/html", "image/x", "application/y"))
        elif kind == "binary":
            body = r.randbytes(r.choice((0, 1, 57, 3000, 50000)))
            label = "binary"
            name = r.choice(("image/x", "application/octet-stream"))
        else:
            body = r.randbytes(r.choice((1, 100, 9000)))
            label = kind if kind == "base64" else "quoted-printable"
            name = "application/z"
        # A line that only a multipart may have.
        for b in self.boundaries:
            body = re.sub(rb"(?m)(?<![^\r\n])--" + re.escape(b), b"-/" + b,
                          body)
        # A leaf is not to end in what looks like half of a line's end.
        if label not in ("binary", "base64", "quoted-printable"):
            body = re.sub(rb"\r(?!\n)|(?<!\r)\n", b"", body)
        self.leaves.append((name.split(";")[0], body))
        coded = body
        if label == "base64":
            coded = base64.encodebytes(body).replace(b"\n", b"\r\n")
        elif label == "quoted-printable":
            coded = quopri.encodestring(body).replace(b"\n", b"\r\n")
            coded = coded.replace(b"\r\n--", b"\r\n=2D-")
            if not coded.endswith(b"\r\n"):
                coded += b"=\r\n"
            self.leaves[-1] = (self.leaves[-1][0], quopri.decodestring(coded))
        fields = [f"Content-Type: {name}"]
        if label:
            fields.insert(r.randrange(2),
                          f"Content-Transfer-Encoding: {label}")
        if r.random() < 0.3:
            fields.append("Content-Disposition: attachment;\r\n filename=x")
        return fields, coded

    def boundary(self):
        r = self.r
        b = r.choice((b"b%d" % r.randrange(10**9), b"=_%d.x" % r.randrange(99),
                      b"a b:c" + b"%d" % r.randrange(10**6),
                      b"x" * r.choice((1, 70, 200)) + b"%d" % r.randrange(99)))
        # One that begins with another, or that another begins with.
        if self.boundaries and r.random() < 0.5:
            last = r.choice(self.boundaries)
            b = last + r.choice((b"x", b"1", b"-", b"--1"))
            if r.random() < 0.3 and len(last) > 2:
                b = last[:-1].rstrip()
        # "--b--" ends b and begins a part of "b--": nobody can tell.
        clash = any(b in (o, o + b"--") or o == b + b"--"
                    for o in self.boundaries)
        return b"q%d" % len(self.boundaries) + b if clash else b

    def multipart(self, depth):
        r = self.r
        b = self.boundary()
        self.boundaries.append(b)
        subtype = r.choice(("mixed", "alternative", "related", "signed",
                            "digest"))
        out = [r.choice((b"", b"preamble\r\n", b"a \xe4 in it\r\n--\r\n"))]
        n = r.choice((1, 1, 2, 3, 5))
        for i in range(n):
            pad = r.choice((b"", b"", b" ", b"\t "))
            out.append((b"\r\n" if i or not out[0] and r.random() < .5 else b"")
                       + b"--" + b + pad + b"\r\n")
            fields, body = self.entity(depth + 1, subtype == "digest")
            out.append("".join(f + "\r\n" for f in fields).encode() + b"\r\n"
                       + body)
        if depth == 0 or r.random() < 0.9:
            out.append(b"\r\n--" + b + b"--")
            out.append(r.choice((b"\r\n", b" \r\n", b"\r\nepilogue",
                                 b"\r\n\xe4 epilogue\r\n")))
        # Once closed it may come again; what is not closed may not.
        self.boundaries.pop()
        fields = [f'Content-Type: multipart/{subtype};\r\n boundary="'
                  + b.decode() + '"']
        label = r.choice((None, "7bit", "8bit", "binary"))
        if label:
            fields.insert(r.randrange(2),
                          f"Content-Transfer-Encoding: {label}")
        return fields, b"".join(out)

    def entity(self, depth, digest=False):
        r = self.r
        roll = r.random()
        if depth < 6 and roll < (0.9 if depth == 0 else 0.35):
            return self.multipart(depth)
        if depth < 6 and roll < 0.5:
            fields, body = self.entity(depth + 1)
            inner = "".join(f + "\r\n" for f in
                            ["Subject: inner", *fields]).encode()
            own = [] if digest and r.random() < 0.7 else [
                "Content-Type: message/rfc822"]
            if r.random() < 0.5:
                own.append("Content-Transfer-Encoding: " + r.choice(
                    ("7bit", "8bit", "binary")))
            return own, inner + b"\r\n" + body
        return self.leaf()

    def message(self):
        fields, body = self.entity(0)
        head = ["From: ann@here.example", "MIME-Version: 1.0", *fields,
                "Subject: test"]
        text = "".join(f + "\r\n" for f in head).encode() + b"\r\n" + body
        return text if text.endswith(b"\r\n") else text + b"\r\n"


def octets_of(seen):
    return [(x[0], x[1], x[2]) for x in seen if not isinstance(x, str)]


@pytest.mark.parametrize("seed", range(80))
def test_random(seed):
    maker = Maker(seed)
    text = maker.message()
    want = [(n, len(o), zlib.crc32(o)) for n, o in maker.leaves]
    ours = octets_of(our_view(text))
    # The last line end of a message that is cut within a part is its own.
    if len(ours) == len(want) and ours[-1] != want[-1]:
        name, octets = maker.leaves[-1]
        octets += b"\r\n"
        want[-1] = (name, len(octets), zlib.crc32(octets))
    assert ours == want
    check_structure(text)
    for to in "78":
        out, header_8bit = convert(to, text)
        check_carried(out, to, header_8bit)
        assert not header_8bit
        assert octets_of(our_view(out)) == want
        python = [x for x in view(out) if not isinstance(x, str)]
        for (name, octets), (_, python_octets) in zip(maker.leaves, python,
                                                      strict=True):
            assert python_octets in (octets, octets + b"\r\n"), name
        for step in (1, 77) if len(text) < 20000 else (4096,):
            assert convert(to, text, step)[0] == out
        assert convert(to, out) == (out, False)


# ---- hostile ones ----

def nested(n, end=True):
    """n multiparts within each other."""
    out = []
    for i in range(n):
        out.append(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d"
                   b"\r\n" % (i, i))
    out.append(b"\r\n\xe4\r\n")
    if end:
        out += [b"--b%d--\r\n" % i for i in reversed(range(n))]
    return b"".join(out)


HOSTILE = {
    "empty": b"",
    "only the empty line": b"\r\n",
    "10,000 levels": nested(10000),
    "10,000 levels that never end": nested(10000, False),
    "as deep as it is looked into": nested(50),
    "one deeper": nested(51),
    "messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 10000
    + b"\r\n\xe4\r\n",
    "a header line of 1 MB": b"Subject: " + b"x" * 1000000
    + b"\r\n\r\n\xe4\r\n",
    "a Content-Type of 1 MB": b"Content-Type: text/plain; x=\"" + b"y z" * 333333
    + b"\"\r\n\r\n\xe4\r\n",
    "a label of 1 MB": b"Content-Transfer-Encoding: 8bit (" + b"(" * 1000000
    + b"\r\n\r\n\xe4\r\n",
    "100,000 labels": b"Content-Transfer-Encoding: 8bit\r\nX: y\r\n" * 100000
    + b"\r\n\xe4\r\n",
    "a boundary of 1000 octets": b"Content-Type: multipart/mixed; boundary="
    + b"q" * 1000 + b"\r\n\r\n--" + b"q" * 1000 + b"\r\n\r\n\xe4\r\n",
    "the longest boundary": b"Content-Type: multipart/mixed; boundary="
    + b"q" * 940 + b"\r\n\r\n--" + b"q" * 940 + b"\r\n\r\n\xe4\r\n--"
    + b"q" * 940 + b"--\r\n",
    "an empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n'
    b"--\r\n\r\n\xe4\r\n----\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n--\r\n\xe4\r\n",
    "nothing but dashes": b"--\r\n" * 100000 + b"\r\n" + b"--\r\n" * 100000,
    "100,000 delimiters": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\n" * 100000,
    "half delimiters": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b" + b" " * 2000000 + b"\r\n\r\n\xe4",
    "20,000 parameters": b"Content-Type: text/plain" + b"; a*1=b" * 20000
    + b"\r\n\r\n\xe4\r\n",
    "words without end": b"Content-Type: text/plain; " + b"a " * 500000
    + b"\r\n\r\n\xe4\r\n",
    "1 MB of CR": b"Subject: x\r\n\r\n" + b"\r" * 1000000,
    "1 MB of LF": b"Subject: x\r\n\r\n" + b"\n" * 1000000,
    "1 MB of NUL": b"\0" * 1000000,
    "1 MB of 8 bit": b"\xff" * 1000000,
    "1 MB of blanks": b"a: b\r\n\r\n" + b" " * 1000000,
    "base64 that is none": b"Content-Transfer-Encoding: base64\r\n\r\n"
    + bytes(range(256)) * 4000,
    "quoted-printable that is none":
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    + bytes(range(256)) * 4000,
    "equals signs": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    + b"=" * 1000000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name):
    text = HOSTILE[name]
    run("parts", text=text)
    for to in "78":
        out, header_8bit = convert(to, text)
        check_carried(out, to, header_8bit)
        assert len(out) < 4 * len(text) + 1000
        assert convert(to, text, 999)[0] == out


def test_memory():
    """Bounded, whatever comes: 100 MB in 30 MB."""
    if b"__asan_init" in TOOL.read_bytes():
        pytest.skip("address space is no measure with a sanitizer")
    limited = f"ulimit -v 30000; exec '{TOOL}' bench convert7 400"
    for text in (b"Content-Type: text/plain\r\n\r\n" + b"a" * 3000000,
                 nested(100) + b"--b0\r\n" * 10000,
                 b"X: y\r\n" * 400000):
        p = subprocess.run(["sh", "-c", limited], input=text, timeout=100,
                           capture_output=True, check=False)
        assert p.returncode == 0, p.stderr


# ---- deliveries ----

BINARY = (b"From: x@client.example\r\nMIME-Version: 1.0\r\n"
          b"Content-Type: multipart/mixed; boundary=b\r\n"
          b"Content-Transfer-Encoding: binary\r\n\r\n"
          b"--b\r\nContent-Type: text/plain\r\n\r\ntext \xe4\r\n"
          b"--b\r\nContent-Type: application/octet-stream\r\n"
          b"Content-Transfer-Encoding: binary\r\n\r\n"
          + bytes(range(256)) * 2000 + b"\r\n--b--\r\n")


def test_delivered():
    """What came as BINARYMIME, in a Maildir and to a program: lines, and each
    part as it was; what the file's name says of its size is right."""
    with Suite(start=False) as s:
        out = s.dir / "out"
        out.mkdir()
        out.chmod(0o777)
        program = s.dir / "program"
        program.write_text(f"#!/bin/sh\ncat > {out}/mail.new\n"
                           f"mv {out}/mail.new {out}/mail\n")
        program.chmod(0o755)
        s.write_table("aliases", f"postmaster@{DOMAIN}: ann@{DOMAIN}\n"
                      f"program@{DOMAIN}: \"|{program}\"\n")
        s.setup_again()
        s.start()
        with s.smtp() as c:
            c.ehlo()
            assert c.mail("x@client.example", ["BODY=BINARYMIME"])[0] == 250
            for to in ("ann", "program"):
                assert c.rcpt(f"{to}@{DOMAIN}")[0] == 250
            c.send(b"BDAT %d LAST\r\n" % len(BINARY) + BINARY)
            assert c.getreply()[0] == 250
        wait_until((out / "mail").exists, 20)
        [path] = s.wait_delivered("ann", 1)
        for file in (path, out / "mail"):
            text = file.read_bytes()
            assert b"\r" not in text and b"\0" not in text
            parts = email.message_from_bytes(text).get_payload()
            assert parts[0].get_payload(decode=True) == b"text \xe4"
            assert parts[1].get_payload(decode=True) == \
                bytes(range(256)) * 2000
        text = path.read_bytes()
        sizes = dict(x.split("=") for x in
                     path.name.split(":")[0].split(",")[1:])
        assert int(sizes["S"]) == len(text)
        assert int(sizes["W"]) == len(text) + text.count(b"\n")
