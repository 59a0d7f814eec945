/* SPDX-License-Identifier: MIT
 *
 * A thousand lives in one process: as many descriptors and threads as before, and no more memory.
 */
#include "leftovers.h"
#include "scenario.h"
#include "world.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { CYCLES = 1000, WARM = 100, GROWTH_KIB = 256 };

static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%ld %ld", &pages, &resident), 2);
    ck_assert_int_eq(fclose(file), 0);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void live_once(const struct srun_config *config)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    char text[512];
    bool asked = false;
    world_begin();
    ck_assert_msg(srun_runner_new(&runner, config, &err) == 0, "%s", err.text);
    ck_assert_msg(world_setup(runner, NULL, &err) == 0, "%s", err.text);
    ck_assert_msg(srun_runner_start(runner, &err) == 0, "%s", err.text);
    struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
    while (srun_runner_dispatch(runner) > 0) {
        if (srun_runner_is_ready(runner) && !asked)
            asked = srun_runner_shutdown(runner, 0, "next") == 0;
        (void)poll(&wait, 1, 1000);
    }
    ck_assert_int_eq(srun_runner_exit_code(runner), 0);
    (void)srun_runner_free(runner);
    ck_assert_msg(world_is_rolled_back(WORLD_SERVICES, text, sizeof text), "%s", text);
}

START_TEST(a_thousand_lives_leave_nothing_behind)
    {
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(quiet, 0);
        const struct srun_config config = world_config(quiet);
        static struct leftovers before, after;
        long blocks = fault_blocks(), resident = 0;
        char left[512];
        leftovers_look(&before);
        for (int i = 0; i < CYCLES; i++) {
            live_once(&config);
            if (i == WARM)
                resident = resident_kib();
        }
        long growth = resident_kib() - resident;
        ck_assert_msg(leftovers_none(&before, left, sizeof left), "left behind: %s", left);
        leftovers_look(&after);
        ck_assert_uint_eq(after.descriptor_count, before.descriptor_count);
        ck_assert_uint_eq(after.thread_count, before.thread_count);
        ck_assert_int_eq(fault_blocks(), blocks);
        printf("fault: %d lives: %ld KiB more\n", CYCLES, growth);
        (void)fflush(stdout);
        if (harness_slowness() == 1) /* a sanitizer keeps what was freed */
            ck_assert_int_lt(growth, GROWTH_KIB);
        close(quiet);
    }
END_TEST

int main(void)
{
    harness_limit_ms(120000);
    return HARNESS("fault.cycles", a_thousand_lives_leave_nothing_behind);
}
