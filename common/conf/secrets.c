/*
 * The secrets of one account, taken out of its row in the users table: in authd
 * and in the postern command.  The row is the admin's.
 */
#include "common/base/num.h"
#include "common/conf/password.h"
#include "common/conf/secrets.h"

static const struct {
	struct slice word;
	unsigned scope;
} scopes_known[] = {
	{SLICE_INIT("imap"), SECRETS_IMAP},
	{SLICE_INIT("pop3"), SECRETS_POP3},
	{SLICE_INIT("submission"), SECRETS_SUBMISSION},
};

unsigned
secrets_service(struct slice service)
{
	size_t i;

	for (i = 0; i < sizeof(scopes_known) / sizeof(scopes_known[0]); i++)
		if (slice_eq(service, scopes_known[i].word))
			return scopes_known[i].scope;
	return 0;
}

bool
secrets_scopes(struct slice text, unsigned *scopes)
{
	struct slice rest = text, word;
	unsigned all = 0, one;

	while (slice_cut(&rest, '+', &word)) {
		one = secrets_service(word);
		if (one == 0)
			return false;
		all |= one;
	}
	if (all == 0)
		return false;
	*scopes = all;
	return true;
}

bool
secrets_name(struct slice name)
{
	size_t i;

	for (i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		    c == '-'))
			return false;
	}
	return name.len > 0 && name.len <= SECRETS_NAME_MAX;
}

static const char *
add(struct secrets *s, struct slice stored, struct slice name, unsigned scopes)
{
	if (stored.len > PASSWORD_STORED_MAX)
		return "a stored password is too long";
	if (!password_usable(stored))
		return NULL;
	if (s->n == SECRETS_MAX)
		return "too many passwords; remove some";
	s->v[s->n++] = (struct secret){stored, name, scopes};
	return NULL;
}

static const char *
add_app(struct secrets *s, struct slice field)
{
	struct slice name, words, rest = field;
	unsigned scopes;

	if (!slice_cut(&rest, ';', &name) || !slice_cut(&rest, ';', &words) ||
	    rest.p == NULL || !secrets_name(name) ||
	    !secrets_scopes(words, &scopes))
		return "postern_app= is wrong; allowed: "
		    "NAME;imap+pop3+submission;{SCHEME}value";
	return add(s, rest, name, scopes);
}

static const char *
add_cert(struct secrets *s, struct slice hex)
{
	unsigned char cert[SECRETS_CERT_LEN];
	uint64_t octet;
	size_t i;

	if (hex.len != 2 * sizeof(cert))
		return "postern_cert= needs 64 hexadecimal digits";
	for (i = 0; i < sizeof(cert); i++) {
		if (!num_u64_hex(slice_sub(hex, 2 * i, 2 * i + 2), 0, 255,
		    &octet))
			return "postern_cert= needs 64 hexadecimal digits";
		cert[i] = (unsigned char)octet;
	}
	if (s->ncerts == SECRETS_CERTS_MAX)
		return "too many certificates; remove some";
	memcpy(s->certs[s->ncerts++], cert, sizeof(cert));
	return NULL;
}

static const char *
add_field(struct secrets *s, struct slice word)
{
	if (slice_prefix(word, SECRETS_FIELD_SECRET))
		return add(s, slice_sub(word, SECRETS_FIELD_SECRET.len,
		    word.len), SLICE_EMPTY, SECRETS_EVERYWHERE);
	if (slice_prefix(word, SECRETS_FIELD_APP))
		return add_app(s, slice_sub(word, SECRETS_FIELD_APP.len,
		    word.len));
	if (slice_prefix(word, SECRETS_FIELD_CERT))
		return add_cert(s, slice_sub(word, SECRETS_FIELD_CERT.len,
		    word.len));
	return NULL;
}

bool
secrets_parse(struct slice password, struct slice extra, struct secrets *out,
    const char **why)
{
	struct slice rest = extra, word;
	const char *wrong;

	out->n = out->ncerts = 0;
	if (password.len > 0 && (password.p[0] == '!' ||
	    password.p[0] == '*'))
		return true;
	wrong = add(out, password, SLICE_EMPTY, SECRETS_EVERYWHERE);
	while (wrong == NULL && slice_word(&rest, &word))
		wrong = add_field(out, word);
	if (wrong != NULL)
		*why = wrong;
	return wrong == NULL;
}
