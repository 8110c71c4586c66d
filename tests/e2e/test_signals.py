"""SIGHUP reads the configuration again without dropping anything; SIGTERM ends
after the step in hand; sessions that are open survive what they can."""
import re
import signal
import subprocess
import threading
import time

import pytest

import letters
from load import Load
from suite import BIN, DAEMONS, DOMAIN, Suite, stuffed, wait_until

CONFIG = {"retry_first": "100ms", "retry_max": "1s",
          "smtp_sessions_per_client_max": "200"}


@pytest.fixture
def s():
    with Suite(CONFIG) as made:
        yield made


def test_hup_under_load(s):
    """No connection breaks, nothing is refused, nothing is lost."""
    with Load(s, per_connection=100000) as load:
        load.wait_for(20)
        for _ in range(10):
            s.hup()
            load.wait_for(10)
    assert not load.unknown, load.unknown
    assert not load.refused, load.refused[:5]
    load.check_arrived()
    s.wait_queue_empty()
    for name in DAEMONS:
        assert s.daemons[name].running(), name


def test_hup_takes_effect(s):
    with s.smtp() as c:
        c.ehlo()
        assert c.esmtp_features["size"] == "52428800"
        s.write_conf(dict(CONFIG, message_size_max="1M"))
        s.hup("smtpd")

        def new():
            with s.smtp() as d:
                d.ehlo()
                return d.esmtp_features["size"] == "1048576"
        wait_until(new, 10, "the new limit")
        # The old session goes on as it began.
        c.sendmail("x@client.example", [f"ann@{DOMAIN}"],
                   letters.make("old-session"))
    s.wait_delivered("ann", 1)


def test_hup_with_a_broken_file(s):
    """The old configuration stays in force and the log names the error."""
    s.conf.write_text(s.conf.read_text() + "no_such_key = 1\n")
    s.hup()
    for name in DAEMONS:
        s.wait_log(name, "no_such_key")
        assert s.daemons[name].running()
    s.send("x@client.example", f"ann@{DOMAIN}")
    s.wait_delivered("ann", 1)


def test_term_under_load(s):
    """Every daemon ends with 0 within seconds; what was answered is there
    after the next start."""
    with Load(s) as load:
        for name in ("smtpd", "queued", "qmgr", "local", "authd", "spawner"):
            load.wait_for(15)
            began = time.monotonic()
            assert s.terminate(name, 15) == 0, name
            assert time.monotonic() - began < 10, name
            s.start(name)
        load.wait_for(10)
    load.check_arrived()
    s.wait_queue_empty()


def test_term_finishes_the_message_in_hand(s):
    """A client within DATA when smtpd is told to end: its message is either
    taken whole or not at all, and it is told which."""
    data = stuffed(letters.make("slow", 20_000))
    answers = []

    def client():
        with s.connect() as sock:
            f = sock.makefile("rb")

            def reply():
                while True:
                    line = f.readline()
                    if line[3:4] != b"-":
                        return line
            reply()
            for command in (b"EHLO client.example", b"MAIL FROM:<x@y.example>",
                            f"RCPT TO:<ann@{DOMAIN}>".encode(), b"DATA"):
                sock.sendall(command + b"\r\n")
                reply()
            for at in range(0, len(data), 2000):
                try:
                    sock.sendall(data[at:at + 2000])
                except OSError:
                    break
                time.sleep(0.05)
            try:
                sock.sendall(b".\r\n")
                answers.append(reply())
            except OSError:
                answers.append(b"")
    t = threading.Thread(target=client)
    t.start()
    time.sleep(0.25)
    s.kill("smtpd", signal.SIGTERM)
    t.join()
    assert s.daemons["smtpd"].process.wait(15) == 0
    if answers[0].startswith(b"250"):
        [f] = s.wait_delivered("ann", 1)
        assert letters.whole(f)
    else:
        assert answers[0][:1] in (b"4", b""), answers
        assert s.queue() == [] and s.messages("ann") == []


def test_term_tells_idle_clients(s):
    """RFC 5321 3.8: 421 before the connection is closed."""
    with s.connect() as sock:
        sock.recv(200)
        s.kill("smtpd", signal.SIGTERM)
        text = b""
        while True:
            got = sock.recv(1000)
            if not got:
                break
            text += got
        assert text.startswith(b"421 4.3.2") or text.startswith(b"421"), text
    assert s.daemons["smtpd"].process.wait(10) == 0


def test_start_twice(s):
    """A second instance of a daemon does not take the first one's place
    unnoticed: qmgr has its lock, smtpd its port."""
    for name in ("qmgr", "smtpd"):
        done = subprocess.run(
            [str(BIN / name), "-c", str(s.conf)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=20, env=s.environment(name))
        assert done.returncode in (100, 111), (name, done)
        assert done.stdout.strip(), name
    s.send("x@client.example", f"ann@{DOMAIN}")
    s.wait_delivered("ann", 1)


def test_readiness_and_log_form(s):
    """Every line of every log: program[pid]: verb key=value..."""
    s.send("x@client.example", f"ann@{DOMAIN}")
    s.wait_delivered("ann", 1)
    for name in DAEMONS:
        for line in s.log(name).splitlines():
            assert re.match(r"[\w-]+\[\d+\]: \S", line), (name, line)
        assert re.search(r"ready version=", s.log(name)), name
