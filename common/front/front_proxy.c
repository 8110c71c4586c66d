/*
 * PROXY headers.  Runs in sessions before the greeting, on what peers of
 * proxy_from send.  Strict: a header that is not exactly as the protocol says
 * ends the connection, because rights and limits hang on the address.
 */
#include <string.h>

#include "common/base/log.h"
#include "common/base/num.h"
#include "common/front/front.h"
#include "common/io/stream.h"

#define V1_MAX 107 /* with CRLF */
#define V1_LEAST 15 /* "PROXY UNKNOWN\r\n" */
#define V2_HEAD 16
#define V2_LOCAL 0x20
#define V2_PROXY 0x21
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define V2_TCP4_SIZE 12
#define V2_TCP6_SIZE 36

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum front_proxy_result
bad(const char **why, const char *text)
{
	*why = text;
	return FRONT_PROXY_BAD;
}

static bool
read_port(struct slice s, uint16_t *port)
{
	uint32_t n;

	if ((s.len > 1 && s.p[0] == '0') || !num_u32(s, 0, 65535, &n))
		return false;
	*port = (uint16_t)n;
	return true;
}

/* An address in the notation of its family. */
static bool
read_ip(struct slice s, bool v6, struct ip *ip)
{
	return (slice_find(s, ':', 0) < s.len) == v6 && ip_parse(s, ip);
}

/* The line without CRLF, behind "PROXY ". */
static enum front_proxy_result
parse_v1(struct slice s, struct front_proxy *out, const char **why)
{
	struct slice family = SLICE_EMPTY, src, dst, sport, dport;
	bool v6;

	/* What stands behind UNKNOWN must be ignored. */
	slice_cut(&s, ' ', &family);
	if (slice_eq(family, SLICE("UNKNOWN")))
		return FRONT_PROXY_OK;
	v6 = slice_eq(family, SLICE("TCP6"));
	if (!v6 && !slice_eq(family, SLICE("TCP4")))
		return bad(why, "protocol is not TCP4, TCP6 or UNKNOWN");
	if (!slice_cut(&s, ' ', &src) || !slice_cut(&s, ' ', &dst) ||
	    !slice_cut(&s, ' ', &sport) || !slice_cut(&s, ' ', &dport) ||
	    s.p != NULL)
		return bad(why, "not two addresses and two ports");
	if (!read_ip(src, v6, &out->src) || !read_ip(dst, v6, &out->dst))
		return bad(why, "broken address");
	if (!read_port(sport, &out->src_port) ||
	    !read_port(dport, &out->dst_port))
		return bad(why, "broken port");
	out->known = true;
	return FRONT_PROXY_OK;
}

static enum front_proxy_result
take_v1(struct slice in, struct front_proxy *out, size_t *used,
    const char **why)
{
	size_t lf = slice_find(in, '\n', 0);

	if (lf == in.len && in.len < V1_MAX) {
		*used = in.len < V1_LEAST ? V1_LEAST : in.len + 1;
		return FRONT_PROXY_MORE;
	}
	if (lf == in.len || lf >= V1_MAX)
		return bad(why, "line longer than 107 octets");
	if (in.p[lf - 1] != '\r')
		return bad(why, "line does not end in CRLF");
	*used = lf + 1;
	return parse_v1(slice_sub(in, 6, lf - 1), out, why);
}

static uint16_t
get16(const char *p)
{
	return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

static void
v2_addresses(const char *p, bool v6, struct front_proxy *out)
{
	static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
	size_t n = v6 ? 16 : 4, skip = 16 - n;

	memcpy(out->src.a, v4_prefix, sizeof(v4_prefix));
	memcpy(out->dst.a, v4_prefix, sizeof(v4_prefix));
	memcpy(out->src.a + skip, p, n);
	memcpy(out->dst.a + skip, p + n, n);
	out->src_port = get16(p + 2 * n);
	out->dst_port = get16(p + 2 * n + 2);
	out->known = true;
}

static enum front_proxy_result
take_v2(struct slice in, struct front_proxy *out, size_t *used,
    const char **why)
{
	unsigned command, family;
	size_t size;

	if (in.len < V2_HEAD) {
		*used = V2_HEAD;
		return FRONT_PROXY_MORE;
	}
	command = (unsigned char)in.p[12];
	family = (unsigned char)in.p[13];
	size = get16(in.p + 14);
	if (command != V2_LOCAL && command != V2_PROXY)
		return bad(why, "unknown version or command");
	if (V2_HEAD + size > FRONT_PROXY_MAX)
		return bad(why, "header longer than 4096 octets");
	*used = V2_HEAD + size;
	if (in.len < *used)
		return FRONT_PROXY_MORE;
	if (command == V2_LOCAL)
		return FRONT_PROXY_OK;
	if (family == V2_TCP4 && size >= V2_TCP4_SIZE)
		v2_addresses(in.p + V2_HEAD, false, out);
	else if (family == V2_TCP6 && size >= V2_TCP6_SIZE)
		v2_addresses(in.p + V2_HEAD, true, out);
	else if (family == V2_TCP4 || family == V2_TCP6)
		return bad(why, "addresses are cut");
	return FRONT_PROXY_OK;
}

enum front_proxy_result
front_parse_proxy(struct slice in, struct front_proxy *out, size_t *used,
    const char **why)
{
	static const struct slice v1 = {"PROXY ", 6};
	static const struct slice v2 = {v2_signature, sizeof(v2_signature)};

	*out = (struct front_proxy){.known = false};
	if (slice_prefix(in, v1))
		return take_v1(in, out, used, why);
	if (slice_prefix(in, v2))
		return take_v2(in, out, used, why);
	if (slice_prefix(v1, in) || slice_prefix(v2, in)) {
		*used = slice_prefix(v2, in) && in.len > 0 ? V2_HEAD
		    : V1_LEAST;
		return FRONT_PROXY_MORE;
	}
	return bad(why, "no PROXY header");
}

bool
front_read_proxy(struct stream *s, int64_t deadline_ms, struct ip *ip,
    struct ip *local)
{
	enum front_proxy_result parsed = FRONT_PROXY_MORE;
	enum stream_result result = STREAM_OK;
	char from[IP_TEXT_SIZE];
	const char *why = "timeout";
	struct front_proxy p;
	struct slice in;
	size_t need = 1;

	stream_deadline(s, deadline_ms);
	while (parsed == FRONT_PROXY_MORE) {
		result = stream_peek(s, need, &in);
		if (result != STREAM_OK)
			break;
		parsed = front_parse_proxy(in, &p, &need, &why);
	}
	if (result == STREAM_EOF || result == STREAM_ERROR)
		why = "closed";
	ip_text(ip, from);
	if (parsed != FRONT_PROXY_OK) {
		LOG_WARN("proxy-refused", LS("ip", from), LS("why", why));
		return false;
	}
	stream_consume(s, need);
	if (p.known) {
		LOG_DEBUG("proxied", LS("proxy", from));
		*ip = p.src;
		*local = p.dst;
	}
	return true;
}
