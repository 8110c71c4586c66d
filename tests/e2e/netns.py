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
    """Two machines and a cable between them."""

    def __init__(self, one, other):
        self.names = (one, other)
        self.full = {n: f"postern-{os.getpid()}-{n}" for n in self.names}
        self.address = {one: "10.77.0.1", other: "10.77.0.2"}

    def __enter__(self):
        one, other = (self.full[n] for n in self.names)
        try:
            ip("netns", "add", one)
            ip("netns", "add", other)
            ip("-n", one, "link", "add", "eth0", "type", "veth", "peer",
               "name", "eth0", "netns", other)
            for n, full in self.full.items():
                ip("-n", full, "link", "set", "lo", "up")
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
        for full in self.full.values():
            subprocess.run(["ip", "netns", "del", full], check=False,
                           capture_output=True)

    def cut(self, name):
        """The cable is out."""
        ip("-n", self.full[name], "link", "set", "eth0", "down")

    def mend(self, name):
        ip("-n", self.full[name], "link", "set", "eth0", "up")

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
