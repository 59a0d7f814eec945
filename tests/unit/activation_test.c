/* SPDX-License-Identifier: MIT
 *
 * Sockets of the service manager: what is taken, what is left alone, and what is not believed.
 */
#include "base/libc.h"
#include "harness.h"
#include "upgrade/activation.h"
#include "upgrade/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct haul {
    int count;
    struct {
        int fd;
        unsigned index;
        char name[HANDOVER_NAME_MAX];
    } got[8];
};

static void take(void *arg, int fd, const char *name, unsigned index)
{
    struct haul *haul = arg;
    haul->got[haul->count].fd = fd;
    haul->got[haul->count].index = index;
    (void)snprintf(haul->got[haul->count++].name, HANDOVER_NAME_MAX, "%s", name);
}

/* Also in a child whose descriptors, those of Check among them, are gone. */
#define EXPECT(condition)                                                                          \
    ((condition) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #condition), _exit(1)))

/* Another variable than NULL is set; pid "self" is ours. */
static int activate(const char *pid, const char *fds, const char *names, struct haul *haul,
                    unsigned *strange)
{
    char self[16];
    (void)snprintf(self, sizeof self, "%d", getpid());
    const char *values[] = {pid != NULL && strcmp(pid, "self") == 0 ? self : pid, fds, names};
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    for (int i = 0; i < 3; i++)
        if (values[i] != NULL)
            EXPECT(setenv(variables[i], values[i], 1) == 0);
    *haul = (struct haul){0};
    int rc = activation_take(0, take, haul, strange);
    for (int i = 0; i < 3; i++)
        EXPECT(getenv(variables[i]) == NULL);
    return rc;
}

/* Puts a descriptor of this kind at this number, as the service manager would: blocking, inherited.
 */
static void put(int at, const char *kind)
{
    struct address address = {0};
    struct bind_path path;
    int fd = -1;
    if (strcmp(kind, "file") == 0)
        fd = open("/dev/null", O_RDONLY);
    else if (strcmp(kind, "idle") == 0)
        fd = socket(AF_INET, SOCK_STREAM, 0);
    else if (address_parse(&address, kind, NULL) == 0)
        fd = bind_open(&address, SRUN_LISTEN_OPTIONS(0), false, &path, NULL);
    if (fd < 0)
        _exit(90);
    if (fd != at && (dup2(fd, at) != at || close(fd) < 0))
        _exit(91);
    (void)fcntl(at, F_SETFL, 0);
    (void)fcntl(at, F_SETFD, 0);
}

static void in_a_child(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        (void)closefrom(3);
        body();
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static void names_and_duplicates(void)
{
    struct haul haul;
    unsigned strange = 9;
    put(3, "tcp://127.0.0.1:0");
    put(4, "tcp://127.0.0.1:0");
    put(5, "udp://127.0.0.1:0");
    char abstract[64];
    (void)snprintf(abstract, sizeof abstract, "unix-seqpacket://@srun-activation-test-%d",
                   getpid());
    put(6, abstract);
    EXPECT(activate("self", "4", "http.socket:http.socket::x", &haul, &strange) == 4);
    EXPECT(strange == 0 && haul.count == 4);
    for (int i = 0; i < 4; i++) {
        EXPECT(haul.got[i].fd == 3 + i);
        EXPECT((fcntl(3 + i, F_GETFL) & O_NONBLOCK) != 0);
        EXPECT(fcntl(3 + i, F_GETFD) == FD_CLOEXEC);
    }
    EXPECT(strcmp(haul.got[1].name, "http.socket") == 0 && haul.got[1].index == 1);
    EXPECT(strcmp(haul.got[2].name, "") == 0 && haul.got[2].index == 0);
    EXPECT(strcmp(haul.got[3].name, "x") == 0 && haul.got[3].index == 0);
    EXPECT(activate(NULL, NULL, NULL, &haul, &strange) == 0); /* once */
}

START_TEST(takes_each_socket_with_its_name_and_counts_those_of_one_name)
    {
        in_a_child(names_and_duplicates);
    }
END_TEST

static void strays(void)
{
    struct haul haul;
    unsigned strange = 0;
    put(3, "file");
    put(4, "tcp://127.0.0.1:0");
    put(5, "idle");
    EXPECT(activate("self", "4", "a:a:a:a", &haul, &strange) == 1);
    EXPECT(strange == 3 && haul.count == 1);
    EXPECT(haul.got[0].fd == 4 && haul.got[0].index == 0);
    EXPECT(fcntl(3, F_GETFD) == 0 && fcntl(5, F_GETFD) == 0);
    EXPECT((fcntl(5, F_GETFL) & O_NONBLOCK) == 0);
}

START_TEST(leaves_alone_what_does_not_listen)
    {
        in_a_child(strays);
    }
END_TEST

static void short_of_names(void)
{
    struct haul haul;
    unsigned strange = 0;
    char names[200];
    put(3, "tcp://127.0.0.1:0");
    put(4, "tcp://127.0.0.1:0");
    EXPECT(activate("self", "2", NULL, &haul, &strange) == 2);
    EXPECT(haul.got[0].name[0] == '\0' && haul.got[1].name[0] == '\0');
    EXPECT(activate("self", "2", "only", &haul, &strange) == 2);
    EXPECT(strcmp(haul.got[0].name, "only") == 0 && haul.got[1].name[0] == '\0');
    memset(names, 'x', 64);
    memcpy(names + 64, ":a\nb:more:than:there:are", 25);
    EXPECT(activate("self", "2", names, &haul, &strange) == 2);
    EXPECT(haul.got[0].name[0] == '\0' && haul.got[1].name[0] == '\0');
}

START_TEST(takes_sockets_without_a_usable_name)
    {
        in_a_child(short_of_names);
    }
END_TEST

START_TEST(takes_nothing_that_is_meant_for_another_process)
    {
        struct haul haul;
        unsigned strange = 9;
        ck_assert_int_eq(activate("1", "1", "x", &haul, &strange), 0);
        ck_assert_int_eq(activate(NULL, "1", "x", &haul, &strange), 0);
        ck_assert_int_eq(activate("self", NULL, "x", &haul, &strange), 0);
        ck_assert_int_eq(activate("self", "0", NULL, &haul, &strange), 0);
        ck_assert_int_eq(haul.count, 0);
        ck_assert_uint_eq(strange, 0);
    }
END_TEST

START_TEST(refuses_variables_that_are_no_numbers)
    {
        static const char *const bad[] = {"",   "x",   "-1",  "+1",          "1x",
                                          " 1", "0x1", "1_0", "99999999999", "1025"};
        struct haul haul;
        unsigned strange = 9;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            ck_assert_int_eq(activate("self", bad[i], "x", &haul, &strange), -EINVAL);
            if (i < 9)
                ck_assert_int_eq(activate(bad[i], "1", "x", &haul, &strange), -EINVAL);
        }
        ck_assert_int_eq(activate("0", "1", "x", &haul, &strange), -EINVAL);
        ck_assert_int_eq(haul.count, 0);
        ck_assert_uint_eq(strange, 0);
    }
END_TEST

int main(void)
{
    return HARNESS("activation", takes_each_socket_with_its_name_and_counts_those_of_one_name,
                   leaves_alone_what_does_not_listen, takes_sockets_without_a_usable_name,
                   takes_nothing_that_is_meant_for_another_process,
                   refuses_variables_that_are_no_numbers);
}
