/* SPDX-License-Identifier: MIT
 *
 * profile: where processor time or memory goes, or what all threads do, as a table for people; or
 * into a file, for go tool pprof and the like. captures: those that were kept.
 */
#include "srunctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS 10.0
#define SECONDS_MAX 300.0
#define REST_MS 60000 /* for all but the sampling itself: names may take their time */

static const struct kind {
    const char *name, *path, *text; /* text: what asks for it in the query */
    bool takes_time;
} kinds[] = {
    {"cpu", "profile", "format=top", true},
    {"heap", "heap", "format=top", false},
    {"threads", "threads", "debug=1", false},
};

/* NULL: there is none of this name. */
static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static bool read_seconds(const char *text, double *out)
{
    char *end = NULL;
    if (text == NULL)
        return true;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out > 0 && *out <= SECONDS_MAX;
}

/* --- what comes of it ------------------------------------------------------------------------- */

/* Whole, or not at all: what a failed write has left is taken away. */
static int write_file(const char *path, const struct buf *data)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return fail(NO, "--output %s: %s", path, strerror(errno));
    bool written = fwrite(data->data, 1, data->size, file) == data->size;
    written = fclose(file) == 0 && written;
    if (written)
        return YES;
    int error = errno;
    struct stat what;
    if (stat(path, &what) == 0 && S_ISREG(what.st_mode)) /* no device */
        (void)unlink(path);
    return fail(NO, "--output %s: %s", path, strerror(error));
}

/* Asks, within a time, and writes the answer where it is wanted. */
static int fetch(struct options *options, const struct buf *request, int64_t limit)
{
    auto_reply struct reply reply = {0};
    if (request->failed)
        return fail(NO, "out of memory");
    int answer = ask(options, request->data, deadline_of(options, limit), &reply);
    if (answer != YES)
        return fail(answer, "%s", reply.why);
    return options->output != NULL ? write_file(options->output, &reply.body)
                                   : show_print(&reply.body, false);
}

/* --- the commands ---------------------------------------------------------------------------- */

int run_profile(struct options *options)
{
    auto_buf struct buf request = {0};
    const char *name = options->argument != NULL ? options->argument : "cpu";
    const struct kind *kind = find_kind(name);
    double seconds = SECONDS;
    if (kind == NULL)
        return fail(USAGE, "profile \"%s\": accepted are cpu, heap, threads", name);
    if (!read_seconds(options->seconds, &seconds))
        return fail(USAGE, "--seconds \"%s\": a number up to %g", options->seconds, SECONDS_MAX);
    if (options->seconds != NULL && !kind->takes_time)
        return fail(USAGE, "--seconds: profile %s takes none, it is of one moment", name);
    buf_printf(&request, "GET /debug/pprof/%s?%s", kind->path,
               options->output != NULL ? "format=proto" : kind->text);
    if (kind->takes_time)
        buf_printf(&request, "&seconds=%g", seconds);
    int64_t limit = REST_MS + (kind->takes_time ? (int64_t)(seconds * 1000) : 0);
    return fetch(options, &request, limit);
}

int run_captures(struct options *options)
{
    enum { DIGITS_MAX = 18 };
    auto_buf struct buf request = {0};
    const char *number = options->argument;
    if (number == NULL && options->output == NULL)
        return run_request(options, "GET /debug/captures");
    if (number == NULL)
        return fail(USAGE, "--output: which one? srunctl captures lists them");
    size_t digits = strspn(number, "0123456789");
    if (digits == 0 || digits > DIGITS_MAX || number[digits] != '\0')
        return fail(USAGE, "captures \"%s\": a number; srunctl captures lists them", number);
    if (options->json)
        return fail(USAGE, "--json: a capture is no JSON, only their list");
    buf_printf(&request, "GET /debug/captures/%s%s", number,
               options->output != NULL ? "" : "?format=text");
    return fetch(options, &request, ASK_MS);
}
