"""The service definitions of etc/ under real supervisors: s6 and runit start
every daemon, restart what dies, pass signals on."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import subprocess
import time

import pytest

import letters
from suite import BIN, DAEMONS, DOMAIN, ROOT, Failure, Suite, wait_until


class Supervised(Suite):
    """A suite whose daemons belong to a supervisor."""

    def __init__(self, kind, **kw):
        super().__init__(start=False, **kw)
        self.kind = kind
        self.services = self.dir / "service" / kind
        try:
            subprocess.run(
                ["sh", str(ROOT / "etc/install"), str(self.dir / "service")],
                check=True, env=dict(
                    os.environ, LIBEXECDIR=str(BIN), SBINDIR=str(BIN),
                    SYSCONFDIR=str(self.dir), LOGDIR=str(self.dir / "log")))
            for name, d in self.daemons.items():
                d.log_path = self.dir / "log" / name / "current"
            self.supervisor = subprocess.Popen(
                ["s6-svscan" if kind == "s6" else "runsvdir",
                 str(self.services)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=open(self.dir / "log" / "supervisor", "wb"),
                env=self.environment(), start_new_session=True)
            wait_until(self.all_up, 30, lambda: "all services up:\n"
                       + self.text())
        except BaseException:
            self.stop(check=False)
            raise

    def all_up(self):
        return all(self.up(n) for n in DAEMONS)

    def pid_of(self, name):
        """Of a service that runs, or None."""
        tool = ["s6-svstat"] if self.kind == "s6" else ["sv", "status"]
        done = subprocess.run(tool + [str(self.services / name)],
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT)
        m = re.search(r"\(?pid[: ]+(\d+)\)?", done.stdout)
        return int(m.group(1)) if m and done.stdout.lstrip().startswith(
            ("up", "run")) else None

    def up(self, name):
        if self.kind == "s6":
            return subprocess.run(
                ["s6-svwait", "-U", "-t", "500", str(self.services / name)],
                stderr=subprocess.DEVNULL).returncode == 0
        pid = self.pid_of(name)
        return pid is not None and "ready version=" in self.log(name)

    def text(self):
        return self.log() + (self.dir / "log" / "supervisor").read_text()

    def stop(self, check=True, keep=False):
        if not self.stopped and hasattr(self, "supervisor"):
            if self.kind == "s6":
                subprocess.run(["s6-svscanctl", "-t", str(self.services)])
            else:
                self.supervisor.send_signal(signal.SIGHUP)
            try:
                self.supervisor.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.supervisor.pid, signal.SIGKILL)
                self.supervisor.wait()
                raise Failure(f"{self.kind} did not end") from None
        super().stop(check, keep)


@pytest.fixture(params=["s6", "runit"])
def s(request):
    program = {"s6": "s6-svscan", "runit": "runsvdir"}[request.param]
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine")
    with Supervised(request.param) as made:
        yield made


def test_a_letter(s):
    data = letters.make("supervised")
    s.send("x@client.example", f"ann@{DOMAIN}", data)
    [f] = s.wait_delivered("ann", 1)
    letters.assert_same(f, data)
    c = s.pop3("ann")
    assert c.stat()[0] == 1
    c.quit()


def test_restart_of_the_dead(s):
    """SIGKILL to each: the supervisor brings it back, mail flows."""
    before = {n: s.pid_of(n) for n in DAEMONS}
    assert all(before.values()), before
    for n, pid in before.items():
        os.kill(pid, signal.SIGKILL)

    def back():
        now = {n: s.pid_of(n) for n in DAEMONS}
        return all(now[n] and now[n] != before[n] and s.up(n) for n in now)
    wait_until(back, 30, lambda: s.text()[-4000:], pause=0.1)

    def sent():
        # Up is not yet ready where a supervisor knows no difference (runit).
        with contextlib.suppress(Failure, OSError, smtplib.SMTPException):
            return s.send("x@client.example", f"ann@{DOMAIN}",
                          letters.make("again"))
    wait_until(sent, 30, lambda: s.text()[-4000:], pause=0.1)
    s.wait_delivered("ann", 1)


@pytest.mark.parametrize("s", ["s6"], indirect=True)
def test_wrong_configuration_is_not_tried_for_ever(s):
    """Exit code 100: down until an admin acts (runit tries each second)."""
    good = s.conf.read_text()
    s.conf.write_text(good + "nonsense = 1\n")
    subprocess.run(["s6-svc", "-r", str(s.services / "smtpd")], check=True)
    wait_until(lambda: "nonsense" in s.log("smtpd"), 10)
    wait_until(lambda: s.pid_of("smtpd") is None, 10)
    time.sleep(1.2)
    assert s.pid_of("smtpd") is None
    assert s.log("smtpd").count("nonsense") <= 2
    s.conf.write_text(good)
    subprocess.run(["s6-svc", "-u", str(s.services / "smtpd")], check=True)
    wait_until(lambda: s.up("smtpd"), 10)


def test_systemd_units():
    """What can be said of them without systemd as the first process."""
    out = pathlib.Path(ROOT / "etc/systemd")
    names = {f"postern-{n}.service" for n in DAEMONS}
    assert names <= {p.name for p in out.iterdir()}
    for n in DAEMONS:
        text = (out / f"postern-{n}.service").read_text()
        assert re.search(rf"^ExecStart=@LIBEXECDIR@/{n} ", text, re.M)
        for key in ("Type=notify", "Restart=always",
                    "RestartPreventExitStatus=100"):
            assert key in text, (n, key)
