/* SPDX-License-Identifier: MIT
 *
 * The service ledger: accounts, and transfers from one to another. Money comes from the account
 * "bank", the only one that may owe: the sum of all balances is 0, always.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "parts/postgres/postgres.h"

struct ledger {
    struct postgres *postgres;
    srun_instrument *transfers; /* by result */
};

struct transfer {
    const char *id; /* chosen by who asks, who may ask again: it is booked once */
    const char *from, *to, *cents;
};

int ledger_add(srun_runner *runner, struct ledger *ledger, srun_err *err);

/* 0, -ENOENT, or as postgres_run. */
int ledger_balance(struct ledger *ledger, const char *account, long long *cents, srun_err *err);

/* 1: booked. 0: it was booked before. -ENOENT: there is no account from (to is opened by its first
 * transfer). -ERANGE: it has not that much. -EEXIST: id is of another transfer. Or as postgres_run;
 * when it is not known whether it was booked, asking again tells. */
int ledger_transfer(struct ledger *ledger, const struct transfer *transfer, srun_err *err);

#endif
