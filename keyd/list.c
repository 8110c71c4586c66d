/*
 * The contract "keylist" in a worker: `postern check` asks for everything that
 * is below tls_dir, in parts, so that handshakes go on meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/keylist.h"
#include "keyd/keyd.h"
#include "keyd/folders.h"
#include "keyd/store.h"

#define LISTERS_MAX 8
#define FOLDERS_A_PART (KEYLIST_PART_MAX / STORE_FILES)

struct lister {
	struct folders folders;
	size_t next;
};

struct part {
	struct keylist_row rows[KEYLIST_PART_MAX];
	char why[KEYLIST_PART_MAX][PAIR_WHY_SIZE];
	size_t n;
};

static void
add_row(void *arg, const char *folder, const struct pair *p, const char *why)
{
	struct part *part = arg;
	struct keylist_row *row;

	if (part->n == KEYLIST_PART_MAX)
		return;
	row = &part->rows[part->n];
	*row = (struct keylist_row){.folder = slice_of(folder),
	    .why = SLICE_EMPTY};
	if (p != NULL) {
		row->algorithm = pair_algorithm(p);
		row->not_before = (uint64_t)pair_not_before(p);
		row->not_after = (uint64_t)pair_not_after(p);
	} else {
		snprintf(part->why[part->n], PAIR_WHY_SIZE, "%s", why);
		row->why = slice_of(part->why[part->n]);
	}
	part->n++;
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct worker *w = arg;
	struct lister *l = chan_peer_data(p);
	struct part *part = mem_alloc(sizeof(*part));
	struct keylist_part a;
	size_t i;

	(void)msg;
	(void)fds;
	(void)nfds;
	if (type != KEYLIST_MORE) {
		free(part);
		return false;
	}
	/* A part without rows would be the end of the list. */
	while (part->n == 0 && l->next < l->folders.n)
		for (i = 0; i < FOLDERS_A_PART && l->next < l->folders.n; i++)
			folders_visit(w->k->tls_fd, l->folders.v[l->next++],
			    add_row, part);
	a.rows = (struct chan_list){part->rows, part->n};
	chan_peer_send(p, KEYLIST_PART, &a);
	free(part);
	return true;
}

static bool
on_opened(void *arg, struct chan_peer *p)
{
	struct worker *w = arg;
	struct lister *l = mem_alloc(sizeof(*l));

	folders_read(w->k->tls_fd, &l->folders);
	chan_peer_set_data(p, l);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct lister *l = chan_peer_data(p);

	(void)arg;
	folders_free(&l->folders);
	free(l);
}

void
list_serve(struct worker *w)
{
	static const struct chan_server_ops ops = {.record = on_record,
	    .opened = on_opened, .closed = on_closed};
	const struct keyd *k = w->k;

	w->listers = chan_server_new(w->loop, k->list_fd, &keylist_contract,
	    &ops, w, k->list_uids, sizeof(k->list_uids) /
	    sizeof(k->list_uids[0]), LISTERS_MAX, true);
}
