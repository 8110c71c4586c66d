/*
 * All folders of tls_dir.  Runs in keyd's workers, for `postern check` and for
 * the dates in `postern stats`; what is loaded here is not kept.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "keyd/folders.h"
#include "keyd/store.h"

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
folders_read(int dirfd, struct folders *out)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	*out = (struct folders){NULL, 0, 0};
	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_type != DT_REG &&
		    store_name_valid(slice_of(e->d_name)))
			MEM_PUSH(out->v, out->n, out->cap, mem_dup(e->d_name));
	closedir(d);
	if (out->n > 0)
		qsort(out->v, out->n, sizeof(*out->v), compare);
}

void
folders_free(struct folders *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->v[i]);
	free(n->v);
	*n = (struct folders){NULL, 0, 0};
}

void
folders_visit(int dirfd, const char *folder,
    void (*fn)(void *arg, const char *folder, const struct pair *p,
    const char *why), void *arg)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pair_mark marks[2];
	char why[PAIR_WHY_SIZE];
	struct pair *p = NULL;
	size_t found = 0;

	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			fn(arg, folder, NULL, strerror(errno));
		return;
	}
	for (size_t i = 0; i < STORE_FILES; i++)
		switch (pair_load(fd, store_files[i][0], store_files[i][1],
		    marks, &p, why)) {
		case PAIR_OK:
			fn(arg, folder, p, NULL);
			pair_unref(&p);
			found++;
			break;
		case PAIR_BAD:
			fn(arg, folder, NULL, why);
			found++;
			break;
		case PAIR_ABSENT:
			break;
		}
	if (found == 0)
		fn(arg, folder, NULL, "holds no cert.pem with key.pem");
	close(fd);
}
