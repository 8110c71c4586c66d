/*
 * `postern user app-password` and `postern user upgrade`: more than one secret
 * an account, and better forms of them.  Runs on the admin's words and files;
 * the notes of better hashes are authd's.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/conf/scram.h"
#include "common/conf/secrets.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/secret.h"
#include "postern/tables.h"
#include "postern/user.h"

#define WORDS 5        /* of a password: 5 groups of 5 letters, 117 bits */
#define WORD_LETTERS 5
#define PASSWORD_LETTERS (WORDS * (WORD_LETTERS + 1) - 1)
#define NOTES_FILE "users.upgrade"
#define NOTES_MAX (8 * 1024 * 1024)

/* A row in hand. */
struct row {
	struct buf name, value, extra;
	struct table_user u;
	struct secrets secrets;
};

static int
row_open(struct postern *p, const char *address, struct row *r)
{
	const char *why;
	int code;

	buf_init(&r->name, 1000);
	buf_init(&r->value, USER_LINE_MAX);
	buf_init(&r->extra, USER_LINE_MAX);
	code = user_find_entry(p, address, &r->name, &r->value);
	if (code == 0 && (!table_user_parse(buf_slice(&r->value), &r->u,
	    &why) || !secrets_parse(r->u.password, r->u.extra, &r->secrets,
	    &why))) {
		out_error("%s: %s", address, why);
		code = EXIT_PERMANENT;
	}
	return code;
}

static void
row_close(struct row *r)
{
	buf_free(&r->name);
	buf_wipe(&r->value);
	buf_wipe(&r->extra);
}

static const struct secret *
find(const struct row *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->secrets.n; i++)
		if (name[0] != '\0' && slice_eq(r->secrets.v[i].name,
		    slice_of(name)))
			return &r->secrets.v[i];
	return NULL;
}

/* Letters that nobody takes for another one. */
static void
make_password(char out[PASSWORD_LETTERS + 1])
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
	size_t i;

	for (i = 0; i < PASSWORD_LETTERS; i++)
		out[i] = i % (WORD_LETTERS + 1) == WORD_LETTERS ? '-'
		    : letters[random_below(sizeof(letters) - 1)];
	out[i] = '\0';
}

/* One salt for all of an account's keys, so that SCRAM can try each. */
static bool
salt_of(const struct row *r, struct scram_keys *k)
{
	size_t i;

	for (i = 0; i < r->secrets.n; i++)
		if (scram_parse(r->secrets.v[i].stored, k) &&
		    k->hash == SCRAM_SHA256)
			return true;
	return false;
}

static void
show_new(struct postern *p, const struct row *r, const char *name,
    const char *password)
{
	struct json j = {.depth = 0};

	if (p->json) {
		json_object(&j);
		json_key_str(&j, "user", r->u.name);
		json_key_str(&j, "name", slice_of(name));
		json_key_str(&j, "password", slice_of(password));
		json_end(&j);
		return;
	}
	out_printf("added %s for ", name);
	out_text(r->u.name);
	out_printf("; it is shown this once:\n%s\n", password);
}

static int
app_add(struct postern *p, struct row *r, const char *name,
    const char *scope)
{
	char password[PASSWORD_LETTERS + 1];
	struct scram_keys k;
	unsigned scopes;
	int code;

	if (!secrets_name(slice_of(name))) {
		out_error("%s: a name is made of letters, digits, '.', '_' "
		    "and '-', at most %d", name, SECRETS_NAME_MAX);
		return EXIT_PERMANENT;
	}
	if (!secrets_scopes(slice_of(scope), &scopes)) {
		out_error("--scope %s: there are imap, pop3 and submission, "
		    "with + between", scope);
		return EXIT_PERMANENT;
	}
	if (find(r, name) != NULL) {
		out_error("%s: is there already; remove it first", name);
		return EXIT_PERMANENT;
	}
	if (r->secrets.n >= SECRETS_MAX) {
		out_error("there are %d already; remove some", SECRETS_MAX);
		return EXIT_PERMANENT;
	}
	make_password(password);
	buf_addslice(&r->extra, r->u.extra);
	buf_printf(&r->extra, "%s%.*s%s;%s;", r->extra.len > 0 ? " " : "",
	    SLICE_FMT(SECRETS_FIELD_APP), name, scope);
	code = secret_scram(p, slice_of(password), salt_of(r, &k) ? &k : NULL,
	    &r->extra);
	r->u.extra = buf_slice(&r->extra);
	if (code == 0)
		code = user_put(p, &r->u, true, NULL);
	if (code == 0)
		show_new(p, r, name, password);
	explicit_bzero(password, sizeof(password));
	return code;
}

static int
app_remove(struct postern *p, struct row *r, const char *name)
{
	struct slice rest = r->u.extra, word, field;
	bool found = false;

	while (slice_word(&rest, &word)) {
		field = slice_prefix(word, SECRETS_FIELD_APP) ? slice_sub(word,
		    SECRETS_FIELD_APP.len, word.len) : SLICE_EMPTY;
		if (slice_eq(slice_sub(field, 0, slice_find(field, ';', 0)),
		    slice_of(name)) && field.len > 0) {
			found = true;
			continue;
		}
		if (r->extra.len > 0)
			buf_addc(&r->extra, ' ');
		buf_addslice(&r->extra, word);
	}
	if (!found) {
		out_error("%s: no such application password", name);
		return EXIT_PERMANENT;
	}
	r->u.extra = buf_slice(&r->extra);
	return user_put(p, &r->u, true, "changed");
}

static void
app_list(struct postern *p, const struct row *r)
{
	static const char *const words[] = {"imap", "pop3", "submission"};
	struct json j = {.depth = 0};
	size_t i, w;

	if (p->json)
		json_array(&j);
	for (i = 0; i < r->secrets.n; i++) {
		const struct secret *s = &r->secrets.v[i];
		struct buf scopes = BUF_INIT(100);

		if (s->name.len == 0)
			continue;
		for (w = 0; w < 3; w++)
			if ((s->scopes & 1u << w) != 0)
				buf_printf(&scopes, "%s%s",
				    scopes.len > 0 ? "+" : "", words[w]);
		if (p->json) {
			json_object(&j);
			json_key_str(&j, "name", s->name);
			json_key_str(&j, "scope", buf_slice(&scopes));
			json_end(&j);
		} else {
			out_printf("%-32.*s  %s\n", SLICE_FMT(s->name),
			    scopes.s);
		}
		buf_free(&scopes);
	}
	if (p->json)
		json_end(&j);
}

int
user_app_password(struct postern *p, int argc, char *argv[])
{
	const char *scope = "imap+pop3+submission";
	struct args_option options[] = {{"scope", 0, NULL, &scope}, ARGS_END};
	struct row r;
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc < 2 || argc != (strcmp(argv[0], "list") == 0 ? 2 : 3))
		return command_usage(user_app_password);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	code = row_open(p, argv[1], &r);
	if (code != 0)
		;
	else if (strcmp(argv[0], "add") == 0)
		code = app_add(p, &r, argv[2], scope);
	else if (strcmp(argv[0], "remove") == 0)
		code = app_remove(p, &r, argv[2]);
	else if (strcmp(argv[0], "list") == 0)
		app_list(p, &r);
	else
		code = command_usage(user_app_password);
	row_close(&r);
	return code;
}

/* ---- better hashes ---- */

static bool
sum_matches(struct slice stored, struct slice hex)
{
	unsigned char sum[SCRAM_KEY_MAX];
	struct buf text = BUF_INIT(2 * sizeof(sum));
	bool same;
	size_t i;

	if (!scram_digest(SCRAM_SHA256, stored, sum))
		return false;
	for (i = 0; i < sizeof(sum); i++)
		buf_printf(&text, "%02x", sum[i]);
	same = slice_eq(buf_slice(&text), hex);
	buf_free(&text);
	return same;
}

/* A note counts only while the password is the one that it was made for. */
static bool
merge(struct postern *p, struct slice line)
{
	struct slice rest = line, user, sum, better;
	struct buf value = BUF_INIT(USER_LINE_MAX);
	struct table_user u;
	const char *why;
	bool found = false, done = false;
	size_t at;

	if (!slice_cut(&rest, ' ', &user) || !slice_cut(&rest, ' ', &sum) ||
	    !slice_cut(&rest, ' ', &better) || rest.p != NULL ||
	    !slice_prefix(better, SLICE("{CRYPT}$")) ||
	    slice_find(better, ':', 0) < better.len)
		return false;
	if (tables_get(p, TABLE_USERS, user, &value, &found) == 0 && !found) {
		/* bare, in local_domain */
		at = slice_find(user, '@', 0);
		(void)tables_get(p, TABLE_USERS, slice_sub(user, 0, at),
		    &value, &found);
	}
	if (found && table_user_parse(buf_slice(&value), &u, &why) &&
	    sum_matches(u.password, sum)) {
		u.password = better;
		done = user_put(p, &u, true, NULL) == 0;
	}
	buf_wipe(&value);
	return done;
}

static int
merge_all(struct postern *p, int fd)
{
	struct buf text = BUF_INIT(NOTES_MAX);
	struct slice rest, line;
	unsigned good = 0, all = 0;
	char *room;
	ssize_t n;

	room = buf_room(&text, NOTES_MAX);
	n = room != NULL ? pread(fd, room, NOTES_MAX, 0) : -1;
	if (n < 0) {
		out_error("%s/%s: %s", p->conf.table_dir, NOTES_FILE,
		    strerror(errno));
		buf_wipe(&text);
		return EXIT_TEMPORARY;
	}
	buf_wrote(&text, (size_t)n);
	rest = buf_slice(&text);
	while (slice_cut(&rest, '\n', &line)) {
		if (line.len == 0)
			continue;
		all++;
		if (merge(p, line))
			good++;
	}
	buf_wipe(&text);
	/* What authd adds at this moment may be lost: it comes again. */
	if (ftruncate(fd, 0) != 0)
		out_error("%s/%s: %s", p->conf.table_dir, NOTES_FILE,
		    strerror(errno));
	out_printf("%u of %u\n", good, all);
	return 0;
}

int
user_upgrade(struct postern *p, int argc, char *argv[])
{
	struct buf path = BUF_INIT(4200);
	int fd, code = 0;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc != 0)
		return command_usage(user_upgrade);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	buf_printf(&path, "%s/%s", p->conf.table_dir, NOTES_FILE);
	fd = open(path.s, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		out_printf("0 of 0\n");
	} else if (fd < 0 || flock(fd, LOCK_EX) != 0) {
		out_error("%s: %s", path.s, strerror(errno));
		code = EXIT_TEMPORARY;
	} else {
		code = merge_all(p, fd);
	}
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	return code;
}
