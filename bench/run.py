#!/usr/bin/python3
"""Measures postern against Debian's Postfix and OpenSMTPD: the same work, by
the same client, on the same file system, in the same run.

    bench/run.py [--peers postern,postfix,opensmtpd] [--rows throughput,...]

Rows: throughput connections large idle fresh syscalls (in, to Maildirs);
relay relay_syscalls many dead (through, to bench/smtpsink on this host, and for a host that is
not there); million (postern alone: 1,000,000 such messages, made as files).

As root.  Makes an ext4 (loop-mounted, ordered journal) below a temporary
directory for all queues and mailboxes.  Installs the peers from the
distribution (one at a time: they exclude each other).  Prints machine, command
and one JSON line a row; never pass or fail.  CPU seconds are those of the
server's processes (cgroup), not the client's.
"""
import argparse
import json
import os
import platform
import pwd
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
USERS = 10
DOMAIN = 'bench.example'
SINK_PORT = 3925  # of sink.example
DEAD_PORT = 3926  # of dead.example: nobody listens


def sh(*cmd, **kw):
    return subprocess.run(cmd, check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **kw).stdout


class Group:
    """CPU time of a tree of processes."""

    def __init__(self, name):
        self.v1 = '/sys/fs/cgroup/cpuacct/' + name
        self.v2 = '/sys/fs/cgroup/' + name
        self.path = self.v1 if os.path.isdir('/sys/fs/cgroup/cpuacct') else self.v2
        os.makedirs(self.path, exist_ok=True)

    def enter(self):
        with open(self.path + '/cgroup.procs', 'w') as f:
            f.write('0')

    def pids(self):
        with open(self.path + '/cgroup.procs') as f:
            return [int(p) for p in f.read().split()]

    def cpu(self):
        if self.path == self.v1:
            with open(self.path + '/cpuacct.usage') as f:
                return int(f.read()) / 1e9
        with open(self.path + '/cpu.stat') as f:
            return int(f.read().split()[1]) / 1e6


class Server:
    name = None
    port = None
    share = 1  # of the messages, for those that would take all day

    def __init__(self, base):
        self.base = os.path.join(base, self.name)
        os.makedirs(self.base)
        os.chmod(self.base, 0o755)
        self.group = Group('bench-' + self.name)

    def start_in_group(self, cmd, **kw):
        return subprocess.Popen(cmd, preexec_fn=self.group.enter,
                                stdin=subprocess.DEVNULL, **kw)

    def new_dir(self):
        return os.path.join(self.maildir(1), 'new')

    def delivered(self):
        return sum(len(os.listdir(d)) for u in range(1, USERS + 1)
                   for d in [os.path.join(self.maildir(u), 'new')]
                   if os.path.isdir(d))

    def empty(self):
        for u in range(1, USERS + 1):
            d = os.path.join(self.maildir(u), 'new')
            if os.path.isdir(d):
                for n in os.listdir(d):
                    os.unlink(os.path.join(d, n))


class Postern(Server):
    name = 'postern'
    port = 2725
    daemons = ['authd', 'queued', 'qmgr', 'local', 'spawner', 'dnsd', 'remote',
               'bounce', 'smtpd']

    def setup(self):
        sh('make', '-s', '-C', ROOT, '-j2', 'all')
        sh('sh', os.path.join(ROOT, 'etc', 'users'))
        b = self.base
        self.conf = os.path.join(b, 'postern.conf')
        with open(self.conf, 'w') as f:
            f.write(f'''hostname = bench.example
run_dir = {b}/run
queue_dir = {b}/queue
table_dir = {b}/tables
mail_root = {b}/mail
drop_dir = {b}/drop
submit_socket =
dns_resolvers = 127.0.0.1@1
smtp_sessions_per_client_max = 1000
mails_per_session_max = 1000000
[listen smtp]
protocol = smtp
address = 127.0.0.1:{self.port}
''')
        p = [os.path.join(ROOT, 'bin', 'postern'), '-c', self.conf]
        os.mkdir(f'{b}/tables')
        with open(f'{b}/tables/routes', 'w') as f:
            f.write(f'sink.example smtp:[127.0.0.1]:{SINK_PORT}\n'
                    f'dead.example smtp:[127.0.0.1]:{DEAD_PORT}\n')
        sh(*p, 'setup')
        sh(*p, 'domain', 'add', DOMAIN)
        for u in range(1, USERS + 1):
            sh(*p, 'user', 'add', f'user{u}@{DOMAIN}', input='x\n')
        self.start()

    def start(self):
        self.log = open(os.path.join(self.base, 'log'), 'a')
        self.children = []
        for d in self.daemons:
            r, w = os.pipe()
            self.children.append(self.start_in_group(
                [os.path.join(ROOT, 'bin', d), '-c', self.conf, '-d', str(w)],
                stderr=self.log, pass_fds=[w]))
            os.close(w)
            os.read(r, 1)
            os.close(r)

    def maildir(self, u):
        return f'{self.base}/mail/{DOMAIN}/user{u}/Maildir'

    def session_pids(self):
        return [p for p in self.group.pids()
                if open(f'/proc/{p}/stat').read().split(') ')[0].endswith('(smtpd')
                and int(open(f'/proc/{p}/stat').read().split(') ')[1].split()[1])
                in [c.pid for c in self.children]]

    def stop(self):
        for c in self.children:
            c.terminate()
        for c in self.children:
            c.wait(30)

    def waiting(self):
        return len(os.listdir(f'{self.base}/queue/deferred'))

    manager = 'qmgr'


class Postfix(Server):
    name = 'postfix'
    port = 2726

    def setup(self):
        env = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
        sh('apt-get', 'install', '-y', '-q', '--no-install-recommends',
           'postfix', env=env)
        subprocess.run(['postfix', 'stop'], capture_output=True)
        b = self.base
        self.conf = f'{b}/etc'
        shutil.copytree('/etc/postfix', self.conf, symlinks=True)
        for d in ('queue', 'data', 'mail'):
            os.mkdir(f'{b}/{d}')
        vm = pwd.getpwnam('postern-vmail')
        shutil.chown(f'{b}/mail', vm.pw_uid, vm.pw_gid)
        shutil.chown(f'{b}/data', 'postfix')
        with open(f'{self.conf}/main.cf', 'w') as f:
            f.write(f'''compatibility_level = 3.6
queue_directory = {b}/queue
data_directory = {b}/data
myhostname = bench.example
mydestination =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_maps = static:all
virtual_mailbox_base = {b}/mail
virtual_mailbox_maps = inline:{{ {', '.join(f'user{u}@{DOMAIN}=user{u}/Maildir/' for u in range(1, USERS + 1))} }}
virtual_uid_maps = static:{vm.pw_uid}
virtual_gid_maps = static:{vm.pw_gid}
virtual_minimum_uid = 1
message_size_limit = 60000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
transport_maps = inline:{{ {{ sink.example = smtp:[127.0.0.1]:{SINK_PORT} }}, {{ dead.example = smtp:[127.0.0.1]:{DEAD_PORT} }} }}
smtp_dns_support_level = disabled
maillog_file = /dev/null
maillog_file_prefixes = /dev, /var
default_process_limit = 600
smtputf8_enable = no
''')
        with open(f'{self.conf}/master.cf') as f:
            lines = f.read().splitlines()
        out = []
        for line in lines:
            w = line.split()
            if w[:2] == ['smtp', 'inet']:
                line = f'{self.port} inet n - n - - smtpd'
            elif len(w) > 4 and w[1] in ('unix', 'fifo') and not line.startswith('#'):
                line = ' '.join(w[:4] + ['n'] + w[5:])
            out.append(line)
        if not any(line.startswith('postlog') for line in out):
            out.append('postlog unix-dgram n - n - 1 postlogd')
        with open(f'{self.conf}/master.cf', 'w') as f:
            f.write('\n'.join(out) + '\n')
        self.start()
        time.sleep(3)

    def maildir(self, u):
        return f'{self.base}/mail/user{u}/Maildir'

    def session_pids(self):
        return [p for p in self.group.pids()
                if open(f'/proc/{p}/comm').read().strip() == 'smtpd']

    def stop(self):
        subprocess.run(['postfix', '-c', self.conf, 'stop'],
                       capture_output=True)
        self.child.wait(60)

    def start(self):
        self.child = self.start_in_group(
            ['postfix', '-c', self.conf, 'start-fg'],
            stdout=open(f'{self.base}/log', 'a'), stderr=subprocess.STDOUT)

    def waiting(self):
        return sum(len(files) for _, _, files in
                   os.walk(f'{self.base}/queue/deferred'))

    manager = 'qmgr'


class OpenSMTPD(Server):
    name = 'opensmtpd'
    port = 2727
    share = 5

    def setup(self):
        env = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
        sh('apt-get', 'install', '-y', '-q', '--no-install-recommends',
           'opensmtpd', env=env)
        b = self.base
        os.mkdir(f'{b}/mail')
        vm = pwd.getpwnam('postern-vmail')
        shutil.chown(f'{b}/mail', vm.pw_uid, vm.pw_gid)
        # Its queue has a fixed place: bind it onto the same file system.
        os.mkdir(f'{b}/spool')
        # It makes what is missing below.
        os.chmod(f'{b}/spool', 0o711)
        os.makedirs('/var/spool/smtpd', mode=0o711, exist_ok=True)
        sh('mount', '--bind', f'{b}/spool', '/var/spool/smtpd')
        self.conf = f'{b}/smtpd.conf'
        with open(self.conf, 'w') as f:
            f.write(f'''listen on lo port {self.port} hostname bench.example
table users {{ {', '.join(f'"user{u}" = "{vm.pw_uid}:{vm.pw_gid}:{b}/mail/user{u}"' for u in range(1, USERS + 1))} }}
smtp max-message-size "60M"
action "in" maildir "{b}/mail/%{{user.username}}/Maildir" userbase <users>
action "sink" relay host smtp://127.0.0.1:{SINK_PORT}
action "dead" relay host smtp://127.0.0.1:{DEAD_PORT}
match from any for domain "{DOMAIN}" action "in"
match from any for domain "sink.example" action "sink"
match from any for domain "dead.example" action "dead"
''')
        # It asks for the name of each client's address and waits for it: a
        # resolver that refuses at once keeps that out of the figures.
        with open(f'{b}/resolv.conf', 'w') as f:
            f.write('nameserver 127.0.0.1\nlookup file\n')
        self.child = self.start_in_group(
            ['unshare', '--mount', 'sh', '-c',
             'mount --bind "$0" /etc/resolv.conf && exec "$@"',
             f'{b}/resolv.conf', '/usr/sbin/smtpd', '-d', '-f', self.conf],
            stdout=open(f'{b}/log', 'w'), stderr=subprocess.STDOUT)
        time.sleep(3)
        load(self, '-m', '20')  # makes the Maildirs
        wait_delivered(self, 20)

    def maildir(self, u):
        return f'{self.base}/mail/user{u}/Maildir'

    def session_pids(self):
        return self.group.pids()

    def stop(self):
        self.child.terminate()
        self.child.wait(60)
        sh('umount', '/var/spool/smtpd')


def load(server, *options, domain=DOMAIN):
    out = subprocess.run([LOAD, *options, '127.0.0.1', str(server.port), domain],
                         stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def wait_delivered(server, count, limit=120):
    end = time.time() + limit
    # Rarely: looking through ten thousand names is work, too.
    while server.delivered() < count and time.time() < end:
        time.sleep(0.1)
    return server.delivered()


def transfer(server, messages, *options):
    messages //= server.share
    server.empty()
    before, begin = server.group.cpu(), time.time()
    r = load(server, '-m', str(messages), *options)
    got = wait_delivered(server, messages)
    took = time.time() - begin
    return {'accepted_per_second': r['per_second'],
            'delivered_per_second': round(got / took, 1),
            'delivered': got, 'failed': r['failed'],
            'cpu_s_per_1000': round((server.group.cpu() - before) / messages * 1000, 3),
            'mb_per_second': round(got * r['octets'] / took / 1e6, 1)}


def row_throughput(server):
    load(server, '-m', '200')
    wait_delivered(server, 200)
    return transfer(server, 10000, '-s', '20', '-l', '4096')


def row_connections(server):
    return transfer(server, 5000, '-s', '20', '-l', '4096', '-n')


def row_large(server):
    return transfer(server, 40, '-s', '2', '-l', '20000000')


def row_fresh(server):
    server.empty()
    return load(server, '-m', '200', '-l', '4096', '-w', server.new_dir())


def row_idle(server):
    n = 500
    base = set(server.group.pids())
    before = server.group.cpu()
    rest = memory(base)
    child = subprocess.Popen([LOAD, '-s', str(n), '-i', '4000', '127.0.0.1',
                              str(server.port), DOMAIN],
                             stdout=subprocess.PIPE, text=True)
    up = json.loads(child.stdout.readline())['idle']
    time.sleep(1)
    now = memory(server.group.pids())
    sessions = [p for p in server.session_pids() if p not in base]
    each = memory(sessions) / len(sessions) if sessions else None
    child.wait()
    time.sleep(1)
    return {'idle_sessions': up, 'grown_kb': now - rest,
            'grown_kb_each': round((now - rest) / max(up, 1), 1),
            'session_pss_kb': round(each, 1) if each else None,
            'cpu_ms_each': round((server.group.cpu() - before) / max(up, 1) * 1e3, 3)}


class Sink:
    """Where mail for sink.example goes."""

    def __init__(self, base):
        self.file = f'{base}/sink'
        self.child = subprocess.Popen([SINK, str(SINK_PORT), self.file],
                                      stdout=subprocess.PIPE)
        self.child.stdout.readline()

    def seen(self):
        """messages, recipients, octets, connections"""
        with open(self.file, 'rb') as f:
            return struct.unpack('4Q', f.read(32))

    def wait(self, index, count, limit=120):
        end = time.time() + limit
        while self.seen()[index] < count and time.time() < end:
            time.sleep(0.005)
        return self.seen()[index]

    def stop(self):
        self.child.terminate()
        self.child.wait()


def relayed(server, sink, index, count, *options):
    before, start = sink.seen(), server.group.cpu()
    begin = time.time()
    load(server, *options, domain='sink.example')
    accepted = time.time() - begin
    got = sink.wait(index, before[index] + count) - before[index]
    took = time.time() - begin
    time.sleep(1)  # what comes after: marks, unlinks
    return {'seconds': round(took, 3), 'accepted_seconds': round(accepted, 3),
            'got': got, 'per_second': round(got / took, 1),
            'cpu_s_per_1000': round((server.group.cpu() - start) / count * 1e3, 3),
            'connections': sink.seen()[3] - before[3]}


def row_relay(server):
    sink = Sink(server.base)
    try:
        load(server, '-m', '200', domain='sink.example')
        sink.wait(0, 200)
        return relayed(server, sink, 0, 5000, '-s', '20', '-m', '5000',
                       '-l', '4096')
    finally:
        sink.stop()


def row_many(server):
    """Ten messages to 1,000 recipients of one host each."""
    sink = Sink(server.base)
    try:
        load(server, '-m', '20', domain='sink.example')
        sink.wait(0, 20)
        return relayed(server, sink, 1, 10000, '-s', '10', '-m', '10',
                       '-r', '1000', '-l', '4096')
    finally:
        sink.stop()


def manager_kb(server):
    for p in server.group.pids():
        with open(f'/proc/{p}/comm') as f:
            if f.read().strip() == server.manager:
                with open(f'/proc/{p}/smaps_rollup') as g:
                    text = g.read()
                return (int(re.search(r'^Pss:\s+(\d+)', text, re.M).group(1)),
                        int(re.search(r'^Rss:\s+(\d+)', text, re.M).group(1)))
    return None, None


def restart_to_first(server, sink):
    """Seconds from the start of the daemons to a fresh message at the sink."""
    before, begin = sink.seen()[0], time.time()
    server.start()
    while True:
        try:
            r = load(server, '-m', '1', '-l', '1000', domain='sink.example')
            if r['messages'] == 1:
                break
        except (json.JSONDecodeError, IndexError):
            pass
        time.sleep(0.005)
    sink.wait(0, before + 1)
    return time.time() - begin


def row_million(server, count=1000000):
    """The same with so many that were made as files; the first start finds the
    directory in no cache."""
    sh('make', '-s', '-C', ROOT, 'bin/test-fillqueue')
    queue = f'{server.base}/queue'
    server.stop()
    sh(os.path.join(ROOT, 'bin', 'test-fillqueue'), f'{queue}/deferred',
       str(count), 'dead.example', '600')
    sh('chown', '-R', 'postern-queue:postern', f'{queue}/deferred')
    sink = Sink(server.base)
    try:
        sh('sync')
        with open('/proc/sys/vm/drop_caches', 'w') as f:
            f.write('3')
        cold = restart_to_first(server, sink)
        reading = load(server, '-m', '200', '-l', '1000', '-k', sink.file,
                       domain='sink.example')
        begin = time.time()
        while not re.search(rf'scanned dir=deferred files={count}', open(f'{server.base}/log').read()) and \
                time.time() < begin + 240:
            time.sleep(0.1)
        pss, rss = manager_kb(server)
        fresh = load(server, '-m', '200', '-l', '1000', '-k', sink.file,
                     domain='sink.example')
        server.stop()
        warm = restart_to_first(server, sink)
        return {'waiting': server.waiting(), 'cold_restart_to_first_s':
                round(cold, 3), 'warm_restart_to_first_s': round(warm, 3),
                'while_reading_mean_ms': reading['mean_ms'],
                'while_reading_worst_ms': reading['worst_ms'],
                'mean_ms': fresh['mean_ms'], 'worst_ms': fresh['worst_ms'],
                'manager_pss_kb': pss, 'manager_rss_kb': rss}
    finally:
        sink.stop()


def row_dead(server, count=20000):
    """Fresh mail while so many wait for a host that is not there, and after a
    restart."""
    sink = Sink(server.base)
    try:
        load(server, '-s', '20', '-m', str(count), '-l', '1000',
             domain='dead.example')
        end = time.time() + 300
        while server.waiting() < count and time.time() < end:
            time.sleep(0.5)
        waiting = server.waiting()
        time.sleep(2)
        fresh = load(server, '-m', '200', '-l', '1000', '-k', sink.file,
                     domain='sink.example')
        pss, rss = manager_kb(server)
        server.stop()
        restart = restart_to_first(server, sink)
        after = load(server, '-m', '200', '-l', '1000', '-k', sink.file,
                     domain='sink.example')
        return {'waiting': waiting, 'mean_ms': fresh['mean_ms'],
                'worst_ms': fresh['worst_ms'], 'manager_pss_kb': pss,
                'manager_rss_kb': rss, 'restart_to_first_s': round(restart, 3),
                'after_restart_mean_ms': after['mean_ms'],
                'after_restart_worst_ms': after['worst_ms']}
    finally:
        sink.stop()


def memory(pids):
    total = 0
    for p in pids:
        try:
            with open(f'/proc/{p}/smaps_rollup') as f:
                total += sum(int(line.split()[1]) for line in f
                             if line.startswith('Pss:'))
        except OSError:
            pass
    return total


def row_relay_syscalls(server):
    sink = Sink(server.base)
    try:
        return row_syscalls(server, 'sink.example')
    finally:
        sink.stop()


def row_syscalls(server, domain=DOMAIN):
    """One message at a time, all processes counted."""
    n = 200
    load(server, '-m', '20', '-s', '1', domain=domain)
    trace = f'{server.base}/strace'
    pids = [a for p in server.group.pids() for a in ('-p', str(p))]
    child = subprocess.Popen(['strace', '-f', '-c', '-o', trace, *pids],
                             stderr=subprocess.DEVNULL)
    time.sleep(2)
    load(server, '-m', str(n), '-s', '1', '-l', '4096', domain=domain)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    child.wait()
    calls = {}
    for line in open(trace):
        w = line.split()
        if len(w) >= 5 and w[0].replace('.', '').isdigit() and w[-1] != 'total':
            calls[w[-1]] = int(w[3])
    return {'calls_per_message': round(sum(calls.values()) / n, 1),
            'syncs_per_message': round(sum(
                calls.get(c, 0) for c in ('fsync', 'fdatasync', 'syncfs')) / n, 2),
            'calls': {k: round(v / n, 2) for k, v in sorted(
                calls.items(), key=lambda kv: -kv[1])[:16]}}


def machine():
    cpu = [line.split(':')[1].strip() for line in open('/proc/cpuinfo')
           if line.startswith('model name')]
    return {'kernel': platform.release(), 'cpus': len(cpu), 'cpu': cpu[0]}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--peers', default='postern,postfix,opensmtpd')
    p.add_argument('--rows',
                   default='throughput,connections,large,idle,fresh,syscalls')
    p.add_argument('--keep', action='store_true')
    a = p.parse_args()
    if os.geteuid() != 0:
        sys.exit('bench: as root')
    base = tempfile.mkdtemp(prefix='postern-bench.')
    os.chmod(base, 0o755)
    global LOAD, SINK
    LOAD, SINK = f'{base}/smtpload', f'{base}/smtpsink'
    sh('cc', '-O2', '-D_GNU_SOURCE', '-o', SINK, f'{HERE}/smtpsink.c')
    sh('cc', '-O2', '-D_GNU_SOURCE', '-o', LOAD, f'{HERE}/smtpload.c')
    sh('cc', '-O2', '-D_GNU_SOURCE', '-o', f'{base}/diskload', f'{HERE}/diskload.c')
    sh('truncate', '-s', '16G', f'{base}/disk')
    sh('mkfs.ext4', '-q', '-N', '2000000', f'{base}/disk')
    os.mkdir(f'{base}/mnt')
    sh('mount', '-o', 'loop,data=ordered', f'{base}/disk', f'{base}/mnt')
    os.chmod(f'{base}/mnt', 0o755)
    print(json.dumps({'machine': machine(), 'command': ' '.join(sys.argv)}))
    os.mkdir(f'{base}/mnt/raw')
    print(json.dumps({'row': 'disk', **json.loads(
        sh(f'{base}/diskload', f'{base}/mnt/raw', '20', '3'))}), flush=True)
    shutil.rmtree(f'{base}/mnt/raw')
    kinds = {c.name: c for c in (Postern, Postfix, OpenSMTPD)}
    try:
        for name in a.peers.split(','):
            server = kinds[name](f'{base}/mnt')
            server.setup()
            try:
                for row in a.rows.split(','):
                    r = globals()['row_' + row](server)
                    print(json.dumps({'server': name, 'row': row, **r}),
                          flush=True)
            finally:
                server.stop()
            if not a.keep:
                shutil.rmtree(server.base, ignore_errors=True)
    finally:
        if not a.keep:
            sh('umount', '-l', f'{base}/mnt')
            shutil.rmtree(base)


if __name__ == '__main__':
    main()
