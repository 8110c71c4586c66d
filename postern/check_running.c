/*
 * `postern check`: do all daemons run that this configuration needs?  Asked only
 * where at least one runs: their files of figures (common/sys/stats_file.h) are
 * locked by them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sys/stats_file.h"
#include "postern/check.h"

#define PATH_SIZE 4200

/* Who is needed, and what does not work without it. */
static const struct daemon {
	const char *name;
	const char *protocol; /* of the listener that needs it; NULL: always */
	const char *without;
} daemons[] = {
	{"authd", NULL, "nobody's address is known"},
	{"queued", NULL, "no mail is accepted"},
	{"qmgr", NULL, "no mail is delivered"},
	{"local", NULL, "no mail reaches a mailbox"},
	{"spawner", NULL, "programs of aliases are not run"},
	{"dnsd", NULL, "no other host is found"},
	{"remote", NULL, "no mail leaves this host"},
	{"bounce", NULL, "no sender is told of a failure"},
	{"keyd", NULL, "there is no TLS, and nothing is signed"},
	{"pickup", NULL, "what sendmail left in drop_dir stays there"},
	{"smtpd", "smtp", "no mail is taken in"},
	{"pop3d", "pop3", "nobody can fetch mail"},
	{"pop3d-mailbox", "pop3", "nobody can fetch mail"},
};

#define NDAEMONS (sizeof(daemons) / sizeof(daemons[0]))

static bool
runs(int dirfd, const char *name)
{
	struct stats_file f;
	const char *why;
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	bool running = false;

	if (fd == -1)
		return false;
	if (stats_file_read(fd, &f, &why) == STATS_FILE_OK) {
		running = f.running;
		stats_file_free(&f);
	}
	close(fd);
	return running;
}

static bool
is_needed(const struct conf *conf, const struct daemon *d)
{
	if (d->protocol == NULL)
		return true;
	for (size_t i = 0; i < conf->nlisten; i++)
		if (strcmp(conf->listen[i].protocol, d->protocol) == 0)
			return true;
	return false;
}

void
check_running(struct check *c)
{
	char path[PATH_SIZE];
	bool up[NDAEMONS], any = false;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", c->p->conf.run_dir, STATS_DIR);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return; /* check_places tells */
	for (size_t i = 0; i < NDAEMONS; i++)
		any |= up[i] = runs(fd, daemons[i].name);
	close(fd);
	for (size_t i = 0; any && i < NDAEMONS; i++)
		if (!up[i] && is_needed(&c->p->conf, &daemons[i]))
			check_finding(c, CHECK_WARNING, "start it, or look at "
			    "its log", "%s does not run, while others do: %s",
			    daemons[i].name, daemons[i].without);
}
