"""What the daemons count, and what postern stats makes of it."""
import json
import os
import poplib
import re
import smtplib
import subprocess

import pytest

import openmetrics
from suite import BIN, DAEMONS, DOMAIN, Suite, wait_until


@pytest.fixture(scope="module")
def busy():
    """Some mail came, some was refused, some was fetched."""
    with Suite({"auth_failure_delay": "10ms"}) as s:
        for i in range(3):
            s.send("x@client.example", [f"ann@{DOMAIN}", f"bob@{DOMAIN}"],
                   b"Subject: %d\r\n\r\n" % i + b"x" * 1000 + b"\r\n")
        with s.smtp() as c:
            c.ehlo()
            c.mail("x@client.example")
            assert c.rcpt(f"nobody@{DOMAIN}")[0] == 550
            assert c.docmd("FROB")[0] == 500
        with s.smtp() as c, pytest.raises(smtplib.SMTPDataError):
            c.sendmail("x@client.example", f"ann@{DOMAIN}", "Received: a\r\n"
                       * 60 + "\r\n")
        s.wait_delivered("ann", 3)
        s.wait_delivered("bob", 3)
        with pytest.raises(poplib.error_proto):
            s.pop3("ann", "wrong")
        p = s.pop3("ann")
        p.retr(1)
        p.dele(1)
        p.quit()
        s.wait_log("pop3d-mailbox", "end=quit")
        s.wait_queue_empty()
        yield s


def figures(s, *programs):
    """(name, labels) -> figure, of all programs."""
    found = {}
    for p in json.loads(s.postern("stats", "--json", *programs).stdout):
        for f in p["figures"]:
            key = f["name"] + "".join(
                f" {k}={v}" for k, v in f["labels"].items())
            found[key] = f.get("value", f.get("count"))
    return found


def test_what_is_counted(busy):
    got = figures(busy)
    want = {
        "smtp_sessions_total": 5,
        "smtp_sessions_open": 0,
        "smtp_session_seconds": 5,
        "smtp_messages_total result=accepted": 3,
        "smtp_messages_total result=later": 0,
        "smtp_messages_total result=refused": 1,
        "smtp_recipients_total result=accepted": 7,
        "smtp_recipients_total result=refused": 1,
        "smtp_recipients_total result=later": 0,
        "smtp_errors_total class=4": 0,
        "smtp_errors_total class=5": 3,
        "smtp_commit_seconds": 3,
        "queue_messages_total": 3,
        "qmgr_removed_messages_total": 3,
        "qmgr_deliveries_total outcome=delivered": 6,
        "qmgr_deliveries_total outcome=failed": 0,
        "qmgr_delivery_seconds": 6,
        "qmgr_active_messages": 0,
        "qmgr_waiting_messages": 0,
        "qmgr_running_jobs": 0,
        "local_deliveries_total result=delivered": 6,
        "auth_logins_total result=good": 1,
        "auth_logins_total result=bad": 1,
        "auth_logins_total result=blocked": 0,
        "auth_login_seconds": 1,
        "auth_tickets_refused_total": 0,
        "pop3_sessions_total": 2,
        "pop3_logins_total result=good": 1,
        "pop3_logins_total result=bad": 1,
        "pop3_mailbox_sessions_total": 1,
        "pop3_mailbox_sessions_open": 0,
        "pop3_retrieved_messages_total": 1,
        "pop3_deleted_messages_total": 1,
    }
    wait_until(lambda: figures(busy)["smtp_session_seconds"] == 5)
    wait_until(lambda: figures(busy)["smtp_sessions_open"] == 0)
    got = figures(busy)
    assert {k: got.get(k) for k in want} == want
    assert got["smtp_received_bytes_total"] == 3 * (len(
        "Subject: 0\r\n\r\n") + 1002)
    assert got["queue_written_bytes_total"] >= \
        got["smtp_received_bytes_total"]
    assert 1 <= got["queue_commits_total"] <= 3
    assert got["queue_fsync_seconds"] == got["queue_commits_total"]
    assert got["qmgr_messages_total from=notice"] + \
        got["qmgr_messages_total from=scan"] >= 3
    assert got["auth_lookups_total kind=check"] == 8
    assert got["auth_lookups_total kind=resolve"] >= 6


def test_every_daemon_has_figures(busy):
    programs = {p["program"]: p for p in json.loads(
        busy.postern("stats", "--json").stdout)}
    assert set(programs) == set(DAEMONS)
    for name, p in programs.items():
        assert p["running"] is True
        assert p["pid"] == busy.daemons[name].pid
        assert p["figures"], name
        for f in p["figures"]:
            assert f["help"].endswith("."), f


def test_text(busy):
    text = busy.postern("stats").stdout
    for name in DAEMONS:
        assert re.search(rf"^{name}: running since ", text, re.M)
    row = re.search(r"^  qmgr_delivery_seconds +6  .*\n +mean .*, half within "
                    r".*, 99 % within .*$", text, re.M)
    assert row, text
    only = busy.postern("stats", "smtpd", "qmgr").stdout
    assert re.findall(r"^(\S+): ", only, re.M) == ["qmgr", "smtpd"]


def test_openmetrics(busy):
    text = busy.postern("stats", "--openmetrics").stdout
    families = openmetrics.parse(text)
    got = figures(busy)
    assert families["postern_smtp_messages"].type == "counter"
    assert families["postern_smtp_messages"].value(result="accepted") == 3
    assert families["postern_smtp_received_bytes"].unit == "bytes"
    assert families["postern_smtp_sessions_open"].value() == 0
    f = families["postern_qmgr_delivery_seconds"]
    assert f.type == "histogram" and f.unit == "seconds" and f.help
    assert f.value("_count") == 6 and 0 < f.value("_sum") < 60
    assert f.value("_bucket", le="0.0001") == 0
    assert families["postern_up"].value("", program="qmgr") == 1
    assert families["postern_start_time_seconds"].value(
        "", program="qmgr") > 1e9
    # nothing is left out
    assert sum(len({(s, tuple(sorted(d.items()))) for s, d, _ in f.samples
                    if s in ("", "_total", "_count")})
               for f in families.values()) == \
        len(got) + 2 * len(DAEMONS)


@pytest.mark.parametrize("text", [
    "", "# EOF", "a 1\n# EOF\n", "# TYPE a gauge\na 1\n",
    "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n",
    "# TYPE a gauge\na 1\na 1\n# EOF\n", "# TYPE a gauge\n\na 1\n# EOF\n",
    "# TYPE a gauge\na x\n# EOF\n", "# TYPE a counter\na 1\n# EOF\n",
    "# TYPE a counter\na_total -1\n# EOF\n",
    "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
    "# TYPE a gauge\na{} 1\n# EOF\n", "# TYPE a gauge\na{b=c} 1\n# EOF\n",
    '# TYPE a gauge\na{b="c",} 1\n# EOF\n',
    '# TYPE a gauge\na{b="c",b="d"} 1\n# EOF\n',
    "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n# EOF\n",
    "# TYPE a gauge\na 1\n# HELP a x\n# EOF\n",
    '# TYPE a histogram\na_bucket{le="1.0"} 1\na_count 1\na_sum 1\n# EOF\n',
    '# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\n'
    "a_count 1\na_sum 1\n# EOF\n",
    '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\na_sum 1\n# EOF\n',
    '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\n'
    "a_count 1\na_sum 1\n# EOF\n",
    "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total 1\n# EOF\n",
])
def test_the_reader_is_strict(text):
    with pytest.raises(ValueError):
        openmetrics.parse(text)


# ---- the files ----

@pytest.fixture
def small():
    with Suite(daemons=("authd", "pop3d-mailbox", "pop3d"),
               config={"auth_failure_delay": "10ms"}) as s:
        yield s


def test_files_are_not_for_everybody(small):
    d = small.run_dir / "stats"
    assert d.stat().st_mode & 0o7777 == 0o2750
    for name in ("authd", "pop3d-mailbox", "pop3d"):
        st = (d / name).stat()
        assert st.st_mode & 0o7777 == 0o640
        assert st.st_uid == os.geteuid()
        if small.root:
            assert st.st_gid == small.run_dir.stat().st_gid


def test_counters_outlive_restart_and_kill(small):
    s = small
    s.pop3("ann").quit()
    assert figures(s)["auth_logins_total result=good"] == 1
    s.restart("authd")
    s.restart("pop3d", sig=9)
    s.pop3("ann").quit()
    got = figures(s)
    assert got["auth_logins_total result=good"] == 2
    assert got["pop3_sessions_total"] == 2


def test_stopped_daemons(small):
    s = small
    s.pop3("ann").quit()
    for name in reversed(list(s.daemons)):
        assert s.terminate(name) == 0
    text = s.postern("stats").stdout
    assert re.search(r"^authd: stopped; last started .* ago\)$", text, re.M)
    assert figures(s)["auth_logins_total result=good"] == 1
    families = openmetrics.parse(s.postern("stats", "--openmetrics").stdout)
    assert families["postern_up"].value("", program="authd") == 0


def test_damaged_file_is_put_aside(small):
    s = small
    path = s.run_dir / "stats" / "authd"
    for data in (b"", b"something else\n", path.read_bytes()[:5000],
                 b"\0" * 8192):
        assert s.terminate("authd") == 0
        path.write_bytes(data)
        done = s.postern("stats", check=False)
        assert done.returncode == 111
        assert f"{path}: is " in done.stderr
        assert "pop3d: running" in done.stdout
        s.start("authd")
        assert (path.parent / "authd.bad").read_bytes() == data
        assert figures(s, "authd")["auth_logins_total result=good"] == 0
        assert "renamed to authd.bad" in s.log("authd")
    s.pop3("ann").quit()
    assert figures(s)["auth_logins_total result=good"] == 1


def test_without_a_directory(small):
    """Daemons run all the same, and check says what is missing."""
    s = small
    for name in reversed(list(s.daemons)):
        s.terminate(name)
    for p in (s.run_dir / "stats").iterdir():
        p.unlink()
    (s.run_dir / "stats").rmdir()
    s.start()
    s.pop3("ann").quit()
    done = s.postern("stats", check=False)
    assert done.returncode == 100 and "`postern setup` makes it" in done.stderr
    assert f"{s.run_dir}/stats: No such file" in s.postern(
        "check", check=False).stdout
    s.setup()
    s.restart("authd")
    s.pop3("ann").quit()
    assert figures(s)["auth_logins_total result=good"] == 1
    assert s.postern("stats", "pop3d", check=False).returncode == 100


def test_check_says_who_does_not_run(small):
    s = small
    text = s.postern("check", check=False).stdout
    assert "queued does not run, while others do: no mail is accepted" in text
    assert "authd does not run" not in text
    assert "smtpd does not run" in text  # there is a section [listen smtp]
    for name in reversed(list(s.daemons)):
        s.terminate(name)
    assert "does not run" not in s.postern("check", check=False).stdout


def test_usage(small):
    for args in (["--openmetrics", "--json"], ["nosuch"], ["../authd"]):
        done = small.postern("stats", *args, check=False)
        assert done.returncode == 100 and done.stdout == ""


def test_what_a_session_can_reach():
    """A session has the values mapped, on one page, and no descriptor."""
    with Suite(daemons=("authd", "queued", "smtpd")) as s, \
            s.connect() as sock:
        sock.recv(1000)
        pid, = [p for p in s.daemons["smtpd"].pids()
                if p != s.daemons["smtpd"].pid]
        maps = [line for line in open(f"/proc/{pid}/maps")
                if line.rstrip().endswith("stats/smtpd")]
        assert len(maps) == 1
        first, last = (int(x, 16) for x in maps[0].split()[0].split("-"))
        assert last - first == os.sysconf("SC_PAGE_SIZE")
        assert int(maps[0].split()[2], 16) > 0  # not the text
        for fd in os.listdir(f"/proc/{pid}/fd"):
            assert "stats" not in os.readlink(f"/proc/{pid}/fd/{fd}")
        parent = s.daemons["smtpd"].pid
        held = [fd for fd in os.listdir(f"/proc/{parent}/fd")
                if "stats" in os.readlink(f"/proc/{parent}/fd/{fd}")]
        assert len(held) == 1
        flags = open(f"/proc/{parent}/fdinfo/{held[0]}").read()
        assert int(re.search(r"flags:\s*(\d+)", flags)[1], 8) & 3 == os.O_RDONLY


def test_no_daemon_counts_twice():
    """A second start while the first one runs would be seen: the program says
    who it is by a lock, not by a number that another process may have."""
    with Suite(daemons=("authd",)) as s:
        me = json.loads(s.postern("stats", "--json").stdout)[0]
        assert me["pid"] == s.daemons["authd"].pid
        s.kill("authd")
        assert json.loads(s.postern("stats", "--json").stdout)[0][
            "running"] is False
        done = subprocess.run([str(BIN / "postern"), "-c", str(s.conf),
                               "stats"], capture_output=True, text=True,
                              check=True)
        assert "authd: stopped" in done.stdout
