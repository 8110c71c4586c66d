"""Running programs under the fault shim (tests/fault/shim.c)."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("POSTERN_BIN", os.path.join(ROOT, "bin"))

#: All the ways a call can go wrong; short counts writing calls only.
FAULTS = ("kill-before", "kill-after", "errno=EIO", "errno=ENOSPC", "short")


def run(argv, counter, call="any", n="1", do="kill-before"):
    """Runs argv with the n-th call broken; its result, and whether that call
    was reached."""
    if os.path.exists(counter):
        os.unlink(counter)
    env = dict(os.environ,
               LD_PRELOAD=os.path.join(BIN, "fault-shim.so"),
               POSTERN_FAULT=f"call={call},n={n},do={do}",
               POSTERN_FAULT_REACHED=str(counter))
    result = subprocess.run(argv, env=env, capture_output=True, text=True,
                            timeout=60, check=False)
    if not os.path.exists(counter):
        return result, False  # no program of that name
    with open(counter, "rb") as f:
        return result, f.read(1) == b"1"


def each_fault(argv_of, counter, do, call="any", most=500):
    """Breaks the first call, the second ... until none is left: yields n and
    the result.  argv_of(n) prepares a fresh place and gives the command."""
    for n in range(1, most):
        result, reached = run(argv_of(n), counter, call, str(n), do)
        if not reached:
            assert result.returncode == 0, result.stderr
            return
        yield n, result
    sys.exit(f"still calls after {most}")
