"""A DNS of the tests' own: nsd on 127.0.0.1 and a high port.

    with DnsServer({"there.example": ["@ MX 10 mx", "mx A 127.0.1.1"],
                    "1.0.127.in-addr.arpa": ["2 PTR mx.there.example."]}) as d:
        with Suite(d.config(), daemons=("dnsd", ...)) as s:
            ...
            d.set("there.example", ["@ MX 10 other", "other A 127.0.1.2"])
            s.hup("dnsd")           # forgets what it knew at once
            d.stop(); d.start()     # the server dies and comes back

zones: name -> lines of records, relative to the zone ("@", "mx", or names with
a last dot).  SOA, NS and TTL (`ttl` seconds, 1 unless told: dnsd forgets soon)
come by themselves.  All other names do not exist: the server also has the root
zone.  config() gives the rows of postern.conf with which dnsd asks this server
and nobody else.

signed: names of zones to sign (ECDSA; "": the root), or True for all but it; their keys are dnsd's
trust anchors.  bogus: owner names (without the last dot) whose signatures are
spoilt after signing.  Records whose first word is "!" in front of the line go
into the zone file behind the signing, unsigned.

Faker is a server of any behaviour: a Python function from a question to an
answer, for what no real server does.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from suite import Failure, free_port, wait_until

HOST = "127.0.0.1"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15,
         "TXT": 16, "AAAA": 28, "TLSA": 52}


def wire_name(name):
    """"a.example" as in a packet; labels are taken as they are."""
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode("latin-1")
    return out + b"\0"


def question(name, kind, ident=1):
    return (struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + wire_name(name)
            + struct.pack("!2H", TYPES[kind], 1))


def ask(port, name, kind, timeout=1.0, host=HOST):
    """The raw answer over UDP, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        try:
            s.connect((host, port))
            s.send(question(name, kind))
            return s.recv(65535)
        except OSError:
            return None


def free_dns_port():
    """Free for UDP as well as for TCP."""
    for _ in range(100):
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            with contextlib.suppress(OSError):
                s.bind((HOST, port))
                return port
    raise Failure("no free port for DNS")


def tool(name):
    found = shutil.which(name, path=os.environ.get("PATH", "")
                         + ":/usr/sbin:/usr/bin:/sbin")
    if not found:
        raise Failure(f"{name} is missing: apt-get install nsd ldnsutils")
    return found


def have_dns():
    """Can such a server run here?"""
    try:
        return bool(tool("nsd") and tool("ldns-signzone"))
    except Failure:
        return False


class DnsServer:
    def __init__(self, zones, *, signed=(), bogus=(), ttl=1, port=None,
                 host=HOST, root=True, start=True):
        base = os.environ.get("TMPDIR") or "/tmp"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postern-dns-",
                                                 dir=base))
        self.dir.chmod(0o755)
        self.host = host
        self.port = port or free_dns_port()
        self.ttl = ttl
        self.zones = {z.rstrip("."): list(v) for z, v in zones.items()}
        if root:
            self.zones.setdefault("", [])
        self.signed = ({z for z in self.zones if z} if signed is True
                       else {z.rstrip(".") for z in signed})
        self.bogus = {b.rstrip(".").lower() for b in bogus}
        self.serial = 0
        self.keys = {}
        self.process = None
        try:
            self.write()
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    # ---- what the configuration needs ----

    @property
    def address(self):
        return f"{self.host}@{self.port}"

    @property
    def anchors(self):
        return self.dir / "anchors"

    def config(self, more=None):
        """Rows of postern.conf; more: further ones."""
        stubs = " ".join(f"{z or '.'}={self.address}" for z in self.zones)
        rows = {"dns_resolvers": "recursive", "dns_stubs": stubs,
                "dns_trust_anchor": str(self.anchors)}
        rows.update(more or {})
        return rows

    # ---- zones ----

    def set(self, zone, lines):
        """Other records for a zone, and the server has them on return."""
        self.zones[zone.rstrip(".")] = list(lines)
        self.reload()

    def reload(self):
        before = set(self.dir.glob("*.zone"))
        self.write()
        if self.process is None:
            return
        if set(self.dir.glob("*.zone")) != before:
            self.stop()
            self.start()
            return
        self.process.send_signal(signal.SIGHUP)
        self.wait_serial()

    def write(self):
        self.serial += 1
        conf = (f"server:\n\tip-address: {self.address}\n\tusername: \"\"\n"
                f"\tzonesdir: \"{self.dir}\"\n\tpidfile: \"\"\n"
                f"\tlogfile: \"{self.dir}/log\"\n"
                f"\tdatabase: \"\"\n\tserver-count: 1\n"
                f"\txfrdfile: \"{self.dir}/xfrd.state\"\n"
                f"\tzonelistfile: \"{self.dir}/zone.list\"\n"
                f"\txfrdir: \"{self.dir}\"\n\trrl-ratelimit: 0\n"
                f"\tzonefiles-check: yes\n"
                "remote-control:\n\tcontrol-enable: no\n")
        anchors = ""
        for zone, lines in self.zones.items():
            path = self.dir / ((zone or "root") + ".zone")
            text = (f"$ORIGIN {zone}.\n$TTL {self.ttl}\n"
                    f"@ SOA ns.dns.invalid. admin.dns.invalid. {self.serial} "
                    f"3600 600 86400 {self.ttl}\n"
                    "@ NS ns.dns.invalid.\n")
            text += "".join(x + "\n" for x in lines if not x.startswith("!"))
            late = "".join(x[1:].strip() + "\n" for x in lines
                           if x.startswith("!"))
            if zone in self.signed:
                text = self.sign(zone, text)
                anchors += self.keys[zone].with_suffix(".key").read_text()
            new = path.with_suffix(".new")
            new.write_text(text + (f"$ORIGIN {zone}.\n$TTL {self.ttl}\n" + late
                                   if late else ""))
            new.rename(path)
            conf += (f"zone:\n\tname: \"{zone or '.'}\"\n"
                     f"\tzonefile: \"{path.name}\"\n")
        self.anchors.write_text(anchors)
        (self.dir / "nsd.conf").write_text(conf)

    def ds(self, zone):
        """The DS record of a signed zone, for the zone above."""
        return self.keys[zone].with_suffix(".ds").read_text().strip()

    def sign(self, zone, text):
        if zone not in self.keys:
            made = subprocess.run(
                [tool("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k",
                 zone + "."], cwd=self.dir, check=True,
                stdout=subprocess.PIPE, text=True)
            self.keys[zone] = self.dir / (made.stdout.strip() + ".x")
        plain = self.dir / "unsigned"
        plain.write_text(text)
        subprocess.run([tool("ldns-signzone"), "-o", zone + ".", "-f",
                        "signed", "unsigned",
                        self.keys[zone].with_suffix("").name],
                       cwd=self.dir, check=True, stdout=subprocess.DEVNULL)
        return self.spoil((self.dir / "signed").read_text())

    def spoil(self, text):
        """Another signature of the same form for the names of bogus."""
        out = []
        for line in text.splitlines():
            words = line.split()
            if (len(words) > 4 and words[3] == "RRSIG" and
                    words[0].rstrip(".").lower() in self.bogus and
                    words[4] != "NSEC"):
                words[-1] = ("A" if words[-1][0] != "A" else "B") \
                    + words[-1][1:]
                line = " ".join(words)
            out.append(line)
        return "\n".join(out) + "\n"

    # ---- the process ----

    def start(self):
        self.process = subprocess.Popen(
            [tool("nsd"), "-d", "-c", str(self.dir / "nsd.conf")],
            cwd="/", stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_serial()

    def answers(self):
        for zone in self.zones:
            got = ask(self.port, zone, "SOA", 0.3, self.host)
            want = struct.pack("!I", self.serial)
            if got is None or got[3] & 15 or want not in got[12:]:
                return False
        return True

    def wait_serial(self):
        def there():
            if self.process.poll() is not None:
                raise Failure("nsd ended:\n" + self.log())
            return self.answers()
        wait_until(there, 15, lambda: "nsd:\n" + self.log())

    def log(self):
        try:
            return (self.dir / "log").read_text(errors="replace")[-3000:]
        except FileNotFoundError:
            return ""

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Faker:
    """Answers over UDP and TCP with whatever `answer(packet, tcp)` returns:
    octets, None (silence), or "close".  `asked` counts the packets."""

    def __init__(self, answer, port=None):
        self.answer = answer
        self.asked = 0
        self.port = port or free_dns_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((HOST, self.port))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((HOST, self.port))
        self.tcp.listen(50)
        self.ended = False
        for s in (self.udp, self.tcp):
            s.settimeout(0.1)
        self.threads = [threading.Thread(target=f, daemon=True)
                        for f in (self.serve_udp, self.serve_tcp)]
        for t in self.threads:
            t.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.ended = True
        for t in self.threads:
            t.join()
        self.udp.close()
        self.tcp.close()

    @property
    def address(self):
        return f"{HOST}@{self.port}"

    def serve_udp(self):
        while not self.ended:
            try:
                packet, peer = self.udp.recvfrom(65535)
            except OSError:
                continue
            self.asked += 1
            threading.Thread(target=self.say, args=(packet, peer),
                             daemon=True).start()

    def say(self, packet, peer):
        got = self.answer(packet, False)
        if isinstance(got, bytes):
            with contextlib.suppress(OSError):
                self.udp.sendto(got, peer)

    def serve_tcp(self):
        while not self.ended:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                continue
            with conn, contextlib.suppress(OSError, struct.error):
                conn.settimeout(2)
                n = struct.unpack("!H", conn.recv(2))[0]
                packet = conn.recv(n)
                self.asked += 1
                got = self.answer(packet, True)
                if isinstance(got, bytes):
                    conn.sendall(struct.pack("!H", len(got)) + got)
                elif got is None:
                    time.sleep(1)


def reply(packet, records=b"", n=0, rcode=0, tc=False, aa=True):
    """An answer to the question of packet: n records already packed."""
    end = 12
    while packet[end]:
        end += packet[end] + 1
    end += 5
    flags = 0x8080 | (0x0400 if aa else 0) | (0x0200 if tc else 0) | rcode \
        | (struct.unpack("!H", packet[2:4])[0] & 0x0100)
    return (packet[:2] + struct.pack("!5H", flags, 1, n, 0, 0)
            + packet[12:end] + records)


def record(kind, data, name=b"\xc0\x0c", ttl=1):
    """One record; its owner is the question's unless told."""
    return name + struct.pack("!2HIH", TYPES[kind], 1, ttl, len(data)) + data
