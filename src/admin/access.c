/* SPDX-License-Identifier: MIT */
#include "admin/access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 256

/* --- the host -------------------------------------------------------------------------------- */

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= 5 && text[digits] == '\0';
}

/* Splits "name", "name:port", "[v6]:port"; false: it is none of them. */
static bool split(char *text, const char **name, bool *bracketed)
{
    *bracketed = text[0] == '[';
    *name = *bracketed ? text + 1 : text;
    char *end = strchr(text, *bracketed ? ']' : ':');
    if (*bracketed && end == NULL)
        return false;
    const char *port = end == NULL ? "" : *bracketed ? end + 1 : end;
    bool good = port[0] == '\0' || (port[0] == ':' && is_port(port + 1));
    if (end != NULL)
        *end = '\0';
    return good && (*name)[0] != '\0';
}

static bool is_listed(const char *name, const char *list)
{
    size_t size = strlen(name);
    while (list != NULL && *list != '\0') {
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ", \t");
        if (length == size && strncasecmp(list, name, size) == 0)
            return true;
        list += length;
    }
    return false;
}

bool access_admits_host(const struct access_ask *ask)
{
    if (ask->peer.local || ask->host == NULL)
        return true;
    char text[HOST_MAX];
    const char *name = NULL;
    bool bracketed = false;
    if (snprintf(text, sizeof text, "%s", ask->host) >= (int)sizeof text ||
        !split(text, &name, &bracketed))
        return false;
    unsigned char address[sizeof(struct in6_addr)];
    if (bracketed)
        return inet_pton(AF_INET6, name, address) == 1;
    return inet_pton(AF_INET, name, address) == 1 || strcasecmp(name, "localhost") == 0 ||
           is_listed(name, ask->allowed_hosts);
}

/* --- the right ------------------------------------------------------------------------------- */

bool access_has_token(const char *authorization, const char *token)
{
    static const char scheme[] = "Bearer ";
    if (authorization == NULL || token == NULL || token[0] == '\0' ||
        strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *given = authorization + sizeof scheme - 1;
    size_t size = strlen(given), expected = strlen(token);
    volatile size_t differs = size ^ expected; /* so that nobody leaves the loop early */
    for (size_t i = 0; i < size; i++)
        differs |= (unsigned char)given[i] ^ (unsigned char)token[i % expected];
    return differs == 0;
}

static enum admin_right right_of(const struct access_ask *ask)
{
    if (ask->peer.local)
        return ask->peer.trusted ? ADMIN_WRITE : ADMIN_NOTHING;
    if (access_has_token(ask->authorization, ask->token))
        return ADMIN_WRITE;
    return ask->peer.loopback ? ADMIN_READ : ADMIN_PROBE;
}

static void lacks_right(const struct access_ask *ask, struct access_verdict *verdict)
{
    verdict->failed = true;
    verdict->status = 403;
    if (ask->peer.local) {
        verdict->why = "the unix socket answers root and the program's own user only";
    } else if (ask->token == NULL) {
        verdict->why = "not allowed over TCP here: use the unix socket, or set admin.token_file";
    } else if (ask->authorization != NULL) {
        verdict->why = "this is not the token";
    } else {
        verdict->status = 401;
        verdict->challenge = true;
        verdict->why = "needs the token: Authorization: Bearer ...";
    }
}

/* --- the site -------------------------------------------------------------------------------- */

/* "http://" and the Host; an https:// is a proxy's, before us. */
static bool is_same_origin(const char *origin, const char *host)
{
    size_t scheme = strncasecmp(origin, "http://", 7) == 0    ? 7
                    : strncasecmp(origin, "https://", 8) == 0 ? 8
                                                              : 0;
    return scheme > 0 && host != NULL && strcasecmp(origin + scheme, host) == 0;
}

/* A page of another site can make a browser send all that a form can; not this field, without
 * being asked first, to which we never say yes. */
static const char *why_cross_site(const struct access_ask *ask)
{
    if (ask->custom == NULL || strcmp(ask->custom, "1") != 0)
        return "a write needs the header field X-Srun-Admin: 1";
    if (ask->origin != NULL && !is_same_origin(ask->origin, ask->host))
        return "a write from another site: the Origin is not the Host";
    if (ask->fetch_site != NULL && strcmp(ask->fetch_site, "same-origin") != 0 &&
        strcmp(ask->fetch_site, "none") != 0)
        return "a write from another site: Sec-Fetch-Site is not same-origin";
    return NULL;
}

/* To a frame, an <object> and the like a browser navigates, too. */
static bool is_link(const struct access_ask *ask)
{
    return ask->fetch_mode != NULL && strcmp(ask->fetch_mode, "navigate") == 0 &&
           (ask->fetch_dest == NULL || strcmp(ask->fetch_dest, "document") == 0);
}

/* An image, script or frame that is one of our pages: it cannot be read there, but it costs work
 * here. Another port of this host is another origin on the same site. */
static bool is_embedded(const struct access_ask *ask)
{
    return ask->needed > ADMIN_PROBE && ask->fetch_site != NULL &&
           (strcmp(ask->fetch_site, "cross-site") == 0 ||
            strcmp(ask->fetch_site, "same-site") == 0) &&
           !is_link(ask);
}

struct access_verdict access_judge(const struct access_ask *ask)
{
    struct access_verdict verdict = {.right = right_of(ask)};
    verdict.failed = !ask->peer.local && ask->token != NULL && ask->authorization != NULL &&
                     verdict.right != ADMIN_WRITE;
    if (verdict.right < ask->needed || verdict.right == ADMIN_NOTHING) {
        lacks_right(ask, &verdict);
    } else if (ask->writes) {
        verdict.why = why_cross_site(ask);
        verdict.status = verdict.why != NULL ? 403 : 0;
    } else if (is_embedded(ask)) {
        verdict.why = "embedded by another site";
        verdict.status = 403;
    }
    return verdict;
}
