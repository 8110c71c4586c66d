/*
 * Whom dnsd asks: the words of dns_resolvers and dns_stubs and the system's
 * resolv.conf.  Runs in dnsd and in `postern check`, on the admin's own files.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "common/dns/server.h"

#define PORT_DEFAULT 53
#define NAME_MAX_TEXT 253 /* RFC 1035 2.3.4: 255 octets as in a packet */
#define LABEL_MAX 63

bool
dns_name_ok(struct slice name, const char **why)
{
	size_t i, label = 0;
	unsigned char c;

	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	if (name.len > NAME_MAX_TEXT) {
		*why = "the name is longer than 253 octets";
		return false;
	}
	for (i = 0; i < name.len; i++) {
		c = (unsigned char)name.p[i];
		if (c <= ' ' || c >= 0x7f || c == '\\') {
			*why = "the name has octets that no host's name has";
			return false;
		}
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX) {
			*why = "the name has a label of more than 63 octets";
			return false;
		}
		if (c == '.' && (i == 0 || name.p[i - 1] == '.' ||
		    i + 1 == name.len)) {
			*why = "the name has an empty label";
			return false;
		}
	}
	return true;
}

bool
dns_server_parse(struct slice s, struct dns_server *out)
{
	size_t at = slice_find(s, '@', 0);
	uint32_t port = PORT_DEFAULT;
	char text[IP_TEXT_SIZE];
	struct ip ip;

	if (!ip_parse(slice_sub(s, 0, at), &ip))
		return false;
	if (at < s.len && !num_u32(slice_sub(s, at + 1, s.len), 1, 65535,
	    &port))
		return false;
	ip_text(&ip, text);
	snprintf(out->text, sizeof(out->text), "%s@%u", text, (unsigned)port);
	return true;
}

bool
dns_stub_parse(struct slice s, struct dns_stub *out)
{
	size_t at = slice_find(s, '=', 0);
	struct slice zone = slice_sub(s, 0, at);
	const char *why;

	if (at == s.len || zone.len == 0 || !dns_name_ok(zone, &why) ||
	    !dns_server_parse(slice_sub(s, at + 1, s.len), &out->server))
		return false;
	if (zone.p[zone.len - 1] == '.')
		zone.len--;
	out->zone = slice_dup(zone);
	return true;
}

/* resolv.conf(5): lines "nameserver ADDRESS", and without any of them the name
 * server of this host.  Addresses with a scope (fe80::1%eth0) are passed
 * over. */
static void
read_resolv(struct slice text, struct dns_servers *out)
{
	struct slice line, word;
	struct dns_server server;

	while (slice_cut(&text, '\n', &line)) {
		if (!slice_word(&line, &word) ||
		    !slice_eq(word, SLICE("nameserver")) ||
		    !slice_word(&line, &word))
			continue;
		if (out->n < DNS_SERVERS_MAX &&
		    dns_server_parse(word, &server))
			MEM_PUSH(out->v, out->n, out->cap, server);
	}
	if (out->n == 0 && dns_server_parse(SLICE("127.0.0.1"), &server))
		MEM_PUSH(out->v, out->n, out->cap, server);
}

static void
read_resolvers(const struct conf *c, struct slice resolv,
    struct dns_servers *out, struct buf *errors)
{
	const struct conf_list *l = &c->dns_resolvers;
	struct dns_server server;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (slice_ieq(slice_of(l->v[i]), SLICE("recursive"))) {
			out->recursive = true;
			continue;
		}
		if (!dns_server_parse(slice_of(l->v[i]), &server))
			buf_printf(errors, "%s: dns_resolvers: \"%s\" is not "
			    "allowed; allowed: ADDRESS, ADDRESS@PORT or "
			    "recursive\n", c->file, l->v[i]);
		else if (out->n < DNS_SERVERS_MAX)
			MEM_PUSH(out->v, out->n, out->cap, server);
	}
	if (l->n > DNS_SERVERS_MAX)
		buf_printf(errors, "%s: dns_resolvers: more than %d\n",
		    c->file, DNS_SERVERS_MAX);
	if (out->recursive && l->n > 1)
		buf_printf(errors, "%s: dns_resolvers: recursive stands "
		    "alone; remove it or the addresses\n", c->file);
	if (l->n == 0) {
		out->of_resolv = true;
		read_resolv(resolv, out);
	}
}

bool
dns_servers_read(const struct conf *c, struct slice resolv,
    struct dns_servers *out, struct buf *errors)
{
	const struct conf_list *l = &c->dns_stubs;
	struct dns_servers s = {0};
	struct dns_stub stub;
	size_t i, before = errors->len;

	read_resolvers(c, resolv, &s, errors);
	for (i = 0; i < l->n; i++) {
		if (!dns_stub_parse(slice_of(l->v[i]), &stub)) {
			buf_printf(errors, "%s: dns_stubs: \"%s\" is not "
			    "allowed; allowed: ZONE=ADDRESS or "
			    "ZONE=ADDRESS@PORT\n", c->file, l->v[i]);
			continue;
		}
		MEM_PUSH(s.stubs, s.nstubs, s.stubs_cap, stub);
		if (stub.zone[0] == '\0' && !s.recursive)
			buf_printf(errors, "%s: dns_stubs: the zone \".\" "
			    "would take everything from dns_resolvers; set "
			    "dns_resolvers = recursive\n", c->file);
	}
	if (errors->len > before || errors->overflow) {
		dns_servers_free(&s);
		return false;
	}
	*out = s;
	return true;
}

void
dns_servers_free(struct dns_servers *s)
{
	size_t i;

	for (i = 0; i < s->nstubs; i++)
		free(s->stubs[i].zone);
	free(s->stubs);
	free(s->v);
	*s = (struct dns_servers){0};
}
