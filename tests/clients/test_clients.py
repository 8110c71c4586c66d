"""Programs that people use: each sends or fetches messages from 100 octets to
20 MB, with 8-bit text and lines of dots, and nothing differs at the end but the
header fields that postern adds."""
import re
import os
import poplib
import shutil
import smtplib
import stat
import subprocess

import pytest

import letters
from suite import DOMAIN, PASSWORD, Suite, wait_until

SIZES = [100, 400, 4096, 65_537, 1_000_003, 20_000_000]
SMALL = SIZES[:4]
ANN, BOB = f"ann@{DOMAIN}", f"bob@{DOMAIN}"


@pytest.fixture(scope="module")
def s():
    with Suite() as made:
        yield made


@pytest.fixture(autouse=True)
def empty(s):
    yield
    for user in ("ann", "bob"):
        for f in s.messages(user):
            f.unlink()


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def run(*args, **kw):
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, **kw)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    return done.stdout


def arrived(s, ident, data, user="ann"):
    def there():
        return [f for f in s.messages(user)
                if letters.header(f, "X-Test-Id") == [ident]]
    [f] = wait_until(there, 60, ident)
    letters.assert_same(f, data, ident)


def message(name, size, **kw):
    ident = f"{name}-{size}"
    if size < 250:
        # No room for the usual header fields.
        data = f"X-Test-Id: {ident}\r\n\r\n.dot\r\n..\r\n".encode()
        return ident, data + "ü".encode() * ((size - len(data) - 2) // 2) \
            + b"\r\n"
    return ident, letters.make(ident, size, **kw)


# ---- sending ----

@pytest.mark.parametrize("size", SIZES)
def test_send_smtplib(s, size):
    ident, data = message("smtplib", size)
    with smtplib.SMTP("127.0.0.1", s.ports["smtp"], timeout=60) as c:
        c.sendmail("x@client.example", [ANN], data, ["BODY=8BITMIME"])
    arrived(s, ident, data)


@pytest.mark.parametrize("size", SIZES)
def test_send_curl(s, size, tmp_path):
    need("curl")
    ident, data = message("curl", size)
    path = tmp_path / "message"
    path.write_bytes(data)
    run("curl", "-sS", f"smtp://127.0.0.1:{s.ports['smtp']}/client.example",
        "--mail-from", "x@client.example", "--mail-rcpt", ANN,
        "--mail-rcpt", BOB, "--upload-file", path)
    arrived(s, ident, data)
    arrived(s, ident, data, "bob")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", [[], ["--pipeline"]],
                         ids=["plain", "pipelined"])
def test_send_swaks(s, how, size, tmp_path):
    need("swaks")
    ident, data = message("swaks" + "".join(how), size)
    # swaks makes line ends of the two characters "\\n".
    data = data.replace(b"\\n", b"/n")
    path = tmp_path / "message"
    # It takes LF files and ends them with a line end of its own.
    path.write_bytes(letters.lf(data).removesuffix(b"\n"))
    run("swaks", "--server", "127.0.0.1", "--port", s.ports["smtp"],
        "--from", "x@client.example", "--to", ANN, "--helo", "client.example",
        "--data", f"@{path}", "--suppress-data", *how)
    arrived(s, ident, data)


# ---- fetching ----

def deliver(s, name, sizes, user="bob"):
    """Messages of these sizes; their octets by name."""
    sent = {}
    for size in sizes:
        ident, data = message(name, size)
        s.send("x@client.example", f"{user}@{DOMAIN}", data)
        sent[ident] = data
    s.wait_delivered(user, len(sizes), 60)
    return sent


def check(texts, sent):
    """Each fetched text is one of those sent."""
    left = dict(sent)
    for text in texts:
        [ident] = letters.header(text, "X-Test-Id")
        letters.assert_same(text, left.pop(ident), ident)
    assert not left


def test_fetch_poplib(s):
    sent = deliver(s, "poplib", SIZES)
    c = poplib.POP3("127.0.0.1", s.ports["pop3"], timeout=60)
    poplib._MAXLINE = 4096
    c.user(BOB)
    c.pass_(PASSWORD)
    n, octets = c.stat()
    assert n == len(SIZES)
    texts = [b"\r\n".join(c.retr(i)[1]) + b"\r\n" for i in range(1, n + 1)]
    assert sum(map(len, texts)) == octets
    check(texts, sent)
    for i in range(1, n + 1):
        c.dele(i)
    c.quit()
    assert s.messages("bob") == []


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_fetch_curl(user, tmp_path):
    """curl takes what hides the password where that is offered, and PLAIN or
    PASS otherwise: so here both, each account on a host of its kind."""
    need("curl")
    with Suite(users="".join(
            line for line in Suite.default_users().splitlines(True)
            if line.startswith(user)), aliases="") as s:
        sent = deliver(s, "curlpop", SIZES, user)
        url = f"pop3://127.0.0.1:{s.ports['pop3']}/"
        login = ["--user", f"{user}@{DOMAIN}:{PASSWORD}"]
        trace = run("curl", "-sSv", *login, url).decode()
        hidden = re.search(r"> (APOP|AUTH (CRAM|SCRAM))", trace)
        assert bool(hidden) == (user == "ann"), trace
        listing = run("curl", "-sS", *login, url).split(b"\r\n")
        numbers = [int(line.split()[0]) for line in listing if line.strip()]
        assert numbers == list(range(1, len(SIZES) + 1))
        check([run("curl", "-sS", *login, f"{url}{n}") for n in numbers],
              sent)
        run("curl", "-sS", *login, "-X", "DELE", "--list-only", f"{url}1")
        assert len(s.messages(user)) == len(SIZES) - 1


@pytest.fixture
def mda(tmp_path):
    """A program that keeps what it is given: one file a message."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    tmp_path.chmod(0o755)
    path = tmp_path / "mda"
    path.write_text(f'#!/bin/sh\ncat > "{out}/$$.tmp" &&\n'
                    f'mv "{out}/$$.tmp" "{out}/$$"\n')
    path.chmod(0o755)
    return path, out


def test_fetch_fetchmail(s, mda, tmp_path):
    need("fetchmail")
    sent = deliver(s, "fetchmail", SIZES)
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f"set no syslog\n"
        f"poll 127.0.0.1 protocol pop3 port {s.ports['pop3']} uidl\n"
        f"  user \"{BOB}\" password \"{PASSWORD}\" sslproto ''\n"
        f"  no rewrite no mimedecode nokeep fetchall\n"
        f"  mda \"{mda[0]}\"\n")
    rc.chmod(stat.S_IRUSR | stat.S_IWUSR)
    run("fetchmail", "-f", rc, "--pidfile", tmp_path / "pid",
        "--idfile", tmp_path / "ids", "--invisible", "--nosslcertck",
        env=dict(os.environ, HOME=str(tmp_path), FETCHMAILHOME=str(tmp_path)))
    check([f.read_bytes() for f in mda[1].iterdir()], sent)
    assert s.messages("bob") == []


def getmail(s, mda, tmp_path, **options):
    rc = tmp_path / "getmailrc"
    rc.write_text(
        f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\n"
        f"port = {s.ports['pop3']}\nusername = {BOB}\n"
        f"password = {PASSWORD}\n"
        f"[destination]\ntype = MDA_external\npath = {mda[0]}\n"
        f"allow_root_commands = true\nunixfrom = false\n"
        f"[options]\ndelivered_to = false\nreceived = false\n" +
        "".join(f"{k} = {v}\n" for k, v in options.items()))
    run("getmail", "--rcfile", rc, "--getmaildir", tmp_path,
        env=dict(os.environ, HOME=str(tmp_path)))


def test_fetch_getmail(s, mda, tmp_path):
    need("getmail")
    sent = deliver(s, "getmail", SIZES)
    getmail(s, mda, tmp_path, read_all="true", delete="true")
    check([f.read_bytes() for f in mda[1].iterdir()], sent)
    assert s.messages("bob") == []


def test_fetch_getmail_keeps_what_it_knows(s, mda, tmp_path):
    """A client that leaves mail on the server fetches each message once: its
    memory is the UIDL."""
    need("getmail")
    deliver(s, "kept", SMALL)
    for more in (0, 1):
        if more:
            s.restart("pop3d-mailbox")
            s.send("x@client.example", BOB, letters.make("one-more"))
            s.wait_delivered("bob", len(SMALL) + 1)
        getmail(s, mda, tmp_path, read_all="false", delete="false")
        assert len(os.listdir(mda[1])) == len(SMALL) + more
    assert len(s.messages("bob")) == len(SMALL) + 1
