/* The admin's command: what its subcommands share. */
#ifndef POSTERN_POSTERN_H
#define POSTERN_POSTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/conf/conf.h"

struct postern {
	const char *file; /* the configuration's */
	bool json;
	bool conf_read;
	struct conf conf; /* once conf_read */
};

/* A subcommand: `postern GROUP NAME ...` or, with name NULL, `postern GROUP`.
 * argv holds what stands behind it; the exit code. */
struct command {
	const char *group, *name;
	const char *usage; /* what may stand behind */
	const char *what;  /* one line for help */
	int (*run)(struct postern *p, int argc, char *argv[]);
};

/* NULL at the end. */
extern const struct command commands[];

/* Options, the command's word or words, its own. */
int command_run(int argc, char *argv[]);
/* Reads the configuration if that was not done; false: said what is wrong. */
bool command_conf(struct postern *p);
/* Says how a command is used; its exit code. */
int command_usage(int (*run)(struct postern *, int, char *[]));

int check_command(struct postern *p, int argc, char *argv[]);
int setup_command(struct postern *p, int argc, char *argv[]);
int stats_command(struct postern *p, int argc, char *argv[]);
int trace_command(struct postern *p, int argc, char *argv[]);
int table_command(struct postern *p, int argc, char *argv[]);

int user_add(struct postern *p, int argc, char *argv[]);
int user_passwd(struct postern *p, int argc, char *argv[]);
int user_list(struct postern *p, int argc, char *argv[]);
int user_remove(struct postern *p, int argc, char *argv[]);
int user_app_password(struct postern *p, int argc, char *argv[]);
int auth_list(struct postern *p, int argc, char *argv[]);
int auth_unblock(struct postern *p, int argc, char *argv[]);
int user_upgrade(struct postern *p, int argc, char *argv[]);
int alias_add(struct postern *p, int argc, char *argv[]);
int alias_list(struct postern *p, int argc, char *argv[]);
int alias_remove(struct postern *p, int argc, char *argv[]);
int domain_add(struct postern *p, int argc, char *argv[]);
int domain_list(struct postern *p, int argc, char *argv[]);
int domain_remove(struct postern *p, int argc, char *argv[]);

int dkim_key(struct postern *p, int argc, char *argv[]);
int dkim_show(struct postern *p, int argc, char *argv[]);
int dkim_check(struct postern *p, int argc, char *argv[]);

int queue_list(struct postern *p, int argc, char *argv[]);
int queue_show(struct postern *p, int argc, char *argv[]);
int queue_explain(struct postern *p, int argc, char *argv[]);
int queue_dest(struct postern *p, int argc, char *argv[]);
int queue_hold(struct postern *p, int argc, char *argv[]);
int queue_release(struct postern *p, int argc, char *argv[]);
int queue_retry(struct postern *p, int argc, char *argv[]);
int queue_remove(struct postern *p, int argc, char *argv[]);

#endif
