/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a request head, and any lines as what access is judged by: host, origin,
 * authorization, allowed hosts, token. What is let in has to be what the rules say.
 */
#include "admin/access.h"
#include "admin/head.h"
#include "admin/routes.h"
#include "base/ensure.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static size_t count_of(const char *text, size_t size, const char *what)
{
    size_t count = 0, length = strlen(what);
    for (size_t i = 0; i + length <= size; i++)
        count += memcmp(text + i, what, length) == 0;
    return count;
}

/* The same bytes are judged alike whether they come at once or one by one. */
static void check_head(const char *data, size_t size)
{
    struct head head, part;
    enum head_state whole = head_parse(data, size, &head), state = HEAD_MORE;
    size_t used = 0;
    while (used < size && used < HEAD_MAX && state == HEAD_MORE)
        state = head_parse(data, ++used, &part);
    if (state != HEAD_MORE || size < HEAD_MAX)
        ENSURE(state == whole);
    ENSURE(whole != HEAD_REFUSED || (head.status >= 400 && head.why != NULL));
    if (whole != HEAD_DONE)
        return;
    ENSURE(head.size == used && part.size == head.size && part.body == head.body);
    ENSURE(head.size <= size && head.size <= HEAD_MAX && head.body <= EXCHANGE_BODY_MAX);
    ENSURE(memcmp(data + head.size - 4, "\r\n\r\n", 4) == 0);
    ENSURE(memchr(data, '\0', head.size) == NULL);
    ENSURE(count_of(data, head.size, "\n") == count_of(data, head.size, "\r\n"));
    ENSURE(count_of(data, head.size, "\r\n") <= HEAD_FIELDS_MAX + 2);
    const char *line = memchr(data, '\r', head.size), *target = memchr(data, ' ', head.size);
    ENSURE(target < line && target[1] == '/');
    ENSURE(count_of(target, (size_t)(line - target), "%00") == 0);
    ENSURE(count_of(target, (size_t)(line - target), "&") <= HEAD_PARTS_MAX);
}

/* The next line, or NULL for an empty or a missing one. */
static const char *next_line(char **rest)
{
    char *line = *rest;
    if (line == NULL)
        return NULL;
    char *end = strchr(line, '\n');
    *rest = end != NULL ? end + 1 : NULL;
    if (end != NULL)
        *end = '\0';
    return line[0] != '\0' ? line : NULL;
}

static void check_verdict(const struct access_ask *ask)
{
    struct access_verdict verdict = access_judge(ask);
    bool token = ask->token != NULL && ask->authorization != NULL &&
                 strncasecmp(ask->authorization, "Bearer ", 7) == 0 &&
                 strcmp(ask->authorization + 7, ask->token) == 0 && ask->token[0] != '\0';
    ENSURE(access_has_token(ask->authorization, ask->token) == token);
    enum admin_right right = ask->peer.local      ? ask->peer.trusted ? ADMIN_WRITE : ADMIN_NOTHING
                             : token              ? ADMIN_WRITE
                             : ask->peer.loopback ? ADMIN_READ
                                                  : ADMIN_PROBE;
    ENSURE(verdict.right == right);
    ENSURE(verdict.status == 0 || verdict.why != NULL);
    if (verdict.status != 0)
        return;
    ENSURE(right >= ask->needed && right > ADMIN_NOTHING);
    bool foreign = ask->fetch_site != NULL && (strcmp(ask->fetch_site, "cross-site") == 0 ||
                                               strcmp(ask->fetch_site, "same-site") == 0);
    bool followed = ask->fetch_mode != NULL && strcmp(ask->fetch_mode, "navigate") == 0 &&
                    (ask->fetch_dest == NULL || strcmp(ask->fetch_dest, "document") == 0);
    ENSURE(!foreign || followed || (ask->needed <= ADMIN_PROBE && !ask->writes));
    if (!ask->writes)
        return;
    ENSURE(ask->custom != NULL && strcmp(ask->custom, "1") == 0);
    ENSURE(ask->origin == NULL ||
           (ask->host != NULL && strcasestr(ask->origin, ask->host) != NULL));
    ENSURE(!foreign);
}

static void check_access(char *text, unsigned char bits)
{
    struct access_ask ask = {.peer = {.local = bits & 1, .trusted = bits & 2, .loopback = bits & 4},
                             .writes = bits & 8,
                             .needed = (enum admin_right)((bits >> 4) & 3)};
    ask.host = next_line(&text);
    ask.origin = next_line(&text);
    ask.fetch_site = next_line(&text);
    ask.fetch_mode = next_line(&text);
    ask.custom = next_line(&text);
    ask.authorization = next_line(&text);
    ask.token = next_line(&text);
    ask.allowed_hosts = next_line(&text);
    ask.fetch_dest = next_line(&text);
    check_verdict(&ask);
    if (access_admits_host(&ask) && ask.host != NULL && !ask.peer.local) {
        size_t size = strcspn(ask.host, ":");
        bool listed = ask.allowed_hosts != NULL;
        bool literal = ask.host[0] == '[' || strspn(ask.host, "0123456789.") == size;
        ENSURE(literal || listed || (size == 9 && strncasecmp(ask.host, "localhost", 9) == 0));
    }
}

static void check_routes(const char *path)
{
    struct routes_found found;
    unsigned status = routes_find(NULL, "GET", path, &found);
    ENSURE(status == 404 || strlen(found.rest) <= strlen(path));
    ENSURE((status == 0) == (found.view != NULL));
    ENSURE(status != 405 || found.allow[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_head((const char *)data, size);
    if (size == 0)
        return 0;
    char *text = malloc(size);
    ENSURE(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check_routes(text);
    check_access(text, data[0]);
    free(text);
    return 0;
}
