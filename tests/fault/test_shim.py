"""The fault shim itself: what it breaks, and only that."""
import signal
import struct
import subprocess
import sys

import pytest

from shim import run

PROGRAM = """
import os
fd = os.open("f", os.O_RDWR | os.O_CREAT)
try:
    print(os.write(fd, b"0123456789"), flush=True)
    os.fsync(fd)
    print(os.pwrite(fd, b"0123456789", 20), flush=True)
    print(os.writev(fd, [b"0123", b"456789"]), flush=True)
    os.link("f", "g")
    os.rename("g", "h")
    os.unlink("h")
except OSError as e:
    print(e.errno, flush=True)
"""


def go(tmp_path, monkeypatch, **how):
    monkeypatch.chdir(tmp_path)
    result, reached = run([sys.executable, "-I", "-S", "-c", PROGRAM],
                          tmp_path / "counter", **how)
    return result, reached, result.stdout.split()


@pytest.mark.parametrize("how,want,size", [
    ({"call": "fsync", "do": "errno=EIO"}, ["10", "5"], 10),
    ({"call": "pwrite", "do": "errno=ENOSPC"}, ["10", "28"], 10),
    ({"call": "pwrite", "do": "short"}, ["10", "5", "10"], 25),
    ({"call": "writev", "do": "short"}, ["10", "10", "4"], 30),
    ({"call": "link", "do": "errno=EMFILE"}, ["10", "10", "10", "24"], 30),
    ({"call": "fsync+unlink", "n": "2", "do": "errno=EIO"},
     ["10", "10", "10", "5"], 30),
    ({"call": "any", "n": "1000", "do": "kill-before"},
     ["10", "10", "10"], 30),
])
def test_errors(tmp_path, monkeypatch, how, want, size):
    result, reached, words = go(tmp_path, monkeypatch, **how)
    assert words == want
    assert result.returncode == 0
    assert reached == (how.get("n") != "1000")
    assert (tmp_path / "f").stat().st_size == size


@pytest.mark.parametrize("call,do,left", [
    ("fsync", "kill-before", {"f"}),
    ("link", "kill-before", {"f"}),
    ("link", "kill-after", {"f", "g"}),
    ("rename", "kill-before", {"f", "g"}),
    ("rename", "kill-after", {"f", "h"}),
    ("unlink", "kill-before", {"f", "h"}),
    ("unlink", "kill-after", {"f"}),
])
def test_kill(tmp_path, monkeypatch, call, do, left):
    result, reached, _ = go(tmp_path, monkeypatch, call=call, do=do)
    assert result.returncode == -signal.SIGKILL
    assert reached
    assert {p.name for p in tmp_path.iterdir()} == left | {"counter"}


def test_other_program(tmp_path, monkeypatch):
    result, reached, words = go(tmp_path, monkeypatch, call="any",
                                do="kill-before,name=other")
    assert words == ["10", "10", "10"] and not reached


def test_counter_is_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = ("import os\n"
               "for i in range(3):\n"
               "    if os.fork() == 0:\n"
               "        os.mkdir(str(i)); os._exit(0)\n"
               "for i in range(3): os.wait()\n")
    result, reached = run([sys.executable, "-I", "-S", "-c", program],
                          tmp_path / "counter", call="mkdirat", n="3")
    assert reached
    data = (tmp_path / "counter").read_bytes()
    assert struct.unpack("=Q", data[8:16]) == (3,)
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 2


@pytest.mark.parametrize("spec", ["call=bad,n=1,do=short", "n=0,do=short",
                                  "call=any,n=1", "call=any,n=1,do=x",
                                  "n=1x,call=any,do=short", "x", ""])
def test_bad_spec(spec, monkeypatch):
    from shim import BIN
    monkeypatch.setenv("POSTERN_FAULT", spec)
    monkeypatch.setenv("LD_PRELOAD", BIN + "/fault-shim.so")
    result = subprocess.run(["/bin/true"], capture_output=True, check=False)
    assert result.returncode == 100
    assert b"bad POSTERN_FAULT" in result.stderr
