/* What a session may have signed. */
#ifndef KEYD_CONTENT_H
#define KEYD_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

/*
 * True if content is a server's part of a TLS handshake in the form that goes
 * with the scheme: a CertificateVerify of TLS 1.3, or the parameters of a
 * ServerKeyExchange with an elliptic curve.  old: TLS 1.0 and 1.1 are served,
 * whose signatures have SHA-1.  False: *why.
 */
bool content_allowed(uint32_t scheme, struct slice content, bool old,
    const char **why);

#endif
