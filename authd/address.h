/* Questions about addresses: the contract "address", served. */
#ifndef AUTHD_ADDRESS_H
#define AUTHD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct addresses;
struct directory;
struct loop;

struct address_args {
	struct loop *loop;
	struct directory *directory; /* borrowed */
	int listen_fd;
	const uid_t *uids; /* who may connect; NULL: anybody */
	size_t nuids;
	size_t max_peers;
};

struct addresses *addresses_new(const struct address_args *args);
void addresses_pause(struct addresses *a); /* no new connections */
bool addresses_busy(const struct addresses *a);
void addresses_free(struct addresses **a);

#endif
