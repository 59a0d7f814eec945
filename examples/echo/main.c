/* SPDX-License-Identifier: MIT
 *
 * An echo server over raw epoll: TCP with connections that live long, and UDP. SIGHUP upgrades it:
 * new clients go to the new process at once, the old one serves those it has until they leave or
 * the time to stop is over (SRUN_STOP_TIMEOUT).
 *
 *     build/dev/examples/echo --echo.address=127.0.0.1:7007
 */
#include "parts/peers.h"

#include <errno.h>
#include <srun/srun.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ADDRESS_MAX 100 /* without "tcp://" */
#define URL_MAX 160
#define EVENTS 64

struct echo {
    char address[ADDRESS_MAX];
    int tcp, udp; /* listeners: the runner's */
    int poller;
    struct peers peers;
};

static int watch(struct echo *echo, int fd, void *what, srun_err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (fd < 0 || epoll_ctl(echo->poller, EPOLL_CTL_ADD, fd, &event) < 0)
        return srun_fail(err, fd < 0 ? fd : -1, "cannot watch a descriptor");
    return 0;
}

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
    if (rc < 0)
        return rc;

    echo->poller = epoll_create1(EPOLL_CLOEXEC);
    if (echo->poller < 0)
        return srun_fail(err, -1, "epoll: %m");

    /* Gates instead of the sockets: while another generation serves nothing comes from them. */
    rc = watch(echo, srun_cancel_fd(ctx), NULL, err);
    if (rc == 0)
        rc = watch(echo, srun_gate_fd(ctx, echo->tcp), &echo->tcp, err);
    if (rc == 0)
        rc = watch(echo, srun_gate_fd(ctx, echo->udp), &echo->udp, err);
    return rc;
}

static void accept_clients(struct echo *echo, srun_context *ctx)
{
    int fd;
    while ((fd = srun_accept_now(ctx, echo->tcp, NULL, NULL)) >= 0)
        peers_add(&echo->peers, fd, echo->poller);
    if (fd != -EAGAIN) {
        SRUN_WARN(srun_context_log(ctx), "accept", SRUN_CODE("error", fd));
        srun_sleep_ms(ctx, 100); /* out of descriptors: the connection waits in the backlog */
    }
}

static void serve_until_cancelled(struct echo *echo, srun_context *ctx)
{
    while (!srun_cancelled(ctx)) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(echo->poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &echo->tcp)
                accept_clients(echo, ctx);
            else if (what == &echo->udp)
                peers_answer_datagrams(echo->udp);
            else if (what != NULL)
                peers_answer(&echo->peers, what);
        }
    }
}

/* Those who are here may stay as long as there is time; new ones go elsewhere, or find a closed
 * port. */
static void see_off(struct echo *echo, srun_context *ctx)
{
    epoll_ctl(echo->poller, EPOLL_CTL_DEL, srun_cancel_fd(ctx), NULL);
    accept_clients(echo, ctx); /* who waits in the backlog was promised an answer */
    epoll_ctl(echo->poller, EPOLL_CTL_DEL, srun_gate_fd(ctx, echo->tcp), NULL);
    epoll_ctl(echo->poller, EPOLL_CTL_DEL, srun_gate_fd(ctx, echo->udp), NULL);
    srun_listen_close(ctx, "echo");
    srun_listen_close(ctx, "echo-udp");

    bool upgraded = srun_context_cause(ctx)->kind == SRUN_CAUSE_UPGRADE;
    SRUN_INFO(srun_context_log(ctx), "seeing off", SRUN_UINT("clients", echo->peers.count));
    int64_t left;
    while (upgraded && echo->peers.count > 0 && (left = srun_context_time_left_ms(ctx)) > 100) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(echo->poller, events, EVENTS, (int)left - 100);
        for (int i = 0; i < count; i++)
            peers_answer(&echo->peers, events[i].data.ptr);
    }
    SRUN_INFO(srun_context_log(ctx), "seen off", SRUN_UINT("cut", echo->peers.count));
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct echo *echo = self;
    (void)err;
    srun_ready(ctx);
    serve_until_cancelled(echo, ctx);
    see_off(echo, ctx);
    return 0;
}

static void destroy(void *self)
{
    struct echo *echo = self;
    peers_free(&echo->peers);
    if (echo->poller > 0)
        close(echo->poller);
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
    int rc = set_address(echo, "127.0.0.1:7007", err);
    if (rc < 0)
        return rc;
    rc = srun_flag_custom(runner, "echo.address", "IP:PORT", set_address, echo,
                          "where to listen, TCP and UDP, port 0: free ones [127.0.0.1:7007]", err);
    if (rc < 0)
        return rc;
    return srun_runner_add(runner, "echo", &ops, echo, NULL, err);
}

int main(int argc, char **argv)
{
    static struct echo echo;
    return srun_main(argc, argv, SRUN_CONFIG(.name = "echo", .version = "1.0.0"), setup, &echo);
}
