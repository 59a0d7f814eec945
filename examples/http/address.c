/* SPDX-License-Identifier: MIT
 *
 * Splits at the last colon, then lets inet_pton judge the host. PURE: no look-ups, no state.
 */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* 0 to 65535, digits only; -1 otherwise. */
static int parse_port(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
        return -1;
    int port = 0;
    for (; *text != '\0'; text++)
        port = port * 10 + (*text - '0');
    return port <= 65535 ? port : -1;
}

static int parse_host(struct address *out, char *host, in_port_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&out->socket, &v4, out->length = sizeof v4);
        return 0;
    }
    size_t length = strlen(host);
    if (length < 2 || host[0] != '[' || host[length - 1] != ']')
        return -EINVAL;
    host[length - 1] = '\0';
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    if (inet_pton(AF_INET6, host + 1, &v6.sin6_addr) != 1)
        return -EINVAL;
    memcpy(&out->socket, &v6, out->length = sizeof v6);
    return 0;
}

int address_parse(struct address *out, const char *text, srun_err *err)
{
    char host[ADDRESS_TEXT];
    const char *colon = strrchr(text, ':');
    int port = colon != NULL ? parse_port(colon + 1) : -1;
    struct address parsed = {0};

    if (port >= 0 && colon - text < ADDRESS_TEXT) {
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = '\0';
        if (parse_host(&parsed, host, htons((in_port_t)port)) == 0) {
            *out = parsed;
            return 0;
        }
    }
    return srun_fail(err, -EINVAL,
                     "accepted are IPV4:PORT, such as 127.0.0.1:8080, and"
                     " [IPV6]:PORT, with a port from 0 to 65535");
}

void address_format(const struct address *address, char out[ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->socket.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &address->socket, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6.sin6_port));
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, &address->socket, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT, "%s:%u", host, ntohs(v4.sin_port));
    }
}
