/*
 * The name of a person in front of an address: "Ann Example <ann@here.example>"
 * (RFC 5322 3.4 display-name).
 */
#ifndef COMMON_MAIL_PHRASE_H
#define COMMON_MAIL_PHRASE_H

#include "common/base/slice.h"

struct buf;

#define PHRASE_NAME_MAX 200 /* octets of the name that are used */

/* The name as a phrase, quoted or encoded (RFC 2047, from UTF-8) as it needs;
 * encoded it may take a second line.  Whatever is in it, it ends no field. */
void phrase_add(struct slice name, struct buf *out);
/* The name in a passwd file's GECOS field. */
void phrase_gecos(struct slice gecos, struct slice login, struct buf *out);

#endif
