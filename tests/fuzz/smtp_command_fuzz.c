/*
 * What an SMTP client says before any content: the PROXY header, command lines,
 * paths, parameters, the arguments of BDAT and ETRN.  What comes out must lie
 * within what went in, and what is put into a Received field must not break it.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/front/front.h"
#include "common/mail/address.h"
#include "smtpd/command.h"
#include "smtpd/param.h"
#include "smtpd/received.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_within(struct slice part, struct slice whole)
{
	assert(part.len == 0 || (part.p >= whole.p &&
	    part.p + part.len <= whole.p + whole.len));
}

static void
proxy(struct slice in)
{
	size_t used = 0, all = 0;
	const char *why = NULL;
	struct front_proxy p, again;
	enum front_proxy_result got = front_parse_proxy(in, &p, &used, &why);

	assert(got != FRONT_PROXY_MORE || used > in.len);
	assert(got != FRONT_PROXY_BAD || why != NULL);
	if (got != FRONT_PROXY_OK)
		return;
	assert(used <= in.len);
	/* What is behind the header is not looked at. */
	assert(front_parse_proxy(slice_sub(in, 0, used), &again, &all, &why) ==
	    FRONT_PROXY_OK && all == used && again.known == p.known);
}

static void
path_and_params(struct slice arg, enum param_command command, bool utf8)
{
	struct address_flags flags = {.utf8_ok = utf8, .null_ok = !utf8,
	    .postmaster_ok = true, .tolerant = true};
	struct params p = {.command = command, .offered = utf8 ? ~0u : ~OFFER_SMTPUTF8,
	    .utf8 = utf8, .now_ms = 1};
	struct slice rest = arg;
	struct status st = {0};
	const char *why = NULL;
	struct address a;

	if (address_path(arg, flags, &a, &rest, &why))
		check_within(a.text, arg);
	check_within(rest, arg);
	if (params_parse(rest, &p, &st)) {
		check_within(p.envid, arg);
		check_within(p.orcpt, arg);
		assert(p.orcpt.len <= 500 && p.envid.len <= 300);
	} else {
		assert(st.code == 501 || st.code == 555);
	}
}

/* One field, four lines at most, and no octet of the helo name that ends it. */
static void
received(struct slice helo)
{
	struct received r = {
	    .helo = helo,
	    .hostname = SLICE("mx.here.example"),
	    .protocol = SLICE("ESMTP"),
	    .id = SLICE("0123456789abcdefghij"),
	    .recipient = SLICE_EMPTY,
	    .now_ms = 1,
	};
	struct buf out = BUF_INIT(4096);
	unsigned lines = 0;

	if (helo.len > ADDRESS_DOMAIN_MAX)
		return;
	received_add(&r, &out);
	assert(!out.overflow);
	for (size_t i = 0; i < out.len; i++) {
		unsigned char c = (unsigned char)out.s[i];

		assert(c < 0x7f && (c >= ' ' || c == '\r' || c == '\n' ||
		    c == '\t'));
		lines += c == '\n';
	}
	assert(lines == 3);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_mem(data, size), line, verb, arg;
	const char *why = "";
	uint64_t octets;
	bool last;

	proxy(rest);
	while (slice_cut(&rest, '\n', &line)) {
		smtp_command_split(line, &verb, &arg);
		check_within(verb, line);
		check_within(arg, line);
		(void)smtp_command_find(verb);
		if (bdat_parse(arg, &octets, &last))
			assert(octets <= INT64_MAX);
		(void)etrn_parse(arg, &why);
		path_and_params(slice_sub(arg, 5, arg.len), PARAM_MAIL, false);
		path_and_params(slice_sub(arg, 5, arg.len), PARAM_MAIL, true);
		path_and_params(slice_sub(arg, 3, arg.len), PARAM_RCPT, false);
		path_and_params(slice_sub(arg, 3, arg.len), PARAM_RCPT, true);
		received(arg);
	}
	return 0;
}
