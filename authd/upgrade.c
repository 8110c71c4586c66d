/* Notes of better hashes, in authd.  What is noted was verified a moment ago;
 * names are canonical and of the users table. */
#include <sys/file.h>
#include <sys/stat.h>

#include <unistd.h>

#include "authd/upgrade.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/conf/scram.h"

#define FILE_MAX (4 * 1024 * 1024) /* then nobody seems to merge them */
#define LINE_MAX_OCTETS 4096

void
upgrade_note(int fd, struct slice user, struct slice old, struct slice better)
{
	struct buf line = BUF_INIT(LINE_MAX_OCTETS);
	unsigned char sum[SCRAM_KEY_MAX];
	struct stat st;
	size_t i;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > FILE_MAX ||
	    slice_find(user, ' ', 0) < user.len ||
	    slice_find(user, '\n', 0) < user.len ||
	    !scram_digest(SCRAM_SHA256, old, sum))
		return;
	(void)buf_room(&line, LINE_MAX_OCTETS);
	buf_addslice(&line, user);
	buf_addc(&line, ' ');
	for (i = 0; i < sizeof(sum); i++)
		buf_printf(&line, "%02x", sum[i]);
	buf_addc(&line, ' ');
	buf_addslice(&line, better);
	buf_addc(&line, '\n');
	/* One write of one line: whole, or the reader drops it. */
	if (!line.overflow && write(fd, line.s, line.len) < 0)
		log_warn(UPGRADE_FILE);
	buf_wipe(&line);
}
