/*
 * Replays a corpus through a fuzz entry with the plain compiler: every file of
 * the directories and files named on the command line, once whole.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *path)
{
	FILE *f;
	uint8_t *data;
	struct stat st;
	size_t n;

	f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		return -1;
	}
	if (fstat(fileno(f), &st) != 0) {
		perror(path);
		fclose(f);
		return -1;
	}
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL)
		abort();
	n = fread(data, 1, (size_t)st.st_size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 0;
}

static int
replay(const char *path, unsigned *count)
{
	char name[4096];
	struct dirent *e;
	DIR *d;

	d = opendir(path);
	if (d == NULL && errno == ENOTDIR) {
		(*count)++;
		return replay_file(path);
	}
	if (d == NULL) {
		perror(path);
		return -1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (replay_file(name) != 0) {
			closedir(d);
			return -1;
		}
		(*count)++;
	}
	closedir(d);
	return 0;
}

int
main(int argc, char *argv[])
{
	unsigned count = 0;
	int i;

	for (i = 1; i < argc; i++)
		if (replay(argv[i], &count) != 0)
			return 1;
	printf("%s: %u inputs replayed\n", argv[0], count);
	return count > 0 ? 0 : 1;
}
