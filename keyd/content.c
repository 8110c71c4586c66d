/*
 * The form of what sessions ask to have signed.  A session that an attacker
 * took over can sign handshakes as long as it lives, for that is its work; it
 * gets no signature that means something elsewhere: no client's, no message's,
 * no certificate's.  Runs in keyd's workers; the input is the session's.
 */
#include "common/proto/key.h"
#include "keyd/content.h"

/* RFC 8446 4.4.3: 64 spaces, the context, a zero, the transcript's hash */
#define SPACES 64
static const char context[] = "TLS 1.3, server CertificateVerify";
/* RFC 8422 5.4: both randoms, named_curve(3), curve, length of the point */
#define RANDOMS 64
#define CURVE_HEAD 4
#define NAMED_CURVE 3

static bool
certificate_verify(struct slice s)
{
	size_t i, head = SPACES + sizeof(context); /* with its zero */

	if (s.len != head + 32 && s.len != head + 48)
		return false;
	for (i = 0; i < SPACES; i++)
		if (s.p[i] != ' ')
			return false;
	return memcmp(s.p + SPACES, context, sizeof(context)) == 0;
}

static bool
key_exchange(struct slice s)
{
	static const struct {
		size_t len;
		unsigned curve;
		bool point; /* uncompressed: opens with 4 */
	} curves[] = {
		{65, 23, true},  /* secp256r1 */
		{97, 24, true},  /* secp384r1 */
		{133, 25, true}, /* secp521r1 */
		{32, 29, false}, /* x25519 */
		{56, 30, false}, /* x448 */
	};
	const unsigned char *p = (const unsigned char *)s.p + RANDOMS;
	unsigned curve;
	size_t len, i;

	if (s.len < RANDOMS + CURVE_HEAD || p[0] != NAMED_CURVE)
		return false;
	curve = (unsigned)p[1] << 8 | p[2];
	len = s.len - RANDOMS - CURVE_HEAD;
	for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (curves[i].curve == curve)
			return len == curves[i].len && p[3] == len &&
			    (!curves[i].point || p[4] == 4);
	return false;
}

bool
content_allowed(uint32_t scheme, struct slice content, bool old,
    const char **why)
{
	bool sha1 = scheme == KEY_RSA_PKCS1_SHA1 || scheme == KEY_ECDSA_SHA1 ||
	    scheme == KEY_RSA_MD5_SHA1;
	/* RFC 8446 4.2.3: not in TLS 1.3 */
	bool pkcs1 = scheme == KEY_RSA_PKCS1_SHA256 ||
	    scheme == KEY_RSA_PKCS1_SHA384 || scheme == KEY_RSA_PKCS1_SHA512;

	if (sha1 && !old) {
		*why = "SHA-1 is for TLS before 1.2 (tls_min)";
		return false;
	}
	if ((!sha1 && !pkcs1 && certificate_verify(content)) ||
	    key_exchange(content))
		return true;
	*why = "no server's part of a TLS handshake";
	return false;
}
