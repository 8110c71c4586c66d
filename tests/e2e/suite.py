"""A whole postern in a fresh directory, for tests.

    with Suite({"hops_max": "5"}) as s:
        s.send("x@client.example", ["ann@here.example"], b"Subject: a\r\n\r\n")
        s.wait_delivered("ann", 1)

Every daemon is a child of the test, in the foreground, with its own log file;
readiness comes through `-d FD`.  As root the daemons become the users of
etc/users; as an ordinary user they all stay who they are.  `as_user` runs the
second way from the first.  Nothing is shared between two suites: directory,
ports, sockets.

The tables of every suite, unless a test brings its own:

    domains   here.example
    users     ann, bob @here.example, password "secret" (plain and yescrypt)
    aliases   postmaster -> ann, staff -> ann and bob
"""
import contextlib
import grp
import os
import pathlib
import poplib
import pwd
import random
import re
import select
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTERN_BIN") or ROOT / "bin").resolve()
DOMAIN = "here.example"
HOSTNAME = "mx.here.example"
PASSWORD = "secret"
# crypt("secret"), yescrypt, made once
YESCRYPT = ("$y$j9T$Fq2ynuGjE2LQwXpGkTmdl0$"
            "jnduHymNv0Pff/zPlSjo3rXf6NHv6YMPHZXj.3e4SG8")

# In the order they would be started by hand; any other works as well.
DAEMONS = tuple(n for n in (
    "authd", "queued", "qmgr", "local", "spawner", "dnsd", "remote", "bounce",
    "keyd", "smtpd", "pickup", "pop3d-mailbox", "pop3d") if (BIN / n).exists())

# What no log may hold at the end of a test.
ALARMS = re.compile(
    r"AddressSanitizer|runtime error:|Assertion .* failed|\bSIGSYS\b"
    r"|stack smashing|buffer overflow|wstatus=(?:31|159|134|6|139|11)\b"
    r"|signal=(?:31|6|11)\b")


class Failure(Exception):
    """The suite did not do what a test's preparation needs."""


def is_root():
    return os.geteuid() == 0


def wait_until(question, timeout=20.0, what=None, pause=0.01):
    """The first true answer; a Failure that says what was waited for."""
    end = time.monotonic() + timeout
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            said = what() if callable(what) else what
            raise Failure(f"waited {timeout} s for "
                          f"{said or getattr(question, '__name__', '?')}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def _port_range():
    """Below the ephemeral ports, so that no client's own port gets in the way
    while a daemon is being restarted."""
    try:
        low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
                  .read_text().split()[0])
    except (OSError, ValueError):
        low = 32768
    low, high = (10240, low) if low > 12000 else (1024, 10000)
    # Test processes side by side (pytest-xdist) keep apart.
    worker = re.search(r"\d+$", os.environ.get("PYTEST_XDIST_WORKER", ""))
    if worker:
        step = (high - low) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        low += step * int(worker.group())
        high = low + step
    return low, high


_given_ports = set()


def free_port():
    """A port nobody is bound to, on both address families."""
    low, high = _port_range()
    for _ in range(1000):
        port = random.randrange(low, high)
        if port in _given_ports:
            continue
        with contextlib.ExitStack() as stack:
            try:
                for family, host in ((socket.AF_INET, "127.0.0.1"),
                                     (socket.AF_INET6, "::1")):
                    if family == socket.AF_INET6 and not have_ipv6():
                        continue
                    s = stack.enter_context(socket.socket(family))
                    s.bind((host, port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
    raise Failure("no free port")


def have_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def make_users():
    """The system users of postern, as root, where they are missing."""
    names = ["smtpd", "queue", "local", "pipe", "auth", "pop3d", "mailbox",
             "vmail", "dns", "remote", "bounce", "key"]
    try:
        grp.getgrnam("postern")
        for n in names:
            pwd.getpwnam("postern-" + n)
    except KeyError:
        subprocess.run(["sh", str(ROOT / "etc/users")], check=True)


def sanitized(binary="smtpd"):
    """Was this build made with the address sanitizer?"""
    with contextlib.suppress(OSError):
        return b"__asan_init" in (BIN / binary).read_bytes()
    return False


def children_of(pids):
    """All processes below these, from /proc."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = pathlib.Path("/proc", entry, "stat").read_text()
                parents[int(entry)] = int(stat.rsplit(")", 1)[1].split()[1])
    found, more = set(), set(pids)
    while more:
        more = {p for p, parent in parents.items() if parent in more} - found
        found |= more
    return found


def session_pids(sid):
    """All processes of a session (setsid), zombies left out."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = pathlib.Path("/proc", entry, "stat").read_text()
            fields = stat.rsplit(")", 1)[1].split()
            if int(fields[3]) == sid and fields[0] != "Z":
                found.append(int(entry))
    return found


# Puts descriptors where LISTEN_FDS says they are, then becomes the daemon.
HANDOVER = r"""
import os, sys
fds = [int(x) for x in sys.argv[1].split(",")]
high = [os.dup(fd) if fd < 64 else fd for fd in fds]
import fcntl
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in high]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.set_inheritable(3 + i, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Daemon:
    """One daemon under the test's hand."""

    def __init__(self, suite, name):
        self.suite = suite
        self.name = name
        self.log_path = suite.dir / "log" / name
        self.process = None
        self.ready_fd = None
        self.sessions = []  # of every start: a killed parent leaves children

    def start(self):
        s = self.suite
        log = open(self.log_path, "ab")
        r, w = os.pipe()
        sockets = s.listen_fds.get(self.name)
        keep = [w]
        args = [str(BIN / self.name), "-c", str(s.conf), "-d"]
        if sockets:
            fds = [x.fileno() for x in sockets]
            keep += fds
            high = os.dup(w)
            os.close(w)
            w = high
            while w < 3 + len(fds):
                w = os.dup(w)
            keep[0] = w
            args = [sys.executable, "-c", HANDOVER,
                    ",".join(map(str, fds))] + args
        try:
            self.process = subprocess.Popen(
                args + [str(w)] + s.extra_args.get(self.name, []),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", pass_fds=keep, start_new_session=True,
                env=s.environment(self.name), **s.identity())
        finally:
            os.close(w)
            log.close()
        self.sessions.append(self.process.pid)
        self.ready_fd = r

    def wait_ready(self, timeout=20.0):
        end = time.monotonic() + timeout
        try:
            while True:
                left = end - time.monotonic()
                if select.select([self.ready_fd], [], [], max(left, 0))[0]:
                    if os.read(self.ready_fd, 1) == b"\n":
                        return
                    code = self.process.wait(10)
                    raise Failure(f"{self.name} ended with {code} before it "
                                  f"was ready:\n{self.log()[-3000:]}")
                raise Failure(f"{self.name} not ready after {timeout} s:\n"
                              f"{self.log()[-3000:]}")
        finally:
            os.close(self.ready_fd)
            self.ready_fd = None

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """Parent and children of every start that are still there."""
        found = set()
        for sid in self.sessions:
            found |= set(session_pids(sid))
        if self.running():
            found |= children_of([self.pid])
        return sorted(found)

    def children(self):
        return sorted(children_of([self.pid]))

    def log(self):
        try:
            return self.log_path.read_text(errors="backslashreplace")
        except FileNotFoundError:
            return ""

    def end_all(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


class Suite:
    def __init__(self, config=None, *, domains=(DOMAIN,), users=None,
                 aliases=None, start=True, env=None, daemon_env=None,
                 as_user=None, listen=None, listen_fds=None, daemons=DAEMONS,
                 extra_args=None, queue_dir=None, mail_root=None,
                 alarms=True):
        self.root = is_root() and as_user is None
        self.as_user = pwd.getpwnam(as_user) if as_user else None
        if self.root:
            make_users()
        base = os.environ.get("TMPDIR") or "/tmp"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postern-", dir=base))
        self.dir.chmod(0o755)
        self.run_dir = self.dir / "run"
        self.queue_dir = pathlib.Path(queue_dir or self.dir / "queue")
        self.table_dir = self.dir / "tables"
        self.tls_dir = self.dir / "tls"
        self.mail_root = pathlib.Path(mail_root or self.dir / "mail")
        self.home_dir = self.dir / "home"
        self.list_dir = self.dir / "lists"
        self.conf = self.dir / "postern.conf"
        self.ports = {}
        self.config = dict(config or {})
        self.listen = listen
        self.listen_fds = listen_fds or {}
        self.extra_args = extra_args or {}
        self.env = dict(env or {})
        self.daemon_env = {k: dict(v) for k, v in (daemon_env or {}).items()}
        self.stopped = False
        self.alarms = alarms
        for d in (self.dir / "log", self.table_dir, self.home_dir,
                  self.list_dir):
            d.mkdir(mode=0o755)
            d.chmod(0o755)
        self.daemons = {n: Daemon(self, n) for n in daemons}
        try:
            self.write_conf()
            self.write_table("domains", "".join(d + "\n" for d in domains))
            self.write_table("users", self.default_users()
                             if users is None else users)
            self.write_table("aliases", self.default_aliases()
                             if aliases is None else aliases)
            self.own(self.dir, self.table_dir, self.home_dir, self.list_dir,
                     self.conf, self.dir / "log")
            self.setup()
            if start:
                self.start()
        except BaseException:
            self.stop(check=False)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop(check=kind is None, keep=kind is not None)

    # ---- files ----

    @staticmethod
    def default_users():
        return (f"ann@{DOMAIN}:{{PLAIN}}{PASSWORD}::::::\n"
                f"bob@{DOMAIN}:{YESCRYPT}::::::\n")

    def default_aliases(self):
        return (f"postmaster@{DOMAIN}: ann@{DOMAIN}\n"
                f"staff@{DOMAIN}: ann@{DOMAIN}, bob@{DOMAIN}\n")

    def write_conf(self, config=None):
        """Keys "smtp/proxy" go into the section [listen smtp]."""
        if config is not None:
            self.config = dict(config)
        values = {
            "hostname": HOSTNAME,
            "run_dir": self.run_dir,
            "queue_dir": self.queue_dir,
            "table_dir": self.table_dir,
            "tls_dir": self.tls_dir,
            "dkim_dir": self.dir / "dkim",
            "mail_root": self.mail_root,
            "drop_dir": self.dir / "drop",
            "submit_socket": self.dir / "submit" / "smtp.sock",
            # Nobody is there: a test that asks names brings its own server
            # (dns.py).
            "dns_resolvers": "127.0.0.1@1",
            "dns_trust_anchor": "",
            "include_dirs": self.list_dir,
            "queue_reserve": "0",
            "queue_reserve_inodes": "0",
        }
        sections = {}
        for key, value in self.config.items():
            name, slash, sub = key.partition("/")
            if slash:
                sections.setdefault(name, {})[sub] = value
            else:
                values[key] = value
        listen = dict(self.listen or {"smtp": ["127.0.0.1"],
                                      "pop3": ["127.0.0.1"]})
        text = "".join(f"{k} = {v}\n" for k, v in values.items()
                       if v is not None)
        for name, hosts in listen.items():
            if name not in self.ports:
                self.ports[name] = free_port()
            at = ", ".join(h if h.startswith("fd:") else
                           f"{h}:{self.ports[name]}" for h in hosts)
            rows = {"protocol": name.split("-")[0], "address": at}
            rows.update(sections.pop(name, {}))
            text += f"\n[listen {name}]\n" + "".join(
                f"{k} = {v}\n" for k, v in rows.items())
        for name, rows in sections.items():
            text += f"\n[listen {name}]\n" + "".join(
                f"{k} = {v}\n" for k, v in rows.items())
        new = self.conf.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        self.own(new)
        new.rename(self.conf)

    def write_table(self, name, text):
        """The text; `postern setup` compiles it at first, `compile` later."""
        path = self.table_dir / name
        new = self.table_dir / (name + ".new")
        new.write_text(text)
        secret = name == "users"
        if self.root:
            os.chown(new, pwd.getpwnam("postern-auth").pw_uid,
                     grp.getgrnam("postern").gr_gid)
        else:
            self.own(new)
        new.chmod(0o600 if secret else 0o644)
        new.rename(path)

    def setup_again(self):
        """Compiles the tables anew, after write_table."""
        for name in ("domains", "users", "aliases"):
            (self.table_dir / (name + ".cdb")).unlink(missing_ok=True)
        self.setup()

    def own(self, *paths):
        if self.as_user is not None:
            for p in paths:
                os.chown(p, self.as_user.pw_uid, self.as_user.pw_gid)

    # ---- processes ----

    def identity(self):
        if self.as_user is None:
            return {}
        return {"user": self.as_user.pw_uid, "group": self.as_user.pw_gid,
                "extra_groups": []}

    def environment(self, name=None):
        keep = ("PATH", "LANG", "TMPDIR", "TZ", "HOME")
        env = {k: v for k, v in os.environ.items() if k in keep}
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=0:"
                       "exitcode=86:allocator_may_return_null=1")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        env.update(self.env)
        env.update(self.daemon_env.get(name, {}))
        return env

    def postern(self, *args, input=None, check=True, timeout=60):
        """The admin's command on this suite."""
        done = subprocess.run(
            [str(BIN / "postern"), "-c", str(self.conf), *map(str, args)],
            input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, timeout=timeout, env=self.environment("postern"),
            cwd="/", **self.identity())
        if check and done.returncode != 0:
            raise Failure(f"postern {' '.join(map(str, args))}: exit "
                          f"{done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def setup(self):
        return self.postern("setup")

    def start(self, *names):
        names = names or tuple(self.daemons)
        for n in names:
            self.daemons[n].start()
        for n in names:
            self.daemons[n].wait_ready()

    def kill(self, name, sig=signal.SIGKILL, tree=False):
        """A signal to the parent, or to it and all its children at once; after
        SIGKILL it is reaped."""
        d = self.daemons[name]
        for pid in (d.pids() if tree else [d.pid]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        if sig == signal.SIGKILL:
            d.process.wait()

    def hup(self, *names):
        for n in names or tuple(self.daemons):
            self.kill(n, signal.SIGHUP)

    def terminate(self, name, timeout=20):
        """SIGTERM; the exit code."""
        d = self.daemons[name]
        if not d.running():
            return d.process.returncode if d.process else None
        d.process.terminate()
        try:
            return d.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} did not end {timeout} s after SIGTERM:\n"
                          f"{d.log()[-3000:]}") from None

    def restart(self, name, sig=signal.SIGTERM):
        if sig == signal.SIGTERM:
            self.terminate(name)
        else:
            self.kill(name, sig)
        self.start(name)

    def stop(self, check=True, keep=False):
        if self.stopped:
            return
        self.stopped = True
        failed = None
        try:
            if check:
                for n in reversed(list(self.daemons)):
                    d = self.daemons[n]
                    if d.running():
                        code = self.terminate(n)
                        if code != 0:
                            raise Failure(f"{n}: exit {code} after SIGTERM:\n"
                                          f"{d.log()[-3000:]}")
        except Failure as e:
            failed = e
        finally:
            for d in self.daemons.values():
                if d.process is not None:
                    d.end_all()
        try:
            if check:
                self.check_logs()
        except Failure as e:
            failed = failed or e
        if not (keep or failed) or not os.environ.get("POSTERN_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"kept: {self.dir}", file=sys.stderr)
        if failed:
            raise failed

    # ---- what happened ----

    def log(self, name=None):
        if name is not None:
            return self.daemons[name].log()
        return "".join(f"---- {n}\n{d.log()}" for n, d in self.daemons.items())

    def wait_log(self, name, pattern, timeout=20.0):
        rx = re.compile(pattern)
        return wait_until(lambda: rx.search(self.log(name)), timeout,
                          lambda: f"/{pattern}/ in the log of {name}:\n"
                          + self.log(name)[-2000:])

    def check_logs(self):
        """No sanitizer's report, no failed assertion, nobody killed by his
        own cage."""
        for n, d in self.daemons.items() if self.alarms else ():
            m = ALARMS.search(d.log())
            if m:
                at = max(0, m.start() - 500)
                raise Failure(f"{n}'s log holds {m.group(0)!r}:\n"
                              f"{d.log()[at:at + 4000]}")

    def maildir(self, user):
        """Of a virtual user without a home of its own."""
        name, _, domain = user.partition("@")
        return self.mail_root / (domain or DOMAIN) / name / "Maildir"

    def messages(self, user):
        """Files in new/ and cur/, by name; user: a name or a Maildir."""
        m = user if isinstance(user, pathlib.Path) else self.maildir(user)
        found = []
        for sub in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                found += [p for p in (m / sub).iterdir()
                          if not p.name.startswith(".")]
        return sorted(found, key=lambda p: p.name)

    def wait_delivered(self, user, count, timeout=30.0):
        """Waits for so many messages and gives their files."""
        def there():
            found = self.messages(user)
            return found if len(found) >= count else None
        return wait_until(
            there, timeout, lambda: f"{count} messages of {user}, "
            f"{len(self.messages(user))} are there, queue "
            f"{self.queue()}\n{self.log('qmgr')[-1500:]}"
            f"\n{self.log('local')[-1500:]}")

    def queue(self, *states):
        """Message files as "incoming/ID"."""
        found = []
        for state in states or ("incoming", "deferred", "hold", "corrupt"):
            with contextlib.suppress(FileNotFoundError):
                found += [f"{state}/{n}"
                          for n in os.listdir(self.queue_dir / state)
                          if not n.startswith(".")]
        return sorted(found)

    def wait_queue(self, test, timeout=30.0, *states):
        """Waits until test(list of files) holds."""
        def there():
            q = self.queue(*states)
            return [q] if test(q) else None
        return wait_until(there, timeout, lambda: f"the queue: {self.queue()}"
                          f"\n{self.log('qmgr')[-2000:]}")[0]

    def wait_queue_empty(self, timeout=30.0):
        return self.wait_queue(lambda q: not q, timeout)

    # ---- clients ----

    def smtp(self, timeout=30, listener="smtp", host="127.0.0.1"):
        return smtplib.SMTP(host, self.ports[listener],
                            local_hostname="client.example", timeout=timeout)

    def pop3(self, user=None, password=PASSWORD, timeout=30):
        c = poplib.POP3("127.0.0.1", self.ports["pop3"], timeout=timeout)
        if user is not None:
            c.user(user if "@" in user else f"{user}@{DOMAIN}")
            c.pass_(password)
        return c

    def connect(self, listener="smtp", host="127.0.0.1", timeout=20):
        return socket.create_connection((host, self.ports[listener]), timeout)

    def send(self, sender, recipients, data=b"Subject: test\r\n\r\nbody\r\n"):
        """One message with these very octets; the id it is queued under."""
        if isinstance(recipients, str):
            recipients = [recipients]
        with self.smtp() as c:
            c.ehlo()
            answers = [c.mail(sender, ["BODY=8BITMIME"])]
            answers += [c.rcpt(r) for r in recipients]
            bad = [a for a in answers if a[0] != 250]
            if bad:
                raise Failure(f"refused: {bad}")
            # smtplib's data() would mend line ends; these are right.
            c.putcmd("data")
            code, text = c.getreply()
            if code != 354:
                raise Failure(f"DATA refused: {code} {text}")
            c.send(stuffed(data) + b".\r\n")
            code, text = c.getreply()
            if code != 250:
                raise Failure(f"not accepted: {code} {text}")
            return text.decode().split()[-1]

    def where(self, ident):
        """The queue directory that holds this id, or None."""
        for state in ("incoming", "deferred", "hold", "corrupt"):
            if (self.queue_dir / state / ident).exists():
                return state
        return None

    def wait_where(self, ident, state, timeout=30.0):
        """Waits until the id is there; None: until it is gone."""
        wait_until(lambda: self.where(ident) == state, timeout,
                   lambda: f"{ident} in {state}, it is in "
                   f"{self.where(ident)}\n{self.log('qmgr')[-2000:]}"
                   f"{self.log('local')[-1000:]}")

    def wait_gone(self, ident, timeout=30.0):
        self.wait_where(ident, None, timeout)


def stuffed(data):
    """RFC 5321 4.5.2: a dot more where a line begins with one."""
    if data.startswith(b"."):
        data = b"." + data
    return data.replace(b"\r\n.", b"\r\n..")
