/*
 * Fuzz entry of the SASL mechanisms: any client against each of them.  The
 * first octet chooses the mechanism; then its messages, each ended by a 0xff
 * octet.  Whatever comes, nobody gets in, and the machine stays in its bounds.
 */
#include <assert.h>
#include <stdint.h>

#include "authd/sasl.h"
#include "common/conf/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char stored[] = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sasl_facts facts = {SLICE_INIT("mx.example"),
	    SLICE_INIT("exporter"), SLICE_INIT("end point"),
	    SLICE_INIT("fingerprint"), SLICE_INIT("key"), 4096, false,
	    SECRETS_POP3};
	static struct secrets secrets;
	struct slice rest, part;
	enum sasl_result result;
	struct sasl x;
	int steps = 0;

	if (size == 0)
		return 0;
	secrets.n = 2;
	secrets.v[0] = (struct secret){slice_of(stored), SLICE("a"),
	    SECRETS_EVERYWHERE};
	secrets.v[1] = (struct secret){SLICE("{PLAIN}nobody can guess it"),
	    SLICE_EMPTY, SECRETS_EVERYWHERE};
	sasl_init(&x, &sasl_mechanisms[data[0] % sasl_nmechanisms], &facts);
	rest = slice_mem(data + 1, size - 1);
	part = SLICE_EMPTY;
	result = sasl_start(&x, slice_cut(&rest, (char)0xff, &part), part);
	while (steps++ < 20) {
		if (result == SASL_ACCOUNT)
			result = sasl_account(&x, &secrets);
		if (result == SASL_DERIVE)
			result = sasl_derived(&x, false);
		if (result == SASL_TOKEN)
			result = sasl_token(&x, false);
		if (result != SASL_MORE || !slice_cut(&rest, (char)0xff,
		    &part))
			break;
		result = sasl_step(&x, part);
	}
	assert(result != SASL_GOOD);
	assert(x.text.len <= SASL_TEXT_MAX);
	sasl_free(&x);
	return 0;
}
