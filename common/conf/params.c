/*
 * The table of parameters, built from params.def: what conf.c reads by,
 * `postern check` shows and lint compares with postern.conf(5).
 */
#include "common/conf/conf.h"

#define ROW(k, type, d, lo, hi, words)                                         \
	{#k, type, d, lo, hi, words, offsetof(struct conf, k)},
#define P_STRING(k, d) ROW(k, CONF_STRING, d, 0, 0, NULL)
#define P_PATH(k, d) ROW(k, CONF_PATH, d, 1, 0, NULL)
#define P_PATH_OR_NONE(k, d) ROW(k, CONF_PATH, d, 0, 0, NULL)
#define P_BOOL(k, d) ROW(k, CONF_BOOL, d, 0, 0, "yes|no")
#define P_NUMBER(k, d, lo, hi) ROW(k, CONF_NUMBER, d, lo, hi, NULL)
#define P_SIZE(k, d, lo, hi) ROW(k, CONF_SIZE, d, lo, hi, NULL)
#define P_TIME(k, d, lo, hi)                                                   \
	{#k, CONF_TIME, d, lo, hi, NULL, offsetof(struct conf, k##_ms)},
#define P_LIST(k, d) ROW(k, CONF_LIST, d, 0, 0, NULL)
#define P_NETS(k, d) ROW(k, CONF_NETS, d, 0, 0, NULL)
#define P_MODE(k, d) ROW(k, CONF_MODE, d, 0, 07777, NULL)
#define P_CHOICE(k, d, words) ROW(k, CONF_CHOICE, d, 0, 0, words)

const struct conf_param conf_params[] = {
#include "common/conf/params.def"
};

const size_t conf_nparams = sizeof(conf_params) / sizeof(conf_params[0]);
