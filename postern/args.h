/* Options of commands: -x, -x VALUE, --name, --name VALUE, --name=VALUE, in any
 * place in front of "--". */
#ifndef POSTERN_ARGS_H
#define POSTERN_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct args_option {
	const char *name;   /* "json" */
	char letter;        /* 0: none */
	bool *flag;         /* set to true, or ... */
	const char **value; /* ... to what follows */
};

#define ARGS_END {NULL, 0, NULL, NULL}

/*
 * Takes the options (up to ARGS_END, or NULL) and those of all commands out of
 * argv; what stays are the operands.  False: said what is wrong.
 * first_only: stops at the first operand.
 */
struct postern;
bool args_take(struct postern *p, int *argc, char *argv[],
    const struct args_option *options, bool first_only);

#endif
