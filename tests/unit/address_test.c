/* SPDX-License-Identifier: MIT
 *
 * Addresses: what is accepted, what is refused and why, and the way back to text.
 */
#include "harness.h"
#include "upgrade/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static struct address parsed(const char *text)
{
    struct address address;
    srun_err err = {0};
    ck_assert_msg(address_parse(&address, text, &err) == 0, "%s: %s", text, err.text);
    return address;
}

static void assert_refused(const char *text, const char *why)
{
    struct address address = {.family = 12345};
    srun_err err = {0};
    ck_assert_msg(address_parse(&address, text, &err) == -EINVAL, "accepted: %s", text);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s: %s", text, err.text);
    ck_assert_msg(strstr(err.text, "accepted:") != NULL &&
                      strstr(err.text, "unix-dgram://") != NULL,
                  "%s: %s", text, err.text);
    ck_assert_int_eq(address.family, 12345);
    ck_assert_int_eq(address_parse(&address, text, NULL), -EINVAL);
}

/* "PREFIX" and so many x. */
static const char *long_text(const char *prefix, size_t count)
{
    static char text[256];
    size_t size = strlen(prefix);
    memcpy(text, prefix, size);
    memset(text + size, 'x', count);
    text[size + count] = '\0';
    return text;
}

START_TEST(reads_what_it_writes)
    {
        static const char *const texts[] = {
            "tcp://127.0.0.1:8080",  "tcp://0.0.0.0:0",      "tcp://[::]:80",
            "udp://127.0.0.1:65535", "udp://[::1]:514",      "tcp://[fe80::1%1]:80",
            "unix:///run/x.sock",    "unix://@abstract",     "unix-seqpacket:///run/x",
            "unix-dgram:///dev/log", "unix:///run/\xc3\xa4", "unix://@a/b c",
        };
        char out[ADDRESS_TEXT_MAX];
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            struct address address = parsed(texts[i]);
            ck_assert_int_eq(address_format(&address, out, sizeof out), 0);
            ck_assert_str_eq(out, texts[i]);
        }
    }
END_TEST

START_TEST(knows_family_type_and_path)
    {
        static const struct {
            const char *text;
            int family, type;
            bool has_path;
        } cases[] = {
            {"tcp://1.2.3.4:5", AF_INET, SOCK_STREAM, false},
            {"udp://[::]:5", AF_INET6, SOCK_DGRAM, false},
            {"unix:///x", AF_UNIX, SOCK_STREAM, true},
            {"unix://@x", AF_UNIX, SOCK_STREAM, false},
            {"unix-seqpacket:///x", AF_UNIX, SOCK_SEQPACKET, true},
            {"unix-dgram:///x", AF_UNIX, SOCK_DGRAM, true},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct address address = parsed(cases[i].text);
            ck_assert_int_eq(address.family, cases[i].family);
            ck_assert_int_eq(address.socket.ss_family, cases[i].family);
            ck_assert_int_eq(address.type, cases[i].type);
            ck_assert_int_eq(address.has_path, cases[i].has_path);
        }
        struct address address = parsed("tcp://[fe80::1%lo]:80"); /* an interface by its name */
        ck_assert_uint_ne(((struct sockaddr_in6 *)&address.socket)->sin6_scope_id, 0);
    }
END_TEST

START_TEST(refuses_other_texts_and_says_why)
    {
        static const char *const texts[][2] = {
            {"", "no such scheme"},
            {"127.0.0.1:80", "no such scheme"},
            {"http://127.0.0.1:80", "no such scheme"},
            {"TCP://127.0.0.1:80", "no such scheme"},
            {"tcp://", "port"},
            {"tcp://127.0.0.1", "port"},
            {"tcp://127.0.0.1:", "port"},
            {"tcp://127.0.0.1:65536", "0 to 65535"},
            {"tcp://127.0.0.1:99999999999", "port"},
            {"tcp://127.0.0.1:-1", "port"},
            {"tcp://127.0.0.1:+80", "port"},
            {"tcp://127.0.0.1:80 ", "port"},
            {"tcp://127.0.0.1:80/", "port"},
            {"tcp://localhost:80", "not looked up"},
            {"tcp://:80", "no IP address"},
            {"tcp://127.1:80", "no IP address"},
            {"tcp://::1:80", "stands in [ ]"},
            {"tcp://[::1:80", "] is missing"},
            {"tcp://[:80", "] is missing"},
            {"tcp://[]:80", "no IP address"},
            {"tcp://[127.0.0.1]:80", "no IP address"},
            {"tcp://[fe80::1%]:80", "no IP address"},
            {"tcp://[fe80::1%no-such]:80", "no IP address"},
            {"unix://", "begins with /"},
            {"unix://x.sock", "begins with /"},
            {"unix:///", "printable"},
            {"unix://@", "printable"},
            {"unix:///a\nb", "printable"},
            {"unix:///a\xff", "printable"},
        };
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            assert_refused(texts[i][0], texts[i][1]);
        assert_refused(long_text("tcp://", 200), "port");
    }
END_TEST

START_TEST(says_how_long_a_path_may_be)
    {
        char out[ADDRESS_TEXT_MAX];
        struct address address = parsed(long_text("unix-seqpacket:///", 106));
        ck_assert_int_eq(address_format(&address, out, sizeof out), 0);
        ck_assert_str_eq(out, long_text("unix-seqpacket:///", 106));
        ck_assert_int_eq(address_format(&address, out, strlen(out)), -ENOSPC);
        assert_refused(long_text("unix:///", 107), "at most 107 bytes");
        address = parsed(long_text("unix-seqpacket://@", 107));
        ck_assert_int_eq(address_format(&address, out, sizeof out), 0);
        assert_refused(long_text("unix://@", 108), "at most 107 bytes");
    }
END_TEST

START_TEST(compares_kind_host_and_port)
    {
        static const char *const different[] = {
            "tcp://127.0.0.1:80", "udp://127.0.0.1:80", "tcp://127.0.0.1:81",
            "tcp://127.0.0.2:80", "tcp://[::1]:80",     "tcp://[::]:80",
            "unix:///x",          "unix-dgram:///x",    "unix://@x",
            "unix:///xy",         "unix://@/x",         "tcp://[fe80::1%1]:80",
            "tcp://[fe80::1]:80",
        };
        size_t count = sizeof different / sizeof different[0];
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < count; j++) {
                struct address a = parsed(different[i]), b = parsed(different[j]);
                ck_assert_msg(address_equal(&a, &b) == (i == j), "%s %s", different[i],
                              different[j]);
            }
        struct address a = parsed("tcp://[::1]:80"), b = parsed("tcp://[0:0::0:1]:80");
        ck_assert(address_equal(&a, &b));
    }
END_TEST

START_TEST(knows_which_addresses_are_in_each_others_way)
    {
        static const struct {
            const char *a, *b;
            bool overlap;
        } cases[] = {
            {"tcp://127.0.0.1:80", "tcp://0.0.0.0:80", true},
            {"tcp://127.0.0.1:80", "tcp://[::]:80", true},
            {"tcp://127.0.0.1:80", "tcp://127.0.0.2:80", false},
            {"tcp://127.0.0.1:80", "udp://0.0.0.0:80", false},
            {"tcp://0.0.0.0:0", "tcp://0.0.0.0:0", false},
            {"unix:///x", "unix-dgram:///x", true},
            {"unix:///x", "tcp://0.0.0.0:80", false},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct address a = parsed(cases[i].a), b = parsed(cases[i].b);
            ck_assert_int_eq(address_overlap(&a, &b), cases[i].overlap);
            ck_assert_int_eq(address_overlap(&b, &a), cases[i].overlap);
        }
    }
END_TEST

START_TEST(tells_what_a_socket_is_bound_to)
    {
        char out[ADDRESS_TEXT_MAX], wanted[ADDRESS_TEXT_MAX];
        struct address address;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(address_of_socket(&address, fd), 0); /* to nothing yet */
        ck_assert_int_eq(address_format(&address, out, sizeof out), 0);
        ck_assert_str_eq(out, "unix-seqpacket://");
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        memcpy(name.sun_path, "\0a\0b\n\xff", 6);
        int size = snprintf(name.sun_path + 6, 16, "%d", getpid()); /* others run this test too */
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&name,
                              (socklen_t)(sizeof(sa_family_t) + 6) + (socklen_t)size),
                         0);
        ck_assert_int_eq(address_of_socket(&address, fd), 0);
        ck_assert(!address.has_path);
        ck_assert_int_eq(address_format(&address, out, sizeof out), 0);
        (void)snprintf(wanted, sizeof wanted, "unix-seqpacket://@a?b??%d", getpid());
        ck_assert_str_eq(out, wanted);
        (void)close(fd);
        ck_assert_int_eq(address_of_socket(&address, fd), -EBADF);
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq(address_of_socket(&address, ends[0]), -ENOTSOCK);
        (void)close(ends[0]);
        (void)close(ends[1]);
        fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
            ck_assert_int_eq(address_of_socket(&address, fd), -EAFNOSUPPORT);
            (void)close(fd);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("address", reads_what_it_writes, knows_family_type_and_path,
                   refuses_other_texts_and_says_why, says_how_long_a_path_may_be,
                   compares_kind_host_and_port, knows_which_addresses_are_in_each_others_way,
                   tells_what_a_socket_is_bound_to);
}
