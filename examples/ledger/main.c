/* SPDX-License-Identifier: MIT
 *
 * Three services, each of which needs the one before it: postgres <- ledger <- wallet. They start
 * in this order and stop in reverse, and how one is travels up. docs/ledger.md is the walk-through.
 */
#include "wallet.h"

struct bank {
    struct postgres postgres;
    struct ledger ledger;
    struct server wallet;
};

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct bank *bank = user;
    bank->ledger.postgres = &bank->postgres;
    int rc = postgres_add(runner, &bank->postgres, err);
    if (rc == 0)
        rc = ledger_add(runner, &bank->ledger, err);
    return rc == 0 ? wallet_add(runner, &bank->wallet, &bank->ledger, err) : rc;
}

int main(int argc, char **argv)
{
    static struct bank bank;
    return srun_main(argc, argv,
                     SRUN_CONFIG(.name = "ledger", .version = "1.0.0", .health.enabled = 1), setup,
                     &bank);
}
