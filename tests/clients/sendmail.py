"""sendmail for tests: an installed copy, who calls it, and a stand-in of
smtpd that says what a test wants."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import threading

from suite import BIN, Suite, is_root, sanitized

# What of a whole postern local mail needs.
DAEMONS = ("authd", "queued", "qmgr", "local", "spawner", "bounce", "smtpd",
           "pickup")
DAEMONS = tuple(n for n in DAEMONS if (BIN / n).exists())


class Installed:
    """sendmail, mailq and newaliases in a directory that every user may
    enter, each a script that names the suite's configuration."""

    def __init__(self, dir, conf):
        self.dir = pathlib.Path(dir)
        self.conf = conf
        real = self.dir / "sbin"
        real.mkdir(parents=True)
        for p in ("sendmail", "postern"):
            shutil.copy(BIN / p, real / p)
        bin = self.dir / "bin"
        bin.mkdir()
        for name in ("sendmail", "mailq", "newaliases"):
            if name != "sendmail":
                (real / name).symlink_to("sendmail")
            script = bin / name
            script.write_text(f'#!/bin/sh\nexec "{real}/{name}" -C "{conf}" '
                              f'"$@"\n')
            script.chmod(0o755)
        for d in (self.dir, real, bin):
            d.chmod(0o755)
        self.bin = bin
        self.sendmail = bin / "sendmail"

    def run(self, *args, text=b"", uid=None, program="sendmail", env=None,
            timeout=60):
        """The finished process; uid: as which user, with no other group."""
        who = {}
        if uid is not None and is_root():
            who = {"user": uid, "group": uid, "extra_groups": []}
        base = {"PATH": "/usr/bin:/bin",
                "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=86"}
        return subprocess.run(
            [str(self.bin / program), *map(str, args)], input=text,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            timeout=timeout, env={**base, **(env or {})}, **who)


class Mail(Suite):
    """A suite for local mail, with sendmail installed beside it."""

    def __init__(self, config=None, **kw):
        kw.setdefault("daemons", DAEMONS)
        super().__init__(config, **kw)
        self.mta = Installed(self.dir / "inst", self.conf)

    @property
    def drop_dir(self):
        return self.dir / "drop"

    def dropped(self):
        """Whole files in the drop directory."""
        return sorted(p.name for p in self.drop_dir.iterdir()
                      if not p.name.startswith((".", "bad.")))

    def aside(self):
        return sorted(p.name for p in self.drop_dir.iterdir()
                      if p.name.startswith("bad."))

    def sendmail(self, *args, text=b"Subject: x\n\nx\n", **kw):
        return self.mta.run(*args, text=text, **kw)


class Stub:
    """Stands in for smtpd on a UNIX socket.  answers: verb -> a reply, a list
    of replies (one each time, the last again), None to hang up, or a function
    of the line.  What was said is kept."""

    EHLO = ("mx.here.example", "PIPELINING", "SIZE 1000000", "8BITMIME",
            "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
    USUAL = {"greeting": "220 mx.here.example ready",
             "MAIL": "250 2.1.0 fine", "RCPT": "250 2.1.5 fine",
             "DATA": "354 go on", ".": "250 2.0.0 Queued as x",
             "RSET": "250 2.0.0 fine", "QUIT": "221 2.0.0 bye"}

    def __init__(self, path, answers=None, extensions=None):
        self.answers = {**self.USUAL, **(answers or {})}
        self.ehlo = self.EHLO if extensions is None else extensions
        self.said = []       # commands, of all connections
        self.messages = []   # octets, dots taken away
        self.connections = 0
        path = pathlib.Path(path)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        self.listen = socket.socket(socket.AF_UNIX)
        self.listen.bind(str(path))
        path.chmod(0o666)
        self.path = path
        self.listen.listen(16)
        self.threads = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listen.shutdown(socket.SHUT_RDWR)
        self.listen.close()
        self.path.unlink(missing_ok=True)
        for t in (self.thread, *self.threads):
            t.join(5)

    def serve(self):
        while True:
            try:
                c, _ = self.listen.accept()
            except OSError:
                return
            self.connections += 1
            t = threading.Thread(target=self.session, args=(c,), daemon=True)
            self.threads.append(t)
            t.start()

    def answer(self, verb, line=""):
        a = self.answers.get(verb, "500 5.5.1 what?")
        if callable(a):
            a = a(line)
        if isinstance(a, list):
            a = a.pop(0) if len(a) > 1 else a[0]
        return a

    def session(self, c):
        f = c.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            self.dialogue(c, f)
        c.close()

    def dialogue(self, c, f):
        def say(text):
            if text is None:
                raise OSError("hang up")
            c.sendall(text.encode() + b"\r\n")
        say(self.answer("greeting"))
        while True:
            line = f.readline()
            if not line:
                return
            assert line.endswith(b"\r\n"), line
            line = line[:-2].decode()
            self.said.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO" and "EHLO" not in self.answers:
                last = len(self.ehlo) - 1
                say("\r\n".join(f"250{' ' if i == last else '-'}{x}"
                                for i, x in enumerate(self.ehlo)))
                continue
            reply = self.answer(verb, line)
            say(reply)
            if verb == "QUIT":
                return
            if verb == "DATA" and reply.startswith("3"):
                text = []
                while True:
                    line = f.readline()
                    if not line:
                        return
                    if line == b".\r\n":
                        break
                    text.append(line[line.startswith(b"."):])
                self.messages.append(b"".join(text))
                say(self.answer("."))

    def rcpts(self):
        return [x[8:].split(">")[0].removeprefix("<") for x in self.said
                if x.startswith("RCPT TO:")]

    def mail(self):
        return [x for x in self.said if x.startswith("MAIL")]


__all__ = ["DAEMONS", "Installed", "Mail", "Stub", "os", "sanitized"]
