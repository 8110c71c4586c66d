/* What keyd counts. */
#include "keyd/counters.h"

#define SIGNED(word)                                                           \
	{"keyd_signatures_total{type=\"" word "\"}", STATS_COUNTER,            \
	    "Signatures made, by the kind of the key."}

const struct stats_row keyd_counters[COUNT_ALL] = {
	[COUNT_ASKED] = {"keyd_certificates_asked_total", STATS_COUNTER,
	    "Questions for the certificates of a name."},
	[COUNT_SIGNED_RSA] = SIGNED("rsa"),
	[COUNT_SIGNED_EC] = SIGNED("ecdsa"),
	[COUNT_SIGNED_ED25519] = SIGNED("ed25519"),
	[COUNT_SIGNED_DKIM] = SIGNED("dkim"),
	[COUNT_REFUSED] = {"keyd_refused_total", STATS_COUNTER,
	    "Requests for what is not signed, or beyond what a session may "
	    "ask."},
	[COUNT_SIGN_TIME] = {"keyd_signature_seconds", STATS_HISTOGRAM,
	    "How long one signature took."},
	[COUNT_LOADED] = {"keyd_loaded_total", STATS_COUNTER,
	    "Pairs of certificate and key read from files."},
	[COUNT_BAD_FILES] = {"keyd_unusable_total", STATS_COUNTER,
	    "Pairs read that could not be used."},
	[COUNT_PUT] = {"keyd_sessions_put_total", STATS_COUNTER,
	    "TLS sessions kept for resumption."},
	[COUNT_TAKEN] = {"keyd_sessions_taken_total", STATS_COUNTER,
	    "TLS sessions resumed."},
	[COUNT_MISSED] = {"keyd_sessions_missed_total", STATS_COUNTER,
	    "TLS sessions asked for that were not there (any more)."},
	[COUNT_CERTIFICATES] = {"tls_certificates", STATS_GAUGE,
	    "Certificates below tls_dir."},
	[COUNT_EXPIRING] = {"tls_certificates_expiring", STATS_GAUGE,
	    "Certificates among them that end within tls_expiry_warning."},
	[COUNT_UNUSABLE] = {"tls_folders_unusable", STATS_GAUGE,
	    "Folders below tls_dir without a certificate that can be used."},
	[COUNT_FIRST_EXPIRY] = {"tls_first_expiry_timestamp", STATS_GAUGE,
	    "When the first of them ends (seconds since 1970)."},
};
