/* What uidlist.c (reading) and uidlist_change.c share; nobody else's. */
#ifndef COMMON_MAIL_UIDLIST_INT_H
#define COMMON_MAIL_UIDLIST_INT_H

#include <sys/stat.h>

#include "common/mail/uidlist.h"

#define UIDLIST_NAME "dovecot-uidlist"
#define UIDLIST_TEXT_MAX (UINT64_C(256) << 20) /* octets of the file */
#define UIDLIST_UID_MAX (UINT32_MAX - 1)       /* Dovecot's limit too */

struct uidlist {
	char **texts;      /* blocks of memory that entries point into: owned */
	size_t ntexts, texts_cap;
	struct uidlist_entry *v; /* owned, by UID */
	size_t n, cap;
	uint32_t *slots;   /* owned: hash of the base, index into v plus 1 */
	size_t nslots;     /* a power of two */
	uint64_t seed;
	uint32_t validity, next;
	struct slice guid, header; /* G field; unknown header fields */
	bool unordered;    /* while reading */
	bool mend;         /* the next change must rewrite the file */
	bool broken;       /* it has no header to go by: keep it aside */
	bool exists;
	struct stat st;    /* of the file when it was read */
};

/* Reads the file into the list, whatever was there before; -1 with errno: the
 * list is empty then. */
int uidlist_load(int maildir_fd, struct uidlist *l);
/* Entry lines of text, which the list owns; uidlist_index must follow. */
void uidlist_take_lines(struct uidlist *l, struct slice text, bool version1);
void uidlist_index(struct uidlist *l);
/* text, from malloc, lives as long as the list. */
void uidlist_own(struct uidlist *l, char *text);
/* The slot that holds the base, or the free one where it belongs. */
uint32_t *uidlist_slot(const struct uidlist *l, struct slice base);
/* Logs errno; UIDLIST_ERROR. */
enum uidlist_result uidlist_fault(const char *what);

#endif
