/* SPDX-License-Identifier: MIT
 *
 * Probes while a health check hangs: they read what is known, and wait for nobody.
 */
#include "port.h"

#include <srun/health.h>

#define PROBES 1000

static struct port port;
static _Atomic bool hang;

static int hanging_health(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx, (void)err;
    pthread_mutex_lock(&port_gate.lock);
    while (hang && !port_gate.open)
        (void)pthread_cond_wait(&port_gate.changed, &port_gate.lock); /* the test has a limit */
    pthread_mutex_unlock(&port_gate.lock);
    return 0;
}

static bool is_healthy(void *arg)
{
    (void)arg;
    return srun_health_overall(port.runner) == SRUN_HEALTH_HEALTHY;
}

static bool is_unhealthy(void *arg)
{
    (void)arg;
    return srun_health_overall(port.runner) == SRUN_HEALTH_UNHEALTHY;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

START_TEST(a_thousand_probes_are_answered_while_a_check_hangs)
    {
        static const struct srun_service_ops ops = {.size = sizeof ops, .health = hanging_health};
        static int64_t took[PROBES];
        srun_err err = {0};
        port_init(&port);
        port.config.health.enabled = 1;
        port.config.health.interval_ms = 10;
        port.config.health.timeout_ms = 2000; /* the first check has to come home within it */
        port_make(&port);
        ck_assert_int_eq(srun_runner_add(port.runner, "db", &ops, NULL, NULL, &err), 0);
        port_run_on_its_thread(&port);
        ck_assert(harness_wait(is_healthy, NULL, PORT_LIMIT_MS)); /* or it would not start */
        hang = true;
        ck_assert(harness_wait(is_unhealthy, NULL, PORT_LIMIT_MS));

        int fd = port_connect_tcp(&port);
        for (int i = 0; i < PROBES; i++) {
            int64_t began = now_us();
            ck_assert_uint_eq(port_exchange(fd, GET("/ready"))->status, 500);
            took[i] = now_us() - began;
        }
        (void)close(fd);
        qsort(took, PROBES, sizeof took[0], compare);
        (void)printf("    %d probes: median %lld us, p99 %lld us\n", PROBES,
                     (long long)took[PROBES / 2], (long long)took[PROBES * 99 / 100]);
        ck_assert_int_lt(took[PROBES * 99 / 100], 100000 * harness_slowness());
        ck_assert_uint_eq(port_ask_tcp(&port, GET("/livez"))->status, 200);
        port_let_go();
        port_close(&port);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_hung", a_thousand_probes_are_answered_while_a_check_hangs);
}
