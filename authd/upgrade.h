/*
 * Better hashes of passwords that were just typed, noted for `postern user
 * upgrade`.  authd cannot write the users table, and shall not: it has one
 * descriptor that can only append to one file, and root's command decides.
 *
 * A line a note: USER SP SHA-256-OF-THE-OLD-STORED-VALUE(hex) SP {CRYPT}NEW.
 * The sum lets a note that came too late (the password was changed since) be
 * told from a good one.
 */
#ifndef AUTHD_UPGRADE_H
#define AUTHD_UPGRADE_H

#include "common/base/slice.h"

#define UPGRADE_FILE "users.upgrade" /* in table_dir; 0600, user_auth's */

/* fd -1: does nothing. */
void upgrade_note(int fd, struct slice user, struct slice old,
    struct slice better);

#endif
