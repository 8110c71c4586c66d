/* Functions that no file of postern may call (STYLE, section 4).  Included by
 * the compiler's command line, after the C library's own headers were read. */
#ifndef COMMON_BASE_BANNED_H
#define COMMON_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <time.h>

/* Macros of glibc, the second with clang and _FORTIFY_SOURCE. */
#undef alloca
#undef sprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atoll sscanf fscanf scanf vscanf vsscanf vfscanf
#pragma GCC poison alloca tmpnam mktemp tempnam system popen

#endif
