/*
 * Reads DNS messages (RFC 1035 4.1).  Runs in dnsd, on messages that libunbound
 * made of what strangers sent: well-formed, as a rule, and full of whatever
 * names and texts the strangers liked.
 *
 * Of a message only this is used: its code, the CNAMEs of the answer section in
 * their order, the records of the type asked for under the last name, and the
 * SOA record of a denial.
 */
#include <string.h>

#include "dnsd/packet.h"

#define HEADER_SIZE 12
#define CODE_MASK 0x0f
#define CODE_OK 0
#define CODE_NXDOMAIN 3
#define RR_CNAME 5
#define RR_SOA 6
#define CLASS_IN 1
#define LABELS_MAX 128  /* more do not fit a name */
#define POINTERS_MAX 128
#define OCTETS_MAX ((size_t)DNS_RECORDS_MAX * (DNS_NAME_MAX + DNS_DATA_MAX))

struct reader {
	struct slice all; /* the message */
	size_t at;
	bool bad;         /* ran over the end, or malformed */
};

/* A name as text, lower case; shown: no octet in it needs an escape. */
struct name {
	char text[DNS_NAME_MAX + 1];
	size_t len;
	bool shown;
};

struct rr {
	struct name owner;
	unsigned type, class;
	uint32_t ttl;
	size_t data, len; /* where its data are, within the message */
};

static unsigned
get8(struct reader *r)
{
	if (r->at >= r->all.len) {
		r->bad = true;
		return 0;
	}
	return (unsigned char)r->all.p[r->at++];
}

static unsigned
get16(struct reader *r)
{
	unsigned high = get8(r);

	return high << 8 | get8(r);
}

static uint32_t
get32(struct reader *r)
{
	uint32_t high = get16(r);

	return high << 16 | get16(r);
}

static void
name_add(struct reader *r, struct name *out, char c)
{
	if (out->len >= DNS_NAME_MAX) {
		r->bad = true;
		return;
	}
	out->text[out->len++] = c;
}

static void
get_label(struct reader *r, struct name *out, unsigned len)
{
	unsigned c;

	if (out->len > 0)
		name_add(r, out, '.');
	while (len-- > 0 && !r->bad) {
		c = get8(r);
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (c <= ' ' || c >= 0x7f || c == '.' || c == '\\') {
			out->shown = false;
			c = '?';
		}
		name_add(r, out, (char)c);
	}
}

/* RFC 1035 4.1.4: pointers lead backwards, and each further back than the one
 * before, so that none is followed twice. */
static void
get_name(struct reader *r, struct name *out)
{
	size_t behind = 0, limit = r->at, to;
	unsigned len, labels = 0, pointers = 0;

	out->len = 0;
	out->shown = true;
	while (!r->bad) {
		len = get8(r);
		if ((len & 0xc0) == 0xc0) {
			to = (size_t)(len & 0x3f) << 8 | get8(r);
			if (pointers++ == 0)
				behind = r->at;
			if (to >= limit || pointers > POINTERS_MAX)
				r->bad = true;
			limit = r->at = to;
			continue;
		}
		if (len == 0)
			break;
		if ((len & 0xc0) != 0 || ++labels > LABELS_MAX)
			r->bad = true;
		else
			get_label(r, out, len);
	}
	if (pointers > 0)
		r->at = behind;
	out->text[out->len] = '\0';
}

static void
get_rr(struct reader *r, struct rr *rr)
{
	get_name(r, &rr->owner);
	rr->type = get16(r);
	rr->class = get16(r);
	rr->ttl = get32(r);
	if (rr->ttl > INT32_MAX) /* RFC 2181 8 */
		rr->ttl = 0;
	rr->len = get16(r);
	rr->data = r->at;
	if (rr->len > r->all.len - r->at)
		r->bad = true;
	else
		r->at += rr->len;
}

/* A name within the data of rr, which must fill them to their end. */
static bool
data_name(const struct reader *r, const struct rr *rr, size_t skip,
    struct name *out)
{
	struct reader in = {r->all, rr->data + skip, false};

	if (skip > rr->len)
		return false;
	get_name(&in, out);
	return !in.bad && in.at == rr->data + rr->len;
}

/* Appended to octets; a slice of them, by position: they may yet move. */
static struct slice
keep(struct packet *p, struct slice s)
{
	buf_addslice(&p->octets, s);
	return (struct slice){NULL, s.len};
}

/* RFC 7208 3.3: the strings of a TXT record are one text. */
static bool
put_text(struct packet *p, struct slice data, struct slice *out)
{
	size_t from = p->octets.len, i, n;

	for (i = 0; i < data.len; i += 1 + n) {
		n = (unsigned char)data.p[i];
		if (n > data.len - i - 1 ||
		    p->octets.len - from + n > DNS_DATA_MAX) {
			p->octets.len = from;
			return false;
		}
		buf_add(&p->octets, data.p + i + 1, n);
	}
	*out = (struct slice){NULL, p->octets.len - from};
	return true;
}

static bool
put_named(struct packet *p, const struct reader *r, const struct rr *rr,
    size_t skip, struct dns_record *out)
{
	struct name name;

	if (!data_name(r, rr, skip, &name) || !name.shown)
		return false;
	out->name = keep(p, slice_mem(name.text, name.len));
	return true;
}

/* One record of the type asked for; false: it cannot be shown. */
static bool
put_record(struct packet *p, const struct reader *r, const struct rr *rr)
{
	struct dns_record *out = &p->records[p->nrecords];
	struct slice data = slice_sub(r->all, rr->data, rr->data + rr->len);
	struct reader in = {r->all, rr->data, false};

	*out = (struct dns_record){0, {NULL, 0}, {NULL, 0}};
	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		if (data.len != (rr->type == DNS_A ? 4 : 16))
			return false;
		out->data = keep(p, data);
		return true;
	case DNS_MX:
		if (data.len < 3)
			return false;
		out->preference = get16(&in);
		return put_named(p, r, rr, 2, out);
	case DNS_PTR:
		return put_named(p, r, rr, 0, out);
	case DNS_TXT:
		return put_text(p, data, &out->data);
	default: /* TLSA, and what else has no names in it */
		if (data.len > DNS_DATA_MAX)
			return false;
		out->data = keep(p, data);
		return true;
	}
}

/* The octets have their place: from lengths to slices. */
static void
settle(struct packet *p)
{
	const char *at = p->octets.s;
	struct dns_record *rec;
	size_t i;

	for (i = 0; i < p->nrecords; i++) {
		rec = &p->records[i];
		rec->name.p = at;
		at += rec->name.len;
		rec->data.p = at;
		at += rec->data.len;
	}
}

static void
failed(struct dns_answer *out, const char *why)
{
	out->result = DNS_TEMP;
	out->why = slice_of(why);
}

static void
lower_ttl(struct dns_answer *out, uint32_t ttl)
{
	if (ttl < out->ttl)
		out->ttl = ttl;
}

struct answers {
	unsigned left_out; /* records of the type that cannot be shown */
	struct name last;  /* where CNAMEs led so far */
	bool alias;
};

static void
take_alias(struct reader *r, const struct rr *rr, struct answers *a,
    struct dns_answer *out)
{
	if (!data_name(r, rr, 0, &a->last))
		r->bad = true;
	a->alias = true;
	lower_ttl(out, rr->ttl);
}

static void
read_answers(struct packet *p, struct reader *r, unsigned n, uint32_t type,
    struct answers *a, struct dns_answer *out)
{
	struct rr rr;

	while (n-- > 0 && !r->bad) {
		get_rr(r, &rr);
		if (r->bad || rr.class != CLASS_IN || !slice_eq(
		    slice_mem(rr.owner.text, rr.owner.len),
		    slice_mem(a->last.text, a->last.len)))
			continue;
		if (rr.type == RR_CNAME) {
			take_alias(r, &rr, a, out);
			continue;
		}
		if (rr.type != type)
			continue;
		lower_ttl(out, rr.ttl);
		if (p->nrecords == DNS_RECORDS_MAX)
			continue;
		if (put_record(p, r, &rr))
			p->nrecords++;
		else
			a->left_out++;
	}
}

/* RFC 2308 5: a denial holds as long as the SOA record says. */
static void
read_denial(struct reader *r, unsigned n, struct dns_answer *out)
{
	struct reader in;
	struct rr rr;
	bool found = false;

	while (n-- > 0 && !r->bad) {
		get_rr(r, &rr);
		if (r->bad || rr.type != RR_SOA || rr.len < 22)
			continue;
		in = (struct reader){r->all, rr.data + rr.len - 4, false};
		lower_ttl(out, rr.ttl);
		lower_ttl(out, get32(&in));
		found = true;
	}
	if (!found)
		out->ttl = 0;
}

/* The question's name as an answer has it. */
static void
name_asked(struct slice name, struct name *out)
{
	size_t i;

	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	out->len = name.len < DNS_NAME_MAX ? name.len : DNS_NAME_MAX;
	for (i = 0; i < out->len; i++)
		out->text[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ?
		    name.p[i] | 0x20 : name.p[i]);
	out->text[out->len] = '\0';
	out->shown = true;
}

static void
conclude(struct packet *p, const struct answers *a, unsigned code,
    struct dns_answer *out)
{
	if (a->alias && !a->last.shown) {
		failed(out, "the name is an alias of one that cannot be shown");
		return;
	}
	if (a->alias) {
		memcpy(p->canonical, a->last.text, a->last.len + 1);
		out->canonical = slice_mem(p->canonical, a->last.len);
	}
	if (p->nrecords > 0) {
		settle(p);
		out->result = DNS_OK;
		out->records = (struct chan_list){p->records, p->nrecords};
	} else if (a->left_out > 0) {
		failed(out, "the answer has only records that cannot be used");
	} else {
		out->result = code == CODE_NXDOMAIN ? DNS_NXDOMAIN :
		    DNS_NODATA;
	}
}

void
packet_init(struct packet *p)
{
	buf_init(&p->octets, OCTETS_MAX);
	p->nrecords = 0;
}

void
packet_free(struct packet *p)
{
	buf_free(&p->octets);
	p->nrecords = 0;
}

void
packet_read(struct packet *p, struct slice octets, struct slice name,
    uint32_t type, struct dns_answer *out)
{
	struct reader r = {octets, 2, false};
	struct answers a = {0};
	struct name skipped;
	unsigned code, questions, answers, authorities;

	buf_reset(&p->octets);
	p->nrecords = 0;
	out->canonical = out->why = SLICE_EMPTY;
	out->records = (struct chan_list){NULL, 0};
	out->ttl = INT32_MAX;
	name_asked(name, &a.last);
	code = get16(&r) & CODE_MASK;
	questions = get16(&r);
	answers = get16(&r);
	authorities = get16(&r);
	(void)get16(&r);
	while (questions-- > 0 && !r.bad) {
		get_name(&r, &skipped);
		(void)get32(&r); /* type and class */
	}
	read_answers(p, &r, answers, type, &a, out);
	if (!r.bad && p->nrecords == 0)
		read_denial(&r, authorities, out);
	if (r.bad)
		failed(out, "the answer is malformed");
	else if (code != CODE_OK && code != CODE_NXDOMAIN)
		failed(out, "the name server reports a failure");
	else
		conclude(p, &a, code, out);
	if (out->result == DNS_TEMP)
		out->ttl = 0;
}
