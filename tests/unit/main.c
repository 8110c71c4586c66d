/*
 * Runs the unit tests: all suites, or those named on the command line.  The
 * Makefile writes suites.h, one SUITE(NAME) for each NAME_test.c here.  Ends
 * with Check's summary and with 1 if anything failed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <check.h>

#define SUITE(name) Suite *name##_suite(void);
#include "suites.h"
#undef SUITE

#define SUITE(name) {#name, name##_suite},
static const struct {
	const char *name;
	Suite *(*suite)(void);
} suites[] = {
#include "suites.h"
};
#undef SUITE

#define NSUITES (sizeof(suites) / sizeof(suites[0]))

static bool
add_suite(SRunner *runner, const char *name)
{
	for (size_t i = 0; i < NSUITES; i++)
		if (name == NULL || strcmp(name, suites[i].name) == 0) {
			srunner_add_suite(runner, suites[i].suite());
			if (name != NULL)
				return true;
		}
	return name == NULL;
}

int
main(int argc, char *argv[])
{
	SRunner *runner = srunner_create(NULL);
	int failed;

	if (argc < 2)
		add_suite(runner, NULL);
	for (int i = 1; i < argc; i++)
		if (!add_suite(runner, argv[i])) {
			fprintf(stderr, "no suite %s; there are:", argv[i]);
			for (size_t k = 0; k < NSUITES; k++)
				fprintf(stderr, " %s", suites[k].name);
			fprintf(stderr, "\n");
			srunner_free(runner);
			return 1;
		}
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
