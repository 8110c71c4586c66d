/*
 * U-labels to A-labels: the one user of libidn2.  Runs in qmgr, where the
 * domains are those of recipients: of SMTP clients, aliases and forward files.
 */
#include <ctype.h>
#include <stdlib.h>

#include <idn2.h>

#include "common/base/buf.h"
#include "common/mail/address.h"
#include "common/mail/domain.h"

static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

static void
add_lower(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_addc(out, (char)tolower((unsigned char)s.p[i]));
}

bool
domain_wire(struct slice domain, struct buf *out, const char **why)
{
	uint8_t *wire = NULL;
	char *text;
	int r;

	if (domain.len > 0 && domain.p[0] == '[') {
		if (!address_literal(domain, why))
			return false;
		add_lower(out, domain);
		return true;
	}
	if (!address_domain(domain, true, why))
		return false;
	if (is_ascii(domain)) {
		add_lower(out, domain);
		return true;
	}
	text = slice_dup(domain);
	r = idn2_lookup_u8((const uint8_t *)text, &wire,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	free(text);
	if (r != IDN2_OK) {
		*why = idn2_strerror(r);
		return false;
	}
	buf_adds(out, (const char *)wire);
	idn2_free(wire);
	return true;
}
