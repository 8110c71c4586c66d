"""Fault loops over the queue file: whatever breaks, a name stands for a whole
file, 250 means that it is there, and what was said to be done stays done."""
import os
import subprocess

import pytest

from shim import BIN, FAULTS, each_fault

TOOL = os.path.join(BIN, "test-queuefile")


def tool(*argv):
    result = subprocess.run([TOOL, *map(str, argv)], capture_output=True,
                            text=True, timeout=60, check=False)
    return result.returncode, result.stdout.splitlines()


def check(place):
    """{id: states}, after proving that every file is whole."""
    code, lines = tool("check", place)
    files = {}
    for line in lines:
        words = line.split(" ", 4)
        assert words[1] == "ok", line
        files[words[0]] = (words[2], int(words[3]), words[4])
    assert code == 0
    return files


@pytest.mark.parametrize("mode", ["ordered", "strict", "hidden"])
@pytest.mark.parametrize("do", FAULTS)
def test_write(tmp_path, mode, do):
    def fresh(n):
        place = tmp_path / str(n)
        place.mkdir()
        return [TOOL, "write", str(place), mode]

    runs = 0
    for n, result in each_fault(fresh, tmp_path / "counter", do):
        place = tmp_path / str(n)
        files = check(place)
        promised = {line.split()[1] for line in result.stdout.splitlines()}
        assert promised <= files.keys(), result.stdout
        for states, attempts, hold in files.values():
            assert (states, attempts, hold) == ("TT", 0, "")
        hidden = [p.name for p in place.iterdir() if p.name[0] == "."]
        killed = do.startswith("kill")
        if not killed:
            # What failed was taken back, but for what could not be unlinked.
            assert result.returncode == 0
            if do == "short":
                assert promised == files.keys() and len(files) >= 1
            else:
                assert len(files) - len(promised) + len(hidden) <= 1
        assert not hidden or mode == "hidden"
        runs += 1
    assert runs >= 4


@pytest.mark.parametrize("do", FAULTS)
def test_work(tmp_path, do):
    def fresh(n):
        place = tmp_path / str(n)
        place.mkdir()
        assert len(tool("write", place, "strict")[1]) == 2
        return [TOOL, "work", str(place)]

    for n, result in each_fault(fresh, tmp_path / "counter", do):
        place = tmp_path / str(n)
        files = check(place)
        assert len(files) == 2
        for line in result.stdout.splitlines():
            what, name, *number = line.split()
            states = files[name][0]
            if what == "expanded":
                assert states[1] == "X" and len(states) == 4
            elif what == "done":
                assert states[int(number[0])] == "D"
            else:
                assert (what, files[name][2]) == ("held", "by hand")
        # Whatever was left, the work goes on from there to its end.
        assert tool("work", place)[0] == 0
        for states, attempts, hold in check(place).values():
            assert (states, hold) == ("TXDD", "by hand")
            assert 2 <= attempts <= 3
