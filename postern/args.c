/*
 * The command line, in the admin's command.  getopt(3) would do, but not say
 * which long option lacks what in the words of the rest.
 */
#include <assert.h>
#include <string.h>

#include "postern/args.h"
#include "postern/out.h"
#include "postern/postern.h"

/* The option that arg names; *inline_value: what stands behind its '='. */
static const struct args_option *
find(const struct args_option *options, size_t n, char *arg,
    char **inline_value)
{
	char *equals = strchr(arg, '=');
	size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
	size_t i;

	*inline_value = NULL;
	for (i = 0; i < n; i++) {
		if (arg[1] != '-') {
			if (options[i].letter == arg[1] && arg[2] == '\0')
				return &options[i];
			continue;
		}
		if (strlen(options[i].name) == len - 2 &&
		    memcmp(options[i].name, arg + 2, len - 2) == 0) {
			*inline_value = equals != NULL ? equals + 1 : NULL;
			return &options[i];
		}
	}
	return NULL;
}

/* One option at argv[*i]; moves *i to the last word of it. */
static bool
take(const struct args_option *options, size_t n, int argc, char *argv[],
    int *i)
{
	const struct args_option *o;
	char *value, *arg = argv[*i];

	o = find(options, n, arg, &value);
	if (o == NULL) {
		out_error("%s: unknown option; `postern help` shows them", arg);
		return false;
	}
	if (o->flag != NULL) {
		if (value != NULL) {
			out_error("--%s: takes no value", o->name);
			return false;
		}
		*o->flag = true;
		return true;
	}
	if (value == NULL && *i + 1 < argc)
		value = argv[++*i];
	if (value == NULL) {
		out_error("%s: needs a value", arg);
		return false;
	}
	assert(o->value != NULL);
	*o->value = value;
	return true;
}

#define OPTIONS_MAX 24

bool
args_take(struct postern *p, int *argc, char *argv[],
    const struct args_option *options, bool first_only)
{
	struct args_option all[OPTIONS_MAX] = {
		{"config", 'c', NULL, &p->file},
		{"json", 0, &p->json, NULL},
	};
	int i, kept = 0;
	size_t total = 2;

	for (; options != NULL && options->name != NULL; options++) {
		assert(total < OPTIONS_MAX);
		all[total++] = *options;
	}
	for (i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			if (!take(all, total, *argc, argv, &i))
				return false;
			continue;
		}
		if (first_only)
			break;
		argv[kept++] = argv[i];
	}
	while (i < *argc)
		argv[kept++] = argv[i++];
	*argc = kept;
	return true;
}
