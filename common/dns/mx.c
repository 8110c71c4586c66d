/*
 * Where a domain's mail goes (RFC 5321 5.1): its MX hosts in order, and their
 * addresses.  Runs in remote's processes and in postern; what is sorted here
 * was written by whoever owns the domain.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/dns/dns.h"
#include "common/dns/mx.h"
#include "common/dns/server.h"

#define HOST_MAX 253
#define LABEL_MAX 63

/* ---- what may stand on the right of MX ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * RFC 5321 2.3.5 wants names of hosts there.  The underscore is not allowed in
 * them and yet in use.  What is no name: nothing at all (beside other records),
 * an address (whose "top-level domain" is a number, RFC 3696 2, or which is no
 * name for its colons), and wildcards.
 */
static bool
is_host(struct slice s)
{
	size_t i, label = 0, dot = 0;
	bool number = true;

	if (s.len == 0 || s.len > HOST_MAX || s.p[s.len - 1] == '-')
		return false;
	for (i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '.') {
			if (label == 0 || s.p[i - 1] == '-')
				return false;
			label = 0;
			dot = i + 1;
			continue;
		}
		if (!is_alnum(c) && c != '_' && (c != '-' || label == 0))
			return false;
		if (++label > LABEL_MAX)
			return false;
	}
	for (i = dot; i < s.len; i++)
		number = number && is_digit(s.p[i]);
	return label > 0 && !number;
}

/* ---- the list ---- */

static bool
listed(struct mx *m, struct slice name, uint32_t preference)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (slice_ieq(slice_of(m->v[i].name), name)) {
			if (preference < m->v[i].preference)
				m->v[i].preference = preference;
			return true;
		}
	return false;
}

static void
add_host(struct mx *m, struct slice name, uint32_t preference, bool secure)
{
	if (listed(m, name, preference))
		return;
	m->v[m->n].name = slice_dup(name);
	m->v[m->n].preference = preference;
	m->v[m->n].secure = secure;
	m->n++;
}

static void
swap(struct mx_host *a, struct mx_host *b)
{
	struct mx_host t = *a;

	*a = *b;
	*b = t;
}

/* By preference; equals in an order that is new each time (RFC 5321 5.1). */
static void
order(struct mx *m)
{
	size_t i, k;

	for (i = m->n; i > 1; i--)
		swap(&m->v[i - 1], &m->v[random_below((uint32_t)i)]);
	for (i = 1; i < m->n; i++)
		for (k = i; k > 0 &&
		    m->v[k].preference < m->v[k - 1].preference; k--)
			swap(&m->v[k], &m->v[k - 1]);
}

static void
cut(struct mx *m, size_t n)
{
	while (m->n > n)
		free(m->v[--m->n].name);
}

/* RFC 5321 5.1: not to ourselves, and to nobody who would pass it on to us.
 * False: nobody is left. */
static bool
without_own(struct mx *m, const char *own)
{
	struct slice self = slice_of(own != NULL ? own : "");
	size_t i, k;

	if (self.len > 1 && self.p[self.len - 1] == '.')
		self.len--;
	for (i = 0; i < m->n; i++)
		if (slice_ieq(slice_of(m->v[i].name), self))
			break;
	if (i == m->n)
		return true;
	for (k = 0; k < m->n; k++)
		if (m->v[k].preference == m->v[i].preference)
			break;
	cut(m, k);
	return m->n > 0;
}

void
mx_free(struct mx *m)
{
	cut(m, 0);
	free(m->v);
	*m = (struct mx){0};
}

/* ---- look-ups ---- */

static void
failed(struct status *st, const char *what, const char *name,
    const struct dns_answer *a)
{
	status_set(st, 451, 4, 3, "%s of %s: %s%.*s", what, name,
	    a->result == DNS_BOGUS ? "the answer does not validate: " : "",
	    SLICE_FMT(a->why));
}

/* RFC 7505: one record, and it names nobody. */
static bool
is_null(const struct dns_answer *a)
{
	const struct dns_record *rec = a->records.v;

	return a->records.n == 1 && rec[0].name.len == 0;
}

static void
take_records(struct mx *m, const struct dns_answer *a)
{
	const struct dns_record *rec = a->records.v;
	size_t i;

	for (i = 0; i < a->records.n; i++)
		if (is_host(rec[i].name))
			add_host(m, rec[i].name, rec[i].preference,
			    a->secure != 0);
}

/* The hosts are there: in order, without us, not too many. */
static void
finish(struct mx *m, const char *domain, const char *own, struct status *st)
{
	if (m->n == 0) {
		status_set(st, 550, 4, 4, "%s: its MX records name no host",
		    domain);
		return;
	}
	order(m);
	if (!without_own(m, own)) {
		status_set(st, 554, 4, 6, "mail for %s loops back to %s",
		    domain, own);
		return;
	}
	cut(m, MX_HOSTS_MAX);
	status_set(st, 250, 0, 0, "found");
}

void
mx_lookup(struct dns *d, const char *domain, const char *own,
    int64_t deadline_ms, struct mx *out, struct status *st)
{
	struct dns_question q = {DNS_MX, domain};
	struct slice name = slice_of(domain);
	const struct dns_answer *a;
	struct mx m = {0};

	*out = m;
	dns_ask(d, &q, 1, &a, deadline_ms);
	m.v = mem_array(a->records.n + 1, sizeof(*m.v));
	m.secure = a->secure != 0;
	switch ((enum dns_result)a->result) {
	case DNS_OK:
		if (is_null(a)) {
			status_set(st, 556, 1, 10, "%s takes no mail (null "
			    "MX)", domain);
			break;
		}
		take_records(&m, a);
		finish(&m, domain, own, st);
		break;
	case DNS_NODATA:
		if (name.len > 1 && name.p[name.len - 1] == '.')
			name.len--;
		m.implicit = true;
		add_host(&m, name, 0, m.secure);
		finish(&m, domain, own, st);
		break;
	case DNS_NXDOMAIN:
		status_set(st, 550, 1, 2, "%s: no such domain", domain);
		break;
	case DNS_TEMP:
	case DNS_BOGUS:
		failed(st, "MX look-up", domain, a);
		break;
	}
	if (status_class(st) == STATUS_OK)
		*out = m;
	else
		mx_free(&m);
}

/* ---- addresses ---- */

struct family {
	struct mx_address v[DNS_RECORDS_MAX];
	size_t n;
};

static void
take_addresses(struct family *f, const struct dns_answer *a, size_t octets)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255,
	    255};
	const struct dns_record *rec = a->records.v;
	struct mx_address *to, t;
	size_t i, k;

	if (a->result != DNS_OK)
		return;
	for (i = 0; i < a->records.n && f->n < DNS_RECORDS_MAX; i++) {
		if (rec[i].data.len != octets)
			continue;
		to = &f->v[f->n++];
		to->secure = a->secure != 0;
		if (octets == 4)
			memcpy(to->ip.a, mapped, sizeof(mapped));
		memcpy(to->ip.a + (sizeof(to->ip.a) - octets), rec[i].data.p,
		    octets);
	}
	for (i = f->n; i > 1; i--) {
		k = random_below((uint32_t)i);
		t = f->v[i - 1];
		f->v[i - 1] = f->v[k];
		f->v[k] = t;
	}
}

/* As many of the first as leave room for half of the second. */
static size_t
join(const struct family *first, const struct family *second,
    struct mx_address out[MX_ADDRESSES_MAX])
{
	size_t half = MX_ADDRESSES_MAX / 2, n1 = first->n, n2 = second->n;

	if (n1 + n2 > MX_ADDRESSES_MAX) {
		if (n2 > half)
			n2 = n1 < half ? MX_ADDRESSES_MAX - n1 : half;
		if (n1 > MX_ADDRESSES_MAX - n2)
			n1 = MX_ADDRESSES_MAX - n2;
	}
	memcpy(out, first->v, n1 * sizeof(*out));
	memcpy(out + n1, second->v, n2 * sizeof(*out));
	return n1 + n2;
}

static void
no_address(const char *host, const struct dns_answer *const *a, size_t n,
    struct status *st)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (a[i]->result == DNS_TEMP || a[i]->result == DNS_BOGUS) {
			failed(st, "address look-up", host, a[i]);
			return;
		}
	for (i = 0; i < n; i++)
		if (a[i]->result == DNS_NXDOMAIN) {
			status_set(st, 550, 4, 4, "%s: no such host", host);
			return;
		}
	status_set(st, 550, 4, 4, "%s: has no address", host);
}

size_t
mx_addresses(struct dns *d, const char *host, unsigned want, bool v6_first,
    int64_t deadline_ms, struct mx_address out[MX_ADDRESSES_MAX],
    struct status *st)
{
	const struct dns_answer *a[2];
	struct dns_question q[2] = {{DNS_A, host}, {DNS_A, host}};
	struct family v4 = {.n = 0}, v6 = {.n = 0};
	size_t n = 0, i, found;

	assert((want & (MX_IPV4 | MX_IPV6)) != 0);
	if (want & MX_IPV4)
		q[n++] = (struct dns_question){DNS_A, host};
	if (want & MX_IPV6)
		q[n++] = (struct dns_question){DNS_AAAA, host};
	dns_ask(d, q, n, a, deadline_ms);
	for (i = 0; i < n; i++) {
		if (q[i].type == DNS_A)
			take_addresses(&v4, a[i], 4);
		else
			take_addresses(&v6, a[i], 16);
	}
	found = v6_first ? join(&v6, &v4, out) : join(&v4, &v6, out);
	if (found > 0)
		status_set(st, 250, 0, 0, "found");
	else
		no_address(host, a, n, st);
	return found;
}
