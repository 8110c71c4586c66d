/* `postern stats`: figures in the format that monitoring reads. */
#ifndef POSTERN_STATS_H
#define POSTERN_STATS_H

#include "common/sys/stats_file.h"
#include "postern/postern.h"

/* On stdout: OpenMetrics text 1.0 of these programs' figures. */
void stats_openmetrics(const struct stats_file *v, size_t n);

#endif
