/*
 * Load for benchmarks, the same for every server: SESSIONS processes send
 * MESSAGES messages of SIZE octets in all to user1..userN@DOMAIN, one command at
 * a time (no PIPELINING), and what came of it is printed as one line of JSON.
 *
 *	smtpload [-s sessions] [-m messages] [-l octets] [-u users] [-n]
 *	    [-r recipients] [-i idle_ms] [-w maildir_new | -k counters]
 *	    host port domain
 *
 *	-n  a new connection for each message
 *	-i  only connect, say EHLO and stay idle so long
 *	-w  time from the final dot to the file in this new/ directory
 *	    (one message at a time, the first user)
 *	-k  the same until the counters of smtpsink say that it came there
 *	-r  so many recipients a message, their RCPTs sent together
 */
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct shared {
	long accepted, failed, latency_us;
};

static struct shared *shared;
static const char *host, *port, *domain, *watch;
static long sessions = 20, messages = 1000, size = 4096, users = 10, idle_ms;
static int reconnect;
static long rcpts = 1;
static volatile unsigned long long *sink;
static char *body;
static size_t body_len;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
dial(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, tries;

	a.sin_port = htons((unsigned short)strtol(port, NULL, 10));
	inet_pton(AF_INET, host, &a.sin_addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (tries = 0; tries < 50; tries++) {
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		usleep(20000);
	}
	close(fd);
	return -1;
}

/* The last line of a reply; its code or -1. */
static int
reply(int fd)
{
	char b[4096];
	size_t len = 0;
	ssize_t n;
	char *line;

	for (;;) {
		n = read(fd, b + len, sizeof(b) - 1 - len);
		if (n <= 0)
			return -1;
		len += (size_t)n;
		b[len] = '\0';
		if (b[len - 1] != '\n')
			continue;
		b[len - 1] = '\0';
		line = strrchr(b, '\n');
		line = line != NULL ? line + 1 : b;
		if (strlen(line) >= 4 && line[3] == ' ')
			return (int)strtol(line, NULL, 10);
		b[len - 1] = '\n';
	}
}

static int
put(int fd, const char *p, size_t n)
{
	ssize_t w;

	while (n > 0) {
		w = write(fd, p, n);
		if (w <= 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
say(int fd, const char *text)
{
	return put(fd, text, strlen(text)) == 0 ? reply(fd) : -1;
}

static int
greet(void)
{
	int fd = dial();

	if (fd >= 0 && reply(fd) == 220 && say(fd, "EHLO load.example\r\n") == 250)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Reads n replies of one line each; how many of them were 250. */
static long
replies(int fd, long n)
{
	char b[65536];
	size_t len = 0, at;
	long good = 0;

	while (n > 0) {
		ssize_t got = read(fd, b + len, sizeof(b) - len);
		char *end;

		if (got <= 0)
			return -1;
		len += (size_t)got;
		at = 0;
		while (n > 0 && (end = memchr(b + at, '\n', len - at)) != NULL) {
			good += strncmp(b + at, "250", 3) == 0;
			n--;
			at = (size_t)(end - b) + 1;
		}
		memmove(b, b + at, len - at);
		len -= at;
	}
	return good;
}

static int
send_many(int fd)
{
	size_t room = (size_t)rcpts * 300, len = 0;
	char *text = malloc(room);
	long i, good;

	for (i = 1; i <= rcpts; i++)
		len += (size_t)snprintf(text + len, room - len,
		    "RCPT TO:<user%ld@%s>\r\n", i, domain);
	if (say(fd, "MAIL FROM:<load@load.example>\r\n") != 250 ||
	    put(fd, text, len) != 0) {
		free(text);
		return -1;
	}
	free(text);
	good = replies(fd, rcpts);
	if (good != rcpts || say(fd, "DATA\r\n") != 354 ||
	    put(fd, body, body_len) != 0)
		return -1;
	return reply(fd) == 250 ? 0 : -1;
}

static int
send_one(int fd, long number)
{
	char rcpt[300];

	if (rcpts > 1)
		return send_many(fd);
	snprintf(rcpt, sizeof(rcpt), "RCPT TO:<user%ld@%s>\r\n",
	    number % users + 1, domain);
	if (say(fd, "MAIL FROM:<load@load.example>\r\n") != 250 ||
	    say(fd, rcpt) != 250 || say(fd, "DATA\r\n") != 354 ||
	    put(fd, body, body_len) != 0)
		return -1;
	return reply(fd) == 250 ? 0 : -1;
}

static void
session(long index)
{
	long i, fd = -1;

	for (i = index; i < messages; i += sessions) {
		if (fd < 0)
			fd = greet();
		if (fd < 0 || send_one((int)fd, i) != 0) {
			__sync_fetch_and_add(&shared->failed, 1);
			if (fd >= 0)
				close((int)fd);
			fd = -1;
			continue;
		}
		__sync_fetch_and_add(&shared->accepted, 1);
		if (reconnect) {
			say((int)fd, "QUIT\r\n");
			close((int)fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		say((int)fd, "QUIT\r\n");
}

/* One message at a time, from the dot to its arrival at the sink. */
static void
sink_freshness(void)
{
	int fd = greet();
	double begin, sum = 0, worst = 0, took;
	long i, n = 0;

	users = 1;
	for (i = 0; i < messages && fd >= 0; i++) {
		unsigned long long before = *sink;
		char rcpt[300];

		snprintf(rcpt, sizeof(rcpt), "RCPT TO:<user1@%s>\r\n", domain);
		if (say(fd, "MAIL FROM:<load@load.example>\r\n") != 250 ||
		    say(fd, rcpt) != 250 || say(fd, "DATA\r\n") != 354)
			break;
		begin = now();
		put(fd, body, body_len);
		while (*sink == before && now() - begin < 30)
			usleep(50);
		took = now() - begin;
		if (reply(fd) != 250 || *sink == before)
			break;
		sum += took;
		worst = took > worst ? took : worst;
		n++;
		usleep(2000);
	}
	printf("{\"fresh_messages\": %ld, \"mean_ms\": %.3f, \"worst_ms\": %.3f}\n",
	    n, n > 0 ? sum / (double)n * 1e3 : 0, worst * 1e3);
}

/* One message at a time; microseconds from the dot to the file. */
static void
freshness(void)
{
	int in = inotify_init1(0), fd = greet();
	char events[65536];
	struct pollfd v = {in, POLLIN, 0};
	double begin, sum = 0, worst = 0, took;
	long i, n = 0;

	inotify_add_watch(in, watch, IN_CREATE | IN_MOVED_TO);
	users = 1;
	for (i = 0; i < messages && fd >= 0; i++) {
		if (say(fd, "MAIL FROM:<load@load.example>\r\n") != 250)
			break;
		char rcpt[300];
		snprintf(rcpt, sizeof(rcpt), "RCPT TO:<user1@%s>\r\n", domain);
		if (say(fd, rcpt) != 250 || say(fd, "DATA\r\n") != 354)
			break;
		begin = now();
		put(fd, body, body_len);
		if (poll(&v, 1, 10000) <= 0)
			break;
		took = now() - begin;
		if (read(in, events, sizeof(events)) <= 0 || reply(fd) != 250)
			break;
		sum += took;
		worst = took > worst ? took : worst;
		n++;
		usleep(2000);
		while (poll(&v, 1, 0) > 0 && read(in, events, sizeof(events)) > 0)
			;
	}
	printf("{\"fresh_messages\": %ld, \"mean_ms\": %.3f, \"worst_ms\": %.3f}\n",
	    n, n > 0 ? sum / (double)n * 1e3 : 0, worst * 1e3);
}

static volatile unsigned long long *
map_counters(const char *path)
{
	int fd = open(path, O_RDONLY);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 32, PROT_READ, MAP_SHARED,
	    fd, 0);

	if (p == MAP_FAILED) {
		perror(path);
		exit(111);
	}
	return p;
}

static void
make_body(void)
{
	const char *line = "The quick brown fox jumps over the lazy dog, again "
	    "and again and again..\r\n";
	size_t n = strlen(line);

	body = malloc((size_t)size + 4096);
	body_len = (size_t)snprintf(body, 1024,
	    "From: load@load.example\r\nTo: user@%s\r\nSubject: load\r\n\r\n",
	    domain);
	while (body_len + n <= (size_t)size) {
		memcpy(body + body_len, line, n);
		body_len += n;
	}
	memcpy(body + body_len, ".\r\n", 3);
	body_len += 3;
}

int
main(int argc, char *argv[])
{
	double begin, end;
	long i;
	int c;

	while ((c = getopt(argc, argv, "s:m:l:u:ni:w:r:k:")) != -1)
		switch (c) {
		case 's': sessions = strtol(optarg, NULL, 10); break;
		case 'm': messages = strtol(optarg, NULL, 10); break;
		case 'l': size = strtol(optarg, NULL, 10); break;
		case 'u': users = strtol(optarg, NULL, 10); break;
		case 'n': reconnect = 1; break;
		case 'i': idle_ms = strtol(optarg, NULL, 10); break;
		case 'w': watch = optarg; break;
		case 'r': rcpts = strtol(optarg, NULL, 10); break;
		case 'k': sink = map_counters(optarg); break;
		default: return 100;
		}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: smtpload [options] host port domain\n");
		return 100;
	}
	host = argv[optind];
	port = argv[optind + 1];
	domain = argv[optind + 2];
	signal(SIGPIPE, SIG_IGN);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	make_body();
	if (sink != NULL) {
		sink_freshness();
		return 0;
	}
	if (watch != NULL) {
		freshness();
		return 0;
	}
	begin = now();
	if (idle_ms > 0) {
		int *fds = calloc((size_t)sessions, sizeof(*fds)), up = 0;

		for (i = 0; i < sessions; i++) {
			fds[i] = greet();
			up += fds[i] >= 0;
		}
		printf("{\"idle\": %d}\n", up);
		fflush(stdout);
		usleep((unsigned)idle_ms * 1000);
		return 0;
	}
	for (i = 0; i < sessions; i++)
		if (fork() == 0) {
			session(i);
			_exit(0);
		}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	end = now();
	printf("{\"sessions\": %ld, \"messages\": %ld, \"failed\": %ld, "
	    "\"octets\": %zu, \"seconds\": %.3f, \"per_second\": %.1f}\n",
	    sessions, shared->accepted, shared->failed, body_len, end - begin,
	    (double)shared->accepted / (end - begin));
	return shared->failed == 0 ? 0 : 1;
}
