/* SPDX-License-Identifier: MIT
 *
 * OTLP requests, from plain data to protobuf: Export{Trace,Metrics,Logs}ServiceRequest of OTLP 1.x.
 * Items are grouped by their scope, in the order in which scopes first appear. The resource is
 * encoded once and its bytes reused. Nothing allocates but the buf, whose memory may be used again
 * (set its size to 0). PURE.
 *
 * Attributes: a text is a string, with U+FFFD for what is not UTF-8; text of a known length
 * (SRUN_TEXT) that is not UTF-8 is sent as bytes; a duration is an int of nanoseconds, a code its
 * text, an unsigned number that does not fit an int its decimal text, NULL an empty value. An
 * attribute without a key is left out.
 */
#ifndef TELEMETRY_OTLP_H
#define TELEMETRY_OTLP_H

#include "base/buf.h"
#include "telemetry/export.h"

/* Who the process is, as it stands in every request. Free both with buf_free. */
struct otlp_resource {
    struct buf resource, schema_url;
};

void otlp_resource(struct otlp_resource *out, const struct telemetry_resource *resource);
void otlp_resource_free(struct otlp_resource *resource);

/* Each appends to out. No items: nothing is written, for an envelope without a letter is no use. */
void otlp_spans(struct buf *out, const struct otlp_resource *resource,
                const struct telemetry_span *spans, size_t count);
void otlp_metrics(struct buf *out, const struct otlp_resource *resource,
                  const struct telemetry_metric *metrics, size_t count);
void otlp_logs(struct buf *out, const struct otlp_resource *resource,
               const struct telemetry_log *logs, size_t count);

/* --- for the parts of the encoder --------------------------------------------------------------
 */

void otlp_attributes(struct buf *out, uint32_t field, const struct srun_kv *attributes);
/* Left out when all zero. */
void otlp_id(struct buf *out, uint32_t field, const uint8_t *id, size_t size);

/* Items of one kind: an array, of which each begins with the pointer to its scope. */
struct otlp_items {
    const void *first;
    size_t count, stride;
    void (*encode)(struct buf *out, const void *item);
};
void otlp_request(struct buf *out, const struct otlp_resource *resource,
                  const struct otlp_items *items);

#endif
