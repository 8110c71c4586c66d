/* A whole postern.conf, and its octets once more as addresses. */
#include <sys/mman.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/conf/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_addresses(struct slice s)
{
	struct sockaddr_storage sa;
	char text[IP_TEXT_SIZE];
	struct net net;
	socklen_t len;
	struct ip ip;

	if (ip_parse(s, &ip)) {
		struct ip again;

		ip_text(&ip, text);
		if (!ip_parse(slice_of(text), &again) ||
		    !ip_equal(&ip, &again))
			abort();
	}
	if (net_parse(s, &net) && !net_has(&net, &net.ip) && net.bits >= 96)
		abort();
	(void)net_sockaddr(s, &sa, &len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf errors = BUF_INIT(65536);
	char path[64];
	struct conf c;
	int fd = memfd_create("conf", MFD_CLOEXEC);
	bool ok;

	if (fd == -1 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok = conf_read(path, &c, &errors);
	/* An error without words, or words without an error, help nobody. */
	if (ok != (errors.len == 0))
		abort();
	if (ok)
		conf_free(&c);
	close(fd);
	buf_free(&errors);
	read_addresses(slice_mem(data, size));
	return 0;
}
