/*
 * The contracts around qmgr: their tables are sound, the largest records fit,
 * and what is newer than a version is left out there.
 */
#include <string.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/proto/address.h"
#include "common/proto/bounce.h"
#include "common/proto/control.h"
#include "common/proto/delivery.h"
#include "common/proto/etrn.h"
#include "common/proto/notice.h"
#include "common/proto/transfer.h"

Suite *proto_qmgr_suite(void);

static const struct chan_contract *const contracts[] = {&address_contract,
    &bounce_contract, &control_contract, &delivery_contract, &etrn_contract,
    &notice_contract, &transfer_contract};

START_TEST(test_sound)
{
	struct buf why = BUF_INIT(1000);

	ck_assert_msg(chan_contract_check(contracts[_i], &why), "%s: %s",
	    contracts[_i]->name, why.s);
	buf_free(&why);
}
END_TEST

/* Encoded for that version and read again. */
static bool
round_trip(const struct chan_contract *ct, uint16_t version, enum chan_side
    from, uint16_t type, const void *msg, void *out, size_t size,
    struct chan_arena *arena)
{
	static struct buf frame = BUF_INIT(4 * 1024 * 1024);
	const char *why = NULL;
	uint16_t got;

	buf_reset(&frame);
	chan_encode(ct, version, type, msg, &frame);
	return !frame.overflow && chan_decode(ct, version, from,
	    slice_sub(buf_slice(&frame), 4, frame.len), arena, &got, out, size,
	    &why) && got == type;
}

static const struct {
	uint16_t version;
	const char *envid;
} notices[] = {{1, ""}, {2, "QQ314159"}};

START_TEST(test_notice)
{
	struct env_recipient r = {SLICE("a@x.example"), SLICE("rfc822;b"), 4};
	struct notice_new n = {.id = SLICE("01jar9fq3raaaaaaaaaa"),
	    .from = SLICE("s@x.example"), .envid = SLICE("QQ314159"),
	    .nrcpts = 1, .recipients = {&r, 1}};
	struct chan_arena *arena = chan_arena_new();
	union notice_msg out;

	ck_assert(round_trip(&notice_contract, notices[_i].version,
	    CHAN_CLIENT, NOTICE_NEW, &n, &out, sizeof(out), arena));
	ck_assert(slice_eq(out.new_message.envid,
	    slice_of(notices[_i].envid)));
	ck_assert_uint_eq(out.new_message.recipients.n, 1);
	chan_arena_free(&arena);
}
END_TEST

START_TEST(test_resolved)
{
	struct address_resolved a = {.rid = 7, .result = ADDRESS_REMOTE,
	    .text = SLICE_EMPTY, .route = SLICE("smtp:[192.0.2.1]")};
	struct chan_arena *arena = chan_arena_new();
	union address_msg out;

	ck_assert(round_trip(&address_contract, notices[_i].version,
	    CHAN_SERVER, ADDRESS_RESOLVED, &a, &out, sizeof(out), arena));
	ck_assert_uint_eq(out.resolved.route.len, _i == 0 ? 0 : a.route.len);
	chan_arena_free(&arena);
}
END_TEST

/* As many recipients as there may be, as long as they may be. */
START_TEST(test_transfer)
{
	static struct transfer_rcpt v[TRANSFER_RCPTS_MAX];
	static char address[ENV_ADDRESS_MAX], orcpt[ENV_ORCPT_MAX];
	struct transfer_job job = {.job = UINT64_MAX,
	    .id = SLICE("01jar9fq3raaaaaaaaaa"),
	    .sender = slice_mem(address, sizeof(address)),
	    .envid = SLICE("x"), .domain = SLICE("x.example"),
	    .route = SLICE(""), .recipients = {v, TRANSFER_RCPTS_MAX}};
	struct chan_arena *arena = chan_arena_new();
	const struct transfer_rcpt *got;
	union transfer_msg out;

	memset(address, 'a', sizeof(address));
	memset(orcpt, 'o', sizeof(orcpt));
	for (uint32_t i = 0; i < TRANSFER_RCPTS_MAX; i++)
		v[i] = (struct transfer_rcpt){i + 1,
		    slice_mem(address, sizeof(address)),
		    slice_mem(orcpt, sizeof(orcpt)), 15};
	/* the descriptor does not travel in the octets */
	ck_assert(round_trip(&transfer_contract, 1, CHAN_CLIENT, TRANSFER_JOB,
	    &job, &out, sizeof(out), arena));
	ck_assert_uint_eq(out.job.recipients.n, TRANSFER_RCPTS_MAX);
	got = out.job.recipients.v;
	ck_assert_uint_eq(got[999].number, 1000);
	ck_assert_uint_eq(got[999].orcpt.len, ENV_ORCPT_MAX);
	chan_arena_free(&arena);
}
END_TEST

START_TEST(test_control)
{
	struct control_dest_info info = {.dest = SLICE("x.example"),
	    .paused = 1, .reason = SLICE("r"), .running = 2, .limit = 3,
	    .ready = 4, .waiting = 5, .next_ms = 6, .failed_ms = 7,
	    .error = SLICE("e")};
	struct chan_arena *arena = chan_arena_new();
	union control_msg out;

	ck_assert(round_trip(&control_contract, 2, CHAN_SERVER,
	    CONTROL_DEST_INFO, &info, &out, sizeof(out), arena));
	ck_assert_uint_eq(out.dest_info.waiting, 5);
	ck_assert(slice_eq(out.dest_info.error, SLICE("e")));
	ck_assert_uint_eq(out.dest_info.last, 0);
	chan_arena_free(&arena);
}
END_TEST

Suite *
proto_qmgr_suite(void)
{
	Suite *s = suite_create("proto_qmgr");
	TCase *t = tcase_create("contracts");

	tcase_add_loop_test(t, test_sound, 0,
	    (int)(sizeof(contracts) / sizeof(contracts[0])));
	tcase_add_loop_test(t, test_notice, 0, 2);
	tcase_add_loop_test(t, test_resolved, 0, 2);
	tcase_add_test(t, test_transfer);
	tcase_add_test(t, test_control);
	suite_add_tcase(s, t);
	return s;
}
