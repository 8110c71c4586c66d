/*
 * The field tables of the envelope: what a channel record and the queue file
 * carry of it, with the limits both keep.  Linked into every program that takes
 * in, stores or delivers mail; holds no code, so it sees nobody's input itself.
 */
#include "common/mail/envelope.h"
#include "common/mail/id.h"

#define RCPT(member) offsetof(struct env_recipient, member)
#define ENV(member) offsetof(struct envelope, member)

const struct chan_field env_recipient_fields[] = {
	{"address", 1, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    RCPT(address), NULL},
	{"orcpt", 2, FIELD_STR, ENV_ORCPT_MAX, 0, false, 1, RCPT(orcpt), NULL},
	{"notify", 3, FIELD_U32, 15, 0, false, 1, RCPT(notify), NULL},
};

const struct chan_record env_recipient_record = {
	"recipient", 0, 0, 0, sizeof(struct env_recipient),
	env_recipient_fields,
	sizeof(env_recipient_fields) / sizeof(env_recipient_fields[0])};

#define EDIT(m) offsetof(struct env_edit, m)

static const struct chan_field env_edit_fields[] = {
	{"offset", 1, FIELD_U64, 0, 0, true, 1, EDIT(offset), NULL},
	{"skip", 2, FIELD_U64, 0, 0, false, 1, EDIT(skip), NULL},
	{"text", 3, FIELD_STR, ENV_EDIT_TEXT_MAX, 0, false, 1, EDIT(text),
	    NULL},
};

const struct chan_record env_edit_record = {
	"edit", 0, 0, 0, sizeof(struct env_edit), env_edit_fields,
	sizeof(env_edit_fields) / sizeof(env_edit_fields[0])};

const struct chan_field envelope_fields[ENVELOPE_NFIELDS] = {
	{"id", 1, FIELD_STR, ID_LEN, 0, true, 1, ENV(id), NULL},
	{"from", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1, ENV(from), NULL},
	{"flags", 3, FIELD_U32, 0, 0, false, 1, ENV(flags), NULL},
	{"envid", 4, FIELD_STR, ENV_ENVID_TEXT_MAX, 0, false, 1,
	    ENV(envid), NULL},
	{"by", 5, FIELD_U64, 0, 0, false, 1, ENV(by_at_ms), NULL},
	{"ip", 6, FIELD_STR, ENV_IP_MAX, 0, false, 1, ENV(client_ip), NULL},
	{"helo", 7, FIELD_STR, ENV_TEXT_MAX, 0, false, 1,
	    ENV(client_helo), NULL},
	{"protocol", 8, FIELD_STR, ENV_WORD_MAX, 0, false, 1,
	    ENV(protocol), NULL},
	{"login", 9, FIELD_STR, ENV_TEXT_MAX, 0, false, 1, ENV(login), NULL},
	{"sid", 10, FIELD_STR, ENV_WORD_MAX, 0, false, 1, ENV(sid), NULL},
	{"prepend", 11, FIELD_STR, ENV_RECEIVED_MAX, 0, false, 1,
	    ENV(prepend), NULL},
	{"recipients", 12, FIELD_LIST, 0, ENV_RCPTS_A_RECORD, false, 1,
	    ENV(recipients), &env_recipient_record},
};
