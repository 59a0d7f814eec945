/* SPDX-License-Identifier: MIT
 *
 * Addresses as text, as the system's structs, and back. Any thread.
 */
#include "upgrade/address.h"

#include "base/ensure.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define HOST_MAX (INET6_ADDRSTRLEN + IF_NAMESIZE) /* with its end */
#define PATH_MAX_BYTES (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)
#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

static const struct scheme {
    const char *prefix;
    int family, type; /* AF_INET: or AF_INET6 */
} schemes[] = {
    {"tcp://", AF_INET, SOCK_STREAM},       {"udp://", AF_INET, SOCK_DGRAM},
    {"unix://", AF_UNIX, SOCK_STREAM},      {"unix-seqpacket://", AF_UNIX, SOCK_SEQPACKET},
    {"unix-dgram://", AF_UNIX, SOCK_DGRAM},
};

static struct sockaddr_in *v4_of(struct address *address)
{
    return (struct sockaddr_in *)&address->socket;
}

static struct sockaddr_in6 *v6_of(struct address *address)
{
    return (struct sockaddr_in6 *)&address->socket;
}

static struct sockaddr_un *unix_of(struct address *address)
{
    return (struct sockaddr_un *)&address->socket;
}

static const struct sockaddr_in *in_v4(const struct address *address)
{
    return (const struct sockaddr_in *)&address->socket;
}

static const struct sockaddr_in6 *in_v6(const struct address *address)
{
    return (const struct sockaddr_in6 *)&address->socket;
}

const char *address_path(const struct address *address)
{
    return ((const struct sockaddr_un *)&address->socket)->sun_path;
}

/* The name of a unix socket, which may be unnamed (0), abstract (it begins with a zero byte), or a
 * path that fills its room without an end. */
static size_t unix_name_size(const struct address *address)
{
    size_t size = address->length > PATH_OFFSET ? address->length - PATH_OFFSET : 0;
    const char *name = address_path(address);
    return size > 0 && name[0] != '\0' ? strnlen(name, size) : size;
}

/* Decimal, up to max; nothing around it. */
static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
    unsigned long value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned long)(text[i] - '0');
    *out = value;
    return value <= max;
}

static bool parse_scope(const char *text, uint32_t *out)
{
    unsigned long number = 0;
    *out = parse_number(text, 999999999, &number) ? (uint32_t)number : if_nametoindex(text);
    return *out != 0;
}

static bool parse_v6(struct address *out, char *host)
{
    char *scope = strchr(host, '%');
    if (scope != NULL)
        *scope++ = '\0';
    v6_of(out)->sin6_family = AF_INET6;
    out->family = AF_INET6;
    out->length = sizeof(struct sockaddr_in6);
    return inet_pton(AF_INET6, host, &v6_of(out)->sin6_addr) == 1 &&
           (scope == NULL || parse_scope(scope, &v6_of(out)->sin6_scope_id));
}

static bool parse_v4(struct address *out, const char *host)
{
    v4_of(out)->sin_family = AF_INET;
    out->family = AF_INET;
    out->length = sizeof(struct sockaddr_in);
    return inet_pton(AF_INET, host, &v4_of(out)->sin_addr) == 1;
}

/* NULL, or what is wrong. */
static const char *parse_inet(struct address *out, const char *text)
{
    char host[HOST_MAX];
    unsigned long port = 0;
    bool v6 = text[0] == '[';
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !parse_number(colon + 1, UINT16_MAX, &port))
        return "it ends with a port, 0 to 65535";
    size_t size = (size_t)(colon - text);
    if (!v6 && memchr(text, ':', size) != NULL)
        return "an IPv6 address stands in [ ]";
    if (v6 && (size < 2 || text[size - 1] != ']'))
        return "] is missing";
    text += v6;
    size -= v6 ? 2 : 0;
    if (size >= sizeof host)
        return "no IP address, and names are not looked up";
    memcpy(host, text, size);
    host[size] = '\0';
    if (!(v6 ? parse_v6(out, host) : parse_v4(out, host)))
        return "no IP address, and names are not looked up";
    if (v6)
        v6_of(out)->sin6_port = htons((uint16_t)port);
    else
        v4_of(out)->sin_port = htons((uint16_t)port);
    return NULL;
}

/* A relative path would mean something else after a chdir, and in the next generation. */
static const char *parse_unix(struct address *out, const char *text)
{
    bool abstract = text[0] == '@';
    size_t size = strlen(text);
    _Static_assert(PATH_MAX_BYTES == 107, "said below");
    if (!abstract && text[0] != '/')
        return "the path begins with /, or the abstract name with @";
    if (size - abstract > PATH_MAX_BYTES)
        return abstract ? "an abstract name has at most 107 bytes"
                        : "the path of a socket has at most 107 bytes";
    if (size < 2 || !text_printable(text, size))
        return "the path or name is not printable";
    struct sockaddr_un *to = unix_of(out);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, text, size);
    if (abstract)
        to->sun_path[0] = '\0';
    out->family = AF_UNIX;
    out->has_path = !abstract;
    out->length = (socklen_t)(PATH_OFFSET + size + !abstract);
    return NULL;
}

int address_parse(struct address *out, const char *text, srun_err *err)
{
    const char *wrong = "no such scheme";
    struct address address = {0};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        size_t size = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, size) != 0)
            continue;
        address.type = schemes[i].type;
        wrong = schemes[i].family == AF_UNIX ? parse_unix(&address, text + size)
                                             : parse_inet(&address, text + size);
        if (wrong == NULL) {
            *out = address;
            return 0;
        }
    }
    char quoted[TEXT_QUOTE_MAX];
    return srun_fail(err, -EINVAL,
                     "address %s: %s; accepted: tcp://127.0.0.1:80, udp://[::1]:514, "
                     "unix:///run/x.sock, unix://@name, unix-seqpacket://, unix-dgram://",
                     text_quote(quoted, text), wrong);
}

static void format_unix(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    const char *name = address_path(address);
    size_t size = unix_name_size(address);
    bool abstract = size > 0 && name[0] == '\0';
    memcpy(out, name, size);
    out[size] = '\0';
    if (abstract)
        out[0] = '@';
    bool ended = strlen(out) < size; /* it has a zero byte inside */
    for (size_t i = 0; i < size && (ended || !text_printable(out, size)); i++)
        if (out[i] < 0x20 || out[i] > 0x7e)
            out[i] = '?';
}

static void format_inet(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    char scope[16] = "";
    if (address->family == AF_INET) {
        (void)inet_ntop(AF_INET, &in_v4(address)->sin_addr, host, sizeof host); /* it fits */
        (void)snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host,
                       (unsigned)ntohs(in_v4(address)->sin_port));
        return;
    }
    const struct sockaddr_in6 *v6 = in_v6(address);
    (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    if (v6->sin6_scope_id != 0)
        (void)snprintf(scope, sizeof scope, "%%%u", v6->sin6_scope_id);
    (void)snprintf(out, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, scope, (unsigned)ntohs(v6->sin6_port));
}

int address_format(const struct address *address, char *out, size_t size)
{
    const char *prefix = "?://";
    int family = address->family == AF_INET6 ? AF_INET : address->family;
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (schemes[i].family == family && schemes[i].type == address->type)
            prefix = schemes[i].prefix;
    char rest[ADDRESS_TEXT_MAX] = "";
    if (family == AF_UNIX)
        format_unix(address, rest);
    else if (family == AF_INET)
        format_inet(address, rest);
    int length = snprintf(out, size, "%s%s", prefix, rest);
    return length >= 0 && (size_t)length < size ? 0 : -ENOSPC;
}

static in_port_t port_of(const struct address *address)
{
    return address->family == AF_INET ? in_v4(address)->sin_port : in_v6(address)->sin6_port;
}

static bool is_any(const struct address *address)
{
    return address->family == AF_INET ? in_v4(address)->sin_addr.s_addr == htonl(INADDR_ANY)
                                      : IN6_IS_ADDR_UNSPECIFIED(&in_v6(address)->sin6_addr);
}

static bool same_host(const struct address *a, const struct address *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == AF_INET)
        return in_v4(a)->sin_addr.s_addr == in_v4(b)->sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&in_v6(a)->sin6_addr, &in_v6(b)->sin6_addr) &&
           in_v6(a)->sin6_scope_id == in_v6(b)->sin6_scope_id;
}

static bool same_unix_name(const struct address *a, const struct address *b)
{
    size_t size = unix_name_size(a);
    return size == unix_name_size(b) && memcmp(address_path(a), address_path(b), size) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->family != b->family || a->type != b->type)
        return false;
    if (a->family == AF_UNIX)
        return same_unix_name(a, b);
    return (a->family == AF_INET || a->family == AF_INET6) && same_host(a, b) &&
           port_of(a) == port_of(b);
}

bool address_overlap(const struct address *a, const struct address *b)
{
    if (a->family == AF_UNIX || b->family == AF_UNIX) /* of whatever type: the name is one */
        return a->family == b->family && same_unix_name(a, b);
    bool inet = (a->family == AF_INET || a->family == AF_INET6) &&
                (b->family == AF_INET || b->family == AF_INET6);
    return inet && a->type == b->type && port_of(a) == port_of(b) && port_of(a) != 0 &&
           (is_any(a) || is_any(b) || same_host(a, b));
}

int address_of_socket(struct address *out, int fd)
{
    struct address address = {.length = sizeof address.socket};
    socklen_t size = sizeof address.type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &address.type, &size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address.socket, &address.length) < 0)
        return -errno;
    address.family = address.socket.ss_family;
    bool stream = address.type == SOCK_STREAM || address.type == SOCK_DGRAM;
    bool inet = address.family == AF_INET || address.family == AF_INET6;
    bool local = address.family == AF_UNIX;
    if (!(inet && stream) && !(local && (stream || address.type == SOCK_SEQPACKET)))
        return -EAFNOSUPPORT;
    address.has_path = local && unix_name_size(&address) > 0 && address_path(&address)[0] != '\0';
    *out = address;
    return 0;
}
