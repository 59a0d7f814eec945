/* SPDX-License-Identifier: MIT
 *
 * Where the program listens, if nobody says: one of the places where the admin port puts its unix
 * socket (admin/place.h). A name picks among them; without one there has to be exactly one that
 * answers, and none that may be meant and has no time to say so.
 */
#include "base/clock.h"
#include "base/text.h"
#include "srunctl.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_MS 2000 /* a busy machine may need one of them */
#define PATTERN_MAX 256
#define LIVE_MAX 32

/* In /tmp anybody can make a folder of any name: only our own counts. */
static bool is_trusted(const char *path)
{
    char folder[PATTERN_MAX];
    struct stat found;
    if (strncmp(path, "/tmp/", 5) != 0)
        return true;
    int size = (int)(strrchr(path, '/') - path);
    return snprintf(folder, sizeof folder, "%.*s", size, path) < (int)sizeof folder &&
           lstat(folder, &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == geteuid() &&
           (found.st_mode & 077) == 0;
}

static bool is_socket(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISSOCK(found.st_mode);
}

enum kind { OTHER, PROGRAM, BUSY };

/* A program is who answers /build as one of libsrun does; also one that has no time now, if it was
 * named. */
static enum kind kind_of(const char *path, bool named)
{
    struct options options = {.socket = path};
    auto_reply struct reply reply = {0};
    int answer =
        ask(&options, "GET /build?format=json", clock_after_ms(clock_real_now(), PROBE_MS), &reply);
    if (answer == YES)
        return strstr(reply.body.data, "libsrun") != NULL ? PROGRAM : OTHER;
    if (named)
        return is_gone(&reply) ? OTHER : PROGRAM;
    return reply.error == ETIMEDOUT || reply.status == 503 ? BUSY : OTHER;
}

struct places {
    glob_t found;
    bool failed; /* out of memory */
};

/* Adds what is there. */
__attribute__((format(printf, 2, 3))) static void look_in(struct places *places, const char *format,
                                                          ...)
{
    char pattern[PATTERN_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(pattern, sizeof pattern, format, arguments);
    va_end(arguments);
    if (length < (int)sizeof pattern)
        places->failed |= glob(pattern, GLOB_APPEND, NULL, &places->found) == GLOB_NOSPACE;
}

static void look_around(struct places *places, const char *name)
{
    const char *service = getenv("RUNTIME_DIRECTORY");
    const char *session = getenv("XDG_RUNTIME_DIR");
    char own[32];
    (void)snprintf(own, sizeof own, "/run/user/%u", geteuid());
    if (service != NULL && service[0] == '/')
        look_in(places, "%.*s/admin.sock", (int)strcspn(service, ":"), service);
    look_in(places, "/run/%s/admin.sock", name);
    session = session != NULL && session[0] == '/' ? session : own;
    look_in(places, "%s/%s.sock", session, name);
    look_in(places, "%s/%s/admin.sock", session, name);
    look_in(places, "/tmp/%s-%u/admin.sock", name, geteuid());
}

static bool is_repeated(const glob_t *places, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(places->gl_pathv[i], places->gl_pathv[index]) == 0)
            return true;
    return false;
}

struct found {
    unsigned sockets, live;
    char first[PATTERN_MAX], all[256]; /* those that answer; of several all are told */
    char busy[PATTERN_MAX];            /* one that does not, or "" */
};

/* A name is that of the first that answers to it. */
static void look_at(struct found *found, const glob_t *places, bool named)
{
    for (size_t i = 0; i < places->gl_pathc && found->live < (named ? 1 : LIVE_MAX); i++) {
        const char *path = places->gl_pathv[i];
        if (is_repeated(places, i) || !is_socket(path) || !is_trusted(path))
            continue;
        found->sockets++;
        enum kind kind = kind_of(path, named);
        if (kind == BUSY)
            (void)snprintf(found->busy, sizeof found->busy, "%s", path);
        if (kind != PROGRAM)
            continue;
        if (found->live++ == 0)
            (void)snprintf(found->first, sizeof found->first, "%s", path);
        size_t size = strlen(found->all);
        (void)snprintf(found->all + size, sizeof found->all - size, " %s", path);
    }
}

int find_program(struct options *options, struct reply *reply)
{
    char name[48] = "*";
    struct places places = {0};
    struct found found = {0};
    if (options->socket != NULL || options->address != NULL)
        return YES;
    if (options->name != NULL) /* as the program makes it: and no pattern is left in it */
        (void)text_file_name(name, sizeof name, options->name);
    look_around(&places, name);
    look_at(&found, &places.found, options->name != NULL);
    globfree(&places.found);
    if (found.live > 1) {
        (void)snprintf(reply->why, sizeof reply->why,
                       "%u programs answer; pick one with -n NAME or -s:%s", found.live, found.all);
        return USAGE;
    }
    if (found.live == 1 && found.busy[0] != '\0') {
        (void)snprintf(reply->why, sizeof reply->why,
                       "%.108s has no time to say who it is; pick one with -n NAME or -s:%.200s",
                       found.busy, found.all);
        return USAGE;
    }
    if (found.live == 1 && (options->socket = strdup(found.first)) != NULL)
        return YES; /* and for the rest of this command */
    if (found.live == 1 || places.failed) {
        (void)snprintf(reply->why, sizeof reply->why, "out of memory");
        return NO;
    }
    if (found.busy[0] != '\0') {
        (void)snprintf(reply->why, sizeof reply->why,
                       "%.108s has no time to say who it is; -n NAME or -s PATH asks it still",
                       found.busy);
        return UNREACHABLE;
    }
    (void)snprintf(reply->why, sizeof reply->why,
                   "%s: no admin socket %s in the usual places; -s PATH or -a HOST:PORT says where",
                   options->name != NULL ? options->name : "any program",
                   found.sockets > 0 ? "answers" : "is");
    reply->error = ENOENT;
    return UNREACHABLE;
}
