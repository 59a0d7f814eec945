/* SPDX-License-Identifier: MIT
 *
 * One thread of a load: its clients, their connections, and an epoll loop over them. Private to
 * this folder.
 */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include "load.h"
#include "response.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/un.h>

/* What all threads of a load share. */
struct load_shared {
    const struct load_config *config;
    struct sockaddr_storage address;
    socklen_t address_length;
    char request[1024];
    size_t request_size;
    int64_t start_ns, end_ns;
    _Atomic int64_t last_answer_ns;
    _Atomic uint64_t sent;
};

enum client_state {
    CLIENT_READY,  /* in the queue; connected if it has a descriptor */
    CLIENT_PAUSED, /* after an error, until the deadline */
    CLIENT_CONNECTING,
    CLIENT_QUEUEING, /* a unix socket's queue is full */
    CLIENT_WAITING,  /* for a response */
    CLIENT_CLOSING,  /* has its answer, waits for the server to close */
};

struct client {
    enum client_state state;
    int fd;      /* -1: not connected */
    bool reused; /* had a response on this connection */
    bool sent;   /* the request was sent, or tried */
    int64_t due_ns, deadline_ns;
    struct response response;
};

struct worker {
    struct load_shared *shared;
    pthread_t thread;
    int poller, error; /* error: what ended it early, negative errno */
    unsigned count;
    double rate;
    int64_t offset_ns;     /* of its first request, open loop */
    uint64_t quota, begun; /* requests it may begin, and has */
    unsigned active;       /* requests under way */
    unsigned head, ready;  /* the queue: where it begins, how many */
    int64_t next_scan_ns;
    unsigned last_process; /* that answered */
    unsigned *queue;
    struct client *clients;
    struct load_result *result;
    char buffer[65536];
};

/* Runs until the end. A pthread function of a struct worker. */
void *worker_run(void *worker);

#endif
