/*
 * Names of people as phrases.  In sendmail and in smtpd's sessions; the names
 * are the system's (GECOS) or stand on a command line.
 */
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/mail/phrase.h"

#define ENCODED_MAX 75 /* RFC 2047 2: of one encoded word */

/* RFC 5322 3.2.3 atext and blanks: needs no quotes */
static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
		    (c < '0' || c > '9') && c != ' ' && c != '-' && c != '_' &&
		    c != '\'' && c != '+' && c != '*' && c != '/' && c != '!')
			return false;
	}
	return true;
}

static bool
beyond_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

/* RFC 2047 4.2, 5 (3): the Q encoding in a phrase; a character of several
 * octets is not torn. */
static void
put_encoded(struct slice name, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t width = 0;

	buf_adds(out, "=?UTF-8?Q?");
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool begins = (c & 0xc0) != 0x80;

		if (begins && width > ENCODED_MAX - 10 - 2 - 12) {
			buf_adds(out, "?=\r\n =?UTF-8?Q?");
			width = 0;
		}
		if (c == ' ') {
			buf_addc(out, '_');
			width++;
		} else if (is_plain(slice_mem(&name.p[i], 1)) && c != '\'' &&
		    c != '_') {
			buf_addc(out, (char)c);
			width++;
		} else {
			buf_add(out, (char[]){'=', hex[c >> 4], hex[c & 15]},
			    3);
			width += 3;
		}
	}
	buf_adds(out, "?=");
}

void
phrase_add(struct slice name, struct buf *out)
{
	size_t len = name.len < PHRASE_NAME_MAX ? name.len : PHRASE_NAME_MAX;

	while (len < name.len && len > 0 &&
	    ((unsigned char)name.p[len] & 0xc0) == 0x80)
		len--;
	name = slice_trim(slice_sub(name, 0, len));
	if (beyond_ascii(name)) {
		put_encoded(name, out);
		return;
	}
	if (is_plain(name)) {
		buf_addslice(out, name);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c == '"' || c == '\\')
			buf_addc(out, '\\');
		/* Nothing that ends a line. */
		buf_addc(out, c < ' ' || c == 0x7f ? ' ' : c);
	}
	buf_addc(out, '"');
}

void
phrase_gecos(struct slice gecos, struct slice login, struct buf *out)
{
	char first = login.len > 0 ? login.p[0] : '&';

	gecos = slice_sub(gecos, 0, slice_find(gecos, ',', 0));
	for (size_t i = 0; i < gecos.len; i++) {
		if (gecos.p[i] != '&') {
			buf_addc(out, gecos.p[i]);
			continue;
		}
		/* An old abbreviation: the login name, capitalized. */
		buf_addc(out, first >= 'a' && first <= 'z'
		    ? (char)(first - 32) : first);
		buf_addslice(out, slice_sub(login, 1, login.len));
	}
}
