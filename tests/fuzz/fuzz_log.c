/* SPDX-License-Identifier: MIT
 *
 * Any bytes as message, key and values, through all encoders into a buffer of any size: one line,
 * no control byte, valid JSON, an entry of the journal with one message, nothing written behind the
 * buffer.
 */
#include "../support/journal_check.h"
#include "../support/json_check.h"
#include "base/ensure.h"
#include "log/entry.h"
#include "log/json.h"
#include "log/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line, size_t size, size_t capacity)
{
    ENSURE(size <= capacity);
    ENSURE(memchr(line, '\n', size) == line + size - 1);
    for (size_t i = 0; i + 1 < size; i++)
        ENSURE((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
}

static void encode(const struct record *record, size_t capacity)
{
    char *buffer = malloc(capacity);
    ENSURE(buffer != NULL);

    struct out out = out_over(buffer, capacity);
    text_record(&out, record);
    check_line(buffer, (size_t)(out.at - buffer), capacity);

    out = out_over(buffer, capacity);
    json_record(&out, record);
    check_line(buffer, (size_t)(out.at - buffer), capacity);
    ENSURE(json_is_object(buffer, (size_t)(out.at - buffer) - 1));

    out = out_over(buffer, capacity);
    entry_encode(&out, &(const struct journal_entry){.record = record,
                                                     .identifier = "fuzz",
                                                     .source = record->source,
                                                     .own = SRUN_KVS(SRUN_INT("own", 1))});
    struct journal_field field;
    ENSURE((size_t)(out.at - buffer) <= capacity);
    ENSURE(journal_find(buffer, (size_t)(out.at - buffer), "PRIORITY", &field) == 1);
    int messages = journal_find(buffer, (size_t)(out.at - buffer), "MESSAGE", &field);
    ENSURE(messages == 1 || (messages == 0 && out.cut));
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stamp stamp = {
        .seconds = "2024-02-29T23:59:58", .offset = "+05:30", .offset_size = 6, .ns = 1};
    struct {
        uint16_t capacity, repeat;
        int32_t level;
        uint64_t number;
    } head = {0};
    if (size < sizeof head)
        return 0;
    memcpy(&head, data, sizeof head);
    data += sizeof head;
    size -= sizeof head;

    /* Repeated, so that short inputs reach the end of the buffer too. */
    size_t times = head.repeat % 64 + 1;
    char *text = malloc(size * times + 1);
    ENSURE(text != NULL);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * size, data, size);
    text[size * times] = '\0';

    double number;
    memcpy(&number, &head.number, sizeof number);
    const char *half = text + strlen(text) / 2;
    const struct srun_source source = {text, half, head.level, 0};
    encode(
        &(struct record){
            .stamp = &stamp,
            .level = head.level,
            .source = head.repeat & 64 ? &source : NULL,
            .message = text,
            .message_size = head.repeat & 128 ? size * times : 0,
            .lost = head.repeat & 256 ? head.number : 0,
            .kvs = SRUN_KVS(SRUN_TEXT(half, text, size * times / 3), SRUN_DOUBLE("d", number),
                            SRUN_STR("s", half), SRUN_INT(half, (int64_t)head.number),
                            SRUN_UINT("u", head.number), SRUN_NS("t", (int64_t)head.number),
                            SRUN_CODE("e", head.level), SRUN_BOOL("b", head.level),
                            SRUN_TEXT("all", text, size * times)),
        },
        RECORD_CAPACITY_MIN + head.capacity);
    free(text);
    return 0;
}
