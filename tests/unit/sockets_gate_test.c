/* SPDX-License-Identifier: MIT
 *
 * The gate: who may accept, what is seen by those who poll, and how listeners are let go.
 */
#include "generations.h"

START_TEST(is_readable_behind_the_gate_only_while_it_is_open)
    {
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        struct address address = address_at(&old, fd);
        sockets_shut(&old);
        int gate = sockets_gate_fd(&old, fd);
        ck_assert_int_ge(gate, 0);
        ck_assert_int_eq(sockets_gate_fd(&old, fd), gate);
        ck_assert_int_eq(sockets_gate_fd(&old, gate), -ENOENT);
        ck_assert_int_eq(sockets_gate_fd(&old, -1), -ENOENT);
        ck_assert_int_eq(fcntl(gate, F_GETFD), FD_CLOEXEC);
        int loop = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN};
        ck_assert_int_eq(epoll_ctl(loop, EPOLL_CTL_ADD, gate, &event), 0);
        int client = connect_to(&address);
        await_readable(fd);
        for (int i = 0; i < 3; i++) { /* what waits already, and what has been seen before */
            ck_assert(!readable(gate));
            ck_assert_int_eq(epoll_wait(loop, &event, 1, 0), 0);
            ck_assert_int_eq(sockets_accept(&old, fd, NULL, NULL), -EAGAIN);
            sockets_open(&old);
            ck_assert(readable(gate));
            ck_assert_int_eq(epoll_wait(loop, &event, 1, 0), 1);
            ck_assert_int_eq(epoll_wait(loop, &event, 1, 0), 1); /* level-triggered */
            sockets_shut(&old);
        }
        sockets_open(&old);
        int served = sockets_accept(&old, fd, NULL, NULL);
        ck_assert_int_ge(served, 0);
        ck_assert(!readable(gate));
        ck_assert_int_eq(epoll_wait(loop, &event, 1, 0), 0);
        int second = connect_to(&address); /* while it is open */
        ck_assert_int_eq(epoll_wait(loop, &event, 1, 10000), 1);
        (void)close(second);
        (void)close(served);
        (void)close(client);
        (void)close(loop);
        close_both();
    }
END_TEST

START_TEST(reports_no_closed_listener_while_a_copy_lives)
    {
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        struct address address = address_at(&old, fd);
        int gate = sockets_gate_fd(&old, fd);
        hand_over(&old, &new);
        int watch = fcntl(gate, F_DUPFD_CLOEXEC, 3);
        ck_assert_int_eq(sockets_close(&old, "http"), 0);
        int client = connect_to(&address);
        ck_assert(!readable(watch));
        (void)close(watch);
        (void)close(client);
        close_both();
    }
END_TEST

enum { TAKERS = 4, ROUNDS = 200 };
static _Atomic int taken;
static _Atomic bool enough;
static int shared_fd;

static void *take_clients(void *unused)
{
    while (!atomic_load(&enough)) {
        struct pollfd wait = {.fd = sockets_gate_fd(&old, shared_fd), .events = POLLIN};
        (void)poll(&wait, 1, 10);
        int served = sockets_accept(&old, shared_fd, NULL, NULL);
        ck_assert(served >= 0 || served == -EAGAIN);
        if (served >= 0) {
            (void)close(served);
            atomic_fetch_add(&taken, 1);
        }
    }
    return unused;
}

static bool all_taken(void *unused)
{
    (void)unused;
    return atomic_load(&taken) >= ROUNDS; /* more: somebody else's, who knew the port before */
}

/* And others listen and close meanwhile, whose descriptors come into and leave the same table. */
START_TEST(lets_threads_accept_while_the_gate_opens_and_shuts)
    {
        pthread_t threads[TAKERS];
        open_both();
        shared_fd = listen_as(&old, "http", ANY_TCP);
        struct address address = address_at(&old, shared_fd);
        for (int i = 0; i < TAKERS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, take_clients, NULL), 0);
        for (int i = 0; i < ROUNDS; i++) {
            sockets_shut(&old);
            (void)close(connect_to(&address));
            (void)listen_as(&old, "other", ANY_TCP);
            sockets_open(&old);
            ck_assert_int_eq(sockets_close(&old, "other"), 0);
        }
        ck_assert(harness_wait(all_taken, NULL, 20000));
        atomic_store(&enough, true);
        for (int i = 0; i < TAKERS; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        close_both();
    }
END_TEST

START_TEST(finds_one_of_a_thousand_listeners)
    {
        enum { MANY = 1000 };
        static int fds[MANY];
        struct rlimit limit;
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        open_both();
        for (int i = 0; i < MANY; i++) {
            char name[16], address[108]; /* no ports: somebody may have known one of them before */
            (void)snprintf(name, sizeof name, "l%d", i);
            (void)snprintf(address, sizeof address, "unix://%s/%s", harness_folder(), name);
            fds[i] = listen_as(&old, name, address);
        }
        for (int i = 0; i < MANY; i++)
            ck_assert_int_eq(sockets_accept(&old, fds[i], NULL, NULL), -EAGAIN);
        ck_assert_int_eq(sockets_accept(&old, fds[MANY - 1] + 1, NULL, NULL), -ENOENT);
        ck_assert_int_eq(sockets_accept(&old, 1 << 30, NULL, NULL), -ENOENT);
        close_both();
    }
END_TEST

START_TEST(lets_go_of_listeners_and_keeps_their_numbers)
    {
        struct pollfd wait = {.events = POLLIN};
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP), gate = sockets_gate_fd(&old, fd);
        int udp = listen_as(&old, "udp", "udp://127.0.0.1:0");
        struct address address = address_at(&old, fd);
        hand_over(&old, &new);
        int heir = listen_as(&new, "http", ANY_TCP);
        take_over();
        ck_assert_int_eq(sockets_keep(&old, "kept", gate, HANDOVER_KEPT, NULL), 0);
        sockets_let_go(&old);
        sockets_let_go(&old);
        ck_assert_int_eq(sockets_forget(&old, "kept"), -ENOENT);
        int client = connect_to(&address);
        await_readable(heir);
        ck_assert(!readable(gate)); /* no phantom, though the listener lives on */
        wait.fd = fd;
        ck_assert_int_eq(poll(&wait, 1, 0), 0); /* and nothing that would make a loop spin */
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(udp, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(sockets_accept(&old, fd, NULL, NULL), -EAGAIN);
        ck_assert_int_eq(sockets_gate_fd(&old, fd), gate);
        ck_assert(!readable(sockets_gate_fd(&old, udp)));
        struct sockets_snapshot *snapshot = NULL;
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        ck_assert_uint_eq(snapshot->count, 0);
        (void)sockets_snapshot_free(snapshot);
        ck_assert_int_eq(sockets_close(&new, "http"), 0); /* it was the last one */
        int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(late, (struct sockaddr *)&address.socket, address.length), -1);
        ck_assert_int_eq(errno, ECONNREFUSED);
        (void)close(late);
        (void)close(client);
        close_both();
    }
END_TEST

START_TEST(lets_go_of_datagrams_but_for_the_answers_to_them)
    {
        char text[8];
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        open_both();
        int fd = listen_as(&old, "udp", "udp://127.0.0.1:0"), gate = sockets_gate_fd(&old, fd);
        struct address address = address_at(&old, fd);
        int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(client, (struct sockaddr *)&address.socket, address.length), 0);
        ck_assert_int_eq(send(client, "first", 5, 0), 5);
        await_readable(gate);
        ck_assert_int_eq(recvfrom(fd, text, sizeof text, 0, (struct sockaddr *)&from, &length), 5);
        hand_over(&old, &new);
        int heir = listen_as(&new, "udp", "udp://127.0.0.1:0");
        take_over();
        sockets_let_go(&old);
        ck_assert_int_eq(send(client, "second", 6, 0), 6);
        await_readable(sockets_gate_fd(&new, heir));
        ck_assert(!readable(gate));
        ck_assert_int_eq(sendto(fd, "answer", 6, 0, (struct sockaddr *)&from, length), 6);
        ck_assert_int_eq(recv(client, text, sizeof text, 0), 6);
        ck_assert_int_eq(recv(heir, text, sizeof text, 0), 6);
        (void)close(client);
        close_both();
    }
END_TEST

static _Atomic bool accepting;

static void *accept_until_shut(void *fd)
{
    int rc = -EAGAIN;
    atomic_store(&accepting, true);
    while (rc == -EAGAIN && atomic_load(&old.open))
        rc = sockets_accept(&old, *(int *)fd, NULL, NULL);
    return rc == -EAGAIN ? NULL : fd;
}

START_TEST(tells_nobody_who_accepts_that_the_listener_is_let_go)
    {
        for (int i = 0; i < 200; i++) {
            pthread_t thread;
            void *surprised;
            open_both();
            int fd = listen_as(&old, "http", ANY_TCP);
            atomic_store(&accepting, false);
            ck_assert_int_eq(pthread_create(&thread, NULL, accept_until_shut, &fd), 0);
            while (!atomic_load(&accepting)) {
            }
            sockets_shut(&old);
            sockets_let_go(&old);
            ck_assert_int_eq(pthread_join(thread, &surprised), 0);
            ck_assert_ptr_null(surprised);
            close_both();
        }
    }
END_TEST

int main(void)
{
    return HARNESS("sockets_gate", is_readable_behind_the_gate_only_while_it_is_open,
                   reports_no_closed_listener_while_a_copy_lives,
                   lets_threads_accept_while_the_gate_opens_and_shuts,
                   finds_one_of_a_thousand_listeners, lets_go_of_listeners_and_keeps_their_numbers,
                   lets_go_of_datagrams_but_for_the_answers_to_them,
                   tells_nobody_who_accepts_that_the_listener_is_let_go);
}
