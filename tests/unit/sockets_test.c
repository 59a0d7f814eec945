/* SPDX-License-Identifier: MIT
 *
 * Listeners and kept descriptors: asked for, handed over, in groups.
 */
#include "generations.h"

#include <sched.h>
#include <stdatomic.h>

/* --- asking ---------------------------------------------------------------------------------- */

START_TEST(gives_the_same_descriptor_for_the_same_name_and_address)
    {
        open_both();
        int fd = listen_from(&old, "http", ANY_TCP, "made");
        ck_assert_int_eq(listen_from(&old, "http", ANY_TCP, "made"), fd);
        ck_assert_int_ne(listen_as(&old, "admin", ANY_TCP), fd);
        assert_not(&old, "http", "tcp://127.0.0.1:1", -EEXIST, "\"http\" is open already");
        assert_not(&old, "http", "udp://127.0.0.1:0", -EEXIST, "\"http\"");
        ck_assert_int_eq(sockets_close(&old, "http"), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        ck_assert_int_eq(sockets_close(&old, "http"), -ENOENT);
        ck_assert_int_eq(sockets_accept(&old, fd, NULL, NULL), -ENOENT);
        close_both();
    }
END_TEST

START_TEST(refuses_bad_names_addresses_and_options)
    {
        int fds[2];
        srun_err err;
        const struct srun_listen_options bad[] = {
            {.size = 0},
            {.size = sizeof bad[0], .reserved = {0, 1}},
            {.size = sizeof bad[0], .backlog = -1},
            {.size = sizeof bad[0], .mode = 01777},
        };
        struct {
            struct srun_listen_options known;
            void *more;
        } longer = {{.size = sizeof longer}, fds};
        open_both();
        assert_not(&old, "", ANY_TCP, -EINVAL, "1 to 63");
        assert_not(&old, "0123456789012345678901234567890123456789012345678901234567890123",
                   ANY_TCP, -EINVAL, "1 to 63");
        assert_not(&old, "a\n", ANY_TCP, -EINVAL, "printable");
        assert_not(&old, "a", "127.0.0.1:0", -EINVAL, "accepted");
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            ck_assert_int_eq(sockets_listen(&old, "a", ANY_TCP, &bad[i], fds, 1, NULL, &err),
                             -EINVAL);
        ck_assert_int_eq(sockets_listen(&old, "a", ANY_TCP, &longer.known, fds, 1, NULL, &err),
                         -E2BIG);
        longer.more = NULL;
        ck_assert_int_eq(sockets_listen(&old, "a", ANY_TCP, &longer.known, fds, 1, NULL, &err), 0);
        ck_assert_int_eq(sockets_listen(&old, "b", ANY_TCP, NULL, fds, 0, NULL, &err), -EINVAL);
        ck_assert_int_eq(sockets_listen(&old, "b", "unix://@x", NULL, fds, 2, NULL, &err), -EINVAL);
        close_both();
    }
END_TEST

START_TEST(keeps_tcp_and_udp_of_one_port_apart)
    {
        char text[ADDRESS_TEXT_MAX];
        int udp = -1, rc = -EADDRINUSE;
        open_both();
        for (int i = 0; i < 100 && rc == -EADDRINUSE; i++) { /* it may be another program's */
            (void)sockets_close(&old, "dns-tcp");
            int tcp = listen_as(&old, "dns-tcp", ANY_TCP);
            ck_assert_int_eq(sockets_address(&old, tcp, text, sizeof text), 0);
            memcpy(text, "udp", 3);
            rc = sockets_listen(&old, "dns-udp", text, NULL, &udp, 1, NULL, NULL);
        }
        ck_assert_int_eq(rc, 0);
        hand_over(&old, &new);
        int again = listen_from(&new, "dns-udp", text, "handed over");
        assert_address(&new, again, text);
        memcpy(text, "tcp", 3);
        assert_address(&new, listen_from(&new, "dns-tcp", ANY_TCP, "handed over"), text);
        ck_assert_int_ne(udp, again);
        close_both();
    }
END_TEST

/* --- handing over ---------------------------------------------------------------------------- */

START_TEST(keeps_the_port_of_port_0_through_generations)
    {
        char text[ADDRESS_TEXT_MAX];
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        ck_assert_int_eq(sockets_address(&old, fd, text, sizeof text), 0);
        for (int i = 0; i < 5; i++) {
            hand_over(&old, &new);
            fd = listen_from(&new, "http", ANY_TCP, "handed over");
            assert_address(&new, fd, text);
            take_over();
            move_on();
        }
        close_both();
    }
END_TEST

START_TEST(hands_over_every_kind_of_socket)
    {
        char path[ADDRESS_TEXT_MAX], packets[ADDRESS_TEXT_MAX], abstract[ADDRESS_TEXT_MAX];
        in_folder(path, "unix");
        in_folder(packets, "unix-seqpacket");
        packets[strlen(packets) - 1] = 'K';
        (void)snprintf(abstract, sizeof abstract, "unix://@srun-sockets-test-%d", getpid());
        const char *const addresses[] = {ANY_TCP, "tcp://[::1]:0", "udp://127.0.0.1:0",
                                         path,    packets,         abstract};
        const char *const names[] = {"a", "b", "c", "d", "e", "f"};
        open_both();
        for (int i = 0; i < 6; i++)
            (void)listen_as(&old, names[i], addresses[i]);
        hand_over(&old, &new);
        take_over();
        for (int i = 0; i < 6; i++) {
            int fd = listen_from(&new, names[i], addresses[i], "handed over");
            struct address address = address_at(&new, fd);
            ck_assert_int_eq(bind_check(fd, &address), 0);
            int client = connect_to(&address);
            if (address.type != SOCK_DGRAM) {
                await_readable(sockets_gate_fd(&new, fd));
                int served = sockets_accept(&new, fd, NULL, NULL);
                ck_assert_int_ge(served, 0);
                ck_assert_int_eq(fcntl(served, F_GETFD), FD_CLOEXEC);
                ck_assert_int_eq(fcntl(served, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
                (void)close(served);
            } else {
                ck_assert_int_eq(send(client, "x", 1, 0), 1);
                await_readable(sockets_gate_fd(&new, fd));
                ck_assert_int_eq(sockets_accept(&new, fd, NULL, NULL), -EOPNOTSUPP);
            }
            (void)close(client);
        }
        close_both();
        ck_assert(!exists(path));
        ck_assert(!exists(packets));
    }
END_TEST

/* A fresh bind would have reset about half of them. */
START_TEST(loses_no_connection_that_waits_during_a_hand_over)
    {
        enum { CLIENTS = 64 };
        int clients[CLIENTS];
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        struct address address = address_at(&old, fd);
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = connect_to(&address);
            ck_assert_int_eq(send(clients[i], "x", 1, MSG_NOSIGNAL), 1);
        }
        hand_over(&old, &new);
        fd = listen_from(&new, "http", ANY_TCP, "handed over");
        take_over();
        sockets_let_go(&old);
        for (int i = 0; i < CLIENTS; i++) {
            char byte = 0;
            await_readable(fd);
            struct sockaddr_in peer;
            socklen_t length = sizeof peer;
            int served = sockets_accept(&new, fd, (struct sockaddr *)&peer, &length);
            ck_assert_int_ge(served, 0);
            ck_assert_uint_eq(length, sizeof peer);
            ck_assert_int_eq(peer.sin_family, AF_INET);
            await_readable(served);
            ck_assert_int_eq(recv(served, &byte, 1, 0), 1);
            ck_assert_int_eq(send(served, &byte, 1, MSG_NOSIGNAL), 1);
            (void)close(served);
        }
        ck_assert_int_eq(sockets_accept(&new, fd, NULL, NULL), -EAGAIN);
        for (int i = 0; i < CLIENTS; i++) {
            char byte = 0;
            await_readable(clients[i]);
            ck_assert_int_eq(recv(clients[i], &byte, 1, 0), 1);
            (void)close(clients[i]);
        }
        close_both();
    }
END_TEST

START_TEST(serves_on_when_the_other_copy_is_closed)
    {
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        struct address address = address_at(&old, fd);
        hand_over(&old, &new); /* a new generation that fails in one way or another */
        (void)listen_as(&new, "http", ANY_TCP);
        ck_assert_int_eq(sockets_close(&new, "http"), 0);
        sockets_destroy(&new);
        sockets_init(&new);
        hand_over(&old, &new);
        sockets_drop_unclaimed(&new);
        int client = connect_to(&address);
        await_readable(fd);
        int served = sockets_accept(&old, fd, NULL, NULL);
        ck_assert_int_ge(served, 0);
        (void)close(served);
        (void)close(client);
        close_both();
    }
END_TEST

START_TEST(names_the_handed_over_listener_that_holds_the_address)
    {
        char text[ADDRESS_TEXT_MAX], wide[ADDRESS_TEXT_MAX];
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        ck_assert_int_eq(sockets_address(&old, fd, text, sizeof text), 0);
        (void)snprintf(wide, sizeof wide, "tcp://0.0.0.0%s", strrchr(text, ':'));
        hand_over(&old, &new);
        assert_not(&new, "http", wide, -EADDRINUSE, "listener \"http\", handed over and not asked");
        assert_not(&new, "web", text, -EADDRINUSE, "listener \"http\", handed over and not asked");
        (void)listen_from(&new, "http", ANY_TCP, "handed over"); /* it is still there */
        assert_not(&new, "web", text, -EADDRINUSE, "in use by listener \"http\" at tcp://127");
        close_both();
    }
END_TEST

START_TEST(believes_nothing_that_does_not_listen)
    {
        struct handover_entry entry = {
            .name = "http", .address = ANY_TCP, .kind = HANDOVER_LISTENER};
        open_both();
        ck_assert_int_eq(sockets_adopt(&new, &entry, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
        ck_assert_int_eq(
            sockets_adopt(&new, &entry, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), 0);
        ck_assert_int_eq(sockets_adopt(&new, &entry, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
                         0);
        memcpy(entry.address, "sctp://127", 10);
        ck_assert_int_eq(sockets_adopt(&new, &entry, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
        (void)listen_from(&new, "http", ANY_TCP, "made");
        ck_assert_uint_eq(sockets_unclaimed(&new, false, NULL, 0), 4);
        sockets_drop_unclaimed(&new);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, NULL, 0), 0);
        close_both();
    }
END_TEST

START_TEST(says_which_option_cannot_change)
    {
        int fd = -1;
        struct sockets_found found;
        open_both();
        (void)listen_as(&old, "http", "tcp://[::]:0");
        hand_over(&old, &new);
        ck_assert_int_eq(sockets_listen(&new, "http", "tcp://[::]:0",
                                        SRUN_LISTEN_OPTIONS(.v6only = 1, .backlog = 5), &fd, 1,
                                        &found, NULL),
                         0);
        ck_assert_str_eq(found.fixed, "v6only");
        ck_assert_str_eq(found.origin, "handed over");
        close_both();
    }
END_TEST

enum { OPENERS = 3, OPENED_MOST = 150 };

static atomic_uint opened;

static void *open_until_refused(void *arg)
{
    char name[HANDOVER_NAME_MAX];
    int fd = -1, rc = 0;
    for (int i = 0; rc == 0 && i < OPENED_MOST; i++) {
        (void)snprintf(name, sizeof name, "%s-%d", (const char *)arg, i);
        rc = sockets_listen(&old, name, ANY_TCP, NULL, &fd, 1, NULL, NULL);
        opened += rc == 0;
    }
    return rc == 0 || rc == -EBUSY ? NULL : arg;
}

START_TEST(hands_over_all_that_was_opened_at_the_same_time)
    {
        static char names[OPENERS][2] = {"a", "b", "c"};
        pthread_t openers[OPENERS];
        struct sockets_snapshot *snapshot = NULL;
        open_both();
        for (int i = 0; i < OPENERS; i++)
            ck_assert_int_eq(pthread_create(&openers[i], NULL, open_until_refused, names[i]), 0);
        while (opened < OPENERS)
            (void)sched_yield();
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        for (int i = 0; i < OPENERS; i++) {
            void *failed = NULL;
            ck_assert_int_eq(pthread_join(openers[i], &failed), 0);
            ck_assert_ptr_null(failed);
        }
        ck_assert_uint_eq(snapshot->count, opened);
        ck_assert_ptr_null(sockets_snapshot_free(snapshot));
        close_both();
    }
END_TEST

/* --- groups ---------------------------------------------------------------------------------- */

static void listen_group(struct sockets *sockets, int *fds, unsigned count)
{
    srun_err err = {0};
    int rc = sockets_listen(sockets, "http", ANY_TCP, NULL, fds, count, NULL, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    struct address first = address_at(sockets, fds[0]);
    for (unsigned i = 1; i < count; i++) {
        struct address other = address_at(sockets, fds[i]);
        ck_assert(address_equal(&first, &other));
        ck_assert_int_ne(fds[i], fds[i - 1]);
    }
}

START_TEST(gives_a_group_one_address_and_lets_it_grow)
    {
        int fds[4], more[6];
        char text[ADDRESS_TEXT_MAX], names[64];
        open_both();
        (void)listen_as(&old, "http", ANY_TCP); /* alone, and not shared so far */
        listen_group(&old, fds, 4);
        listen_group(&old, more, 2);
        ck_assert_int_eq(memcmp(fds, more, 2 * sizeof fds[0]), 0);
        ck_assert_int_eq(sockets_address(&old, fds[0], text, sizeof text), 0);
        hand_over(&old, &new);
        listen_group(&new, more, 6);
        assert_address(&new, more[5], text);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, NULL, 0), 0);
        take_over();
        move_on();
        hand_over(&old, &new);
        listen_group(&new, more, 2);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, names, sizeof names), 4);
        ck_assert_str_eq(names, "http#2, http#3, http#4, http#5");
        ck_assert_uint_eq(sockets_unclaimed(&new, false, names, 19), 4);
        ck_assert_str_eq(names, "http#2, ...");
        ck_assert_int_eq(sockets_close(&new, "http"), 0);
        ck_assert_int_eq(sockets_close(&new, "http"), -ENOENT);
        close_both();
    }
END_TEST

static struct rlimit limit_before;
static int fillers[512], filler_count;

/* Leaves room for so many descriptors; the number of the first one. */
static int allow_descriptors(int more)
{
    int last = fcntl(0, F_DUPFD_CLOEXEC, 512); /* no test has as many */
    (void)close(last);
    while (last > 0 && fcntl(last, F_GETFD) < 0)
        last--;
    int filler = -1;
    for (filler_count = 0; (filler = fcntl(0, F_DUPFD_CLOEXEC, 3)) < last; filler_count++)
        fillers[filler_count] = filler;
    (void)close(filler);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
    const struct rlimit limit = {(rlim_t)(filler + more), limit_before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return filler;
}

static void allow_all_descriptors(void)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit_before), 0);
    while (filler_count > 0)
        (void)close(fillers[--filler_count]);
}

START_TEST(opens_a_whole_group_or_nothing)
    {
        int fds[6];
        srun_err err = {0};
        open_both();
        listen_group(&old, fds, 2);
        hand_over(&old, &new);
        int next = allow_descriptors(3); /* one for the table itself, so two of four */
        ck_assert_int_eq(sockets_listen(&new, "http", ANY_TCP, NULL, fds, 6, NULL, &err), -EMFILE);
        ck_assert_msg(strstr(err.text, "socket: ") != NULL, "%s", err.text);
        allow_all_descriptors();
        ck_assert_int_eq(fcntl(next + 1, F_GETFD), -1);
        ck_assert_int_eq(fcntl(next + 2, F_GETFD), -1);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, NULL, 0), 2); /* they went back */
        listen_group(&new, fds, 6);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, NULL, 0), 0);
        close_both();
    }
END_TEST

START_TEST(hands_over_nothing_when_a_copy_is_refused)
    {
        int fds[4];
        struct sockets_snapshot *snapshot = NULL;
        open_both();
        listen_group(&old, fds, 4);
        int next = allow_descriptors(2);
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), -EMFILE);
        ck_assert_ptr_null(snapshot);
        ck_assert_int_eq(fcntl(next, F_GETFD), -1);
        ck_assert_int_eq(sockets_keep(&old, "x", 0, HANDOVER_KEPT, NULL), 0);
        ck_assert_int_eq(sockets_keep(&old, "y", 0, HANDOVER_KEPT, NULL), 0);
        ck_assert_int_eq(sockets_keep(&old, "z", 0, HANDOVER_KEPT, NULL), -EMFILE);
        allow_all_descriptors();
        close_both();
    }
END_TEST

/* --- keeping --------------------------------------------------------------------------------- */

START_TEST(hands_kept_descriptors_out_once)
    {
        int ends[2], fd = -1;
        char names[64];
        enum handover_kind kind = HANDOVER_LISTENER;
        srun_err err = {0};
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        open_both();
        ck_assert_int_eq(sockets_keep(&old, "log", 0, HANDOVER_STATE, &err), 0);
        ck_assert_int_eq(sockets_keep(&old, "log", ends[1], HANDOVER_KEPT, &err), 0);
        ck_assert_int_eq(sockets_keep(&old, "other", ends[0], HANDOVER_KEPT, &err), 0);
        (void)listen_as(&old, "log", ANY_TCP); /* names of listeners are names of their own */
        ck_assert_int_eq(sockets_take(&old, "log", &kind, &fd), -ENOENT);
        ck_assert_int_eq(sockets_forget(&old, "other"), 0);
        ck_assert_int_eq(sockets_forget(&old, "other"), -ENOENT);
        hand_over(&old, &new);
        ck_assert_int_eq(sockets_forget(&new, "log"), -ENOENT);
        ck_assert_int_eq(sockets_keep(&new, "log", 0, HANDOVER_STATE, &err), 0);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, names, sizeof names), 2);
        ck_assert_str_eq(names, "log, log");
        ck_assert_int_eq(sockets_take(&new, "log", &kind, &fd), 0);
        ck_assert_int_eq(kind, HANDOVER_KEPT);
        ck_assert_int_eq(write(fd, "x", 1), 1);
        ck_assert(readable(ends[0]));
        ck_assert_int_eq(sockets_take(&new, "log", &kind, &fd), -ENOENT);
        (void)close(fd);
        (void)close(ends[0]);
        (void)close(ends[1]);
        ck_assert_int_eq(sockets_keep(&old, "bad", ends[0], HANDOVER_KEPT, &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "not an open descriptor"));
        ck_assert_int_eq(sockets_keep(&old, "", 0, HANDOVER_KEPT, &err), -EINVAL);
        close_both();
    }
END_TEST

int main(void)
{
    return HARNESS("sockets", gives_the_same_descriptor_for_the_same_name_and_address,
                   refuses_bad_names_addresses_and_options, keeps_tcp_and_udp_of_one_port_apart,
                   keeps_the_port_of_port_0_through_generations, hands_over_every_kind_of_socket,
                   loses_no_connection_that_waits_during_a_hand_over,
                   serves_on_when_the_other_copy_is_closed,
                   names_the_handed_over_listener_that_holds_the_address,
                   believes_nothing_that_does_not_listen, says_which_option_cannot_change,
                   hands_over_all_that_was_opened_at_the_same_time,
                   gives_a_group_one_address_and_lets_it_grow, opens_a_whole_group_or_nothing,
                   hands_over_nothing_when_a_copy_is_refused, hands_kept_descriptors_out_once);
}
