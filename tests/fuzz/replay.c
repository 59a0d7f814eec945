/* SPDX-License-Identifier: MIT
 *
 * Feeds a fuzz target what it has met before, and inputs made from it by a fixed pseudo-random
 * sequence. Each input ends where a page ends and the next page cannot be read, so that reading one
 * byte too many is a crash in every build.
 *
 *     fuzz_NAME SUITE FOLDER       SUITE is what the result is printed under
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)65536)
#define RANDOM_MAX 200
#define ROUNDS 2000
#define SEED UINT64_C(0x9e3779b97f4a7c15)

struct replay {
    uint8_t *end; /* of the readable pages */
    uint64_t random;
    uint8_t input[INPUT_MAX];
    size_t size;
};

static uint32_t next_random(struct replay *replay, uint32_t below)
{
    uint64_t x = replay->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    replay->random = x;
    return (uint32_t)(x >> 32) % below;
}

static int open_pages(struct replay *replay)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, INPUT_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + INPUT_MAX, page, PROT_NONE) != 0)
        return -1;
    replay->end = pages + INPUT_MAX;
    return 0;
}

static void feed(const struct replay *replay)
{
    uint8_t *start = replay->end - replay->size;
    memcpy(start, replay->input, replay->size);
    (void)LLVMFuzzerTestOneInput(start, replay->size);
}

static void change_some_bytes(struct replay *replay)
{
    static const char liked[] = "0123456789\"\\{}[]:,.-+=_%\n\t /hmsu\x80\xc2\xb5\xff";
    for (uint32_t count = 1 + next_random(replay, 4); count > 0 && replay->size > 0; count--) {
        size_t at = next_random(replay, (uint32_t)replay->size);
        uint32_t how = next_random(replay, 4);
        if (how == 0)
            replay->input[at] = (uint8_t)next_random(replay, 256);
        else if (how == 1)
            replay->input[at] = (uint8_t)liked[next_random(replay, sizeof liked)];
        else if (how == 2)
            replay->size = at; /* cut */
        else if (replay->size < INPUT_MAX)
            replay->input[replay->size++] = replay->input[at]; /* grow */
    }
}

/* The file, then what a few changes make of it. False: it cannot be read, or is too long. */
static int replay_file(struct replay *replay, const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return -1;
    size_t size = fread(replay->input, 1, INPUT_MAX, file);
    int whole = !ferror(file) && fgetc(file) == EOF;
    (void)fclose(file); /* only read from */
    if (!whole)
        return -1;

    replay->size = size;
    feed(replay);
    for (int i = 0; i < 50; i++) {
        change_some_bytes(replay);
        feed(replay);
    }
    return 0;
}

static void replay_random(struct replay *replay)
{
    replay->size = 0;
    feed(replay);
    for (int i = 0; i < ROUNDS; i++) {
        replay->size = next_random(replay, RANDOM_MAX);
        for (size_t at = 0; at < replay->size; at++)
            replay->input[at] =
                (uint8_t)(next_random(replay, 3) == 0 ? next_random(replay, 256)
                                                      : 32 + next_random(replay, 95));
        change_some_bytes(replay);
        feed(replay);
    }
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    static struct replay replay = {.random = SEED};
    int passed = 1, failed = 0;
    if (argc > 3 && strcmp(argv[3], "--list") == 0)
        return printf("%s.survives_its_corpus\n%s.survives_random_input\n", argv[1], argv[1]) < 0;
    if (argc != 3 || open_pages(&replay) != 0) {
        (void)fprintf(stderr, "usage: %s SUITE FOLDER [--list]\n", argv[0]);
        return 2;
    }

    int out = dup(STDOUT_FILENO); /* a target may turn it away */
    struct dirent **files = NULL;
    int count = scandir(argv[2], &files, visible, alphasort); /* in order, so that it repeats */
    for (int i = 0; i < count; i++) {
        if (replay_file(&replay, argv[2], files[i]->d_name) == 0)
            passed++;
        else
            failed += dprintf(out, "FAILED %s: cannot replay %s\n", argv[1], files[i]->d_name) > 0;
        free(files[i]);
    }
    free(files);
    replay_random(&replay);
    (void)dprintf(out, "%s: %d passed, %d failed\n", argv[1], passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
