/*
 * Reads postern.conf.  Runs at start and at SIGHUP in every daemon and in
 * `postern`, on the admin's own file; finds all errors before it gives up and
 * names file, line and what is allowed for each.
 */
#include <sys/stat.h>

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/conf/value.h"

#define FILE_MAX (1024 * 1024)
#define LISTENERS_MAX 256
#define KEY_MAX 64

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The keys of a [listen NAME] section. */
static const struct conf_param listen_params[] = {
	{"protocol", CONF_STRING, NULL, 0, 0, "smtp|pop3",
	    offsetof(struct conf_listen, protocol)},
	{"address", CONF_LIST, NULL, 0, 0, NULL,
	    offsetof(struct conf_listen, address)},
	{"proxy", CONF_BOOL, "no", 0, 0, "yes|no",
	    offsetof(struct conf_listen, proxy)},
};

enum { LISTEN_PROTOCOL, LISTEN_ADDRESS, LISTEN_KEYS = COUNT(listen_params) };

/* One reading of one file. */
struct reader {
	struct conf c;        /* the caller's if nothing is wrong */
	struct buf *errors;
	const char *shown;    /* the file's name in messages */
	unsigned line;
	unsigned *seen;       /* by parameter: the line it stands on, or 0 */
	unsigned listen_seen[LISTEN_KEYS];
	struct conf_listen *section; /* the last of c.listen; NULL: none yet */
	bool section_bad;     /* its head was wrong: pass over its lines */
	size_t listen_cap;
	bool failed;
};

/* FILE:LINE: text; line 0: the file as a whole. */
static void complain(struct reader *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
complain(struct reader *r, unsigned line, const char *fmt, ...)
{
	va_list ap;

	r->failed = true;
	buf_adds(r->errors, r->shown);
	if (line > 0)
		buf_printf(r->errors, ":%u", line);
	buf_adds(r->errors, ": ");
	va_start(ap, fmt);
	buf_vprintf(r->errors, fmt, ap);
	va_end(ap);
	buf_addc(r->errors, '\n');
}

/* How many letters must change, come or go (Levenshtein). */
static size_t
distance(struct slice a, struct slice b)
{
	size_t row[KEY_MAX + 1], i, j;

	if (a.len > KEY_MAX || b.len > KEY_MAX)
		return SIZE_MAX;
	for (j = 0; j <= b.len; j++)
		row[j] = j;
	for (i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= b.len; j++) {
			size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b.len];
}

static const struct conf_param *
find_param(const struct conf_param *v, size_t n, struct slice key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (slice_eq(slice_of(v[i].name), key))
			return &v[i];
	return NULL;
}

/* The known key that key was most likely meant to be, or NULL. */
static const char *
nearest(const struct conf_param *v, size_t n, struct slice key)
{
	size_t i, d, best = key.len / 3 + 2;
	const char *name = NULL;

	for (i = 0; i < n; i++) {
		d = distance(slice_of(v[i].name), key);
		if (d < best) {
			best = d;
			name = v[i].name;
		}
	}
	return name;
}

static void
unknown_key(struct reader *r, struct slice key)
{
	bool in_section = r->section != NULL;
	const struct conf_param *v = in_section ? listen_params : conf_params;
	size_t n = in_section ? LISTEN_KEYS : conf_nparams;
	const char *near;
	struct slice shown = slice_sub(key, 0, KEY_MAX);

	if (in_section && find_param(conf_params, conf_nparams, key) != NULL) {
		complain(r, r->line, "%.*s: does not belong into a [listen] "
		    "section; move it above the first section",
		    SLICE_FMT(shown));
		return;
	}
	if (!in_section && find_param(listen_params, LISTEN_KEYS, key)) {
		complain(r, r->line, "%.*s: belongs into a section; put "
		    "[listen NAME] on a line above it", SLICE_FMT(shown));
		return;
	}
	near = nearest(v, n, key);
	if (near != NULL)
		complain(r, r->line, "%.*s: no such key; did you mean %s?",
		    SLICE_FMT(shown), near);
	else
		complain(r, r->line, "%.*s: no such key; postern.conf(5) lists "
		    "them all", SLICE_FMT(shown));
}

static void
set_key(struct reader *r, struct slice key, struct slice value)
{
	bool in_section = r->section != NULL;
	const struct conf_param *v = in_section ? listen_params : conf_params;
	size_t n = in_section ? LISTEN_KEYS : conf_nparams;
	unsigned *seen = in_section ? r->listen_seen : r->seen;
	const struct conf_param *p = find_param(v, n, key);
	struct buf why = BUF_INIT(1024);
	void *base = in_section ? (void *)r->section : (void *)&r->c;

	if (p == NULL) {
		unknown_key(r, key);
		return;
	}
	if (seen[p - v] != 0) {
		complain(r, r->line, "%s: stands here for the second time; "
		    "the first is on line %u, remove one", p->name,
		    seen[p - v]);
		return;
	}
	seen[p - v] = r->line;
	if (!value_set(p, value, base, &r->c.arena, &why))
		complain(r, r->line, "%s: %s", p->name, why.s);
	buf_free(&why);
}

static bool
is_fd_address(struct slice s)
{
	return slice_prefix(s, SLICE("fd:")) && s.len > 3;
}

/* What only shows when the section is whole. */
static void
end_section(struct reader *r)
{
	const struct conf_listen *l = r->section;
	struct sockaddr_storage sa;
	socklen_t len;
	size_t i;

	r->section = NULL;
	r->section_bad = false;
	if (l == NULL)
		return;
	if (r->listen_seen[LISTEN_PROTOCOL] == 0)
		complain(r, l->line, "[listen %s]: protocol is missing; add "
		    "protocol = smtp or pop3", l->name);
	if (r->listen_seen[LISTEN_ADDRESS] == 0 || l->address.n == 0)
		complain(r, l->line, "[listen %s]: address is missing; add "
		    "address = 127.0.0.1:2525, for example", l->name);
	for (i = 0; i < l->address.n; i++) {
		struct slice a = slice_of(l->address.v[i]);

		if (!is_fd_address(a) && !net_sockaddr(a, &sa, &len))
			complain(r, r->listen_seen[LISTEN_ADDRESS],
			    "address: \"%.*s\" is not allowed; allowed: "
			    "IPV4:PORT, [IPV6]:PORT, *:PORT, [::]:PORT, "
			    "fd:NUMBER, fd:NAME", SLICE_FMT(a));
	}
}

static bool
is_name(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_' &&
		    s.p[i] != '-')
			return false;
	return s.len > 0 && s.len <= KEY_MAX;
}

static void
start_section(struct reader *r, struct slice line)
{
	struct slice rest, word, name;
	struct conf_listen l = {0};
	size_t i;

	end_section(r);
	rest = slice_sub(line, 1, line.len - 1);
	r->section_bad = true;
	if (line.p[line.len - 1] != ']' || !slice_word(&rest, &word) ||
	    !slice_eq(word, SLICE("listen")) || !slice_word(&rest, &name) ||
	    !is_name(name) || slice_trim(rest).len > 0) {
		complain(r, r->line, "not a section; allowed: [listen NAME], "
		    "NAME of letters, digits, '-' and '_'");
		return;
	}
	for (i = 0; i < r->c.nlisten; i++)
		if (slice_eq(slice_of(r->c.listen[i].name), name)) {
			complain(r, r->line, "[listen %.*s]: stands here for "
			    "the second time; the first is on line %u",
			    SLICE_FMT(name), r->c.listen[i].line);
			return;
		}
	if (r->c.nlisten == LISTENERS_MAX) {
		complain(r, r->line, "more than %d sections; put several "
		    "addresses into one", LISTENERS_MAX);
		return;
	}
	l.name = value_text(&r->c.arena, name);
	l.protocol = "";
	l.file = r->c.file;
	l.line = r->line;
	MEM_PUSH(r->c.listen, r->c.nlisten, r->listen_cap, l);
	r->section = &r->c.listen[r->c.nlisten - 1];
	r->section_bad = false;
	memset(r->listen_seen, 0, sizeof(r->listen_seen));
}

/* '#' opens a comment at the line's start or behind white space. */
static struct slice
without_comment(struct slice line)
{
	size_t i;

	for (i = 0; i < line.len; i++)
		if (line.p[i] == '#' && (i == 0 || line.p[i - 1] == ' ' ||
		    line.p[i - 1] == '\t'))
			return slice_sub(line, 0, i);
	return line;
}

static bool
has_control(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') ||
		    s.p[i] == 0x7f)
			return true;
	return false;
}

static void
read_line(struct reader *r, struct slice line)
{
	size_t equals;
	struct slice key;

	if (has_control(line)) {
		complain(r, r->line, line.p[line.len - 1] == '\r' ?
		    "ends with CR LF; write the file with LF line ends" :
		    "has a control character; allowed: printable text");
		return;
	}
	line = slice_trim(without_comment(line));
	if (line.len == 0)
		return;
	if (line.p[0] == '[') {
		start_section(r, line);
		return;
	}
	if (r->section_bad)
		return;
	equals = slice_find(line, '=', 0);
	key = slice_trim(slice_sub(line, 0, equals));
	if (equals == line.len || !is_name(key)) {
		complain(r, r->line, "not a setting; allowed: KEY = VALUE, "
		    "[listen NAME] or # COMMENT");
		return;
	}
	set_key(r, key, slice_trim(slice_sub(line, equals + 1, line.len)));
}

static void
set_defaults(struct reader *r)
{
	struct buf why = BUF_INIT(1024);
	size_t i;

	for (i = 0; i < conf_nparams; i++)
		if (!value_set(&conf_params[i], slice_of(conf_params[i].def),
		    &r->c, &r->c.arena, &why))
			die(EXIT_PERMANENT, "params.def: %s: %s",
			    conf_params[i].name, why.s);
	buf_free(&why);
}

/* The line a key stands on; 0 when it has its default. */
static unsigned
line_of(const struct reader *r, const char *key)
{
	const struct conf_param *p = find_param(conf_params, conf_nparams,
	    slice_of(key));

	assert(p != NULL);
	return r->seen[p - conf_params];
}

static bool
is_hostname(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' &&
		    (s[i] != '.' || i == 0 || s[i - 1] == '.'))
			return false;
	return n > 0 && n <= 255;
}

/* Empty names become the system's, which is all a daemon shall know. */
static void
fill_names(struct reader *r)
{
	char name[256] = "";

	if (r->c.hostname[0] == '\0') {
		if (gethostname(name, sizeof(name)) != 0 || name[0] == '\0')
			complain(r, 0, "hostname: the system has none; set "
			    "hostname = mail.example.org");
		name[sizeof(name) - 1] = '\0';
		r->c.hostname = value_text(&r->c.arena, slice_of(name));
	} else if (!is_hostname(r->c.hostname)) {
		complain(r, line_of(r, "hostname"), "hostname: \"%s\" is not "
		    "allowed; allowed: letters, digits, '-' and '.'",
		    r->c.hostname);
	}
	if (r->c.local_domain[0] == '\0')
		r->c.local_domain = r->c.hostname;
	else if (!is_hostname(r->c.local_domain))
		complain(r, line_of(r, "local_domain"), "local_domain: \"%s\" "
		    "is not allowed; allowed: letters, digits, '-' and '.'",
		    r->c.local_domain);
}

/* What two settings say about each other. */
static void
check_whole(struct reader *r)
{
	size_t i;

	if (r->c.retry_first_ms > r->c.retry_max_ms)
		complain(r, line_of(r, line_of(r, "retry_max") ? "retry_max" :
		    "retry_first"), "retry_first is longer than retry_max; "
		    "allowed: at most as long");
	for (i = 0; i < r->c.nlisten; i++)
		if (r->c.listen[i].proxy && r->c.proxy_from.n == 0)
			complain(r, r->c.listen[i].line, "[listen %s]: proxy "
			    "= yes, but proxy_from is empty and nobody could "
			    "connect; set proxy_from to the proxy's address",
			    r->c.listen[i].name);
}

static void
read_text(struct reader *r, struct slice text)
{
	struct slice line;

	while (slice_cut(&text, '\n', &line)) {
		r->line++;
		read_line(r, line);
	}
	end_section(r);
	fill_names(r);
	check_whole(r);
}

/* The whole file; it is short. */
static bool
load_file(int dirfd, const char *name, struct buf *text, const char **why)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n = -1;
	char *p;

	*why = NULL;
	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0)
		goto out;
	if (!S_ISREG(st.st_mode)) {
		*why = "not a regular file";
		goto out;
	}
	do {
		p = buf_room(text, 8192);
		if (p == NULL) {
			*why = "larger than 1 MB";
			n = -1;
			break;
		}
		n = read(fd, p, 8192);
		if (n > 0)
			buf_wrote(text, (size_t)n);
	} while (n > 0);
out:
	close(fd);
	return n == 0;
}

bool
conf_read_at(int dirfd, const char *name, const char *shown, struct conf *c,
    struct buf *errors)
{
	struct buf text = BUF_INIT(FILE_MAX);
	struct reader r = {.errors = errors, .shown = shown};
	const char *why;

	if (!load_file(dirfd, name, &text, &why)) {
		if (why == NULL)
			why = strerror(errno);
		complain(&r, 0, "cannot be read: %s; create it, make it "
		    "readable, or name another with -c", why);
		buf_free(&text);
		return false;
	}
	r.seen = mem_array(conf_nparams, sizeof(*r.seen));
	set_defaults(&r);
	r.c.file = value_text(&r.c.arena, slice_of(shown));
	read_text(&r, buf_slice(&text));
	free(r.seen);
	buf_free(&text);
	if (r.failed) {
		conf_free(&r.c);
		return false;
	}
	*c = r.c;
	return true;
}

bool
conf_read(const char *file, struct conf *c, struct buf *errors)
{
	return conf_read_at(AT_FDCWD, file, file, c, errors);
}

void
conf_defaults(struct conf *c)
{
	struct buf errors = BUF_INIT(1024);
	struct reader r = {.errors = &errors, .shown = "defaults"};

	r.seen = mem_array(conf_nparams, sizeof(*r.seen));
	set_defaults(&r);
	r.c.file = r.shown;
	read_text(&r, SLICE_EMPTY);
	free(r.seen);
	if (r.failed)
		die(EXIT_PERMANENT, "%s", errors.s);
	buf_free(&errors);
	*c = r.c;
}

void
conf_free(struct conf *c)
{
	value_free(&c->arena);
	free(c->listen);
	memset(c, 0, sizeof(*c));
}
