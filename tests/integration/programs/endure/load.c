/* SPDX-License-Identifier: MIT
 *
 * Clients that ask an HTTP server at a steady rate and classify everything that goes wrong.
 *
 *     load IP:PORT CLIENTS KEPT RATE     KEPT of the CLIENTS keep their connection; RATE requests a
 *                                        second from all of them together
 *     load udp IP:PORT RATE              datagrams to an echo server
 *
 * A line on stderr ten times a second, for each SIGUSR1 ("mark", after which the longest gap is
 * measured anew) and for each SIGUSR2 ("count"); SIGTERM lets each client finish its request, and
 * ends with "sum".
 *
 *     refused  no connection       lost   a request was sent, and there was no whole answer
 *     late     nothing for 30 s    wrong  an answer that is none
 *     gap_us   the longest time between two answers, whoever got them
 *     dropped  datagrams for which this end had no room
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define LATE_NS (30 * (int64_t)1000000000)
#define TELL_NS ((int64_t)100000000)
#define ERRORS_TOLD 10

struct client {
    int fd;
    bool keeps, connecting, asked;
    int64_t next, sent; /* when it asks again; when it asked */
    size_t used;
    char answer[2048];
};

static struct {
    struct sockaddr_in address;
    struct client clients[CLIENTS_MAX];
    unsigned count, told;
    int64_t pause, last_answer, gap, slowest;
    uint64_t answered, refused, lost, late, wrong;
    unsigned generation, pid, marks, counts, dropped;
} load;

static volatile sig_atomic_t stopping, marked, counted;

static void on_signal(int signo)
{
    if (signo == SIGUSR1)
        marked++;
    else if (signo == SIGUSR2)
        counted++;
    else
        stopping = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void tell(const char *word)
{
    int64_t gap = now_ns() - load.last_answer;
    fprintf(stderr,
            "%s answered=%llu refused=%llu lost=%llu late=%llu wrong=%llu gap_us=%lld "
            "slowest_us=%lld generation=%u pid=%u dropped=%u\n",
            word, (unsigned long long)load.answered, (unsigned long long)load.refused,
            (unsigned long long)load.lost, (unsigned long long)load.late,
            (unsigned long long)load.wrong, (long long)((gap > load.gap ? gap : load.gap) / 1000),
            (long long)(load.slowest / 1000), load.generation, load.pid, load.dropped);
}

static void hang_up(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->connecting = client->asked = false;
    client->used = 0;
}

static void count(struct client *client, uint64_t *counter, const char *what)
{
    ++*counter;
    if (load.told++ < ERRORS_TOLD)
        fprintf(stderr, "error what=%s errno=%d kept=%d got=%zu after_us=%lld\n", what, errno,
                client->keeps, client->used, (long long)((now_ns() - client->sent) / 1000));
    hang_up(client);
}

static void schedule(struct client *client, int64_t now)
{
    client->next += load.pause;
    if (client->next < now) /* no burst to make up for what was slow */
        client->next = now;
}

static void ask(struct client *client)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    client->connecting = false;
    client->asked = true;
    client->used = 0;
    if (send(client->fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1)
        count(client, &load.lost, "send");
}

static void begin(struct client *client, int64_t now)
{
    client->sent = now;
    if (client->fd >= 0) {
        ask(client);
        return;
    }
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(client->fd, (struct sockaddr *)&load.address, sizeof load.address) == 0)
        ask(client);
    else if (errno == EINPROGRESS)
        client->connecting = true;
    else
        count(client, &load.refused, "connect");
}

static unsigned header(const char *answer, const char *name)
{
    const char *at = strstr(answer, name);
    return at != NULL ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

/* True: the answer is whole. */
static bool take(struct client *client, int64_t now)
{
    const char *end = strstr(client->answer, "\r\n\r\n");
    if (end == NULL)
        return false;
    size_t head = (size_t)(end - client->answer) + 4;
    if (client->used < head + header(client->answer, "\r\nContent-Length: "))
        return false;
    unsigned generation = header(client->answer, "\r\nX-Generation: ");
    unsigned pid = header(client->answer, "\r\nX-Pid: ");
    if (strncmp(client->answer, "HTTP/1.1 200 OK\r\n", 17) != 0 || generation == 0 || pid == 0) {
        count(client, &load.wrong, "wrong");
        return false;
    }
    load.generation = generation;
    load.pid = pid;
    load.answered++;
    if (now - load.last_answer > load.gap)
        load.gap = now - load.last_answer;
    if (now - client->sent > load.slowest)
        load.slowest = now - client->sent;
    load.last_answer = now;
    client->asked = false;
    if (!client->keeps || strstr(client->answer, "\r\nConnection: close\r\n") != NULL)
        hang_up(client);
    schedule(client, now);
    return true;
}

static void hear(struct client *client, int64_t now)
{
    size_t room = sizeof client->answer - 1 - client->used;
    ssize_t got = recv(client->fd, client->answer + client->used, room, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 && !client->asked) { /* it was idle: let go */
        hang_up(client);
        return;
    }
    if (got <= 0) {
        count(client, &load.lost, got < 0 ? "reset" : "cut");
        schedule(client, now);
        return;
    }
    client->used += (size_t)got;
    client->answer[client->used] = '\0';
    (void)take(client, now);
}

static void connected(struct client *client, int64_t now)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    errno = error;
    if (error == 0) {
        ask(client);
    } else {
        count(client, error == ECONNREFUSED ? &load.refused : &load.lost, "connect");
        schedule(client, now);
    }
}

static bool turn(void)
{
    struct pollfd polls[CLIENTS_MAX];
    int64_t now = now_ns(), wake = now + TELL_NS;
    bool busy = false;
    for (unsigned i = 0; i < load.count; i++) {
        struct client *client = &load.clients[i];
        if (!client->asked && !client->connecting && !stopping) {
            if (client->next <= now)
                begin(client, now);
            else if (client->next < wake)
                wake = client->next;
        }
        if ((client->asked || client->connecting) && now - client->sent > LATE_NS)
            count(client, &load.late, "late");
        busy = busy || client->asked || client->connecting;
        polls[i] =
            (struct pollfd){.fd = client->fd, .events = client->connecting ? POLLOUT : POLLIN};
    }
    struct timespec limit = {.tv_sec = 0, .tv_nsec = wake > now ? wake - now : 0};
    if (ppoll(polls, load.count, &limit, NULL) <= 0)
        return busy;
    now = now_ns();
    for (unsigned i = 0; i < load.count; i++) {
        if (polls[i].revents == 0)
            continue;
        if (load.clients[i].connecting)
            connected(&load.clients[i], now);
        else
            hear(&load.clients[i], now);
    }
    return busy;
}

static void tell_now_and_then(int64_t *told)
{
    int64_t now = now_ns();
    if (now - *told >= TELL_NS) {
        *told = now;
        tell("progress");
    }
    char word[32];
    if (load.counts != (unsigned)counted) {
        load.counts++;
        snprintf(word, sizeof word, "count %u", load.counts);
        tell(word);
    }
    if (load.marks != (unsigned)marked) {
        load.marks++;
        snprintf(word, sizeof word, "mark %u", load.marks);
        tell(word);
        load.gap = load.slowest = 0;
        load.last_answer = now_ns();
    }
}

static int ask_http(unsigned clients, unsigned kept, unsigned rate)
{
    int64_t start = now_ns(), told = start;
    load.count = clients;
    load.pause = (int64_t)1000000000 * clients / rate;
    load.last_answer = start;
    for (unsigned i = 0; i < clients; i++)
        load.clients[i] = (struct client){
            .fd = -1, .keeps = i < kept, .next = start + load.pause * (int64_t)i / clients};
    while (turn() || !stopping)
        tell_now_and_then(&told);
    tell("sum");
    return 0;
}

/* Each datagram has a number; what has not come back within the limit after the last is lost. */
static int ask_udp(unsigned rate)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), room = 4 << 20;
    int64_t pause = 1000000000 / rate, next = now_ns(), told = next, end = 0;
    uint64_t sent = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (connect(fd, (struct sockaddr *)&load.address, sizeof load.address) < 0)
        return 1;
    load.last_answer = next;
    for (;;) {
        int64_t now = now_ns();
        if (stopping && end == 0)
            end = now + LATE_NS / 3;
        if (stopping && (load.answered == sent || now > end))
            break;
        if (!stopping && now >= next) {
            if (send(fd, &sent, sizeof sent, 0) == sizeof sent)
                sent++;
            next = next + pause > now ? next + pause : now;
        }
        uint64_t number;
        while (recv(fd, &number, sizeof number, 0) == sizeof number) {
            now = now_ns();
            if (now - load.last_answer > load.gap)
                load.gap = now - load.last_answer;
            load.last_answer = now;
            load.answered++;
        }
        tell_now_and_then(&told);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = stopping ? TELL_NS : next - now_ns();
        struct timespec limit = {.tv_sec = 0, .tv_nsec = left > 0 ? left : 0};
        (void)ppoll(&wait, 1, &limit, NULL);
    }
    load.lost = sent - load.answered;
    uint32_t about[SK_MEMINFO_DROPS + 1] = {0};
    socklen_t size = sizeof about;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, about, &size) == 0)
        load.dropped = about[SK_MEMINFO_DROPS];
    tell("sum");
    return 0;
}

static int parse(const char *text)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon - text >= (long)sizeof host)
        return -1;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    load.address.sin_family = AF_INET;
    load.address.sin_port = htons((uint16_t)atoi(colon + 1));
    return inet_pton(AF_INET, host, &load.address.sin_addr) == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stderr, NULL, _IOLBF, 0);
    bool udp = argc == 4 && strcmp(argv[1], "udp") == 0;
    if ((argc != 5 && !udp) || parse(argv[udp ? 2 : 1]) < 0)
        return 2;
    unsigned rate = (unsigned)atoi(argv[udp ? 3 : 4]);
    unsigned clients = udp ? 1 : (unsigned)atoi(argv[2]);
    if (rate == 0 || clients == 0 || clients > CLIENTS_MAX)
        return 2;
    return udp ? ask_udp(rate) : ask_http(clients, (unsigned)atoi(argv[3]), rate);
}
