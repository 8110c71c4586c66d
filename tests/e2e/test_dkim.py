"""common/mail/dkim against Python's dkim (python3-dkim), both ways, through
bin/test-dkim; and the collections of ../shared/data (or below $POSTERN_DATA)."""
import base64
import json
import os
import pathlib
import random
import re
import subprocess

import pytest

from suite import BIN, ROOT

dkim = pytest.importorskip("dkim")

TOOL = BIN / "test-dkim"
DATA = pathlib.Path(os.environ.get("POSTERN_DATA") or ROOT / "../shared/data")
CANONS = ["simple/simple", "simple/relaxed", "relaxed/simple",
          "relaxed/relaxed"]

pytestmark = pytest.mark.skipif(not TOOL.exists(),
                                reason=f"{TOOL} is not built")


def run(*args, text, **env):
    p = subprocess.run([TOOL, *map(str, args)], input=text,
                       capture_output=True, timeout=120, check=False,
                       env={**os.environ, **env})
    assert p.returncode == 0, p.stderr.decode()
    return p.stdout


class Keys:
    """Private keys as PEM files, and what DNS would say of them."""

    def __init__(self, where):
        self.dir = where
        self.records = {}
        self.file = where / "records"
        self.make("rsa", "rsa", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        self.make("ed", "ed25519", "ED25519")
        self.write()

    def make(self, selector, kind, *args):
        pem = self.dir / (selector + ".pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", *args, "-out",
                        pem], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", pem, "-pubout",
                              "-outform", "DER"], check=True,
                             capture_output=True).stdout
        if kind == "ed25519":
            der = der[-32:]
        self.records[f"{selector}._domainkey.example.org"] = (
            f"v=DKIM1; k={kind}; p={base64.b64encode(der).decode()}")

    def pem(self, selector):
        return self.dir / (selector + ".pem")

    def write(self):
        self.file.write_text("".join(f"{k} {v}\n"
                                     for k, v in self.records.items()))

    def txt(self, name, timeout=5):
        if isinstance(name, bytes):
            name = name.decode()
        return self.records.get(name.rstrip("."), "").encode() or None


@pytest.fixture(scope="module", name="keys")
def _keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("dkim"))


def sign(keys, text, canon="relaxed/relaxed", names="From+,To+,Subject+,Date",
         step=1000000, selectors=("rsa", "ed"), **env):
    pairs = [x for s in selectors for x in (s, keys.pem(s))]
    return run("sign", canon, step, names, "example.org", *pairs, text=text,
               **env)


def verify(keys, text, step=1000000, now=""):
    file = keys.file if isinstance(keys, Keys) else keys
    args = ("verify", step, file) + ((now,) if now else ())
    return run(*args, text=text).decode().splitlines()


def theirs(keys, text):
    """What Python's dkim says of each signature.  Ed25519 needs python3-nacl."""
    d = dkim.DKIM(text)
    n = len(re.findall(rb"(?mi)^DKIM-Signature:", text.split(b"\r\n\r\n")[0]))
    return [d.verify(i, dnsfunc=keys.txt) for i in range(n)]


HEADER = (b"From: Ann <ann@example.org>\r\nTo: bob@there.example\r\n"
          b"Subject: a\r\n  folded \t line \r\nDate: Mon, 23 Nov 2026 "
          b"00:00:00 +0000\r\n")
BODIES = {
    "plain": b"Hello.\r\n",
    "none": b"",
    "empty lines": b"\r\n\r\n\r\n",
    "trailing lines": b"a\r\n\r\n\r\n",
    "blanks": b" a  b\t\tc \r\n\t \r\nd\t\r\n \r\n\r\n",
    "no line end": b"a\r\nb",
    "blanks at the end": b"a\r\n  \t\r\n",
    "eight bit": "gr\u00fc\u00df dich\r\n".encode() + b"\xff\xfe\x80 \r\n",
    "dots": b".\r\n..\r\n. a\r\n",
    "long": b"x" * 300000 + b" " * 3000 + b"y\r\n",
}
HEADERS = {
    "usual": HEADER,
    "repeated": HEADER + b"To: c@there.example\r\nSubject: again\r\n"
                b"To: d@there.example\r\n",
    "tabs": b"FROM:\t Ann\t<ann@example.org>\r\nto:bob@there.example\r\n"
            b"Subject:\r\n\tx\r\n \t y\r\n",
    "empty values": b"From: ann@example.org\r\nSubject:\r\nTo: \r\n",
    "eight bit": b"From: ann@example.org\r\nSubject: \xe4\xff\xf6 \x01\r\n",
    "large": b"From: ann@example.org\r\nSubject: "
             + b"x" * 500000 + b"\r\n " + b"y \t" * 170000 + b"z\r\n",
}


@pytest.mark.parametrize("canon", CANONS)
@pytest.mark.parametrize("body", BODIES)
def test_bodies_verify_there_and_here(keys, canon, body):
    text = HEADER + b"\r\n" + BODIES[body]
    signed = sign(keys, text, canon)
    assert signed.endswith(text)
    assert theirs(keys, signed) == [True, True]
    assert [x.split()[0] for x in verify(keys, signed)] == ["pass"] * 2
    if len(text) < 10000:
        fixed = {"TIME": "1000000"}
        assert sign(keys, text, canon, step=1, selectors=["ed"], **fixed) == \
            sign(keys, text, canon, selectors=["ed"], **fixed)
        assert verify(keys, signed, step=1) == verify(keys, signed)


@pytest.mark.parametrize("canon", CANONS)
@pytest.mark.parametrize("header", HEADERS)
def test_headers_verify_there_and_here(keys, canon, header):
    text = HEADERS[header] + b"\r\nHello.\r\n"
    signed = sign(keys, text, canon)
    assert theirs(keys, signed) == [True, True]
    assert [x.split()[0] for x in verify(keys, signed)] == ["pass"] * 2


@pytest.mark.parametrize("canon", CANONS)
@pytest.mark.parametrize("selector", ["rsa", "ed"])
def test_their_signatures_verify_here(keys, canon, selector):
    header, body = canon.split("/")
    for name, octets in BODIES.items():
        text = HEADER + b"\r\n" + octets
        kind = b"rsa-sha256" if selector == "rsa" else b"ed25519-sha256"
        key = keys.pem(selector).read_bytes()
        if selector == "ed":
            der = subprocess.run(
                ["openssl", "pkey", "-in", keys.pem(selector), "-outform",
                 "DER"], check=True, capture_output=True).stdout
            key = base64.b64encode(der[-32:])
        field = dkim.sign(text, selector.encode(), b"example.org", key,
                          canonicalize=(header.encode(), body.encode()),
                          signature_algorithm=kind,
                          include_headers=[b"from", b"to", b"subject",
                                           b"from"])
        got = verify(keys, field + text)
        assert got[0].startswith("pass "), (name, got)


def test_noise_verifies_there(keys):
    """Messages at random, of what matters for the two forms."""
    chance = random.Random(6376)
    words = [b" ", b"\t", b"\r\n", b"\r\n", b"a", b"bc", b"  ", b"\r\n\r\n",
             b"\xe4", b".", b"=", b"\x00"]
    for _ in range(60):
        body = b"".join(chance.choices(words, k=chance.randrange(60)))
        if body.endswith((b" ", b"\t")):
            body += b"\r\n"  # Python keeps blanks at the end otherwise
        canon = chance.choice(CANONS)
        signed = sign(keys, HEADER + b"\r\n" + body, canon,
                      selectors=["ed"], step=chance.choice([1, 2, 7, 1000]))
        assert theirs(keys, signed) == [True], (canon, body)
        assert verify(keys, signed, chance.choice([1, 3, 1000]))[0].startswith(
            "pass "), (canon, body)


@pytest.mark.parametrize("body", [b"a\rb\r\n\r\r\n", b"a\nb\r\n",
                                  b"\r\n\r", b"x \r", b"\0\r\0\n\r\n", b"\n",
                                  b"\r", b" \r \n \r\n"])
@pytest.mark.parametrize("canon", CANONS)
def test_binary_octets_are_octets(keys, body, canon):
    """Only CRLF ends a line.  (Python's dkim takes LF for one.)"""
    signed = sign(keys, HEADER + b"\r\n" + body, canon, step=1)
    for step in (1, 2, 1000):
        assert [x.split()[0] for x in verify(keys, signed, step)] == \
            ["pass"] * 2
    if b"\n" not in body.replace(b"\r\n", b""):
        assert theirs(keys, signed) == [True, True]


# ---- what is written ----

def field_of(signed):
    return signed.split(b"\r\nFrom:")[0].decode()


def test_the_field_is_folded_and_complete(keys):
    signed = sign(keys, HEADER + b"\r\nx\r\n", names="From+,To+,Cc+,Subject+,"
                  "Date+,Message-ID+,In-Reply-To+,References+,MIME-Version+,"
                  "Content-Type+", TIME="1000000", EXPIRES="2000000",
                  IDENTITY="ann=\u00e4@example.org")
    for line in field_of(signed).split("\r\n"):
        assert len(line.expandtabs(8)) <= 78, line
    text = re.sub(r"\s+", " ", field_of(signed))
    assert " l=" not in text
    assert "t=1000000; x=2000000;" in text
    assert "i=ann=3D=C3=A4@example.org;" in text
    assert text.replace(" ", "").count("h=from:from:to:to:cc:subject:subject:"
                                       "date:date:message-id:") == 2
    assert [x.split()[0] for x in verify(keys, signed)] == ["pass"] * 2
    assert verify(keys, signed, now="2000001")[0].startswith("permerror ")


def test_nothing_can_be_added(keys):
    signed = sign(keys, HEADER + b"\r\nx\r\n")
    for added in (b"From: eve@evil.example\r\n", b"Subject: pay\r\n"):
        head, _, rest = signed.partition(b"\r\nTo:")
        for bad in (added + signed, head + b"\r\n" + added + b"To:" + rest):
            assert {x.split()[0] for x in verify(keys, bad)} == {"fail"}
            assert theirs(keys, bad) == [False, False]


def test_changes_are_seen(keys):
    signed = sign(keys, HEADER + b"\r\nHello.\r\n")
    for old, new in ((b"Hello.", b"hello."), (b"Ann ", b"Eve "),
                     (b"s=rsa", b"s=ed"), (b"c=relaxed/relaxed", b"c=simple"),
                     (b"Hello.\r\n", b"Hello.\r\n\r\nx\r\n")):
        assert not verify(keys, signed.replace(old, new))[0].startswith(
            "pass"), old
    # ... and what the relaxed forms allow is no change.
    loose = signed.replace(b"Hello.\r\n", b"Hello. \t\r\n\r\n\r\n").replace(
        b"To: bob", b"TO:  \r\n\tbob")
    assert [x.split()[0] for x in verify(keys, loose)] == ["pass"] * 2


# ---- keys ----

def test_keys_that_do_not_do(keys, tmp_path):
    signed = sign(keys, HEADER + b"\r\nx\r\n", selectors=["rsa"])
    name = "rsa._domainkey.example.org"
    good = keys.records[name]
    cases = {
        "": "permerror", "TEMP": "temperror", "v=DKIM1; p=": "permerror",
        "v=DKIM2; " + good[9:]: "permerror",
        good + "; h=sha1": "permerror", good + "; s=tlsrpt": "permerror",
        good + "; h=sha1:sha256; s=*; n=x; zzz=y": "pass",
        good + "; t=y : s": "pass", good + "; p=x": "permerror",
        good.replace("k=rsa", "k=ed25519"): "permerror",
        good.replace("v=DKIM1; k=rsa; ", ""): "pass",
        good[:100]: "permerror", "k=rsa; p=AAAA": "permerror",
        "junk\n" + name + " " + good: "pass",
    }
    for record, want in cases.items():
        file = tmp_path / "records"
        file.write_text(f"{name} {record}\n" if record else "")
        assert verify(file, signed)[0].split()[0] == want, record


def test_short_keys_are_refused(keys, tmp_path):
    mine = Keys(tmp_path)
    mine.make("short", "rsa", "RSA", "-pkeyopt", "rsa_keygen_bits:512")
    mine.write()
    signed = sign(mine, HEADER + b"\r\nx\r\n", selectors=["short"])
    assert verify(mine, signed) == [
        "permerror d=example.org s=short a=rsa-sha256 bits=512 the key is too "
        "short"]


@pytest.mark.parametrize("field", [
    b"v=1", b"", b";", b"v=1; a", b"=;", b"v=1;;a=rsa-sha256",
    b"v=1; v=1", b"v=1; a=rsa-sha256; d=example.org; s=rsa; h=to; bh=AA; b=AA",
    b"v=1; a=rsa-sha1; d=example.org; s=rsa; h=from; bh=AA==; b=AA==",
    b"v=1; a=rsa-sha256; d=example.org; s=rsa; h=from; bh=*; b=*",
    b"v=1; a=rsa-sha256; c=x/y; d=example.org; s=rsa; h=from; bh=AA; b=AA",
    b"v=1; a=rsa-sha256; i=@other.org; d=example.org; s=rsa; h=from; bh=AA; "
    b"b=AA", b"v=1; a=rsa-sha256; l=99999999999999999999; d=example.org; "
    b"s=rsa; h=from; bh=AA; b=AA", b"v=1; " + b"x=1; " * 100,
    b"v=1; a=rsa-sha256; t=9; x=1; d=e.org; s=r; h=from; bh=AA; b=AA",
    b"v=1; a=rsa-sha256; d=example.org; s=rsa; h=from" + b":x" * 3000
    + b"; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AA==",
])
def test_broken_signatures(keys, field):
    text = b"DKIM-Signature: " + field + b"\r\n" + HEADER + b"\r\n"
    got = verify(keys, text)
    assert len(got) == 1 and got[0].split()[0] in ("permerror", "neutral",
                                                   "fail"), got
    assert verify(keys, text, step=1) == got


def test_a_signed_part_of_the_body(keys):
    """l= of others is understood, and told."""
    text = HEADER + b"\r\nHello.\r\n"
    field = dkim.sign(text, b"rsa", b"example.org",
                      keys.pem("rsa").read_bytes(), length=True,
                      include_headers=[b"from"])
    assert b"l=8" in field
    assert " part" in verify(keys, field + text)[0]
    assert verify(keys, field + text + b"more\r\n")[0].startswith("pass ")
    assert verify(keys, field + text.replace(b"lo.", b""))[0].startswith(
        "permerror ")


def test_many_signatures_are_bounded(keys):
    signed = HEADER + b"\r\nx\r\n"
    for _ in range(12):
        signed = sign(keys, signed, selectors=["ed"], names="From")
    got = verify(keys, signed)
    assert [x.split()[0] for x in got] == ["pass"] * 8


# ---- collections ----

@pytest.mark.skipif(not DATA.is_dir(), reason="no collection")
def test_the_example_of_rfc_8463(tmp_path):
    where = DATA / "dkim-mailauth/rfc8463"
    dns = json.loads((where / "dns.json").read_text())
    file = tmp_path / "records"
    lines = []
    for name, records in dns.items():
        for strings in records["TXT"]:
            lines.append(f"{name} {''.join(strings)}")
    file.write_text("\n".join(lines) + "\n")
    text = (where / "signed.eml").read_bytes()
    text = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert [x.split()[0] for x in verify(file, text)] == ["pass", "pass"]


@pytest.mark.skipif(not DATA.is_dir(), reason="no collection")
def test_collected_mail_is_signed(keys):
    """Whatever it is, Python agrees; what it cannot read is ours to survive."""
    files = sorted(p for d in ("mime-mimekit", "mime-mail-parser",
                               "dkim-mailauth")
                   for p in (DATA / d).rglob("*.*")
                   if p.suffix in (".eml", ".msg", ".txt"))
    tried = 0
    for file in files[:400]:
        text = file.read_bytes()[:200000]
        text = re.sub(rb"\r*\n", b"\r\n", text)
        text = re.sub(rb"\A((?:[!-9;-~]+:.*(?:\r\n[ \t].*)*\r\n)*)"
                      rb"DKIM-Signature:", rb"\1X-Old:", text, count=0)
        text = HEADER + re.sub(rb"(?mi)^(DKIM-Signature|From):", rb"X-\1:",
                               text)
        signed = sign(keys, text, names="From+,To,Subject,Date,Content-Type",
                      selectors=["ed"], step=4096)
        assert verify(keys, signed)[0].startswith("pass "), file
        try:
            good = theirs(keys, signed)
        except dkim.DKIMException:
            continue
        assert good == [True], file
        tried += 1
    assert tried > 50
