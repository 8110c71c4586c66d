/*
 * What a message asks for by its age, and who is to hear of it.
 */
#ifndef QMGR_DUTY_H
#define QMGR_DUTY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct message;
struct qmgr;
struct qrcpt;

/* It has a deadline at which it is returned. */
bool duty_deadline(const struct message *m);
/* The end of its lifetime, or that deadline (wall clock). */
int64_t duty_end_ms(const struct qmgr *qm, const struct message *m);
bool duty_over(const struct qmgr *qm, const struct message *m, int64_t now_ms);
/* The sender is to hear that it takes long; because of a deadline. */
bool duty_warn(const struct qmgr *qm, const struct message *m, int64_t now_ms);
bool duty_late(const struct message *m, int64_t now_ms);
/* The sender is to be told anything. */
bool duty_due(const struct qmgr *qm, const struct message *m, int64_t now_ms);
/* When something must be done for it even if no recipient is tried; WAIT_NEVER
 * if nothing will. */
int64_t duty_next_ms(const struct qmgr *qm, const struct message *m,
    int64_t now_ms);
/* The reverse-path that holds for a recipient. */
struct slice duty_sender(const struct message *m, const struct qrcpt *row);

#endif
