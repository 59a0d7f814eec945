/* SPDX-License-Identifier: MIT
 *
 * The context of a span, and how it travels between processes: W3C Trace Context (traceparent,
 * tracestate) and Baggage, in the headers of any protocol, which two callbacks get and set.
 *
 * A context is a value. The texts that belong to it (tracestate, baggage) lie in a store of the
 * process that keeps the newest 4 MiB of different ones: a context that is kept while more than that
 * passes by loses them, never its ids. Threads: any. Nothing allocates.
 */
#ifndef SRUN_PROPAGATION_H
#define SRUN_PROPAGATION_H

#include <srun/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SRUN_TRACE_SAMPLED = 1, /* somebody records this trace */
    SRUN_TRACE_RANDOM = 2,  /* the last 7 bytes of its id are random */
    SRUN_TRACE_REMOTE = 256 /* it came from another process; never sent */
};

/* Valid when neither id is all zero. */
struct srun_span_context {
    uint8_t trace_id[16], span_id[8];
    uint32_t flags;
    uint32_t reserved;
    uint64_t tracestate, baggage; /* private; 0: none */
};

#define SRUN_TRACEPARENT_SIZE 56   /* "00-<32 hex>-<16 hex>-<2 hex>" and its NUL */
#define SRUN_TRACESTATE_MAX 512    /* bytes; beyond, members go from the back, those over 128 first */
#define SRUN_BAGGAGE_MAX 8192      /* bytes and */
#define SRUN_BAGGAGE_MEMBERS 64    /* members; a header that exceeds either is not read */

/* 1 when it is valid. NULL: 0. */
SRUN_API int srun_span_context_is_valid(const struct srun_span_context *context);

/* As lower-case hex: 32 and 16 digits and a NUL. */
SRUN_API void srun_trace_id_text(const struct srun_span_context *context, char out[33]);
SRUN_API void srun_span_id_text(const struct srun_span_context *context, char out[17]);

/* --- headers --------------------------------------------------------------------------------- */

/* The index-th value of a header, NULL when there are no more; name is lower case, headers may be
 * in any. Borrowed until the next call. */
typedef const char *srun_header_get(void *carrier, const char *name, size_t index);
/* Puts a header in the place of all of that name. */
typedef void srun_header_set(void *carrier, const char *name, const char *value);

/* Reads what the other side sent: always fills in *out, with zeros where there is nothing or it is
 * wrong. Returns 1 when out is valid (and remote), 0 when a trace begins here. Its baggage stands
 * for itself. */
SRUN_API int srun_trace_extract(struct srun_span_context *out, srun_header_get *get, void *carrier);

/* Sends it: traceparent and tracestate when it is valid, baggage when there is some. Which of the
 * three both do is up to OTEL_PROPAGATORS: tracecontext, baggage, none [tracecontext,baggage]. */
SRUN_API void srun_trace_inject(const struct srun_span_context *context, srun_header_set *set,
                                void *carrier);

/* The same for the environment (TRACEPARENT, TRACESTATE, BAGGAGE): what this process was given, and
 * what to give to one that is to be started: a NULL-ended list of up to three "NAME=value" written
 * into the buffer, of SRUN_TRACE_ENVIRONMENT_SIZE. Returns how many. */
SRUN_API int srun_trace_from_environment(struct srun_span_context *out);
#define SRUN_TRACE_ENVIRONMENT_SIZE 9216
SRUN_API int srun_trace_to_environment(const struct srun_span_context *context, char *buffer,
                                       const char *list[4]);

/* The value of traceparent: out is "" for an invalid context. And back, by the rules of W3C: 0, or
 * -EINVAL and zeros. */
SRUN_API void srun_traceparent_format(const struct srun_span_context *context,
                                      char out[SRUN_TRACEPARENT_SIZE]);
SRUN_API int srun_traceparent_parse(struct srun_span_context *out, const char *text);

/* --- tracestate and baggage ------------------------------------------------------------------ */

/* The whole header, "" when there is none. Its size; copied, with a NUL, only when it fits. */
SRUN_API size_t srun_tracestate(const struct srun_span_context *context, char *out, size_t size);
SRUN_API size_t srun_baggage(const struct srun_span_context *context, char *out, size_t size);

/* Puts a member first, as W3C wants it of who changes one; value NULL removes it. 0; -EINVAL for a
 * key or a value that W3C does not allow; -E2BIG: it does not fit (32 members, 512 bytes). */
SRUN_API int srun_tracestate_set(struct srun_span_context *context, const char *key,
                                 const char *value);

/* The value of a member, decoded: its size, or -ENOENT. Copied, with a NUL, only when it fits. */
SRUN_API int srun_baggage_get(const struct srun_span_context *context, const char *key, char *out,
                              size_t size);

/* Adds or replaces a member; any text is a value, it is encoded. metadata: its properties as they
 * are sent, "a=b;c", or NULL. value NULL removes it. 0, -EINVAL (key, metadata), -E2BIG. */
SRUN_API int srun_baggage_set(struct srun_span_context *context, const char *key,
                              const char *value, const char *metadata);

/* Calls each for every member, in order, until it answers other than 0, which is returned. */
SRUN_API int srun_baggage_each(const struct srun_span_context *context,
                               int (*each)(void *user, const char *key, const char *value,
                                           const char *metadata),
                               void *user);

#ifdef __cplusplus
}
#endif
#endif
