/* SPDX-License-Identifier: MIT
 *
 * Any bytes as what a server sends to srunctl, cut in two where the first of them says: it is an
 * answer, or there is one line that says why not, within the limit of time.
 */
#include "../../srunctl/srunctl.h"
#include "base/clock.h"
#include "base/duration.h"
#include "fuzz.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    int listener;
    char path[64];
    const uint8_t *data;
    size_t size;
} server = {.listener = -1};

static void remove_path(void)
{
    (void)unlink(server.path);
}

static void open_server(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(server.path, sizeof server.path, "/tmp/fuzz-answer-%d", getpid());
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", server.path);
    (void)unlink(server.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ENSURE(server.listener >= 0 && atexit(remove_path) == 0);
    ENSURE(bind(server.listener, (struct sockaddr *)&name, sizeof name) == 0);
    ENSURE(listen(server.listener, 16) == 0);
}

static void send_some(int fd, const uint8_t *data, size_t size)
{
    (void)send(fd, data, size, MSG_NOSIGNAL); /* it may have heard enough */
}

/* Says its text when it was asked, and goes. */
static void *serve(void *arg)
{
    char request[4096];
    int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
    ENSURE(fd >= 0);
    (void)recv(fd, request, sizeof request, 0);
    if (server.size > 0) {
        size_t rest = server.size - 1, first = server.data[0] < rest ? server.data[0] : rest;
        send_some(fd, server.data + 1, first);
        send_some(fd, server.data + 1 + first, rest - first);
    }
    (void)shutdown(fd, SHUT_WR);
    (void)recv(fd, request, sizeof request, 0);
    (void)close(fd);
    return arg;
}

static void check_reply(int answer, const struct reply *reply)
{
    ENSURE(answer >= YES && answer <= FORBIDDEN);
    ENSURE(strlen(reply->why) < sizeof reply->why);
    ENSURE((answer == YES) == (reply->why[0] == '\0'));
    ENSURE(answer != YES || (reply->status / 100 == 2 && reply->body.data != NULL));
    ENSURE(strchr(reply->why, '\n') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pthread_t thread;
    struct options options = {.timeout_ms = -1};
    struct reply reply = {0};
    if (server.listener < 0)
        open_server();
    server.data = data;
    server.size = size;
    options.socket = server.path;
    ENSURE(pthread_create(&thread, NULL, serve, NULL) == 0);
    int answer = ask(&options, "GET /build", clock_real_now() + 5 * NS_PER_S, &reply);
    check_reply(answer, &reply);
    reply_free(&reply);
    ENSURE(pthread_join(thread, NULL) == 0);
    return 0;
}
