/* SPDX-License-Identifier: MIT */
#include "wallet.h"

#include "parts/web/request.h"

#include <errno.h>
#include <string.h>

#define NAME_SIZE_MAX 64
#define CENTS_DIGITS_MAX 12

static const char *const not_now = "not now; nothing was booked";

/* What the database says is for the log. */
static enum MHD_Result refuse(struct request *request, const srun_err *err)
{
    switch (err->code) {
    case -ENOENT:
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "there is no such account");
    case -ERANGE:
        return request_answer_error(request, MHD_HTTP_CONFLICT, "there is not enough money");
    case -EEXIST:
        return request_answer_error(request, MHD_HTTP_CONFLICT, "the id is of another transfer");
    }
    SRUN_WARN(request->server->log, "refused", SRUN_STR("error", err->text));
    switch (err->code) {
    case -EAGAIN:
        return request_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, not_now);
    case -ETIMEDOUT:
    case -ECONNRESET:
        return request_answer_error(request, MHD_HTTP_GATEWAY_TIMEOUT,
                                    "not known whether it was booked; ask again, with the same id");
    default:
        return request_answer_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
                                    "nothing was booked, and asking again will not help");
    }
}

/* Asked for each request, so that none waits for a database that is known to be away. */
static bool is_open(const struct request *request)
{
    return !is_down((srun_health_status)srun_health_get(request->server->ctx, "ledger"));
}

static bool is_name(const char *text)
{
    size_t size = text != NULL ? strlen(text) : 0;
    return size > 0 && size <= NAME_SIZE_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               size;
}

static bool is_amount(const char *text)
{
    size_t size = text != NULL ? strlen(text) : 0;
    return size > 0 && size <= CENTS_DIGITS_MAX && strspn(text, "0123456789") == size &&
           strspn(text, "0") < size;
}

static enum MHD_Result account(struct request *request)
{
    srun_err err = {0};
    long long cents = 0;
    if (!is_name(request->rest))
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST,
                                    "accepted are 1 to 64 letters, digits, '.', '_' and '-'");
    if (!is_open(request))
        return request_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, not_now);
    if (ledger_balance(request->server->app, request->rest, &cents, &err) < 0)
        return refuse(request, &err);
    return request_answer_json(request, MHD_HTTP_OK, "{\"account\":\"%s\",\"cents\":%lld}\n",
                               request->rest, cents);
}

static enum MHD_Result transfer(struct request *request)
{
    srun_err err = {0};
    struct transfer wanted = {.id = request->rest,
                              .from = request_argument(request, "from"),
                              .to = request_argument(request, "to"),
                              .cents = request_argument(request, "cents")};
    if (!is_name(wanted.id) || !is_name(wanted.from) || !is_name(wanted.to) ||
        strcmp(wanted.from, wanted.to) == 0 || !is_amount(wanted.cents))
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST,
                                    "accepted is /transfers/ID?from=A&to=B&cents=N: names of 1 to "
                                    "64 letters, digits, '.', '_' and '-', two accounts, and 1 to "
                                    "999999999999 cents");
    if (!is_open(request))
        return request_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, not_now);
    int rc = ledger_transfer(request->server->app, &wanted, &err);
    if (rc < 0)
        return refuse(request, &err);
    return request_answer_json(request, rc == 1 ? MHD_HTTP_CREATED : MHD_HTTP_OK,
                               "{\"transfer\":\"%s\",\"booked\":%s}\n", wanted.id,
                               rc == 1 ? "\"now\"" : "\"before\"");
}

static const struct route routes[] = {
    {"/accounts/", GET, "GET, HEAD", account},
    {"/transfers/", PUT, "PUT", transfer},
    {NULL, 0, NULL, NULL},
};

/* It hears of ledger alone; what is below is not its business. */
static int on_health(void *self, srun_context *ctx, const struct srun_health *ledger, srun_err *err)
{
    (void)self, (void)err;
    bool down = is_down(ledger->status);
    return srun_health_push(ctx, down ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY,
                            down ? "refusing requests: no ledger" : NULL);
}

int wallet_add(srun_runner *runner, struct server *wallet, struct ledger *ledger, srun_err *err)
{
    static const char *const below[] = {"ledger", NULL};
    struct srun_service_ops ops = server_ops;
    ops.on_health = on_health;
    wallet->routes = routes;
    wallet->app = ledger;
    int rc = server_add_flags(runner, wallet, err);
    if (rc < 0)
        return rc;
    return srun_runner_add(runner, "wallet", &ops, wallet, SRUN_OPTIONS(.health.watch = below),
                           err);
}
