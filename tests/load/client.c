/* SPDX-License-Identifier: MIT */
#include "client.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define PAUSE_NS (10 * NS_PER_MS)
#define CLOSING_NS (1000 * NS_PER_MS)
#define SCAN_NS (10 * NS_PER_MS)
#define SCAN_SOON_NS NS_PER_MS
#define EVENTS_MAX 256

/* --- the queue of clients that are ready ------------------------------------------------------ */

static void make_ready(struct worker *w, struct client *c)
{
    c->state = CLIENT_READY;
    w->queue[(w->head + w->ready++) % w->count] = (unsigned)(c - w->clients);
}

static struct client *take_ready(struct worker *w)
{
    struct client *c = &w->clients[w->queue[w->head]];
    w->head = (w->head + 1) % w->count;
    w->ready--;
    return c;
}

/* --- how a request ends ----------------------------------------------------------------------- */

static void disconnect(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd); /* what was lost with it has been counted */
    c->fd = -1;
}

static void lose(struct worker *w, struct client *c, enum load_error error, int code)
{
    struct load_result *result = w->result;
    int64_t now = clock_real_now();
    result->errors[error]++;
    result->lost++;
    if (result->first_errno == 0 && (error == LOAD_connect_other || error == LOAD_io_other))
        result->first_errno = code;
    const struct load_config *config = w->shared->config;
    if (config->on_error != NULL)
        config->on_error(config->user, now, error);
    disconnect(c);
    w->active--;
    c->state = CLIENT_PAUSED;
    c->deadline_ns = now + PAUSE_NS;
    if (w->next_scan_ns > now + SCAN_SOON_NS)
        w->next_scan_ns = now + SCAN_SOON_NS;
}

static void note_gap(struct worker *w, int64_t now)
{
    int64_t before =
        atomic_exchange_explicit(&w->shared->last_answer_ns, now, memory_order_relaxed);
    if (now - before > w->result->longest_gap_ns)
        w->result->longest_gap_ns = now - before;
}

static void note_process(struct worker *w, const struct response *response, int64_t now)
{
    struct load_result *result = w->result;
    struct load_process *process = &result->processes[w->last_process];
    if (process->pid != response->pid || process->generation != response->generation ||
        result->process_count == 0) {
        unsigned i = 0;
        while (i < result->process_count &&
               (result->processes[i].pid != response->pid ||
                result->processes[i].generation != response->generation))
            i++;
        if (i == LOAD_PROCESSES_MAX) {
            result->other_answers++;
            return;
        }
        process = &result->processes[w->last_process = i];
        if (i == result->process_count) {
            result->process_count++;
            *process = (struct load_process){response->pid, response->generation, 0, now, now};
            const struct load_config *config = w->shared->config;
            if (config->on_process != NULL)
                config->on_process(config->user, now, response->pid, response->generation);
        }
    }
    process->answers++;
    process->last_ns = now;
}

/* hung_up: the server has closed, and the event said so. */
static void answer(struct worker *w, struct client *c, bool hung_up)
{
    struct load_result *result = w->result;
    if (c->response.status != 200) {
        lose(w, c, LOAD_wrong_status, 0);
        return;
    }
    int64_t now = clock_real_now();
    result->answers++;
    histogram_add(&result->latency, (uint64_t)(now > c->due_ns ? now - c->due_ns : 0));
    note_gap(w, now);
    note_process(w, &c->response, now);
    w->active--;
    c->reused = true;
    bool keep = w->shared->config->reuse && c->response.keep_alive;
    if (w->shared->config->reuse && !c->response.keep_alive)
        result->told_to_close++;
    if (keep && hung_up)
        result->idle_closed++;
    if (hung_up)
        disconnect(c);
    if (keep || hung_up) {
        make_ready(w, c);
    } else { /* the side that closes first keeps the port for a minute: let it be the server's */
        c->state = CLIENT_CLOSING;
        c->deadline_ns = now + CLOSING_NS;
    }
}

static enum load_error early_end(const struct client *c, bool reset)
{
    if (response_has_begun(&c->response))
        return reset ? LOAD_reset_middle : LOAD_closed_middle;
    if (c->reused)
        return reset ? LOAD_reset_reused : LOAD_closed_reused;
    return reset ? LOAD_reset_new : LOAD_closed_new;
}

static void fail_io(struct worker *w, struct client *c, int error)
{
    bool reset = error == ECONNRESET || error == EPIPE;
    /* EPIPE: over TCP the reset came before this send; a unix socket says so when closed. */
    if (error == EPIPE && w->shared->address.ss_family == AF_UNIX)
        lose(w, c, early_end(c, false), error);
    else
        lose(w, c, reset ? early_end(c, true) : LOAD_io_other, error);
}

/* --- a request -------------------------------------------------------------------------------- */

static void send_request(struct worker *w, struct client *c)
{
    const struct load_shared *shared = w->shared;
    response_begin(&c->response);
    c->sent = true;
    c->state = CLIENT_WAITING;
    ssize_t sent = send(c->fd, shared->request, shared->request_size, MSG_NOSIGNAL);
    if (sent < 0)
        fail_io(w, c, errno);
    else if ((size_t)sent < shared->request_size) /* has room for a megabyte */
        lose(w, c, LOAD_io_other, ENOBUFS);
}

/* The socket is made and watched first: an event that comes early is not missed. */
static void connect_client(struct worker *w, struct client *c)
{
    struct load_shared *shared = w->shared;
    if (c->fd < 0) {
        c->reused = false;
        c->fd = socket(shared->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0) {
            lose(w, c, LOAD_io_other, errno);
            return;
        }
    }
    if (connect(c->fd, (const struct sockaddr *)&shared->address, shared->address_length) < 0 &&
        errno != EINPROGRESS) {
        if (errno != EAGAIN) {
            lose(w, c, load_connect_error(errno), errno);
            return;
        }
        w->result->connect_waits += c->state != CLIENT_QUEUEING;
        c->state = CLIENT_QUEUEING; /* the kernel does not tell when there is room */
        w->next_scan_ns = 0;
        return;
    }
    w->result->connections++;
    c->state = CLIENT_CONNECTING;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u32 = (uint32_t)(c - w->clients)};
    if (epoll_ctl(w->poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        lose(w, c, LOAD_io_other, errno);
}

static void begin(struct worker *w, struct client *c, int64_t due_ns)
{
    w->begun++;
    w->active++;
    w->result->requests++;
    atomic_fetch_add_explicit(&w->shared->sent, 1, memory_order_relaxed);
    int64_t now = clock_real_now();
    c->due_ns = due_ns > 0 ? due_ns : now;
    c->deadline_ns = now + w->shared->config->timeout_ns;
    c->sent = false;
    if (c->fd < 0)
        connect_client(w, c);
    else
        send_request(w, c);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_connected(struct worker *w, struct client *c)
{
    int error = 0;
    socklen_t length = sizeof error;
    (void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length); /* cannot fail on a socket */
    if (error != 0)
        lose(w, c, load_connect_error(error), error);
    else
        send_request(w, c);
}

static void on_bytes(struct worker *w, struct client *c, size_t size, bool hung_up)
{
    switch (response_feed(&c->response, w->buffer, size)) {
    case RESPONSE_DONE:
        answer(w, c, hung_up);
        break;
    case RESPONSE_MALFORMED:
        if (w->result->malformed[0] == '\0')
            (void)strncpy(w->result->malformed, c->response.why, sizeof w->result->malformed - 1);
        lose(w, c, LOAD_malformed, 0);
        break;
    case RESPONSE_MORE:
        break;
    }
}

static void on_end(struct worker *w, struct client *c)
{
    if (response_end(&c->response) == RESPONSE_DONE)
        answer(w, c, true);
    else
        lose(w, c, early_end(c, false), 0);
}

/* Reads until there is no more, or the request has ended. */
static void read_response(struct worker *w, struct client *c, bool hung_up)
{
    while (c->state == CLIENT_WAITING) {
        ssize_t got = recv(c->fd, w->buffer, sizeof w->buffer, 0);
        if (got > 0) {
            /* Whether more lies there is known only when this was not all of it. */
            bool all = (size_t)got < sizeof w->buffer;
            on_bytes(w, c, (size_t)got, hung_up && all);
            if (all && !hung_up)
                return;
        } else if (got == 0) {
            on_end(w, c);
        } else if (errno != EAGAIN) {
            fail_io(w, c, errno);
        } else {
            return;
        }
    }
}

/* Nobody waits for a response here: it is the end of the connection, or bytes that nobody asked
 * for, which spoil it; the server owes nothing for that. */
static void on_quiet_event(struct worker *w, struct client *c, bool hung_up)
{
    ssize_t got = hung_up ? 0 : recv(c->fd, w->buffer, sizeof w->buffer, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    disconnect(c);
    if (c->state == CLIENT_CLOSING)
        make_ready(w, c);
    else
        w->result->idle_closed++;
}

static void on_event(struct worker *w, const struct epoll_event *event)
{
    struct client *c = &w->clients[event->data.u32];
    bool hung_up = (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (c->fd < 0)
        return; /* ended by an event before this one */
    if (c->state == CLIENT_CONNECTING)
        on_connected(w, c);
    if (c->state == CLIENT_WAITING)
        read_response(w, c, hung_up);
    else if (c->state == CLIENT_CLOSING || c->state == CLIENT_READY)
        on_quiet_event(w, c, hung_up);
}

/* --- time ------------------------------------------------------------------------------------- */

static void scan(struct worker *w, int64_t now)
{
    w->next_scan_ns = now + SCAN_NS;
    for (struct client *c = w->clients; c < w->clients + w->count; c++) {
        bool soon = c->state == CLIENT_PAUSED || c->state == CLIENT_QUEUEING;
        if (c->state == CLIENT_READY)
            continue;
        if (now < c->deadline_ns) {
            if (c->state == CLIENT_QUEUEING)
                connect_client(w, c);
        } else if (c->state == CLIENT_PAUSED) {
            make_ready(w, c);
        } else if (c->state == CLIENT_CLOSING) {
            w->result->left_open++;
            disconnect(c);
            make_ready(w, c);
        } else {
            lose(w, c, c->sent ? LOAD_timeout : LOAD_connect_timeout, ETIMEDOUT);
        }
        if (soon)
            w->next_scan_ns = now + SCAN_SOON_NS;
    }
}

static int64_t due_at(const struct worker *w, uint64_t index)
{
    return w->shared->start_ns + w->offset_ns + (int64_t)((double)index * (1e9 / w->rate));
}

/* No more requests become due. */
static bool is_over(const struct worker *w, int64_t now)
{
    const struct load_config *config = w->shared->config;
    bool stopped = config->stop != NULL &&
                   atomic_load_explicit(config->stop, memory_order_relaxed) &&
                   atomic_load_explicit(&w->shared->sent, memory_order_relaxed) >= config->at_least;
    return stopped || now >= w->shared->end_ns || w->begun >= w->quota;
}

/* Begins what is to begin; the time of the next one that is due, or INT64_MAX. */
static int64_t begin_requests(struct worker *w, int64_t now, int64_t due_until)
{
    if (w->rate <= 0) {
        for (unsigned left = w->ready; left > 0 && !is_over(w, now); left--)
            begin(w, take_ready(w), 0);
        return INT64_MAX;
    }
    int64_t limit = now < due_until ? now : due_until;
    while (w->begun < w->quota) {
        int64_t due = due_at(w, w->begun);
        if (due > limit)
            return due <= due_until ? due : INT64_MAX;
        if (w->ready == 0)
            return INT64_MAX; /* a client that gets free will take it */
        begin(w, take_ready(w), due);
    }
    return INT64_MAX;
}

static bool wait_events(struct worker *w, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t wait = until_ns - clock_real_now();
    wait = wait < 0 ? 0 : wait;
    struct timespec limit = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
    int count = epoll_pwait2(w->poller, events, EVENTS_MAX, &limit, NULL);
    if (count < 0 && errno != EINTR) {
        w->error = -errno;
        return false;
    }
    for (int i = 0; i < count; i++)
        on_event(w, &events[i]);
    return true;
}

/* What was due, and never got a client. */
static void count_not_sent(struct worker *w, int64_t due_until)
{
    while (w->rate > 0 && w->begun < w->quota && due_at(w, w->begun) <= due_until) {
        w->begun++;
        w->result->requests++;
        w->result->lost++;
        w->result->errors[LOAD_not_sent]++;
    }
}

static void close_all(struct worker *w)
{
    for (struct client *c = w->clients; c < w->clients + w->count; c++) {
        bool open = c->state == CLIENT_CONNECTING || c->state == CLIENT_WAITING ||
                    c->state == CLIENT_QUEUEING;
        if (open)
            lose(w, c, c->sent ? LOAD_timeout : LOAD_connect_timeout, ETIMEDOUT);
        disconnect(c);
    }
}

void *worker_run(void *argument)
{
    struct worker *w = argument;
    (void)prctl(PR_SET_TIMERSLACK, 1); /* an open loop sends when it is due; else a little late */
    for (unsigned i = 0; i < w->count; i++)
        make_ready(w, &w->clients[i]);

    int64_t due_until = w->shared->end_ns, limit = INT64_MAX;
    for (;;) {
        int64_t now = clock_real_now();
        if (limit == INT64_MAX && is_over(w, now)) {
            due_until = now < due_until ? now : due_until;
            limit = now + w->shared->config->timeout_ns;
        }
        int64_t next = begin_requests(w, now, due_until);
        bool backlog = w->rate > 0 && w->begun < w->quota && due_at(w, w->begun) <= due_until;
        if (limit != INT64_MAX && ((w->active == 0 && !backlog) || now >= limit))
            break;
        if (now >= w->next_scan_ns)
            scan(w, now);
        int64_t until = next < w->next_scan_ns ? next : w->next_scan_ns;
        if (!wait_events(w, w->ready > 0 && w->rate <= 0 && limit == INT64_MAX ? 0 : until))
            break;
    }
    close_all(w);
    count_not_sent(w, due_until);
    return NULL;
}
