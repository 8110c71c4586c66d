/*
 * Charsets, by iconv(3).  In processes that show or search mail; names and text
 * are whatever the network sent.
 */
#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mime/charset.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define PIECE 1024u

/* What iconv is asked for (NULL: nothing), and the names it stands for, between
 * spaces. */
static const struct row {
	const char *iconv;
	bool shifts;
	const char *names;
} rows[] = {
	{NULL, false, " utf-8 utf8 unicode-1-1-utf-8 cp65001 "},
	{"US-ASCII", false, " us-ascii ascii ansi_x3.4-1968 iso-ir-6 646 "
	    "iso646-us cp367 "},
	{"CP1252", false, " iso-8859-1 iso8859-1 iso_8859-1 latin1 l1 "
	    "iso-ir-100 cp819 windows-1252 cp1252 x-cp1252 x-ansi "},
	{"ISO-8859-2", false, " iso-8859-2 iso8859-2 iso_8859-2 latin2 l2 "},
	{"ISO-8859-3", false, " iso-8859-3 iso8859-3 iso_8859-3 latin3 l3 "},
	{"ISO-8859-4", false, " iso-8859-4 iso8859-4 iso_8859-4 latin4 l4 "},
	{"ISO-8859-5", false, " iso-8859-5 iso8859-5 iso_8859-5 cyrillic "},
	{"ISO-8859-6", false, " iso-8859-6 iso8859-6 iso_8859-6 arabic "
	    "iso-8859-6-i iso-8859-6-e "},
	{"ISO-8859-7", false, " iso-8859-7 iso8859-7 iso_8859-7 greek "},
	{"ISO-8859-8", false, " iso-8859-8 iso8859-8 iso_8859-8 hebrew "
	    "iso-8859-8-i iso-8859-8-e "},
	{"CP1254", false, " iso-8859-9 iso8859-9 iso_8859-9 latin5 l5 "
	    "windows-1254 cp1254 "},
	{"ISO-8859-10", false, " iso-8859-10 iso8859-10 latin6 l6 "},
	{"CP874", false, " iso-8859-11 iso8859-11 tis-620 tis620 windows-874 "
	    "cp874 "},
	{"ISO-8859-13", false, " iso-8859-13 iso8859-13 latin7 "},
	{"ISO-8859-14", false, " iso-8859-14 iso8859-14 latin8 "},
	{"ISO-8859-15", false, " iso-8859-15 iso8859-15 latin9 latin-9 "},
	{"ISO-8859-16", false, " iso-8859-16 iso8859-16 latin10 "},
	{"CP1250", false, " windows-1250 cp1250 "},
	{"CP1251", false, " windows-1251 cp1251 "},
	{"CP1253", false, " windows-1253 cp1253 "},
	{"CP1255", false, " windows-1255 cp1255 "},
	{"CP1256", false, " windows-1256 cp1256 "},
	{"CP1257", false, " windows-1257 cp1257 "},
	{"CP1258", false, " windows-1258 cp1258 "},
	{"KOI8-R", false, " koi8-r koi8r koi8 "},
	{"KOI8-U", false, " koi8-u koi8u "},
	{"CP437", false, " ibm437 cp437 437 "},
	{"CP850", false, " ibm850 cp850 850 "},
	{"CP852", false, " ibm852 cp852 852 "},
	{"CP866", false, " ibm866 cp866 866 "},
	{"MACINTOSH", false, " macintosh mac x-mac-roman "},
	{"GB18030", false, " gb18030 gbk gb2312 gb_2312-80 cp936 x-gbk "
	    "euc-cn windows-936 ms936 "},
	{"BIG5-HKSCS", false, " big5 big5-hkscs big-5 cn-big5 x-x-big5 cp950 "},
	{"EUC-TW", false, " euc-tw "},
	{"EUC-JP", false, " euc-jp eucjp x-euc-jp "},
	{"CP932", false, " shift_jis shift-jis sjis x-sjis ms_kanji cp932 "
	    "windows-31j "},
	{"ISO-2022-JP-2", true, " iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 "
	    "csiso2022jp "},
	{"CP949", false, " euc-kr ks_c_5601-1987 ks_c_5601 ksc5601 korean "
	    "cp949 uhc windows-949 "},
	{"ISO-2022-KR", true, " iso-2022-kr "},
	{"UTF-7", true, " utf-7 unicode-1-1-utf-7 "},
	{"UTF-16", true, " utf-16 "},
	{"UTF-16BE", false, " utf-16be "},
	{"UTF-16LE", false, " utf-16le "},
};

#define NROWS (sizeof(rows) / sizeof(*rows))
#define NAME_MOST 40u
#define NO_ROW NROWS

struct charsets {
	iconv_t cd[NROWS];
	bool there[NROWS];
};

struct charsets *
charsets_new(void)
{
	struct charsets *cs = mem_alloc(sizeof(*cs));

	for (size_t i = 0; i < NROWS; i++) {
		cs->cd[i] = (iconv_t)-1;
		if (rows[i].iconv != NULL)
			cs->cd[i] = iconv_open("UTF-8", rows[i].iconv);
		cs->there[i] = rows[i].iconv == NULL ||
		    cs->cd[i] != (iconv_t)-1;
	}
	return cs;
}

void
charsets_free(struct charsets **csp)
{
	if (*csp == NULL)
		return;
	for (size_t i = 0; i < NROWS; i++)
		if ((*csp)->cd[i] != (iconv_t)-1)
			iconv_close((*csp)->cd[i]);
	free(*csp);
	*csp = NULL;
}

static size_t
find(const struct charsets *cs, struct slice name)
{
	char key[NAME_MOST + 3] = " ";
	size_t i;

	if (name.len == 0 || name.len > NAME_MOST)
		return NO_ROW;
	for (i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c <= ' ' || c > '~')
			return NO_ROW;
		key[i + 1] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	key[i + 1] = ' ';
	key[i + 2] = '\0';
	for (i = 0; i < NROWS; i++)
		if (strstr(rows[i].names, key) != NULL)
			return cs->there[i] ? i : NO_ROW;
	return NO_ROW;
}

bool
charsets_known(const struct charsets *cs, struct slice name)
{
	return find(cs, name) != NO_ROW;
}

bool
charsets_shifts(const struct charsets *cs, struct slice name)
{
	size_t i = find(cs, name);

	return i != NO_ROW && rows[i].shifts;
}

/* RFC 3629 4: octets of the character that s begins with; 0: it is none. */
static size_t
utf8_length(struct slice s)
{
	unsigned char a = (unsigned char)s.p[0], b;
	size_t n = a < 0x80 ? 1 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;

	if (n == 1)
		return 1;
	if (a < 0xc2 || a > 0xf4 || s.len < n)
		return 0;
	b = (unsigned char)s.p[1];
	/* No long forms, no surrogates, none above U+10FFFF. */
	if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) ||
	    (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* What claims to be UTF-8: iconv takes more for it than RFC 3629 does. */
static void
add_utf8(struct buf *out, struct slice s)
{
	size_t from = 0, at = 0, n;

	while (at < s.len) {
		n = utf8_length(slice_sub(s, at, s.len));
		if (n > 0) {
			at += n;
			continue;
		}
		buf_add(out, s.p + from, at - from);
		buf_adds(out, REPLACEMENT);
		from = ++at;
	}
	buf_add(out, s.p + from, at - from);
}

static void
convert(iconv_t cd, struct slice text, struct buf *out)
{
	/* iconv's prototype lacks a const. */
	union {
		const char *p;
		char *q;
	} in = {text.p};
	size_t left = text.len;
	char piece[PIECE];

	iconv(cd, NULL, NULL, NULL, NULL);
	for (;;) {
		char *to = piece;
		size_t room = sizeof(piece), r;

		/* At the end: what it still holds. */
		r = iconv(cd, left > 0 ? &in.q : NULL, &left, &to, &room);
		add_utf8(out, slice_mem(piece, (size_t)(to - piece)));
		if (out->overflow)
			return;
		if (r != (size_t)-1 && left == 0 && to == piece)
			return;
		if (r != (size_t)-1 || errno == E2BIG)
			continue;
		/* No character, or only the start of one at the end. */
		buf_adds(out, REPLACEMENT);
		if (left == 0)
			return;
		if (errno == EINVAL) {
			left = 0;
			continue;
		}
		in.p++;
		left--;
	}
}

bool
charsets_decode(struct charsets *cs, struct slice name, struct slice text,
    struct buf *out)
{
	size_t i = find(cs, name);

	if (i == NO_ROW)
		return false;
	if (rows[i].iconv == NULL)
		add_utf8(out, text);
	else
		convert(cs->cd[i], text, out);
	return true;
}

void
charsets_utf8(struct slice text, struct buf *out)
{
	add_utf8(out, text);
}
