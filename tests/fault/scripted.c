/* SPDX-License-Identifier: MIT */
#include "scripted.h"

#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the program: what fails ends it, and whoever asked it sees that ---------------------------
 */

/* Reads one request with its body; false: there is none. */
static bool read_request(int client, char *out, size_t size)
{
    size_t got = 0, whole = SIZE_MAX;
    while (got < whole) {
        ssize_t more = recv(client, out + got, size - 1 - got, 0);
        if (more <= 0)
            return false;
        got += (size_t)more;
        out[got] = '\0';
        const char *end = strstr(out, "\r\n\r\n");
        const char *length = strcasestr(out, "\r\nContent-Length:");
        if (end != NULL)
            whole =
                (size_t)(end + 4 - out) +
                (length != NULL ? strtoul(length + strlen("\r\nContent-Length:"), NULL, 10) : 0);
    }
    return true;
}

static const struct scripted_page *find_page(const struct scripted_page *pages, unsigned phase,
                                             const char *request)
{
    static const struct scripted_page none = {"", 404, "no such page\n", 0, STAYS};
    const struct scripted_page *found = &none;
    for (; pages->request != NULL; pages++) {
        size_t size = strlen(pages->request);
        if (strncmp(request, pages->request, size) == 0 && strchr("? /", request[size]) != NULL &&
            pages->phase <= phase)
            found = pages;
    }
    return found;
}

static void answer(int client, const struct scripted_page *page)
{
    char text[8192], body[4096];
    const char *pid = strstr(page->body, SCRIPTED_PID);
    int before = pid != NULL ? (int)(pid - page->body) : 0;
    if (pid != NULL)
        (void)snprintf(body, sizeof body, "%.*s%d%s", before, page->body, getpid(),
                       pid + strlen(SCRIPTED_PID));
    const char *said = pid != NULL ? body : page->body;
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        page->status, strlen(said), said);
    (void)send(client, text, (size_t)size, MSG_NOSIGNAL);
}

__attribute__((noreturn)) static void serve(int listener, const struct scripted_page *pages)
{
    static char request[65536];
    unsigned phase = 0;
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            _exit(1);
        if (read_request(client, request, sizeof request)) {
            const struct scripted_page *page = find_page(pages, phase, request);
            phase += page->then == TURNS;
            if (page->then == ENDS)
                (void)close(listener);
            answer(client, page);
            if (page->then == ENDS)
                _exit(0);
        }
        (void)close(client);
    }
}

/* --- its life --------------------------------------------------------------------------------- */

/* It is the program that listens: clients of a unix socket can tell. */
static pid_t start(int listener, const struct scripted_page *pages)
{
    char c;
    int begun[2];
    ck_assert_int_eq(pipe2(begun, O_CLOEXEC), 0);
    (void)fflush(stdout);
    pid_t parent = getpid(), program = fork();
    ck_assert_int_ge(program, 0);
    if (program == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || listen(listener, 16) < 0)
            _exit(1);
        (void)close(begun[0]);
        (void)close(begun[1]);
        serve(listener, pages);
    }
    (void)close(listener);
    (void)close(begun[1]);
    ck_assert_int_eq(read(begun[0], &c, 1), 0); /* it has closed its end */
    (void)close(begun[0]);
    return program;
}

pid_t scripted_start(const char *path, const struct scripted_page *pages)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    return start(listener, pages);
}

pid_t scripted_start_tcp(uint16_t *port, const struct scripted_page *pages)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return start(listener, pages);
}

void scripted_end(pid_t program, const char *path)
{
    (void)kill(program, SIGKILL);
    ck_assert_int_eq(waitpid(program, NULL, 0), program);
    if (path != NULL)
        (void)unlink(path);
}
