/*
 * The life of a program (STYLE, section 3): start, readiness, sockets handed
 * over by the supervisor, children.
 */
#ifndef COMMON_SYS_PROC_H
#define COMMON_SYS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* First line of every main: descriptors 0-2 exist, umask 077, SIGPIPE ignored,
 * log opened, process title prepared (libbsd), the time zone loaded, and the
 * supervisor's readiness channel (NOTIFY_SOCKET) connected while the file
 * system is still visible. */
void proc_start(int argc, char *argv[], char *envp[], const char *name);

/* -d FD: write a newline there when ready (s6). */
void proc_ready_fd(int fd);
/* Says "ready" to whoever asked: s6's descriptor, sd_notify; logs it. */
void proc_ready(void);
/* sd_notify texts around a reload and at the end; nothing without systemd. */
void proc_reloading(void);
void proc_stopping(void);

/* What `ps` shows behind the program name: "smtpd: session 192.0.2.1". */
void proc_title(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Descriptors handed over by the supervisor: LISTEN_FDS/LISTEN_PID (systemd,
 * s6-fdholder wrappers).  Returns how many; the first is 3.  Names
 * (LISTEN_FDNAMES) by index, "" where there is none.  The descriptors become
 * close-on-exec and the variables are removed at the first call.
 */
int proc_listen_fds(void);
const char *proc_listen_name(int i);

/* fork(2); in the child: default signals, none blocked (SIGPIPE stays ignored),
 * log_forked(sid).  The title stays the parent's until proc_title. */
pid_t proc_fork(const char *sid);

/* Closes every descriptor except 0-2 and those in keep (n of them, at most 64,
 * in any order; -1 counts as none). */
void proc_close_except(const int *keep, size_t n);

/* Soft limit of open descriptors raised to the hard one; returns it. */
long proc_max_files(void);

#endif
