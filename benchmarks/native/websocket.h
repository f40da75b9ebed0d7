/* The client's side of RFC 6455, as pure functions over bytes. No extensions. */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_ACCEPT_SIZE 29              /* 28 characters of base64 and the terminating zero */
#define WS_LARGEST_FRAME (16u << 20)   /* a longer frame is taken for a protocol error */

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

enum ws_result { WS_FRAME, WS_INCOMPLETE, WS_BROKEN };

struct ws_frame {
    bool final;
    int opcode;
    const uint8_t *payload;
    size_t length;      /* of the payload */
    size_t whole;       /* header and payload */
};

/* Write an upgrade request with a fresh random key; `accept` becomes the answer that it must get.
   Returns the request's length, or 0 when `out` is too small. */
size_t ws_request(char *out, size_t size, const char *host, const char *path, char accept[WS_ACCEPT_SIZE]);

/* Whether a complete, zero-terminated response header upgrades the connection as `accept` demands. */
bool ws_accepted(const char *header, const char *accept);

/* Read the frame at the start of `bytes` (section 5.2). */
enum ws_result ws_parse(const uint8_t *bytes, size_t length, struct ws_frame *frame);

/* Write a masked control frame (payload of at most 125 bytes) into `out` (131 bytes); returns its length. */
size_t ws_control(uint8_t *out, enum ws_opcode opcode, const uint8_t *payload, size_t length);

#endif
