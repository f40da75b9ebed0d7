#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define READ_BYTES (256u << 10)
#define HEADER_BYTES 4096 /* the longest upgrade response; also limits what a resting client has read */
#define LOST 1006

static void ensure(struct leftover *buffer, size_t capacity)
{
    if (buffer->capacity >= capacity)
        return;
    buffer->bytes = must_allocate(buffer->bytes, capacity);
    buffer->capacity = capacity;
}

static void append(struct leftover *buffer, const uint8_t *bytes, size_t length)
{
    ensure(buffer, buffer->length + length);
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

static void discard(struct leftover *buffer)
{
    free(buffer->bytes);
    *buffer = (struct leftover){0};
}

static void end(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    client->state = CLIENT_CLOSED;
    discard(&client->partial);
    discard(&client->message);
}

static void lose(struct client *client, struct shared *shared)
{
    if (client->state == CLIENT_OPEN)
        shared->closed[LOST]++;
    else if (client->state == CLIENT_UPGRADING)
        shared->failed_upgrades++;
    else
        shared->failed_connects++;
    end(client);
}

void client_begin(struct client *client, struct shared *shared)
{
    client->fd = begin_connect(&shared->address);
    client->state = client->fd < 0 ? CLIENT_CLOSED : CLIENT_CONNECTING;
    if (client->fd < 0)
        shared->failed_connects++;
}

void client_writable(struct client *client, struct shared *shared)
{
    char request[HEADER_BYTES];
    if (client->state != CLIENT_CONNECTING)
        return;
    size_t length = ws_request(request, sizeof request, shared->host, shared->paths[client->path],
                               client->accept);
    if (!length)
        die("the path is too long");
    if (connect_error(client->fd) || send(client->fd, request, length, 0) != (ssize_t)length)
        lose(client, shared);
    else
        client->state = CLIENT_UPGRADING;
}

/* Control frames are a few bytes into an empty send buffer; one that does not fit is let go. */
static void answer(struct client *client, enum ws_opcode opcode, const struct ws_frame *frame)
{
    uint8_t out[131];
    size_t length = ws_control(out, opcode, frame->payload, frame->length);
    ssize_t sent = send(client->fd, out, length, MSG_DONTWAIT);
    (void)sent;
}

static void take_close(struct client *client, struct shared *shared, const struct ws_frame *frame)
{
    unsigned code = frame->length >= 2 ? (unsigned)frame->payload[0] << 8 | frame->payload[1] : 1005;
    shared->closed[code < CLOSE_CODES ? code : 0]++;
    answer(client, WS_CLOSE, frame);
    end(client);
}

static void take_data(struct client *client, struct shared *shared, const struct ws_frame *frame,
                      uint64_t now)
{
    struct tally *tally = client->slow ? &shared->slow_tally : &shared->tally;
    const uint8_t *text = frame->payload;
    size_t length = frame->length;
    if (!frame->final || frame->opcode == WS_CONTINUATION) {
        append(&client->message, text, length);
        if (!frame->final)
            return;
        text = client->message.bytes;
        length = client->message.length;
    }
    tally_message(tally, &client->reader, &shared->rules, (const char *)text, length, now);
    client->message.length = 0;
}

static void take_frame(struct client *client, struct shared *shared, const struct ws_frame *frame,
                       uint64_t now)
{
    switch (frame->opcode) {
    case WS_TEXT:
    case WS_CONTINUATION:
        take_data(client, shared, frame, now);
        break;
    case WS_PING:
        shared->pings++;
        answer(client, WS_PONG, frame);
        break;
    case WS_CLOSE:
        take_close(client, shared, frame);
        break;
    case WS_PONG:
        break;
    default:
        shared->broken++;
        end(client);
    }
}

/* Keep `length` bytes for the next read; a large buffer that is no longer needed is given back. */
static void keep(struct client *client, const uint8_t *bytes, size_t length)
{
    client->partial.length = 0;
    if (length)
        append(&client->partial, bytes, length);
    else if (client->partial.capacity > READ_BYTES / 4)
        discard(&client->partial);
}

static void take_frames(struct client *client, struct shared *shared, const uint8_t *bytes, size_t length,
                        uint64_t now)
{
    struct ws_frame frame;
    enum ws_result result = WS_INCOMPLETE;
    while (client->state == CLIENT_OPEN && (result = ws_parse(bytes, length, &frame)) == WS_FRAME) {
        take_frame(client, shared, &frame, now);
        bytes += frame.whole;
        length -= frame.whole;
    }
    if (client->state != CLIENT_OPEN)
        return;
    if (result == WS_BROKEN) {
        shared->broken++;
        end(client);
        return;
    }
    keep(client, bytes, length);
}

/* `bytes` is zero-terminated. Frames may follow the header in the same read. */
static void take_upgrade(struct client *client, struct shared *shared, uint8_t *bytes, size_t length,
                         uint64_t now)
{
    char *header = (char *)bytes;
    char *behind = strstr(header, "\r\n\r\n");
    if (!behind && length < HEADER_BYTES) {
        keep(client, bytes, length);
        return;
    }
    if (!behind || !ws_accepted(header, client->accept)) {
        if (!shared->refusal[0])
            strncpy(shared->refusal, header, SAMPLE_BYTES - 1);
        shared->failed_upgrades++;
        end(client);
        return;
    }
    size_t used = (size_t)(behind + 4 - header);
    client->state = CLIENT_OPEN;
    if (client->resting)
        keep(client, bytes + used, length - used);
    else
        take_frames(client, shared, bytes + used, length - used, now);
}

void client_readable(struct client *client, struct shared *shared)
{
    size_t before = client->partial.length;
    size_t room = client->state == CLIENT_UPGRADING ? HEADER_BYTES : READ_BYTES;
    ensure(&shared->input, before + room + 1);
    uint8_t *bytes = shared->input.bytes;
    if (before)
        memcpy(bytes, client->partial.bytes, before);
    ssize_t got = recv(client->fd, bytes + before, room, 0);
    uint64_t now = now_ns();
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lose(client, shared);
        return;
    }
    bytes[before + (size_t)got] = 0;
    (client->slow ? &shared->slow_tally : &shared->tally)->bytes += (uint64_t)got;
    if (client->state == CLIENT_UPGRADING)
        take_upgrade(client, shared, bytes, before + (size_t)got, now);
    else
        take_frames(client, shared, bytes, before + (size_t)got, now);
}
