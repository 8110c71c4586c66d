/*
 * The sockets in the run directory, each with the contract spoken there, who
 * listens and who may connect (SO_PEERCRED against these users).  Parents
 * connect relative to their working directory, the run directory.
 */
#ifndef COMMON_PROTO_SOCKETS_H
#define COMMON_PROTO_SOCKETS_H

/* contract queue; queued listens, smtpd, bounce and pickup connect */
#define SOCKET_QUEUE "queued.sock"
/* contract notice; qmgr, from queued */
#define SOCKET_NOTICE "qmgr-notice.sock"
/* contract control; qmgr, from root and user_queue (postern) */
#define SOCKET_CONTROL "qmgr-control.sock"
/* contract address; authd, from smtpd, qmgr and pickup */
#define SOCKET_ADDRESS "authd-address.sock"
/* contract login; authd, from pop3d and smtpd */
#define SOCKET_LOGIN "authd-login.sock"
/* contract authadmin; authd, from root (postern) */
#define SOCKET_AUTH_ADMIN "authd-admin.sock"
/* contract ticket; authd, from pop3d-mailbox */
#define SOCKET_TICKET "authd-ticket.sock"
/* contract delivery; local, from qmgr */
#define SOCKET_LOCAL "local.sock"
/* contract delivery; spawner, from qmgr */
#define SOCKET_SPAWNER "spawner.sock"
/* contract mailbox; pop3d-mailbox, from pop3d */
#define SOCKET_POP3_MAILBOX "pop3d-mailbox.sock"

/* contract dns; dnsd, from remote, smtpd and postern */
#define SOCKET_DNS "dnsd.sock"
/* contract transfer; remote, from qmgr */
#define SOCKET_REMOTE "remote.sock"
/* contract bounce; bounce, from qmgr */
#define SOCKET_BOUNCE "bounce.sock"
/* contract etrn; qmgr, from smtpd */
#define SOCKET_ETRN "qmgr-etrn.sock"
/* contract key; keyd, from smtpd and pop3d */
#define SOCKET_KEY "keyd.sock"
/* contract dkim; keyd, from remote */
#define SOCKET_DKIM "keyd-dkim.sock"
/* contract keylist; keyd, from root (postern) */
#define SOCKET_KEYLIST "keyd-list.sock"

/* The directory below run_dir that is nobody's and empty: root of sessions. */
#define RUN_EMPTY "empty"

#endif
