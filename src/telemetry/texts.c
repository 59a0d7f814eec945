/* SPDX-License-Identifier: MIT */
#include "telemetry/texts.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define RECENT 1024 /* by hash; a power of two */

/* References are positions in all that was ever written, plus 1, shifted over the size: what is in
 * the ring is what was written last. */
#define SIZE_BITS 14

_Static_assert(TEXTS_MAX < 1 << SIZE_BITS, "a size fits into a reference");

static struct {
    pthread_mutex_t lock; /* a leaf */
    char *ring;
    uint64_t written;
    uint64_t recent[RECENT]; /* references */
} texts = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t reference_of(uint64_t position, size_t size)
{
    return (position + 1) << SIZE_BITS | size;
}

static size_t size_of(uint64_t reference)
{
    return reference & ((1 << SIZE_BITS) - 1);
}

static uint64_t position_of(uint64_t reference)
{
    return (reference >> SIZE_BITS) - 1;
}

/* A text never wraps around the end of the ring. */
static const char *find_locked(uint64_t reference)
{
    if (texts.ring == NULL || reference >> SIZE_BITS == 0)
        return NULL;
    uint64_t position = position_of(reference);
    if (position >= texts.written || texts.written - position > TEXTS_SIZE ||
        position % TEXTS_SIZE + size_of(reference) > TEXTS_SIZE)
        return NULL;
    return texts.ring + position % TEXTS_SIZE;
}

static size_t hash(const char *text, size_t size)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32) & (RECENT - 1);
}

/* One that is about to be overwritten is written once more. */
static bool is_recent_locked(uint64_t reference, const char *text, size_t size)
{
    const char *found = find_locked(reference);
    return found != NULL && size_of(reference) == size && memcmp(found, text, size) == 0 &&
           texts.written - position_of(reference) < TEXTS_SIZE / 2;
}

static bool make_locked(void)
{
    if (texts.ring != NULL)
        return true;
    void *ring = mmap(NULL, TEXTS_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    texts.ring = ring == MAP_FAILED ? NULL : ring;
    return texts.ring != NULL;
}

static uint64_t write_locked(const char *text, size_t size)
{
    size_t left = TEXTS_SIZE - texts.written % TEXTS_SIZE;
    if (left < size)
        texts.written += left;
    uint64_t position = texts.written;
    memcpy(texts.ring + position % TEXTS_SIZE, text, size);
    texts.written += size;
    return reference_of(position, size);
}

/* A thread that is not here may have held the lock, in the middle of its work: all is forgotten. */
static void in_child(void)
{
    (void)pthread_mutex_init(&texts.lock, NULL);
    memset(texts.recent, 0, sizeof texts.recent);
    texts.written += TEXTS_SIZE + 1;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

uint64_t texts_keep(const char *text, size_t size)
{
    if (size == 0 || size > TEXTS_MAX)
        return 0;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    size_t at = hash(text, size);
    uint64_t reference = 0;
    pthread_mutex_lock(&texts.lock);
    if (is_recent_locked(texts.recent[at], text, size))
        reference = texts.recent[at];
    else if (make_locked())
        reference = texts.recent[at] = write_locked(text, size);
    pthread_mutex_unlock(&texts.lock);
    return reference;
}

size_t texts_read(uint64_t reference, char *out, size_t size)
{
    size_t length = 0;
    out[0] = '\0';
    if (reference == 0)
        return 0;
    pthread_mutex_lock(&texts.lock);
    const char *found = find_locked(reference);
    if (found != NULL && size_of(reference) < size) {
        length = size_of(reference);
        memcpy(out, found, length);
    }
    pthread_mutex_unlock(&texts.lock);
    out[length] = '\0';
    return length;
}
