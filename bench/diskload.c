/* What the disk can do: create + 4 KB + fsync by N writers; with -d also an
 * fsync of the directory each.  diskload [-d] directory writers seconds */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char *argv[])
{
	int sync_dir = argc > 1 && strcmp(argv[1], "-d") == 0;
	char **a = argv + 1 + sync_dir, block[4096], name[4200];
	long *count, i, n, total = 0;
	double seconds;
	time_t end;

	if (argc - sync_dir != 4)
		return 100;
	n = strtol(a[1], NULL, 10);
	seconds = strtod(a[2], NULL);
	memset(block, 'x', sizeof(block));
	count = mmap(NULL, sizeof(*count) * (size_t)n, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	end = time(NULL) + (time_t)seconds;
	for (i = 0; i < n; i++) {
		int dir, fd;

		if (fork() != 0)
			continue;
		dir = open(a[0], O_RDONLY | O_DIRECTORY);
		while (time(NULL) < end) {
			snprintf(name, sizeof(name), "w%ld.%ld", i, count[i]);
			fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
			if (fd < 0 || write(fd, block, 4096) != 4096 || fsync(fd))
				_exit(1);
			close(fd);
			if (sync_dir)
				fsync(dir);
			count[i]++;
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	for (i = 0; i < n; i++)
		total += count[i];
	printf("{\"writers\": %ld, \"dir_fsync\": %d, \"files_per_second\": %.0f}\n",
	    n, sync_dir, (double)total / seconds);
	return 0;
}
