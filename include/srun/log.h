/* SPDX-License-Identifier: MIT
 *
 * Structured logs in the shape of Go's slog: a level, a message, typed key-values.
 *
 *     SRUN_INFO(log, "payment settled", SRUN_STR("id", id), SRUN_INT("cents", cents));
 *
 * One record is one write: lines of several threads never mix, no value can forge a line, a reader
 * that has gone never hangs the program (the record is dropped and counted, and the next one that
 * gets through says how many were lost). Nothing allocates, but for the journal, where a record of
 * more than 4 KiB borrows pages for the call. errno is kept by every call here.
 * Threads: any. Not in signal handlers.
 */
#ifndef SRUN_LOG_H
#define SRUN_LOG_H

#include <srun/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct srun_logger srun_logger;

/* Numbered as slog does; OpenTelemetry's severities are 5, 9, 13, 17 in the same order. */
typedef enum srun_level {
    SRUN_LEVEL_DEBUG = -4,
    SRUN_LEVEL_INFO = 0,
    SRUN_LEVEL_WARN = 4,
    SRUN_LEVEL_ERROR = 8
} srun_level;

enum srun_kv_type {
    SRUN_KV_END, SRUN_KV_STR, SRUN_KV_BYTES, SRUN_KV_INT, SRUN_KV_UINT, SRUN_KV_DOUBLE,
    SRUN_KV_BOOL, SRUN_KV_DURATION, SRUN_KV_ERRNO
};

/* Made by the macros below; borrowed for the call. The macros name every byte of it: what they left
 * out, the compiler would have to clear, for the whole array at each call. */
struct srun_kv {
    const char *key;
    enum srun_kv_type type;
    unsigned key_size; /* 0: up to its NUL */
    union {
        const char *str; /* NULL prints as <nil>, in JSON as null */
        int64_t i;
        uint64_t u;
        double d;
    } value;
    size_t size; /* of SRUN_KV_BYTES, which begin at value.str */
};

/* The size of a literal key is known to the compiler: then nobody has to look for its end. */
#define SRUN_KNOWN_SIZE_(s) (__builtin_constant_p(__builtin_strlen(s)) ? __builtin_strlen(s) : 0)
#ifndef __cplusplus
#define SRUN_KV_(k, t, member, v, n)                                                               \
    ((struct srun_kv){.key = (k),                                                                  \
                      .type = SRUN_KV_##t,                                                         \
                      .key_size = (unsigned)SRUN_KNOWN_SIZE_(k),                                   \
                      .value.member = (v),                                                         \
                      .size = (n)})
#define SRUN_KV_END_                                                                               \
    ((struct srun_kv){.key = NULL, .type = SRUN_KV_END, .key_size = 0, .value.i = 0, .size = 0})
#else
#define SRUN_KV_(k, t, member, v, n)                                                               \
    srun_kv_##member##_((k), SRUN_KV_##t, (unsigned)SRUN_KNOWN_SIZE_(k), (v), (n))
#define SRUN_KV_MAKER_(member, kind)                                                               \
    static inline struct srun_kv srun_kv_##member##_(const char *key, enum srun_kv_type type,      \
                                                     unsigned key_size, kind v, size_t size)       \
    {                                                                                              \
        struct srun_kv kv;                                                                         \
        kv.key = key;                                                                              \
        kv.type = type;                                                                            \
        kv.key_size = key_size;                                                                    \
        kv.value.member = v;                                                                       \
        kv.size = size;                                                                            \
        return kv;                                                                                 \
    }
SRUN_KV_MAKER_(str, const char *)
SRUN_KV_MAKER_(i, int64_t)
SRUN_KV_MAKER_(u, uint64_t)
SRUN_KV_MAKER_(d, double)
#define SRUN_KV_END_ srun_kv_i_(NULL, SRUN_KV_END, 0, 0, 0)
#endif
#define SRUN_STR(k, v) SRUN_KV_(k, STR, str, v, 0)
#define SRUN_INT(k, v) SRUN_KV_(k, INT, i, v, 0)
#define SRUN_UINT(k, v) SRUN_KV_(k, UINT, u, v, 0)
#define SRUN_DOUBLE(k, v) SRUN_KV_(k, DOUBLE, d, v, 0)
#define SRUN_BOOL(k, v) SRUN_KV_(k, BOOL, i, !!(v), 0)
/* Text of a known length, which may hold any byte. */
#define SRUN_TEXT(k, p, n) SRUN_KV_(k, BYTES, str, p, n)
/* Nanoseconds and milliseconds, printed as Go prints a time.Duration: 1.5s. JSON: nanoseconds. */
#define SRUN_NS(k, v) SRUN_KV_(k, DURATION, i, v, 0)
#define SRUN_MS(k, v) SRUN_KV_(k, DURATION, i, (int64_t)(v)*1000000, 0)
/* A code this library returned, or an errno of either sign, as its text. */
#define SRUN_CODE(k, v) SRUN_KV_(k, ERRNO, i, v, 0)
/* Makes the record an event of OpenTelemetry, of this name: which kind of thing has happened, for
 * programs that read it, whatever the message says. "shop.order.paid"; one name for one set of
 * keys. Written as event.name. */
#define SRUN_EVENT(name) SRUN_STR("event.name", name)

#define SRUN_DEBUG(log, ...) SRUN_LOG_AT_(log, SRUN_LEVEL_DEBUG, __VA_ARGS__)
#define SRUN_INFO(log, ...) SRUN_LOG_AT_(log, SRUN_LEVEL_INFO, __VA_ARGS__)
#define SRUN_WARN(log, ...) SRUN_LOG_AT_(log, SRUN_LEVEL_WARN, __VA_ARGS__)
#define SRUN_ERROR(log, ...) SRUN_LOG_AT_(log, SRUN_LEVEL_ERROR, __VA_ARGS__)

#define SRUN_FIRST_(a, ...) (a)
#define SRUN_REST_(a, ...) __VA_ARGS__
#define SRUN_LOG_AT_(log, level, ...)                                                              \
    do {                                                                                           \
        if (srun_log_enabled((log), (level)))                                                      \
            srun_log_write((log), (level),                                                         \
                           SRUN_ARRAY_(struct srun_source,                                         \
                               {__FILE__, __func__, __LINE__,                                      \
                                (unsigned)SRUN_KNOWN_SIZE_(SRUN_FIRST_(__VA_ARGS__, 0))}),         \
                           SRUN_FIRST_(__VA_ARGS__, 0),                                            \
                           SRUN_ARRAY_(struct srun_kv, SRUN_REST_(__VA_ARGS__, SRUN_KV_END_)));    \
    } while (0)

/* What a call site knows of itself. message_size 0: up to its NUL. */
struct srun_source {
    const char *file, *function;
    int line;
    unsigned message_size;
};

/* The part of a logger that the level test reads; the rest is private. */
struct srun_logger_head { const int *level; };

/* One load and one compare. NULL log: 0. */
static inline int srun_log_enabled(const srun_logger *log, int level)
{
    return log != NULL &&
           level >= __atomic_load_n(((const struct srun_logger_head *)(const void *)log)->level,
                                    __ATOMIC_RELAXED);
}

/* What the macros call; for bindings. kvs ends with SRUN_KV_END. source may be NULL. */
SRUN_API void srun_log_write(srun_logger *log, int level, const struct srun_source *source,
                             const char *message, const struct srun_kv *kvs);

/* A logger whose records all begin with these key-values, rendered once. Owned by the caller: free
 * it before its parent. logger_scope, a string, says which part of the program logs: when records are
 * exported it is their scope. -ENOMEM, -E2BIG when they exceed 4 KiB. */
SRUN_API int srun_logger_with(srun_logger **out, srun_logger *parent, const struct srun_kv *kvs,
                              srun_err *err);
SRUN_API srun_logger *srun_logger_free(srun_logger *log);

#define SRUN_KVS(...) SRUN_ARRAY_(struct srun_kv, __VA_ARGS__, SRUN_KV_END_)

/* The level of the whole family of loggers (the parent and all made from it), at run time. */
SRUN_API void srun_logger_set_level(srun_logger *log, int level);
SRUN_API int srun_logger_level(const srun_logger *log);

/* Records dropped so far because the sink did not take them. */
SRUN_API uint64_t srun_logger_lost(const srun_logger *log);

/* "debug", "info", "warn", "error", in upper or lower case, and what lies between, as records show
 * it: "INFO+2". 0, or -EINVAL, and *out is as it was. */
SRUN_API int srun_level_parse(const char *text, int *out);

#ifdef __cplusplus
}
#endif
#endif
