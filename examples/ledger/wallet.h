/* SPDX-License-Identifier: MIT
 *
 * The service wallet: HTTP for the ledger. How it listens, drains and is upgraded is the part web;
 * here are its routes.
 *
 *   GET /accounts/ID                              a balance
 *   PUT /transfers/ID?from=A&to=B&cents=N         a transfer; again: the same one
 */
#ifndef WALLET_H
#define WALLET_H

#include "ledger.h"

#include "parts/web/server.h"

/* Adds the service and its flags. */
int wallet_add(srun_runner *runner, struct server *wallet, struct ledger *ledger, srun_err *err);

#endif
