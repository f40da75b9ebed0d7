#include "websocket.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "sha1.h"
#include "support.h"

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char ACCEPT_GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static void base64(const uint8_t *bytes, size_t length, char *out)
{
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? bytes[i + 2] : 0;
        *out++ = BASE64[group >> 18];
        *out++ = BASE64[group >> 12 & 63];
        *out++ = left > 1 ? BASE64[group >> 6 & 63] : '=';
        *out++ = left > 2 ? BASE64[group & 63] : '=';
    }
    *out = 0;
}

static void random_bytes(void *out, size_t length)
{
    if (getrandom(out, length, 0) != (ssize_t)length)
        die("no random bytes");
}

size_t ws_request(char *out, size_t size, const char *host, const char *path, char accept[WS_ACCEPT_SIZE])
{
    uint8_t nonce[16];
    uint8_t digest[SHA1_BYTES];
    char key[25];
    char joined[sizeof key + sizeof ACCEPT_GUID];
    random_bytes(nonce, sizeof nonce);
    base64(nonce, sizeof nonce, key);
    snprintf(joined, sizeof joined, "%s%s", key, ACCEPT_GUID);
    sha1(joined, strlen(joined), digest);
    base64(digest, sizeof digest, accept);
    int length = snprintf(out, size,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          path, host, key);
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

bool ws_accepted(const char *header, const char *accept)
{
    static const char name[] = "\r\nsec-websocket-accept:";
    if (strncmp(header, "HTTP/1.1 101 ", 13) != 0)
        return false;
    const char *value = strcasestr(header, name);
    if (!value)
        return false;
    value += sizeof name - 1;
    value += strspn(value, " \t");
    return strncmp(value, accept, WS_ACCEPT_SIZE - 1) == 0;
}

static size_t big_endian(const uint8_t *bytes, size_t count)
{
    size_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* A server must not mask (5.1) or use reserved bits (5.2); control frames are short and whole (5.5). */
static bool header_allowed(const uint8_t *bytes)
{
    bool control = bytes[0] & 0x08;
    bool final = bytes[0] & 0x80;
    int opcode = bytes[0] & 0x0f;
    if (bytes[0] & 0x70 || bytes[1] & 0x80)
        return false;
    if (control)
        return final && (bytes[1] & 0x7f) <= 125 && opcode <= WS_PONG;
    return opcode <= WS_BINARY;
}

enum ws_result ws_parse(const uint8_t *bytes, size_t length, struct ws_frame *frame)
{
    if (length < 2)
        return WS_INCOMPLETE;
    if (!header_allowed(bytes))
        return WS_BROKEN;
    size_t extended = (bytes[1] & 0x7f) == 126 ? 2 : (bytes[1] & 0x7f) == 127 ? 8 : 0;
    if (length < 2 + extended)
        return WS_INCOMPLETE;
    size_t payload = extended ? big_endian(bytes + 2, extended) : bytes[1] & 0x7f;
    if (payload > WS_LARGEST_FRAME)
        return WS_BROKEN;
    *frame = (struct ws_frame){.final = bytes[0] & 0x80,
                               .opcode = bytes[0] & 0x0f,
                               .payload = bytes + 2 + extended,
                               .length = payload,
                               .whole = 2 + extended + payload};
    return length < frame->whole ? WS_INCOMPLETE : WS_FRAME;
}

size_t ws_control(uint8_t *out, enum ws_opcode opcode, const uint8_t *payload, size_t length)
{
    uint8_t mask[4];
    random_bytes(mask, sizeof mask);
    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = (uint8_t)(0x80 | length);
    memcpy(out + 2, mask, sizeof mask);
    for (size_t i = 0; i < length; i++)
        out[6 + i] = payload[i] ^ mask[i & 3];
    return 6 + length;
}
