/*
 * The sockets in the run directory, each with the contract spoken there, who
 * listens and who may connect (SO_PEERCRED against these users).  Parents
 * connect relative to their working directory, the run directory.
 */
#ifndef COMMON_PROTO_SOCKETS_H
#define COMMON_PROTO_SOCKETS_H

/*      name                             contract  listens         connects */
#define SOCKET_QUEUE "queued.sock"        /* queue    queued          smtpd */
#define SOCKET_NOTICE "qmgr-notice.sock"  /* notice   qmgr            queued */
#define SOCKET_CONTROL "qmgr-control.sock" /* control qmgr            root, queue */
#define SOCKET_ADDRESS "authd-address.sock" /* address authd          smtpd, queue */
#define SOCKET_LOGIN "authd-login.sock"   /* login    authd           pop3d */
#define SOCKET_TICKET "authd-ticket.sock" /* ticket   authd           mailbox */
#define SOCKET_LOCAL "local.sock"         /* delivery local           queue */
#define SOCKET_SPAWNER "spawner.sock"     /* delivery spawner         queue */
#define SOCKET_POP3_MAILBOX "pop3d-mailbox.sock" /* mailbox pop3d-mailbox pop3d */

/* The directory below run_dir that is nobody's and empty: root of sessions. */
#define RUN_EMPTY "empty"

#endif
