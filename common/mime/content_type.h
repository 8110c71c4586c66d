/*
 * The values of Content-Type, Content-Disposition and Content-Transfer-Encoding
 * (RFC 2045 5.1 and 6.1, RFC 2183) as they are found in the world: comments and
 * folding anywhere, quoted strings that do not end, values that should have
 * been quoted, semicolons too many or missing.  Parameters in pieces, with
 * charset or percent-encoded (RFC 2231) are put together.  Nothing is refused;
 * what cannot be understood is left out.
 */
#ifndef COMMON_MIME_CONTENT_TYPE_H
#define COMMON_MIME_CONTENT_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

#define CONTENT_PARAMS_MAX 64u    /* with all pieces of all; more are left
				   * out */
#define CONTENT_VALUE_MAX 65536u /* octets of a field looked at */

struct content_param {
	struct slice name;     /* lower case, without RFC 2231's stars */
	struct slice value;    /* decoded octets, in that charset */
	struct slice charset;  /* RFC 2231 4, as written; "" without */
	struct slice language;
	bool extended;         /* written with a charset, or in pieces of which
	                        * some were percent-encoded */
};

struct content_type {
	struct slice type;     /* lower case, or "" */
	struct slice subtype;  /* lower case; "" for a disposition */
	struct content_param params[CONTENT_PARAMS_MAX];
	size_t nparams;
	struct buf text;       /* what all these point into; owned */
};

/* t starts as 0; each parse makes the results of the one before invalid.  A
 * type without a subtype, or an empty one, leaves both empty: RFC 2045 5.2 says
 * what that means (text/plain; charset=us-ascii). */
void content_type_parse(struct content_type *t, struct slice value);
/* Content-Disposition: type is "attachment" or the like. */
void content_type_disposition(struct content_type *t, struct slice value);
void content_type_free(struct content_type *t);

/* The parameter of that name (lower case), or NULL.  Of several the one that
 * RFC 2231 made wins, else the first. */
const struct content_param *content_type_param(const struct content_type *t,
    const char *name);
bool content_type_is(const struct content_type *t, const char *type,
    const char *subtype); /* lower case; NULL: any */

enum content_encoding {
	ENCODING_NONE,   /* the field is missing, or empty */
	ENCODING_7BIT,
	ENCODING_8BIT,
	ENCODING_BINARY,
	ENCODING_BASE64,
	ENCODING_QP,
	ENCODING_UUENCODE, /* never registered; the lines say where it begins */
	ENCODING_OTHER   /* RFC 2045 6.4: application/octet-stream, then */
};

/* The first word of the field's value; what follows it is looked over. */
enum content_encoding content_type_encoding(struct slice value);
const char *content_type_encoding_name(enum content_encoding e);

#endif
