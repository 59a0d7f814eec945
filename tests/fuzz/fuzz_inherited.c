/* SPDX-License-Identifier: MIT
 *
 * Any lines NAME=value as what a starter leaves to this process: of an upgrade (SRUN_HANDOVER), of
 * a service manager (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*, JOURNAL_STREAM). Descriptors that are not
 * what they are said to be stay as they are, and the variables reach no process of ours.
 */
#include "base/text.h"
#include "fuzz.h"
#include "log/journal.h"
#include "notify.h"
#include "upgrade/activation.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {"SRUN_HANDOVER",  "LISTEN_PID",    "LISTEN_FDS",
                                    "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC",
                                    "WATCHDOG_PID",   "JOURNAL_STREAM"};

/* LISTEN_PID=self is this process. */
static void set(const char *lines)
{
    char self[16];
    (void)snprintf(self, sizeof self, "%d", getpid());
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *value = fuzz_variable(lines, names[i]);
        int rc = value == NULL ? unsetenv(names[i])
                               : setenv(names[i], strcmp(value, "self") == 0 ? self : value, 1);
        ENSURE(rc == 0);
        free(value);
    }
}

static void take(void *arg, int fd, const char *name, unsigned index)
{
    unsigned *taken = arg;
    ENSURE(fd >= 3 && (name[0] == '\0' || text_printable(name, HANDOVER_NAME_MAX - 1)));
    ENSURE(index <= *taken);
    (*taken)++;
}

static void check_activation(void)
{
    unsigned taken = 0, strange = 0;
    int rc = activation_take(0, take, &taken, &strange);
    ENSURE(rc == -EINVAL || rc == (int)taken);
    ENSURE(taken + strange <= ACTIVATION_MAX);
    for (size_t i = 1; i < 4; i++)
        ENSURE(getenv(names[i]) == NULL);
}

static void check_handover(void)
{
    struct spawn_inherited claim = {.fd = -1};
    bool there = getenv(SPAWN_VARIABLE) != NULL;
    int rc = spawn_inherited(&claim);
    ENSURE(rc == 0 || rc == (there ? -EINVAL : -ENOENT));
    ENSURE(getenv(SPAWN_VARIABLE) == NULL);
    if (rc < 0)
        return;
    ENSURE(claim.fd >= SPAWN_CHANNEL_FD && claim.pid > 0);
    ENSURE(strlen(claim.trace_id) == 32 && strlen(claim.span_id) == 16);
}

static void check_notify(void)
{
    struct notify notify;
    int rc = notify_open(&notify, getenv);
    ENSURE(rc == 0 || rc == -EINVAL);
    ENSURE(rc == 0 || notify.fd < 0);
    ENSURE(notify.watchdog_ns >= 0);
    notify_close(&notify);
    ENSURE(!journal_is_behind(STDIN_FILENO, getenv("JOURNAL_STREAM")) || !isatty(STDIN_FILENO));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *lines = fuzz_text(data, size);
    set(lines);
    check_handover();
    check_activation();
    check_notify();
    free(lines);
    return 0;
}
