#include "post.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "support.h"

#define HEADER_ROOM 512
#define EVENT_ROOM 512 /* an event's fields without its text */

static const char PROSE[] =
    "Read the module and changed the way in which a position is kept while a page is being read, so that the "
    "head cannot move between the check and the join; the tests of the reader pass, the slow client was run "
    "twice, and one more case was added for a stream that is cleared under a reader. Next: look at the file "
    "that the plan names, run the checks again, and say what is left. ";

/* Stamps of one post differ, so that each event can be told from every other: 10 ns lie between two. */
static uint64_t stamp(uint64_t now, const struct event_shape *shape, unsigned index)
{
    return (now / 10 - (shape->count - 1 - index)) * 10 + shape->tag;
}

static size_t write_event(char *out, const struct event_shape *shape, uint64_t sent)
{
    int fields = sprintf(out,
                         "{\"type\":\"tool_call\",\"data\":{\"tool_name\":\"Edit\",\"sent_ns\":%" PRIu64
                         ",\"agent_id\":\"claude-code\",\"status\":\"completed\",\"model\":\"claude-opus\","
                         "\"execution_duration_seconds\":0.345,\"cost_tokens\":125,"
                         "\"feature_id\":\"feat-456\","
                         "\"input_summary\":\"Edit: src/main.py:45-52\",\"output_summary\":\"",
                         sent);
    size_t length = (size_t)fields;
    while (length + 3 < shape->event_bytes) {
        size_t room = shape->event_bytes - 3 - length;
        size_t piece = room < sizeof PROSE - 1 ? room : sizeof PROSE - 1;
        memcpy(out + length, PROSE, piece);
        length += piece;
    }
    memcpy(out + length, "\"}}", 3);
    return length + 3;
}

/* The body is written behind room for the header, whose length depends on the body's. */
void post_prepare(struct post_connection *connection, const struct event_shape *shape)
{
    size_t capacity = HEADER_ROOM + (size_t)shape->count * (shape->event_bytes + EVENT_ROOM);
    if (connection->request_capacity < capacity) {
        connection->request = must_allocate(connection->request, capacity);
        connection->request_capacity = capacity;
    }
    uint64_t now = now_ns();
    char *body = connection->request + HEADER_ROOM;
    size_t length = 0;
    for (unsigned i = 0; i < shape->count; i++) {
        body[length++] = i ? ',' : '[';
        length += write_event(body + length, shape, stamp(now, shape, i));
    }
    body[length++] = ']';
    char header[HEADER_ROOM];
    int size = snprintf(header, sizeof header,
                        "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        shape->target, shape->host, length);
    if (size < 0 || (size_t)size >= sizeof header)
        die("the path is too long");
    memmove(connection->request + size, body, length);
    memcpy(connection->request, header, (size_t)size);
    connection->request_length = (size_t)size + length;
    connection->written = connection->answer_length = 0;
    connection->in_flight = true;
    connection->events = shape->count;
    connection->sent_ns = now;
}

bool post_written(const struct post_connection *connection)
{
    return connection->written == connection->request_length;
}

bool post_write(struct post_connection *connection)
{
    while (!post_written(connection)) {
        ssize_t sent = send(connection->fd, connection->request + connection->written,
                            connection->request_length - connection->written, 0);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        connection->written += (size_t)sent;
    }
    return true;
}

/* Only answers with a Content-Length are understood. */
static struct answer parse(const char *text, size_t length)
{
    static const char field[] = "\r\nContent-Length:";
    const char *behind = strstr(text, "\r\n\r\n");
    if (!behind)
        return (struct answer){.status = length < ANSWER_BYTES ? 0 : -1};
    const char *size = strcasestr(text, field);
    if (!size || size > behind || strncmp(text, "HTTP/1.1 ", 9) != 0)
        return (struct answer){.status = -1};
    size_t whole = (size_t)(behind + 4 - text) + strtoul(size + sizeof field - 1, NULL, 10);
    if (whole > ANSWER_BYTES)
        return (struct answer){.status = -1};
    return (struct answer){.status = length < whole ? 0 : atoi(text + 9), .body = behind + 4};
}

struct answer post_read(struct post_connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->answer_length,
                       ANSWER_BYTES - connection->answer_length, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return (struct answer){0};
    if (got <= 0)
        return (struct answer){.status = -1};
    connection->answer_length += (size_t)got;
    connection->answer[connection->answer_length] = 0;
    return parse(connection->answer, connection->answer_length);
}
