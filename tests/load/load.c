/* SPDX-License-Identifier: MIT */
#include "load.h"
#include "base/auto.h"
#include "base/clock.h"
#include "client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const char *const names[] = {
#define X(name, what) [LOAD_##name] = #name,
    LOAD_ERRORS(X)
#undef X
};

static const char *const texts[] = {
#define X(name, what) [LOAD_##name] = (what),
    LOAD_ERRORS(X)
#undef X
};

const char *load_error_name(enum load_error error)
{
    return names[error];
}

const char *load_error_text(enum load_error error)
{
    return texts[error];
}

enum load_error load_connect_error(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return LOAD_connect_refused;
    case ECONNRESET:
    case EPIPE:
        return LOAD_connect_reset;
    case ETIMEDOUT:
        return LOAD_connect_timeout;
    case EADDRNOTAVAIL:
        return LOAD_no_port;
    default:
        return LOAD_connect_other;
    }
}

/* --- setting up ------------------------------------------------------------------------------- */

static int check_numbers(const struct load_config *config, srun_err *err)
{
    if (config->clients < 1 || config->clients > LOAD_CLIENTS_MAX)
        return srun_fail(err, -EINVAL, "clients: accepted are 1 to %d", LOAD_CLIENTS_MAX);
    if (config->threads < 1 || config->threads > LOAD_THREADS_MAX ||
        config->threads > config->clients)
        return srun_fail(err, -EINVAL, "threads: accepted are 1 to %d, and no more than clients",
                         LOAD_THREADS_MAX);
    if (!(config->rate >= 0 && config->rate <= 1e6))
        return srun_fail(err, -EINVAL, "rate: accepted are 0 to 1000000");
    if (config->duration_ns <= 0 || config->timeout_ns <= 0)
        return srun_fail(err, -EINVAL, "duration and timeout: more than 0");
    return 0;
}

static int resolve_unix(struct load_shared *shared, const char *path, srun_err *err)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&shared->address;
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address->sun_path)
        return srun_fail(err, -EINVAL, "unix path: 1 to %zu bytes", sizeof address->sun_path - 1);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size + 1);
    shared->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
    if (path[0] == '@') { /* abstract */
        address->sun_path[0] = '\0';
        shared->address_length--;
    }
    return 0;
}

static int resolve(struct load_shared *shared, const char *text, srun_err *err)
{
    const char *colon = text != NULL ? strrchr(text, ':') : NULL;
    char host[64] = "";
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    if (size > 1 && text[0] == '[' && colon[-1] == ']') {
        text++;
        size -= 2;
    }
    if (size == 0 || size >= sizeof host)
        return srun_fail(err, -EINVAL, "address: IPV4:PORT or [IPV6]:PORT");
    memcpy(host, text, size);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return srun_fail(err, -EINVAL, "address: IPV4:PORT or [IPV6]:PORT");
    memcpy(&shared->address, found->ai_addr, found->ai_addrlen);
    shared->address_length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int write_request(struct load_shared *shared, srun_err *err)
{
    const struct load_config *config = shared->config;
    const char *connection = config->reuse ? (config->http10 ? "Connection: keep-alive\r\n" : "")
                                           : "Connection: close\r\n";
    int size =
        snprintf(shared->request, sizeof shared->request, "GET %s HTTP/1.%d\r\nHost: %s\r\n%s\r\n",
                 config->path != NULL ? config->path : "/", config->http10 ? 0 : 1,
                 config->unix_path != NULL ? "localhost" : config->address, connection);
    if (size < 0 || (size_t)size >= sizeof shared->request)
        return srun_fail(err, -EINVAL, "path: too long");
    shared->request_size = (size_t)size;
    return 0;
}

/* --- workers ---------------------------------------------------------------------------------- */

static void worker_close(struct worker *w)
{
    if (w->poller > 0)
        close(w->poller);
    free(w->queue);
    free(w->clients);
    free(w->result);
}

/* The share of this worker of a whole that cannot be split evenly. */
static uint64_t share(uint64_t whole, unsigned index, unsigned count)
{
    return whole / count + (index < whole % count);
}

static int worker_open(struct worker *w, struct load_shared *shared, unsigned index)
{
    const struct load_config *config = shared->config;
    w->shared = shared;
    w->count = (unsigned)share(config->clients, index, config->threads);
    w->rate = config->rate / config->threads;
    w->offset_ns = w->rate > 0 ? (int64_t)(1e9 / config->rate * index) : 0;
    w->quota = config->requests > 0 ? share(config->requests, index, config->threads) : UINT64_MAX;
    w->queue = calloc(w->count, sizeof *w->queue);
    w->clients = calloc(w->count, sizeof *w->clients);
    w->result = calloc(1, sizeof *w->result);
    w->poller = epoll_create1(EPOLL_CLOEXEC);
    if (w->poller < 0)
        return -errno;
    if (w->queue == NULL || w->clients == NULL || w->result == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < w->count; i++)
        w->clients[i].fd = -1;
    return 0;
}

static void merge_process(struct load_result *into, const struct load_process *from)
{
    unsigned i = 0;
    while (i < into->process_count && (into->processes[i].pid != from->pid ||
                                       into->processes[i].generation != from->generation))
        i++;
    if (i == LOAD_PROCESSES_MAX) {
        into->other_answers += from->answers;
        return;
    }
    struct load_process *process = &into->processes[i];
    if (i == into->process_count) {
        into->process_count++;
        *process = *from;
        return;
    }
    process->answers += from->answers;
    if (from->first_ns < process->first_ns)
        process->first_ns = from->first_ns;
    if (from->last_ns > process->last_ns)
        process->last_ns = from->last_ns;
}

static void merge(struct load_result *into, const struct load_result *from)
{
    into->requests += from->requests;
    into->answers += from->answers;
    into->lost += from->lost;
    for (int i = 0; i < LOAD_ERROR_COUNT; i++)
        into->errors[i] += from->errors[i];
    if (into->first_errno == 0)
        into->first_errno = from->first_errno;
    if (into->malformed[0] == '\0')
        memcpy(into->malformed, from->malformed, sizeof into->malformed);
    into->connections += from->connections;
    into->told_to_close += from->told_to_close;
    into->idle_closed += from->idle_closed;
    into->left_open += from->left_open;
    into->connect_waits += from->connect_waits;
    if (from->longest_gap_ns > into->longest_gap_ns)
        into->longest_gap_ns = from->longest_gap_ns;
    histogram_merge(&into->latency, &from->latency);
    into->other_answers += from->other_answers;
    for (unsigned i = 0; i < from->process_count; i++)
        merge_process(into, &from->processes[i]);
}

static int by_first_answer(const void *a, const void *b)
{
    const struct load_process *left = a, *right = b;
    return (left->first_ns > right->first_ns) - (left->first_ns < right->first_ns);
}

static int run_workers(struct worker *workers, const struct load_shared *shared)
{
    unsigned started = 0;
    int rc = 0;
    for (; started < shared->config->threads && rc == 0; started += rc == 0)
        rc = -pthread_create(&workers[started].thread, NULL, worker_run, &workers[started]);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(workers[i].thread, NULL); /* cannot fail for a thread of ours */
        rc = rc == 0 ? workers[i].error : rc;
    }
    return rc;
}

static void auto_workers_cleanup(struct worker **workers)
{
    for (unsigned i = 0; *workers != NULL && i < LOAD_THREADS_MAX; i++)
        worker_close(&(*workers)[i]);
    free(*workers);
}

int load_run(const struct load_config *config, struct load_result *result, srun_err *err)
{
    struct load_shared shared = {.config = config};
    int rc = check_numbers(config, err);
    if (rc == 0)
        rc = config->unix_path != NULL ? resolve_unix(&shared, config->unix_path, err)
                                       : resolve(&shared, config->address, err);
    if (rc == 0)
        rc = write_request(&shared, err);
    if (rc < 0)
        return rc;

    __attribute__((cleanup(auto_workers_cleanup))) struct worker *workers =
        calloc(LOAD_THREADS_MAX, sizeof *workers);
    if (workers == NULL)
        return srun_fail(err, -ENOMEM, "load: out of memory");
    for (unsigned i = 0; i < config->threads; i++) {
        rc = worker_open(&workers[i], &shared, i);
        if (rc < 0)
            return srun_fail(err, rc, "load: %s", srun_strerror(rc));
    }

    shared.start_ns = clock_real_now();
    shared.end_ns = shared.start_ns + config->duration_ns;
    atomic_store(&shared.last_answer_ns, shared.start_ns);
    rc = run_workers(workers, &shared);
    if (rc < 0)
        return srun_fail(err, rc, "load: %s", srun_strerror(rc));

    memset(result, 0, sizeof *result);
    for (unsigned i = 0; i < config->threads; i++)
        merge(result, workers[i].result);
    result->started_ns = shared.start_ns;
    result->ended_ns = clock_real_now();
    int64_t last = result->ended_ns - atomic_load(&shared.last_answer_ns);
    if (result->lost > 0 && last > result->longest_gap_ns)
        result->longest_gap_ns = last; /* it ended without an answer */
    qsort(result->processes, result->process_count, sizeof result->processes[0], by_first_answer);
    return 0;
}
