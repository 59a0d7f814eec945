/* SPDX-License-Identifier: MIT
 *
 * An echo server over raw epoll: TCP with connections that live long, and UDP. SIGHUP upgrades it:
 * new clients go to the new process at once, the old one serves those it has until they leave or
 * the time to stop is over (SRUN_STOP_TIMEOUT).
 */
#include "parts/peers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ADDRESS_MAX 100 /* without "tcp://" */
#define URL_MAX 160
#define EVENTS 64
#define DATAGRAMS_MAX 64 /* in one go: the others want their turn */

struct echo {
    char address[ADDRESS_MAX];
    int tcp, udp; /* listeners: the runner's */
    struct peers peers;
};

static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct echo *echo = self;
    char tcp[URL_MAX], udp[URL_MAX];
    snprintf(tcp, sizeof tcp, "tcp://%s", echo->address);
    snprintf(udp, sizeof udp, "udp://%s", echo->address);

    /* The name is how the next generation finds the socket. */
    int rc = srun_listen(ctx, "echo", tcp, &echo->tcp, err);
    if (rc == 0)
        rc = srun_listen(ctx, "echo-udp", udp, &echo->udp, err);
    if (rc == 0)
        rc = peers_init(&echo->peers, err);

    /* Gates instead of the sockets: while another generation serves nothing comes from them. */
    if (rc == 0)
        rc = peers_watch(&echo->peers, srun_cancel_fd(ctx), NULL, err);
    if (rc == 0)
        rc = peers_watch(&echo->peers, srun_gate_fd(ctx, echo->tcp), &echo->tcp, err);
    if (rc == 0)
        rc = peers_watch(&echo->peers, srun_gate_fd(ctx, echo->udp), &echo->udp, err);
    return rc;
}

static void answer(void *user, struct peer *peer, const char *data, size_t size)
{
    (void)user;
    peer_send(peer, data, size);
}

static void answer_datagrams(int udp)
{
    for (int i = 0; i < DATAGRAMS_MAX; i++) {
        char data[65536];
        struct sockaddr_storage storage;
        struct sockaddr *from = (struct sockaddr *)&storage;
        socklen_t length = sizeof storage;
        ssize_t got = recvfrom(udp, data, sizeof data, MSG_DONTWAIT, from, &length);
        if (got < 0)
            return;
        sendto(udp, data, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL, from, length);
    }
}

static void serve(struct echo *echo, srun_context *ctx, int limit_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(echo->peers.poller, events, EVENTS, limit_ms);
    for (int i = 0; i < count; i++) {
        void *what = events[i].data.ptr;
        if (what == &echo->tcp)
            peers_accept(&echo->peers, ctx, echo->tcp);
        else if (what == &echo->udp)
            answer_datagrams(echo->udp);
        else if (what != NULL)
            peers_serve(&echo->peers, what);
    }
}

/* Those who are here may stay as long as there is time; new ones go elsewhere, or find a closed
 * port. */
static void see_off(struct echo *echo, srun_context *ctx)
{
    struct peers *peers = &echo->peers;
    peers_forget(peers, srun_cancel_fd(ctx));
    peers_accept(peers, ctx, echo->tcp); /* who waits in the backlog was promised an answer */
    peers_forget(peers, srun_gate_fd(ctx, echo->tcp));
    peers_forget(peers, srun_gate_fd(ctx, echo->udp));
    srun_listen_close(ctx, "echo");
    srun_listen_close(ctx, "echo-udp");

    bool upgraded = srun_context_cause(ctx)->kind == SRUN_CAUSE_UPGRADE;
    SRUN_INFO(srun_context_log(ctx), "seeing off", SRUN_UINT("clients", peers->count));
    int64_t left, end = srun_context_time_left_ms(ctx) / 10; /* is for the clean-up */
    while (upgraded && peers->count > 0 && (left = srun_context_time_left_ms(ctx)) > end)
        serve(echo, ctx, (int)(left - end));
    SRUN_INFO(srun_context_log(ctx), "seen off", SRUN_UINT("cut", peers->count));
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct echo *echo = self;
    (void)err;
    srun_ready(ctx);
    while (!srun_cancelled(ctx))
        serve(echo, ctx, -1);
    see_off(echo, ctx);
    return 0;
}

static void destroy(void *self)
{
    peers_free(&((struct echo *)self)->peers);
}

static int set_address(void *user, const char *value, srun_err *err)
{
    struct echo *echo = user;
    char url[URL_MAX];
    snprintf(url, sizeof url, "tcp://%s", value);
    snprintf(echo->address, sizeof echo->address, "%s", value);
    return srun_listen_check(url, err);
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static const struct srun_service_ops ops = {
        .size = sizeof ops, .init = init, .run = run, .destroy = destroy};
    struct echo *echo = user;
    echo->peers.on_data = answer;
    int rc = set_address(echo, "127.0.0.1:7007", err);
    if (rc == 0)
        rc = srun_flag_custom(runner, "echo.address", "IP:PORT", set_address, echo,
                              "where to listen, TCP and UDP, port 0: free ones [127.0.0.1:7007]",
                              err);
    return rc == 0 ? srun_runner_add(runner, "echo", &ops, echo, NULL, err) : rc;
}

int main(int argc, char **argv)
{
    static struct echo echo;
    return srun_main(argc, argv, SRUN_CONFIG(.name = "echo", .version = "1.0.0"), setup, &echo);
}
