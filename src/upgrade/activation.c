/* SPDX-License-Identifier: MIT
 *
 * Control thread, before any other thread exists: it changes the environment. Believes no variable:
 * each descriptor is looked at before it is taken.
 */
#include "upgrade/activation.h"

#include "upgrade/address.h"
#include "upgrade/bind.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_FD 3

struct slot {
    char name[HANDOVER_NAME_MAX];
    bool taken;
};

/* A decimal number up to 2^31 - 1, or -1. */
static long parse_decimal(const char *text)
{
    long value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0')
        return -1;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (text[i] - '0');
    return value <= INT32_MAX ? value : -1;
}

/* Takes the next name of a list with colons; one that no listener can have counts as none. */
static void next_name(const char **list, char name[HANDOVER_NAME_MAX])
{
    size_t size = strcspn(*list, ":");
    name[0] = '\0';
    if (size < HANDOVER_NAME_MAX) {
        memcpy(name, *list, size);
        name[size] = '\0';
        if (!text_printable(name, HANDOVER_NAME_MAX - 1))
            name[0] = '\0';
    }
    *list += size + ((*list)[size] == ':');
}

static bool make_ours(int fd)
{
    struct address address;
    if (address_of_socket(&address, fd) < 0 || bind_check(fd, &address) < 0)
        return false;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static unsigned same_before(const struct slot *slots, size_t at)
{
    unsigned same = 0;
    for (size_t i = 0; i < at; i++)
        same += slots[i].taken && strcmp(slots[i].name, slots[at].name) == 0;
    return same;
}

static int take_all(int count, const char *names,
                    void (*take)(void *arg, int fd, const char *name, unsigned index), void *arg,
                    unsigned *strange)
{
    struct slot *slots = calloc((size_t)count + 1, sizeof *slots);
    if (slots == NULL)
        return -ENOMEM;
    int taken = 0;
    for (int i = 0; i < count; i++) {
        next_name(&names, slots[i].name);
        slots[i].taken = make_ours(FIRST_FD + i);
        taken += slots[i].taken;
        *strange += !slots[i].taken;
        if (slots[i].taken)
            take(arg, FIRST_FD + i, slots[i].name, same_before(slots, (size_t)i));
    }
    free(slots);
    return taken;
}

static int take_for_us(int also, void (*take)(void *arg, int fd, const char *name, unsigned index),
                       void *arg, unsigned *strange)
{
    const char *pid_text = secure_getenv("LISTEN_PID");
    const char *count_text = secure_getenv("LISTEN_FDS");
    const char *names = secure_getenv("LISTEN_FDNAMES");
    if (pid_text == NULL || count_text == NULL)
        return 0;
    long pid = parse_decimal(pid_text);
    long count = parse_decimal(count_text);
    if (pid <= 0 || count < 0 || count > ACTIVATION_MAX)
        return -EINVAL;
    if (pid != getpid() && pid != also) /* meant for a process that started us */
        return 0;
    return take_all((int)count, names != NULL ? names : "", take, arg, strange);
}

int activation_take(int also, void (*take)(void *arg, int fd, const char *name, unsigned index),
                    void *arg, unsigned *strange)
{
    *strange = 0;
    int taken = take_for_us(also, take, arg, strange);
    (void)unsetenv("LISTEN_PID"); /* fails for malformed names only */
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return taken;
}
