/*
 * The system's users: /etc/passwd, read again when it changes.  Some have
 * mailboxes (conf: system_users); all may hand in mail (submit_socket).
 */
#ifndef AUTHD_SYSTEM_H
#define AUTHD_SYSTEM_H

#include <stdint.h>
#include <sys/types.h>

#include "authd/directory.h"
#include "common/base/slice.h"

struct system_users;

struct system_user {
	struct slice name; /* as in the file; views until the next question */
	uid_t uid;
	gid_t gid;
	struct slice home;
};

/* etc_fd: the directory of `passwd`, the caller's. */
struct system_users *system_new(int etc_fd, uid_t uid_min);
void system_free(struct system_users **s);

/* name: lower case.  check_ms: how old the last look at the file may be. */
enum directory_result system_find(struct system_users *s, struct slice name,
    int64_t check_ms, struct system_user *out);

/* The name of a uid, whoever it is, and what the file has behind it (GECOS);
 * views until the next question. */
enum directory_result system_name(struct system_users *s, uid_t uid,
    int64_t check_ms, struct slice *name, struct slice *gecos);

#endif
