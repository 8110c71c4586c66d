/*
 * The configuration: postern.conf, `key = value` lines, `[listen NAME]`
 * sections.  Every parameter is a row of common/conf/params.def: name, type,
 * default, least, most.  All programs read the same file into the same struct,
 * so that an unknown key is an error everywhere.
 *
 * Syntax: one setting a line; '#' starts a comment at the start of a line or
 * behind white space; values run to the end of the line, trimmed; lists are
 * separated by commas or spaces; a key may stand once.
 */
#ifndef COMMON_CONF_CONF_H
#define COMMON_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/net.h"

#ifndef CONF_SYSCONFDIR /* the Makefile's sysconfdir */
#define CONF_SYSCONFDIR "/etc/postern"
#endif
#define CONF_DEFAULT_FILE CONF_SYSCONFDIR "/postern.conf"

enum conf_type {
	CONF_STRING, /* const char * */
	CONF_PATH,   /* const char *, absolute */
	CONF_BOOL,   /* bool: yes/no */
	CONF_NUMBER, /* uint64_t */
	CONF_SIZE,   /* uint64_t octets; K M G */
	CONF_TIME,   /* uint64_t milliseconds; ms s m h d w, bare = seconds */
	CONF_LIST,   /* struct conf_list of strings */
	CONF_NETS,   /* struct conf_nets: addresses and CIDR networks */
	CONF_MODE,   /* uint32_t, octal */
	CONF_CHOICE  /* uint32_t index into a list of words */
};

struct conf_list {
	const char **v;
	size_t n;
};

struct conf_nets {
	struct net *v;
	size_t n;
};

/* The words of the CONF_CHOICE parameters, in their order in params.def. */
enum conf_helo_check { CONF_HELO_NONE, CONF_HELO_SYNTAX, CONF_HELO_FQDN };
enum conf_commit { CONF_COMMIT_AUTO, CONF_COMMIT_ORDERED, CONF_COMMIT_STRICT };
enum conf_families { CONF_FAMILIES_ANY, CONF_FAMILIES_IPV4, CONF_FAMILIES_IPV6 };
enum conf_apop { CONF_POP3_APOP_AUTO, CONF_POP3_APOP_YES, CONF_POP3_APOP_NO };
enum conf_tls { CONF_TLS_1_0, CONF_TLS_1_1, CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_dkim_canon {
	CONF_DKIM_RELAXED_RELAXED,
	CONF_DKIM_RELAXED_SIMPLE,
	CONF_DKIM_SIMPLE_RELAXED,
	CONF_DKIM_SIMPLE_SIMPLE
};
enum conf_dkim_identity {
	CONF_DKIM_IDENTITY_NONE,
	CONF_DKIM_IDENTITY_AUTHOR
};
/* password_scheme: enum password_scheme of common/conf/password.h */

/* One [listen NAME] section. */
struct conf_listen {
	const char *name;
	const char *protocol;     /* smtp, pop3 */
	struct conf_list address; /* host:port, [v6]:port, fd:N, fd:NAME */
	bool proxy;               /* PROXY protocol expected from proxy_from */
	const char *file;         /* where it stands, for messages */
	unsigned line;
};

struct conf {
#define P_STRING(k, d) const char *k;
#define P_PATH(k, d) const char *k;
#define P_PATH_OR_NONE(k, d) const char *k;
#define P_BOOL(k, d) bool k;
#define P_NUMBER(k, d, lo, hi) uint64_t k;
#define P_SIZE(k, d, lo, hi) uint64_t k;
#define P_TIME(k, d, lo, hi) uint64_t k##_ms;
#define P_LIST(k, d) struct conf_list k;
#define P_NETS(k, d) struct conf_nets k;
#define P_MODE(k, d) uint32_t k;
#define P_CHOICE(k, d, words) uint32_t k;
#include "common/conf/params.def"
#undef P_STRING
#undef P_PATH
#undef P_PATH_OR_NONE
#undef P_BOOL
#undef P_NUMBER
#undef P_SIZE
#undef P_TIME
#undef P_LIST
#undef P_NETS
#undef P_MODE
#undef P_CHOICE
	struct conf_listen *listen;
	size_t nlisten;
	const char *file;      /* the file read */
	struct conf_arena *arena; /* owns all strings; conf_free */
};

/* Ready-made rows for postern.conf(5), `postern check` and lint. */
struct conf_param {
	const char *name;
	enum conf_type type;
	const char *def;     /* default as text */
	uint64_t least, most;
	const char *words;   /* CHOICE: "a|b|c" */
	size_t off;
};
extern const struct conf_param conf_params[];
extern const size_t conf_nparams;

/*
 * Reads the file.  On errors each is put as one line into errors
 * ("FILE:LINE: key: what is wrong; what is allowed") and false is returned,
 * *c untouched.  All errors are found, not only the first.
 */
struct buf;
bool conf_read(const char *file, struct conf *c, struct buf *errors);
/* The same through a directory descriptor (SIGHUP inside the cage). */
bool conf_read_at(int dirfd, const char *name, const char *shown,
    struct conf *c, struct buf *errors);
/* What a program that may not read the file, or finds none, goes by. */
void conf_defaults(struct conf *c);
void conf_free(struct conf *c);

/* For main: reads FILE or dies (100) with all errors; log_debug takes
 * effect. */
void conf_load(struct conf *c, const char *file);

/* Keeps the directory of the file open for conf_reload; call before the cage
 * and before the working directory changes; file must stay valid.  A cage must
 * list conf_keep_fd() among its readable paths.
 * conf_reload replaces *c, so that pointers into the old one die; on errors it
 * logs them and keeps the old one (false). */
void conf_keep(const char *file);
int conf_keep_fd(void); /* -1 before conf_keep; close it in sessions */
bool conf_reload(struct conf *c);

/* Options every daemon has: -c FILE, -d FD (readiness), -v (debug log);
 * wrong usage exits 100 with the usage text. */
const char *conf_options(int argc, char *argv[], const char *usage);

#endif
