/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the reply of a receiver: a partial success, a status with its details, and the
 * fields of the head. What comes out can be shown to people, and is no longer than it may be.
 */
#include "base/ensure.h"
#include "base/text.h"
#include "base/wire.h"
#include "fuzz.h"
#include "telemetry/header.h"
#include "telemetry/reply.h"
#include "telemetry/retry.h"

#include <stdlib.h>
#include <string.h>

static void check_text(const char *text)
{
    size_t size = strnlen(text, RETRY_TEXT_MAX);
    ENSURE(size < RETRY_TEXT_MAX);
    ENSURE(size == 0 || text_printable(text, RETRY_TEXT_MAX));
}

static void check_verdict(const char *text, const uint8_t *data, size_t size)
{
    for (int status = 0; status <= 17; status++) {
        struct transport_reply reply = {
            .http_status = status == 0 ? 200 : 503,
            .grpc_status = status,
            .grpc_message = text,
            .grpc_details = text,
            .retry_after = text,
            .body = data,
            .size = size,
        };
        for (int grpc = 0; grpc <= 1; grpc++) {
            struct retry_answer answer;
            retry_judge(&reply, grpc, 1700000000, &answer);
            check_text(answer.text);
            ENSURE(answer.after_ns >= -1);
            ENSURE((answer.code == 0) == (answer.verdict == RETRY_DONE));
            ENSURE(retry_wait_ns(1, answer.after_ns, size > 0 ? data[0] : 0) > 0);
        }
    }
}

/* What is written is what is read. */
static void check_text_survives(const char *text)
{
    auto_buf struct buf buf = {0};
    wire_text_always(&buf, 1, text, strlen(text));
    struct wire_reader in = {(const unsigned char *)buf.data,
                             (const unsigned char *)buf.data + buf.size, false};
    struct wire_field field;
    ENSURE(wire_next(&in, &field) && in.at == in.end);
    ENSURE(wire_is_utf8((const char *)field.data, field.size));
    if (wire_is_utf8(text, strlen(text)))
        ENSURE(field.size == strlen(text) && memcmp(field.data, text, field.size) == 0);
}

static void check_headers(const char *text)
{
    struct text_list list = {0};
    unsigned bad = 0;
    ENSURE(header_list(text, &list, &bad) == 0 && list.count % 2 == 0);
    for (size_t i = 0; i < list.count; i += 2)
        ENSURE(header_refused(list.items[i], list.items[i + 1]) == NULL);
    text_list_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    ENSURE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    struct reply_partial partial;
    ENSURE(reply_partial(data, size, &partial) ||
           (partial.rejected == 0 && partial.text[0] == '\0'));
    check_text(partial.text);
    struct reply_status status;
    (void)reply_status(data, size, &status);
    check_text(status.text);
    ENSURE(status.retry_ns >= -1);
    check_verdict(text, data, size);
    check_text_survives(text);
    check_headers(text);
    free(text);
    return 0;
}
