/* SPDX-License-Identifier: MIT
 *
 * The rules are constraints of the database, which no version of this program can break. A transfer
 * is one statement: no lock is held while we are on the way.
 */
#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two generations may start at once: the first line lets them do so one after the other. Transfers
 * lock accounts in one order, so that no two wait for each other, and before they look whether they
 * were booked already. */
static const char schema[] =
    "SELECT pg_advisory_xact_lock(7283);"
    "CREATE TABLE IF NOT EXISTS accounts ("
    "  id text PRIMARY KEY,"
    "  cents bigint NOT NULL DEFAULT 0 CHECK (cents >= 0 OR id = 'bank'));"
    "INSERT INTO accounts (id) VALUES ('bank') ON CONFLICT DO NOTHING;"
    "CREATE TABLE IF NOT EXISTS transfers ("
    "  id text PRIMARY KEY,"
    "  payer text NOT NULL REFERENCES accounts,"
    "  payee text NOT NULL REFERENCES accounts CHECK (payee <> payer),"
    "  cents bigint NOT NULL CHECK (cents > 0),"
    "  at timestamptz NOT NULL DEFAULT now());"
    "CREATE OR REPLACE FUNCTION transfer(text, text, text, bigint) RETURNS bool LANGUAGE sql AS $$"
    "  INSERT INTO accounts (id) VALUES ($3) ON CONFLICT DO NOTHING;"
    "  SELECT FROM accounts WHERE id IN ($2, $3) ORDER BY id FOR UPDATE;"
    "  WITH booked AS (INSERT INTO transfers (id, payer, payee, cents) SELECT $1, $2, $3, $4"
    "    WHERE NOT EXISTS (SELECT FROM transfers WHERE (id, payer, payee, cents) = ($1, $2, $3, "
    "$4))"
    "    RETURNING *),"
    "  moved AS (UPDATE accounts a SET cents = a.cents + CASE a.id WHEN payer THEN -b.cents"
    "    ELSE b.cents END FROM booked b WHERE a.id IN (payer, payee))"
    "  SELECT EXISTS (SELECT FROM booked) $$";

static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct ledger *ledger = self;
    PGresult *done = NULL;
    ledger->transfers = srun_counter(srun_context_meter(ctx), "ledger.transfers",
                                     SRUN_INSTRUMENT(.unit = "{transfer}", .help = "By result."));
    struct pq_statement make = {.name = "schema", .text = schema};
    int rc = postgres_run(ledger->postgres, &make, &done, err);
    PQclear(done);
    return rc;
}

int ledger_balance(struct ledger *ledger, const char *account, long long *cents, srun_err *err)
{
    PGresult *rows = NULL;
    struct pq_statement look = {.name = "balance",
                                .text = "SELECT cents FROM accounts WHERE id = $1",
                                .count = 1,
                                .values = &account};
    int rc = postgres_run(ledger->postgres, &look, &rows, err);
    if (rc == 0 && PQntuples(rows) == 0)
        rc = srun_fail(err, -ENOENT, "no account %s", account);
    if (rc == 0)
        *cents = atoll(PQgetvalue(rows, 0, 0));
    PQclear(rows);
    return rc;
}

int ledger_transfer(struct ledger *ledger, const struct transfer *transfer, srun_err *err)
{
    PGresult *rows = NULL;
    struct pq_statement book = {
        .name = "transfer",
        .text = "SELECT transfer($1, $2, $3, $4)",
        .count = 4,
        .values = (const char *[]){transfer->id, transfer->from, transfer->to, transfer->cents}};
    int rc = postgres_run(ledger->postgres, &book, &rows, err);
    if (rc == 0)
        rc = strcmp(PQgetvalue(rows, 0, 0), "t") == 0;
    PQclear(rows);
    const char *result = rc == 1 ? "booked" : rc == 0 ? "repeated" : srun_strerror(rc);
    srun_add(ledger->transfers, 1, SRUN_KVS(SRUN_STR("result", result)));
    return rc;
}

/* Without postgres it can do nothing, and says so at once. */
static int on_health(void *self, srun_context *ctx, const struct srun_health *postgres,
                     srun_err *err)
{
    (void)self, (void)err;
    bool down = is_down(postgres->status);
    return srun_health_push(ctx, down ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY,
                            down ? "cannot book: no postgres" : NULL);
}

int ledger_add(srun_runner *runner, struct ledger *ledger, srun_err *err)
{
    static const struct srun_service_ops ops = {
        .size = sizeof ops, .init = init, .on_health = on_health};
    static const char *const below[] = {"postgres", NULL};
    return srun_runner_add(runner, "ledger", &ops, ledger, SRUN_OPTIONS(.health.watch = below),
                           err);
}
