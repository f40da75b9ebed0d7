/* SHA-1 of a short text, which the WebSocket handshake needs (RFC 3174, RFC 6455 section 4.2.2). */
#ifndef BENCH_SHA1_H
#define BENCH_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_BYTES 20
#define SHA1_LONGEST 119 /* two blocks, less the padding: enough for a key and the GUID */

void sha1(const char *text, size_t length, uint8_t digest[SHA1_BYTES]);

#endif
