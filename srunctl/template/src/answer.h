/* The service "answer": who connects asks one line, gets one line, and the connection ends. */
#ifndef ANSWER_H
#define ANSWER_H

#include <srun/srun.h>
#include <stdatomic.h>

#define ANSWER_CLIENTS 64 /* at once; the others wait in the backlog of the socket */
#define ANSWER_LINE 256

struct client {
    int fd;
    int64_t until_ms; /* on the monotonic clock: then it has taken too long to ask */
    size_t size;
    char line[ANSWER_LINE];
};

struct answer {
    const char *listen; /* where, as --listen says */
    char address[128];  /* where it is; another one when --listen has port 0 */
    int listener;       /* the runner's: it lives on in the next generation */
    atomic_uint count;  /* the health check reads it on another thread */
    struct client clients[ANSWER_CLIENTS];
    srun_series *answered, *late, *gone; /* by what became of a question */
};

extern const struct srun_service_ops answer_ops;

#endif
