/* SPDX-License-Identifier: MIT */
#include "base/gzip.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <zlib.h>

#define LIBRARY "libz.so.1"
#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip's head and end */
#define MEMORY_LEVEL 8

static pthread_once_t looked_for = PTHREAD_ONCE_INIT;
static __typeof__ (&deflateInit2_)(begin); /* NULL: it is not here */
static __typeof__ (&deflateBound)(bound);
static __typeof__ (&deflate)(pack);
static __typeof__ (&deflateEnd)(end);

static void look_for_zlib(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return;
    bound = (__typeof__(bound))dlsym(library, "deflateBound");
    pack = (__typeof__(pack))dlsym(library, "deflate");
    end = (__typeof__(end))dlsym(library, "deflateEnd");
    if (bound != NULL && pack != NULL && end != NULL)
        begin = (__typeof__(begin))dlsym(library, "deflateInit2_");
}

bool gzip_add(struct buf *out, const struct buf *in)
{
    z_stream stream = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->size};
    (void)pthread_once(&looked_for, look_for_zlib);
    if (begin == NULL || in->size > UINT_MAX / 2 ||
        begin(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY,
              ZLIB_VERSION, (int)sizeof stream) != Z_OK)
        return false;
    uLong most = bound(&stream, in->size);
    bool whole = buf_reserve(out, most);
    if (whole) {
        stream.next_out = (Bytef *)(out->data + out->size);
        stream.avail_out = (uInt)most;
        whole = pack(&stream, Z_FINISH) == Z_STREAM_END;
    }
    (void)end(&stream);
    if (whole) {
        out->size += stream.total_out;
        out->data[out->size] = '\0';
    }
    return whole;
}
