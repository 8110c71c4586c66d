/* Tables of the contract "address" (common/proto/address.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/address.h"
#include "common/proto/transfer.h"

static const struct chan_field address_target_fields[] = {
	{"kind", 1, FIELD_U32, DELIVERY_MAILDIR, 0, true, 1,
	    offsetof(struct address_target, kind), NULL},
	{"address", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    offsetof(struct address_target, address), NULL},
	{"user", 3, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct address_target, user), NULL},
	{"uid", 4, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct address_target, uid), NULL},
	{"gid", 5, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct address_target, gid), NULL},
	{"home", 6, FIELD_STR, DELIVERY_PATH_MAX, 0, false, 1,
	    offsetof(struct address_target, home), NULL},
	{"maildir", 7, FIELD_STR, DELIVERY_PATH_MAX, 0, false, 1,
	    offsetof(struct address_target, maildir), NULL},
	{"extension", 8, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct address_target, extension), NULL},
	{"program", 9, FIELD_STR, DELIVERY_PROGRAM_MAX, 0, false, 1,
	    offsetof(struct address_target, program), NULL},
	{"sender", 10, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct address_target, sender), NULL},
};

static const struct chan_record address_target_record = {
	"target", 0, 0, 0, sizeof(struct address_target), address_target_fields,
	sizeof(address_target_fields) / sizeof(address_target_fields[0])};

static const struct chan_field check_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_check, rid), NULL},
	{"address", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    offsetof(struct address_check, address), NULL},
};

static const struct chan_field checked_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_checked, rid), NULL},
	{"result", 2, FIELD_U32, ADDRESS_TEMP, 0, true, 1,
	    offsetof(struct address_checked, result), NULL},
	{"code", 3, FIELD_U32, 599, 0, false, 1,
	    offsetof(struct address_checked, code), NULL},
	{"subject", 4, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct address_checked, subject), NULL},
	{"detail", 5, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct address_checked, detail), NULL},
	{"text", 6, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct address_checked, text), NULL},
};

static const struct chan_field resolve_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_resolve, rid), NULL},
	{"address", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    offsetof(struct address_resolve, address), NULL},
	{"flags", 3, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct address_resolve, flags), NULL},
};

static const struct chan_field targets_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_targets, rid), NULL},
	{"targets", 2, FIELD_LIST, 0, ADDRESS_TARGETS_A_RECORD, true, 1,
	    offsetof(struct address_targets, targets), &address_target_record},
};

static const struct chan_field resolved_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_resolved, rid), NULL},
	{"result", 2, FIELD_U32, ADDRESS_TEMP, 0, true, 1,
	    offsetof(struct address_resolved, result), NULL},
	{"code", 3, FIELD_U32, 599, 0, false, 1,
	    offsetof(struct address_resolved, code), NULL},
	{"subject", 4, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct address_resolved, subject), NULL},
	{"detail", 5, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct address_resolved, detail), NULL},
	{"text", 6, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct address_resolved, text), NULL},
	{"route", 7, FIELD_STR, TRANSFER_ROUTE_MAX, 0, false, 2,
	    offsetof(struct address_resolved, route), NULL},
};

static const struct chan_field members_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_members, rid), NULL},
	{"result", 2, FIELD_U32, ADDRESS_TEMP, 0, true, 1,
	    offsetof(struct address_members, result), NULL},
	{"last", 3, FIELD_U32, 1, 0, false, 1,
	    offsetof(struct address_members, last), NULL},
	{"members", 4, FIELD_STRS, ENV_ADDRESS_MAX, ADDRESS_TARGETS_A_RECORD, false, 1,
	    offsetof(struct address_members, members), NULL},
	{"text", 5, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct address_members, text), NULL},
};

static const struct chan_field who_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_who, rid), NULL},
	{"uid", 2, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct address_who, uid), NULL},
};

static const struct chan_field user_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct address_user, rid), NULL},
	{"result", 2, FIELD_U32, ADDRESS_TEMP, 0, true, 1,
	    offsetof(struct address_user, result), NULL},
	{"name", 3, FIELD_STR, ADDRESS_LOGIN_MAX, 0, false, 1,
	    offsetof(struct address_user, name), NULL},
	{"full-name", 4, FIELD_STR, ADDRESS_FULL_NAME_MAX, 0, false, 1,
	    offsetof(struct address_user, full_name), NULL},
};

static const struct chan_record records[] = {
	{"check", ADDRESS_CHECK, CHAN_CLIENT, 0, sizeof(struct address_check), check_fields,
	    sizeof(check_fields) / sizeof(check_fields[0])},
	{"checked", ADDRESS_CHECKED, CHAN_SERVER, 0, sizeof(struct address_checked), checked_fields,
	    sizeof(checked_fields) / sizeof(checked_fields[0])},
	{"resolve", ADDRESS_RESOLVE, CHAN_CLIENT, 0, sizeof(struct address_resolve), resolve_fields,
	    sizeof(resolve_fields) / sizeof(resolve_fields[0])},
	{"targets", ADDRESS_TARGETS, CHAN_SERVER, 0, sizeof(struct address_targets), targets_fields,
	    sizeof(targets_fields) / sizeof(targets_fields[0])},
	{"resolved", ADDRESS_RESOLVED, CHAN_SERVER, 0, sizeof(struct address_resolved), resolved_fields,
	    sizeof(resolved_fields) / sizeof(resolved_fields[0])},
	{"expn", ADDRESS_EXPN, CHAN_CLIENT, 0, sizeof(struct address_check), check_fields,
	    sizeof(check_fields) / sizeof(check_fields[0])},
	{"members", ADDRESS_MEMBERS, CHAN_SERVER, 0, sizeof(struct address_members), members_fields,
	    sizeof(members_fields) / sizeof(members_fields[0])},
	{"who", ADDRESS_WHO, CHAN_CLIENT, 0, sizeof(struct address_who),
	    who_fields, sizeof(who_fields) / sizeof(who_fields[0])},
	{"user", ADDRESS_USER, CHAN_SERVER, 0, sizeof(struct address_user),
	    user_fields, sizeof(user_fields) / sizeof(user_fields[0])},
};

const struct chan_contract address_contract = {
	"address", 1, 2, 2097152, records, sizeof(records) / sizeof(records[0])};
