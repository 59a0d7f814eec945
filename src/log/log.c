/* SPDX-License-Identifier: MIT
 *
 * The loggers: a root that owns level, format and sink, and children that carry key-values which
 * were rendered once, in both forms, so that a change of format reaches loggers that exist; and
 * copied, for who takes records as data: the journal and the tap. Any thread. Writing a record
 * allocates nothing (see journal.h for large ones) and keeps errno.
 *
 * A record is encoded on the stack and written from there without a lock of ours; only one that is
 * longer than PIPE_BUF is encoded again into the buffer of its sink.
 */
#include "log/log.h"

#include "base/auto.h"
#include "log/journal.h"
#include "log/json.h"
#include "log/out.h"
#include "log/own.h"
#include "log/record.h"
#include "log/sink.h"
#include "log/text.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define PREFIX_MAX 4096

_Static_assert(SINK_SMALL >= RECORD_CAPACITY_MIN, "the encoders can work on the stack buffer");

struct prefix {
    char *data;
    size_t size;
};

/* What a family of loggers shares. */
struct family {
    int level; /* read by srun_log_enabled, always atomically */
    atomic_int format;
    int source;
    int fd;
    struct sink *sink;
    struct journal *_Atomic journal;   /* NULL: lines */
    const struct log_tap *_Atomic tap; /* NULL: nobody */
    atomic_uint_fast64_t lost;         /* since the beginning */
    atomic_uint_fast64_t untold;       /* of those, not yet told by a record */
};

struct srun_logger {
    struct srun_logger_head head; /* first: the macros read it */
    struct family *family;
    bool is_root;
    struct prefix text, json; /* both behind own, as the texts of own */
    const char *scope;        /* NULL: none */
    struct srun_kv own[];
};

static bool (*_Atomic current_ids)(char trace_id[33], char span_id[17]);

void log_set_ids(bool (*ids)(char trace_id[33], char span_id[17]))
{
    atomic_store(&current_ids, ids);
}

#define IDS_MAX 96 /* of their text in either form */

struct ids {
    bool known;
    char trace_id[33], span_id[17];
    char text[IDS_MAX];
};

/* The ids of the current span, as two attributes. */
static __attribute__((noinline)) size_t render_ids(struct ids *ids, bool json)
{
    const char *parts[] = {json ? ",\"trace_id\":\"" : " trace_id=", ids->trace_id,
                           json ? "\",\"span_id\":\"" : " span_id=", ids->span_id,
                           json ? "\"" : ""};
    char *at = ids->text;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        at = stpcpy(at, parts[i]);
    return (size_t)(at - ids->text);
}

static inline __attribute__((always_inline)) void encode(struct out *out,
                                                         const struct record *record, bool json)
{
    if (json)
        json_record(out, record);
    else
        text_record(out, record);
}

static __attribute__((noinline)) bool write_large(const struct family *family,
                                                  const struct record *record, bool json)
{
    char *buffer = sink_begin(family->sink, family->fd);
    if (buffer == NULL)
        return false;
    struct out out = out_over(buffer, SINK_LARGE);
    encode(&out, record, json);
    return sink_end(family->sink, family->fd, (size_t)(out.at - buffer));
}

static inline __attribute__((always_inline)) bool
write_record(const struct family *family, const struct record *record, bool json)
{
    char buffer[SINK_SMALL];
    struct out out = out_over(buffer, sizeof buffer);
    encode(&out, record, json);
    if (out.cut)
        return write_large(family, record, json);
    return sink_write(family->sink, family->fd, buffer, (size_t)(out.at - buffer));
}

static __attribute__((noinline)) bool write_entry(struct journal *journal, const srun_logger *log,
                                                  const struct record *record,
                                                  const struct srun_source *source,
                                                  const struct ids *ids)
{
    bool known = source != NULL && source->file != NULL && source->function != NULL;
    return journal_write(
        journal, &(const struct journal_entry){.record = record,
                                               .source = known ? source : NULL,
                                               .trace_id = ids->known ? ids->trace_id : NULL,
                                               .span_id = ids->known ? ids->span_id : NULL,
                                               .scope = log->scope,
                                               .own = log->own});
}

/* A record takes the losses that nobody told yet with it; when it is lost itself they are left,
 * one more, to the next. So the sum of what is told never exceeds what was lost. */
static inline __attribute__((always_inline)) void
write_and_account(const srun_logger *log, struct record *record, const struct srun_source *source,
                  struct ids *ids)
{
    struct family *family = log->family;
    bool json = atomic_load_explicit(&family->format, memory_order_relaxed) == SRUN_LOG_JSON;
    const struct prefix *prefix = json ? &log->json : &log->text;
    record->prefix = prefix->data;
    record->prefix_size = prefix->size;
    bool (*find)(char trace_id[33], char span_id[17]) =
        atomic_load_explicit(&current_ids, memory_order_relaxed);
    ids->known = find != NULL && find(ids->trace_id, ids->span_id);
    record->ids = ids->text;
    if (ids->known)
        record->ids_size = render_ids(ids, json);
    if (atomic_load_explicit(&family->untold, memory_order_relaxed) > 0)
        record->lost = atomic_exchange(&family->untold, 0);

    struct journal *journal = atomic_load_explicit(&family->journal, memory_order_acquire);
    if (__builtin_expect(journal != NULL, 0) && write_entry(journal, log, record, source, ids))
        return;
    if (!write_record(family, record, json)) {
        atomic_fetch_add(&family->lost, 1);
        atomic_fetch_add(&family->untold, record->lost + 1);
    }
}

/* A binding may not know where it is called from. */
static const struct srun_source *shown_source(const srun_logger *log,
                                              const struct srun_source *source)
{
    bool known = source != NULL && source->file != NULL && source->function != NULL;
    return log->family->source && known ? source : NULL;
}

static __attribute__((noinline)) void offer(const struct log_tap *tap, const srun_logger *log,
                                            const struct record *record)
{
    tap->take(tap->user, &(const struct log_copy){.time_ns = record->stamp->second * 1000000000 +
                                                             record->stamp->ns,
                                                  .level = record->level,
                                                  .source = record->source,
                                                  .message = record->message,
                                                  .scope = log->scope,
                                                  .message_size = record->message_size,
                                                  .own = log->own,
                                                  .kvs = record->kvs});
}

static inline __attribute__((always_inline)) void write_now(const srun_logger *log, int level,
                                                            const struct srun_source *source,
                                                            const char *message,
                                                            const struct srun_kv *kvs)
{
    struct record record = {
        .stamp = stamp_now(),
        .level = level,
        .source = shown_source(log, source),
        .message = message,
        .message_size =
            source != NULL && source->message_size > 0 ? source->message_size : strlen(message),
        .kvs = kvs,
    };
    struct ids ids;
    write_and_account(log, &record, source, &ids);
    const struct log_tap *tap = atomic_load_explicit(&log->family->tap, memory_order_acquire);
    if (__builtin_expect(tap != NULL, 0))
        offer(tap, log, &record);
}

void srun_log_write(srun_logger *log, int level, const struct srun_source *source,
                    const char *message, const struct srun_kv *kvs)
{
    if (!srun_log_enabled(log, level))
        return;
    int saved = errno;
    write_now(log, level, source, message != NULL ? message : "", kvs);
    errno = saved;
}

/* A logger whose prefixes are these, and whose key-values are those of the parent (or none) and
 * the given ones. */
static srun_logger *logger_alloc(struct family *family, const srun_logger *parent,
                                 const struct srun_kv *kvs, struct prefix text, struct prefix json)
{
    const struct srun_kv *inherited = parent != NULL ? parent->own : NULL;
    const char *scope = own_scope(kvs);
    scope = scope == NULL && parent != NULL ? parent->scope : scope;
    size_t scope_size = scope != NULL ? strlen(scope) + 1 : 0;
    struct own_size first = own_size(inherited), rest = own_size(kvs);
    size_t count = first.kvs + rest.kvs + 1;
    srun_logger *log = malloc(sizeof *log + count * sizeof log->own[0] + first.bytes + rest.bytes +
                              scope_size + text.size + json.size);
    if (log == NULL)
        return NULL;
    *log = (struct srun_logger){.head.level = &family->level, .family = family};
    struct srun_kv *at = log->own;
    char *texts = (char *)&log->own[count];
    own_copy(&at, &texts, inherited);
    own_copy(&at, &texts, kvs);
    *at = SRUN_KV_END_;
    log->scope = scope != NULL ? memcpy(texts, scope, scope_size) : NULL;
    texts += scope_size;
    log->text = (struct prefix){texts, text.size};
    log->json = (struct prefix){texts + text.size, json.size};
    memcpy(log->text.data, text.data, text.size);
    memcpy(log->json.data, json.data, json.size);
    return log;
}

int srun_logger_with(srun_logger **out, srun_logger *parent, const struct srun_kv *kvs,
                     srun_err *err)
{
    int saved = errno;
    char text[PREFIX_MAX + OUT_RESERVE];
    char json[PREFIX_MAX + OUT_RESERVE];
    struct out text_out = out_over(text, sizeof text);
    struct out json_out = out_over(json, sizeof json);

    (void)out_put(&text_out, parent->text.data, parent->text.size);
    (void)out_put(&json_out, parent->json.data, parent->json.size);
    text_attrs(&text_out, kvs);
    json_attrs(&json_out, kvs);
    errno = saved; /* which the text of a number may have changed */
    if (text_out.cut || json_out.cut)
        return srun_fail(err, -E2BIG, "logger: the key-values exceed %d bytes", PREFIX_MAX);

    srun_logger *log = logger_alloc(parent->family, parent, kvs,
                                    (struct prefix){text, (size_t)(text_out.at - text)},
                                    (struct prefix){json, (size_t)(json_out.at - json)});
    errno = saved;
    if (log == NULL)
        return srun_fail(err, -ENOMEM, "logger: out of memory");
    *out = log;
    return 0;
}

static void family_free(struct family *family)
{
    (void)journal_free(atomic_load(&family->journal));
    sink_close(family->sink, family->fd);
    free(family);
}

srun_logger *srun_logger_free(srun_logger *log)
{
    if (log == NULL)
        return NULL;
    int saved = errno;
    if (log->is_root) {
        if (atomic_load(&log->family->untold) > 0)
            write_now(log, SRUN_LEVEL_WARN, NULL, "log records were lost", NULL);
        family_free(log->family);
    }
    free(log);
    errno = saved;
    return NULL;
}

void srun_logger_set_level(srun_logger *log, int level)
{
    __atomic_store_n(&log->family->level, level, __ATOMIC_RELAXED);
}

int srun_logger_level(const srun_logger *log)
{
    return __atomic_load_n(&log->family->level, __ATOMIC_RELAXED);
}

uint64_t srun_logger_lost(const srun_logger *log)
{
    return atomic_load(&log->family->lost);
}

void log_configure(srun_logger *root, srun_log_format format, int level)
{
    atomic_store_explicit(&root->family->format, (int)format, memory_order_relaxed);
    srun_logger_set_level(root, level);
}

void log_set_tap(srun_logger *root, const struct log_tap *tap)
{
    atomic_store(&root->family->tap, tap);
}

int log_join_journal(srun_logger *root, const char *path, const char *identifier, srun_err *err)
{
    struct journal *made = NULL, *joined = NULL;
    int rc = journal_open(&made, path, identifier, err);
    if (rc < 0)
        return rc;
    if (atomic_compare_exchange_strong(&root->family->journal, &joined, made))
        return journal_fd(made);
    (void)journal_free(made);
    return journal_fd(joined);
}

int log_new(srun_logger **out, int fd, srun_log_format format, int level, int source, srun_err *err)
{
    auto_free struct family *family = calloc(1, sizeof *family);
    if (family == NULL)
        return srun_fail(err, -ENOMEM, "log: out of memory");
    family->level = level;
    atomic_init(&family->format, (int)format);
    family->source = source;
    family->fd = fd;
    int rc = sink_open(&family->sink, fd, err);
    if (rc < 0)
        return rc;

    srun_logger *root =
        logger_alloc(family, NULL, NULL, (struct prefix){"", 0}, (struct prefix){"", 0});
    if (root == NULL) {
        sink_close(family->sink, fd);
        return srun_fail(err, -ENOMEM, "log: out of memory");
    }
    tzset(); /* reads the zone now, so that no record has to */
    root->is_root = true;
    take_ptr(family);
    *out = root;
    return 0;
}
