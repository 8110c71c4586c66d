"""Network namespaces for tests (root): each is a machine of its own.

    with Net("a", "b") as net:          # joined by a cable, 10.77.0.1 and .2
        with net.inside("a"):
            ...                         # processes and sockets made here are a's
        net.cut("b"); net.mend("b")

`inside` moves the calling thread, so that everything started in it (Suite,
DnsServer, smtplib) lives there.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def have_netns():
    if os.geteuid() != 0 or not shutil.which("ip", path="/sbin:/usr/sbin:/bin"):
        return False
    name = f"postern-try-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name],
                      capture_output=True).returncode != 0:
        return False
    subprocess.run(["ip", "netns", "del", name], check=False)
    return True


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Net:
    def __init__(self, *names):
        self.full = {n: f"postern-{os.getpid()}-{n}" for n in names}
        self.address = {n: f"10.77.0.{i + 1}" for i, n in enumerate(names)}
        self.bridge = f"postern-{os.getpid()}-bridge"

    def __enter__(self):
        try:
            ip("netns", "add", self.bridge)
            ip("-n", self.bridge, "link", "add", "br0", "type", "bridge")
            ip("-n", self.bridge, "link", "set", "br0", "up")
            for n, full in self.full.items():
                ip("netns", "add", full)
                ip("-n", full, "link", "set", "lo", "up")
                ip("-n", full, "link", "add", "eth0", "type", "veth", "peer",
                   "name", n, "netns", self.bridge)
                ip("-n", self.bridge, "link", "set", n, "master", "br0")
                ip("-n", self.bridge, "link", "set", n, "up")
                ip("-n", full, "addr", "add", self.address[n] + "/24", "dev",
                   "eth0")
                ip("-n", full, "link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        for full in [*self.full.values(), self.bridge]:
            subprocess.run(["ip", "netns", "del", full], check=False,
                           capture_output=True)

    def cut(self, name):
        """The cable is out: nothing comes, nothing is refused either."""
        ip("-n", self.bridge, "link", "set", name, "down")

    def mend(self, name):
        ip("-n", self.bridge, "link", "set", name, "up")

    @contextlib.contextmanager
    def inside(self, name):
        with open("/proc/thread-self/ns/net") as here, \
                open(f"/run/netns/{self.full[name]}") as there:
            self._enter(there.fileno())
            try:
                yield
            finally:
                self._enter(here.fileno())

    @staticmethod
    def _enter(fd):
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
