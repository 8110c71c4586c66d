/*
 * The options of sendmail(1).  In sendmail, on its command line: mostly a
 * program's, sometimes with addresses from a web form in it.  So options end at
 * the first argument that is none: a recipient named "-bp" behind another one
 * stays a recipient.
 *
 * Decades of callers give options that mean nothing here; they are taken and
 * ignored, each with its argument, which is why every letter has its row.
 */
#include <stdio.h>
#include <string.h>

#include "common/mail/envelope.h"
#include "queue/sendmail.h"

enum argument {
	NONE,     /* -t; letters may follow in the same word */
	NEEDED,   /* -fann or -f ann */
	ATTACHED  /* -q or -qRhost, never the next word */
};

struct parser {
	struct sendmail_options *o;
	bool wrong;
};

typedef void option_fn(struct parser *p, char letter, const char *arg);

static void
wrong(struct parser *p, const char *what, char letter, const char *arg)
{
	sendmail_say(p->o, "-%c%s: %s; see sendmail(1)", letter, arg, what);
	p->wrong = true;
}

static void
opt_ignored(struct parser *p, char letter, const char *arg)
{
	(void)p;
	(void)letter;
	(void)arg;
}

static void
opt_mode(struct parser *p, char letter, const char *arg)
{
	static const struct {
		char letter;
		enum sendmail_mode mode;
	} modes[] = {
		{'m', SENDMAIL_SEND},
		{'s', SENDMAIL_SMTP},
		{'v', SENDMAIL_VERIFY},
		{'p', SENDMAIL_LIST},
		{'i', SENDMAIL_ALIASES},
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (arg[0] == modes[i].letter && arg[1] == '\0') {
			p->o->mode = modes[i].mode;
			return;
		}
	if (arg[0] == 'd' || arg[0] == 'D' || arg[0] == 'l')
		wrong(p, "postern's daemons are started by a supervisor, not "
		    "by sendmail: see smtpd(8) and INSTALL", letter, arg);
	else
		wrong(p, "mode not supported", letter, arg);
}

static void
opt_aliases(struct parser *p, char letter, const char *arg)
{
	(void)letter;
	(void)arg;
	p->o->mode = SENDMAIL_ALIASES;
}

static void
opt_conf(struct parser *p, char letter, const char *arg)
{
	(void)letter;
	p->o->conf_file = arg;
}

static void
opt_sender(struct parser *p, char letter, const char *arg)
{
	(void)letter;
	p->o->sender = arg;
}

static void
opt_full_name(struct parser *p, char letter, const char *arg)
{
	(void)letter;
	p->o->full_name = arg;
}

static void
opt_flag(struct parser *p, char letter, const char *arg)
{
	(void)arg;
	if (letter == 'i')
		p->o->ignore_dots = true;
	else if (letter == 't')
		p->o->from_header = true;
	else
		p->o->verbose = true;
}

static void
opt_error_mode(struct parser *p, char letter, const char *arg)
{
	(void)letter;
	p->o->quiet = arg[0] == 'q';
}

static bool
is_true(const char *text)
{
	return text[0] == '\0' || strchr("tTyY1", text[0]) != NULL;
}

/* -oi, -oem: one letter and its value */
static void
opt_short(struct parser *p, char letter, const char *arg)
{
	(void)letter;
	if (arg[0] == 'i')
		p->o->ignore_dots = is_true(arg + 1);
	else if (arg[0] == 'e')
		opt_error_mode(p, 'e', arg + 1);
	else if (arg[0] == 'v')
		p->o->verbose = is_true(arg + 1);
}

/* -O IgnoreDots=true */
static void
opt_long(struct parser *p, char letter, const char *arg)
{
	struct slice rest = slice_of(arg), name;

	(void)letter;
	if (slice_cut(&rest, '=', &name) &&
	    slice_ieq(name, SLICE("IgnoreDots")))
		p->o->ignore_dots = rest.p == NULL || is_true(rest.p);
}

/* RFC 3461 4.1 */
static void
opt_notify(struct parser *p, char letter, const char *arg)
{
	static const struct {
		struct slice word;
		uint32_t bit;
	} words[] = {
		{SLICE_INIT("never"), NOTIFY_NEVER},
		{SLICE_INIT("success"), NOTIFY_SUCCESS},
		{SLICE_INIT("failure"), NOTIFY_FAILURE},
		{SLICE_INIT("delay"), NOTIFY_DELAY},
	};
	struct slice rest = slice_of(arg), word;
	uint32_t bits = 0, bit;

	while (slice_cut(&rest, ',', &word)) {
		bit = 0;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (slice_ieq(slice_trim(word), words[i].word))
				bit = words[i].bit;
		if (bit == 0) {
			wrong(p, "allowed: never, or success, failure and "
			    "delay with commas between", letter, arg);
			return;
		}
		bits |= bit;
	}
	if ((bits & NOTIFY_NEVER) != 0 && bits != NOTIFY_NEVER)
		wrong(p, "never stands alone", letter, arg);
	else
		p->o->notify = bits;
}

/* RFC 3461 4.3 */
static void
opt_return(struct parser *p, char letter, const char *arg)
{
	if (slice_ieq(slice_of(arg), SLICE("full")))
		p->o->ret = ENV_RET_FULL;
	else if (slice_ieq(slice_of(arg), SLICE("hdrs")))
		p->o->ret = ENV_RET_HDRS;
	else
		wrong(p, "allowed: full, hdrs", letter, arg);
}

/* RFC 3461 4.4 and 5.4: printable, and 100 octets at most */
static void
opt_envid(struct parser *p, char letter, const char *arg)
{
	size_t n = strlen(arg);

	for (size_t i = 0; i < n; i++)
		if (arg[i] < ' ' || arg[i] > '~') {
			wrong(p, "not printable ASCII", letter, "");
			return;
		}
	if (n == 0 || n > ENV_ENVID_MAX)
		wrong(p, "allowed: 1 to 100 octets", letter, arg);
	else
		p->o->envid = arg;
}

static void
opt_run(struct parser *p, char letter, const char *arg)
{
	bool one = arg[0] != '\0' && strchr("IRS", arg[0]) != NULL;

	p->o->mode = SENDMAIL_RUN;
	if (letter == 'M') { /* an old spelling of -qI */
		p->o->run_what = 'I';
		p->o->run_text = arg;
	} else if (one && arg[1] != '\0') {
		p->o->run_what = arg[0];
		p->o->run_text = arg + 1;
	} else if (arg[0] != '\0') {
		wrong(p, "qmgr keeps the schedule: see retry_first in "
		    "postern.conf(5); -q, -qIid, -qRrecipient and -qSsender "
		    "try now", letter, arg);
	}
}

static const struct option {
	char letter;
	enum argument argument;
	option_fn *fn;
} options[] = {
	{'A', NEEDED, opt_ignored},    /* which configuration */
	{'B', NEEDED, opt_ignored},    /* the body's octets say it */
	{'C', NEEDED, opt_conf},
	{'D', NEEDED, opt_ignored},    /* log file */
	{'E', NONE, opt_ignored},
	{'F', NEEDED, opt_full_name},
	{'G', NONE, opt_ignored},      /* gateway: nothing is rewritten */
	{'I', NONE, opt_aliases},
	{'J', NONE, opt_ignored},
	{'L', NEEDED, opt_ignored},    /* log label */
	{'M', NEEDED, opt_run},
	{'N', NEEDED, opt_notify},
	{'O', NEEDED, opt_long},
	{'Q', ATTACHED, opt_ignored},
	{'R', NEEDED, opt_return},
	{'T', ATTACHED, opt_ignored},  /* time-out */
	{'U', NONE, opt_ignored},      /* initial submission */
	{'V', NEEDED, opt_envid},
	{'X', NEEDED, opt_ignored},    /* traffic log */
	{'b', NEEDED, opt_mode},
	{'c', NONE, opt_ignored},
	{'d', ATTACHED, opt_ignored},  /* debugging */
	{'e', NEEDED, opt_error_mode},
	{'f', NEEDED, opt_sender},
	{'h', NEEDED, opt_ignored},    /* hop count: Received fields say it */
	{'i', NONE, opt_flag},
	{'m', NONE, opt_ignored},      /* me too */
	{'n', NONE, opt_ignored},      /* no aliases */
	{'o', NEEDED, opt_short},
	{'p', NEEDED, opt_ignored},    /* protocol it came by */
	{'q', ATTACHED, opt_run},
	{'r', NEEDED, opt_sender},
	{'s', NONE, opt_ignored},
	{'t', NONE, opt_flag},
	{'v', NONE, opt_flag},
	{'x', NONE, opt_ignored},
};

static const struct option *
find(char letter)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].letter == letter)
			return &options[i];
	return NULL;
}

/* One word of letters; next: the word behind it, or NULL.  How many words were
 * used, 0 on an error. */
static int
take_word(struct parser *p, const char *word, const char *next)
{
	const struct option *opt;
	const char *at;

	for (at = word + 1; *at != '\0'; at++) {
		opt = find(*at);
		if (opt == NULL) {
			wrong(p, "unknown option", *at, "");
			return 0;
		}
		if (opt->argument == NONE) {
			opt->fn(p, *at, "");
			continue;
		}
		if (opt->argument == ATTACHED || at[1] != '\0') {
			opt->fn(p, *at, at + 1);
			return 1;
		}
		if (next == NULL) {
			wrong(p, "an argument is missing", *at, "");
			return 0;
		}
		opt->fn(p, *at, next);
		return 2;
	}
	return 1;
}

bool
sendmail_options(int argc, char *argv[], struct sendmail_options *out)
{
	const char *name = argc > 0 && argv[0] != NULL ? argv[0] : "sendmail";
	const char *slash = strrchr(name, '/');
	struct parser p = {.o = out};
	int i = 1, used;

	*out = (struct sendmail_options){
	    .program = slash != NULL ? slash + 1 : name};
	if (strcmp(out->program, "mailq") == 0)
		out->mode = SENDMAIL_LIST;
	else if (strcmp(out->program, "newaliases") == 0)
		out->mode = SENDMAIL_ALIASES;
	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		used = take_word(&p, argv[i], i + 1 < argc ? argv[i + 1]
		    : NULL);
		if (used == 0)
			return false;
		i += used;
	}
	if (i > argc)
		i = argc;
	out->rcpts = argv + i;
	out->nrcpts = argc - i;
	return !p.wrong;
}
