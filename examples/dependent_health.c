/* SPDX-License-Identifier: MIT
 *
 * Three services, each of which needs the one before it: postgres <- ledger <- wallet.
 *
 *   postgres  stands for a database that goes away and comes back; it says so itself (a push)
 *   ledger    is asked how it is (health), and told how postgres is (on_health): it passes that on
 *   wallet    hears of ledger in its own loop, and takes no payments while ledger cannot book them
 *
 * None of them knows more than its neighbour. The program ends after --outages of them.
 */
#include <srun/srun.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

struct bank {
    int64_t up_ms, outage_ms, outages;
    atomic_bool over; /* postgres has had its outages */
    long accepted, refused;
};

/* postgres: a push counts at once, for everybody. */

static int postgres_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    struct bank *bank = self;
    srun_health_push(ctx, SRUN_HEALTH_HEALTHY, NULL); /* first: ledger starts when this is ready */
    srun_ready(ctx);
    for (int64_t n = 0; bank->outages == 0 || n < bank->outages; n++) {
        do /* with an outage before its first check ledger would not start */
            if (srun_sleep_ms(ctx, bank->up_ms) < 0)
                return 0;
        while (srun_runner_state(srun_context_runner(ctx), "wallet") != SRUN_RUNNING);
        srun_health_push(ctx, SRUN_HEALTH_UNHEALTHY, "connection refused");
        if (srun_sleep_ms(ctx, bank->outage_ms) < 0)
            return 0;
        srun_health_push(ctx, SRUN_HEALTH_HEALTHY, NULL);
    }
    bank->over = true;
    return 0;
}

static const struct srun_service_ops postgres_ops = {.size = sizeof postgres_ops,
                                                     .run = postgres_run};

/* ledger: how it is depends on how postgres is. */

static const char *const no_postgres = "cannot book: no postgres";

/* The first answer decides whether the program starts; then it is asked every 30 s. */
static int ledger_health(void *self, srun_context *ctx, srun_err *err)
{
    (void)self;
    if (srun_health_get(ctx, "postgres") <= SRUN_HEALTH_UNHEALTHY)
        return srun_fail(err, -EHOSTDOWN, "%s", no_postgres);
    return 0;
}

/* Nobody wants to wait for 30 s: what it hears it says at once. */
static int ledger_on_health(void *self, srun_context *ctx, const struct srun_health *health,
                            srun_err *err)
{
    (void)self, (void)err;
    bool good = health->status > SRUN_HEALTH_UNHEALTHY;
    return srun_health_push(ctx, good ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_UNHEALTHY,
                            good ? NULL : no_postgres);
}

static const struct srun_service_ops ledger_ops = {
    .size = sizeof ledger_ops,
    .health = ledger_health,
    .on_health = ledger_on_health,
};

/* wallet: a loop that does its work and listens. */

/* The hot path asks for the present status: one look-up and one atomic read. */
static void wallet_pay(struct bank *bank, srun_context *ctx)
{
    bool booked = srun_health_get(ctx, "ledger") > SRUN_HEALTH_UNHEALTHY;
    bank->accepted += booked;
    bank->refused += !booked; /* at once, instead of a time-out for each customer */
}

static void wallet_heard(srun_context *ctx, const struct srun_health *ledger, bool *open)
{
    bool was_open = *open;
    *open = ledger->status > SRUN_HEALTH_UNHEALTHY;
    if (*open && !was_open)
        SRUN_INFO(srun_context_log(ctx), "taking payments");
    else if (was_open && !*open)
        SRUN_WARN(srun_context_log(ctx), "refusing payments", SRUN_STR("because", ledger->note));
}

static int wallet_run(void *self, srun_context *ctx, srun_err *err)
{
    struct bank *bank = self;
    srun_health_watch *watch = NULL;
    int rc = srun_health_subscribe(ctx, NAMES("ledger"), &watch, err);
    if (rc < 0)
        return rc;
    srun_ready(ctx);
    bool open = false;
    while (rc != -ECANCELED && !(bank->over && open)) { /* some outage may go unheard */
        struct srun_health health;
        rc = srun_health_next(watch, &health, 5);
        if (rc == 0)
            wallet_heard(ctx, &health, &open);
        else if (rc == -ETIMEDOUT)
            wallet_pay(bank, ctx);
    }
    srun_health_watch_free(watch);
    SRUN_DEBUG(srun_context_log(ctx), "all told", SRUN_INT("accepted", bank->accepted),
               SRUN_INT("refused", bank->refused));
    return 0;
}

static const struct srun_service_ops wallet_ops = {.size = sizeof wallet_ops, .run = wallet_run};

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct bank *bank = user;
    int rc = srun_flag_duration_ms(runner, &bank->up_ms, "up", 500, "until postgres goes", err);
    if (rc == 0)
        rc = srun_flag_duration_ms(runner, &bank->outage_ms, "outage", 1500, "until it is back",
                                   err);
    if (rc == 0)
        rc = srun_flag_int(runner, &bank->outages, "outages", 1, "how many; 0: until stopped", err);
    if (rc == 0)
        rc = srun_runner_add(runner, "postgres", &postgres_ops, bank, NULL, err);
    if (rc == 0)
        rc = srun_runner_add(runner, "ledger", &ledger_ops, bank,
                             SRUN_OPTIONS(.health.watch = NAMES("postgres")), err);
    return rc == 0 ? srun_runner_add(runner, "wallet", &wallet_ops, bank, NULL, err) : rc;
}

int main(int argc, char **argv)
{
    static struct bank bank;
    return srun_main(
        argc, argv,
        SRUN_CONFIG(.name = "dependent_health", .version = "1.0.0", .health.enabled = 1), setup,
        &bank);
}
