/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 512

bool buf_reserve(struct buf *buf, size_t more)
{
    if (buf->failed || more > SIZE_MAX / 2 - buf->size - 1) {
        buf->failed = true;
        return false;
    }
    size_t needed = buf->size + more + 1;
    if (needed <= buf->capacity)
        return true;
    size_t capacity = buf->capacity > 0 ? buf->capacity * 2 : FIRST_CAPACITY;
    if (capacity < needed)
        capacity = needed;
    char *grown = realloc(buf->data, capacity);
    buf->failed = grown == NULL;
    if (grown == NULL)
        return false;
    buf->data = grown;
    buf->capacity = capacity;
    return true;
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
    if (!buf_reserve(buf, size))
        return;
    if (size > 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void buf_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || !buf_reserve(buf, (size_t)length))
        return;
    (void)vsnprintf(buf->data + buf->size, (size_t)length + 1, format, arguments);
    buf->size += (size_t)length;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(buf, format, arguments);
    va_end(arguments);
}

void buf_fixed(struct buf *buf, double value, int decimals, int width)
{
    char text[32], *at = text + sizeof text - 1;
    double scaled = value < 0 ? -value : value;
    for (int i = 0; i < decimals; i++)
        scaled *= 10;
    uint64_t units = (uint64_t)(scaled + 0.5);
    bool negative = value < 0 && units > 0;
    *at = '\0';
    for (int i = 0; i < decimals; i++, units /= 10)
        *--at = (char)('0' + units % 10);
    if (decimals > 0)
        *--at = '.';
    do
        *--at = (char)('0' + units % 10);
    while ((units /= 10) > 0);
    if (negative)
        *--at = '-';
    buf_printf(buf, "%*s", width, at);
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}
