/* SPDX-License-Identifier: MIT
 *
 * Messages with descriptors over a socket pair, also from a sender that does it wrong: what was not
 * announced is not taken, and never left open. The harness looks for descriptors that leak.
 */
#include "upgrade/channel.h"

#include "base/clock.h"
#include "base/duration.h"
#include "handover_samples.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OLD, NEW };

static int ends[2];
static struct handover_message sent, got;
static int fds[HANDOVER_BATCH_MAX];
static unsigned count;

static void open_channel(void)
{
    ck_assert_int_eq(channel_pair(ends), 0);
}

static void close_channel(void)
{
    ck_assert_int_eq(close(ends[OLD]), 0);
    ck_assert_int_eq(close(ends[NEW]), 0);
}

/* A file that can be told from others: it holds its number. */
static int numbered(unsigned number)
{
    int fd = memfd_create("numbered", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, &number, sizeof number), sizeof number);
    return fd;
}

static unsigned number_of(int fd)
{
    unsigned number = 0;
    ck_assert_int_eq(pread(fd, &number, sizeof number, 0), sizeof number);
    return number;
}

static void batch_of(unsigned entries)
{
    sample_largest(&sent);
    sent.entry_count = entries;
    memset(sent.entries + entries, 0, sizeof sent.entries - entries * sizeof sent.entries[0]);
}

static int receive(void)
{
    memset(&got, 0xa5, sizeof got);
    count = 12345;
    return channel_receive(ends[NEW], &got, fds, &count);
}

static void assert_refused(int rc)
{
    ck_assert_int_eq(receive(), rc);
    ck_assert_uint_eq(count, 0);
}

/* What a faulty sender does: any bytes, the same descriptor many times. */
static void send_raw(const void *bytes, size_t size, int fd, unsigned times)
{
    enum { MOST = 253 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MOST * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)bytes, size};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    ck_assert_uint_le(times, MOST);
    if (times > 0) {
        packet.msg_control = control.bytes;
        packet.msg_controllen = (socklen_t)CMSG_SPACE(times * sizeof fd);
        struct cmsghdr *head = CMSG_FIRSTHDR(&packet);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = (socklen_t)CMSG_LEN(times * sizeof fd);
        for (unsigned i = 0; i < times; i++)
            memcpy(CMSG_DATA(head) + i * sizeof fd, &fd, sizeof fd);
    }
    ck_assert_int_eq(sendmsg(ends[OLD], &packet, MSG_NOSIGNAL), (ssize_t)size);
}

/* The message as it should be, with as many descriptors as should not. */
static void send_with(const struct handover_message *message, unsigned times)
{
    struct sample_packet packet;
    int size = handover_encode(message, packet.bytes, sizeof packet.bytes);
    ck_assert_int_gt(size, 0);
    send_raw(packet.bytes, (size_t)size, ends[OLD], times);
}

/* --- there and back -------------------------------------------------------------------------- */

START_TEST(makes_ends_that_do_not_block_and_do_not_survive_exec)
    {
        open_channel();
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(fcntl(ends[i], F_GETFD), FD_CLOEXEC);
            ck_assert_int_eq(fcntl(ends[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        }
        assert_refused(-EAGAIN);
        close_channel();
    }
END_TEST

START_TEST(brings_every_message_both_ways_in_order)
    {
        open_channel();
        for (int from = 0; from < 2; from++) {
            for (size_t i = 0; i < SAMPLE_COUNT; i++) {
                sample(&sent, sample_types[i]);
                unsigned with = sample_types[i] == HANDOVER_BATCH     ? SAMPLE_ENTRIES
                                : sample_types[i] == HANDOVER_WELCOME ? 1
                                                                      : 0;
                const int given[SAMPLE_ENTRIES] = {ends[0], ends[1], ends[0]};
                ck_assert_int_eq(channel_send(ends[from], &sent, given, with), 0);
            }
            for (size_t i = 0; i < SAMPLE_COUNT; i++) {
                sample(&sent, sample_types[i]);
                ck_assert_int_eq(channel_receive(ends[1 - from], &got, fds, &count), 0);
                ck_assert_mem_eq(&got, &sent, sizeof sent);
                for (unsigned k = 0; k < count; k++)
                    ck_assert_int_eq(close(fds[k]), 0);
            }
        }
        close_channel();
    }
END_TEST

START_TEST(brings_a_thousand_descriptors_in_order)
    {
        enum { ALL = 1000 };
        open_channel();
        for (unsigned at = 0; at < ALL;) {
            int given[HANDOVER_BATCH_MAX];
            unsigned some = ALL - at < HANDOVER_BATCH_MAX ? ALL - at : HANDOVER_BATCH_MAX;
            batch_of(some);
            for (unsigned i = 0; i < some; i++)
                given[i] = numbered(at + i);
            ck_assert_int_eq(channel_send(ends[OLD], &sent, given, some), 0);
            for (unsigned i = 0; i < some; i++)
                ck_assert_int_eq(close(given[i]), 0); /* on the way, they live */
            ck_assert_int_eq(receive(), 0);
            ck_assert_mem_eq(&got, &sent, sizeof sent);
            ck_assert_uint_eq(count, some);
            for (unsigned i = 0; i < some; i++) {
                ck_assert_uint_eq(number_of(fds[i]), at + i);
                ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
                ck_assert_int_eq(close(fds[i]), 0);
            }
            at += some;
        }
        close_channel();
    }
END_TEST

START_TEST(leaves_the_descriptors_of_the_sender_open)
    {
        open_channel();
        sample(&sent, HANDOVER_WELCOME);
        int fd = numbered(5);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, &fd, 1), 0);
        ck_assert_int_eq(receive(), 0);
        ck_assert_int_ne(fds[0], fd);
        ck_assert_int_eq(close(fds[0]), 0);
        ck_assert_uint_eq(number_of(fd), 5);
        ck_assert_int_eq(close(fd), 0);
        close_channel();
    }
END_TEST

START_TEST(loses_nothing_when_a_message_with_descriptors_is_never_received)
    {
        open_channel();
        batch_of(1);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, &ends[OLD], 1), 0);
        close_channel();
    }
END_TEST

START_TEST(sends_no_other_number_of_descriptors_than_announced)
    {
        open_channel();
        const int given[2] = {ends[0], ends[1]};
        sample(&sent, HANDOVER_PING);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, given, 1), -EINVAL);
        sample(&sent, HANDOVER_WELCOME);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, given, 0), -EINVAL);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, given, 2), -EINVAL);
        batch_of(1);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, given, 2), -EINVAL);
        sent.entry_count = HANDOVER_BATCH_MAX + 1;
        ck_assert_int_eq(channel_send(ends[OLD], &sent, given, HANDOVER_BATCH_MAX + 1), -EINVAL);
        assert_refused(-EAGAIN);
        close_channel();
    }
END_TEST

START_TEST(says_that_a_descriptor_to_send_is_none)
    {
        open_channel();
        sample(&sent, HANDOVER_WELCOME);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, &(const int){-1}, 1), -EBADF);
        ck_assert_int_eq(channel_send(-1, &sent, &ends[OLD], 1), -EBADF);
        assert_refused(-EAGAIN);
        close_channel();
    }
END_TEST

/* --- the other side -------------------------------------------------------------------------- */

START_TEST(says_that_the_other_side_does_not_read)
    {
        int rc = 0;
        unsigned told = 0;
        open_channel();
        sample(&sent, HANDOVER_PROGRESS);
        while (rc == 0 && ++told < 100000)
            rc = channel_send(ends[OLD], &sent, NULL, 0);
        ck_assert_int_eq(rc, -EAGAIN);
        for (unsigned i = 1; i < told; i++) /* what was sent is whole, and then there is room */
            ck_assert_int_eq(receive(), 0);
        assert_refused(-EAGAIN);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, NULL, 0), 0);
        close_channel();
    }
END_TEST

START_TEST(says_that_the_other_side_has_gone)
    {
        open_channel();
        ck_assert_int_eq(close(ends[OLD]), 0);
        assert_refused(-EPIPE);
        sample(&sent, HANDOVER_PONG);
        ck_assert_int_eq(channel_send(ends[NEW], &sent, NULL, 0), -EPIPE); /* and no SIGPIPE */
        assert_refused(-EPIPE);
        ck_assert_int_eq(close(ends[NEW]), 0);
    }
END_TEST

START_TEST(receives_what_was_said_before_the_other_side_went)
    {
        open_channel();
        sample(&sent, HANDOVER_FAILED);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, NULL, 0), 0);
        ck_assert_int_eq(close(ends[OLD]), 0);
        ck_assert_int_eq(receive(), 0);
        ck_assert_str_eq(got.text, sent.text);
        assert_refused(-EPIPE);
        ck_assert_int_eq(close(ends[NEW]), 0);
    }
END_TEST

/* The system then says first that the connection was reset. */
START_TEST(receives_the_last_words_of_a_side_that_did_not_listen_any_more)
    {
        open_channel();
        sample(&sent, HANDOVER_PONG);
        ck_assert_int_eq(channel_send(ends[NEW], &sent, NULL, 0), 0);
        sample(&sent, HANDOVER_FAILED);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, NULL, 0), 0);
        ck_assert_int_eq(close(ends[OLD]), 0);
        ck_assert_int_eq(receive(), 0);
        ck_assert_str_eq(got.text, sent.text);
        assert_refused(-EPIPE);
        ck_assert_int_eq(close(ends[NEW]), 0);
    }
END_TEST

START_TEST(takes_a_reset_for_gone_when_it_sends)
    {
        open_channel();
        sample(&sent, HANDOVER_PONG);
        ck_assert_int_eq(channel_send(ends[NEW], &sent, NULL, 0), 0);
        ck_assert_int_eq(close(ends[OLD]), 0);
        ck_assert_int_eq(channel_send(ends[NEW], &sent, NULL, 0), -EPIPE);
        ck_assert_int_eq(channel_send(ends[NEW], &sent, NULL, 0), -EPIPE);
        assert_refused(-EPIPE);
        ck_assert_int_eq(close(ends[NEW]), 0);
    }
END_TEST

START_TEST(waits_until_there_is_something_or_the_end)
    {
        open_channel();
        sample(&sent, HANDOVER_PING);
        ck_assert_int_eq(channel_wait(ends[NEW], 0), -ETIMEDOUT);
        int64_t now = clock_real_now();
        ck_assert_int_eq(channel_wait(ends[NEW], now + 20 * NS_PER_MS), -ETIMEDOUT);
        ck_assert_int_ge(clock_real_now(), now + 20 * NS_PER_MS);
        ck_assert_int_eq(channel_send(ends[OLD], &sent, NULL, 0), 0);
        ck_assert_int_eq(channel_wait(ends[NEW], 0), 0); /* though the time has come */
        ck_assert_int_eq(channel_wait(ends[NEW], INT64_MAX), 0);
        ck_assert_int_eq(receive(), 0);
        ck_assert_int_eq(close(ends[OLD]), 0);
        ck_assert_int_eq(channel_wait(ends[NEW], INT64_MAX), 0);
        ck_assert_int_eq(close(ends[NEW]), 0);
    }
END_TEST

/* --- refused --------------------------------------------------------------------------------- */

START_TEST(refuses_garbage_and_what_is_too_short_or_too_long)
    {
        static const char garbage[HANDOVER_PACKET_MAX + 1] = "SRUN";
        static const size_t sizes[] = {1, 7, 8, 100, HANDOVER_PACKET_MAX, HANDOVER_PACKET_MAX + 1};
        open_channel();
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (unsigned with = 0; with < 3; with++) {
                send_raw(garbage, sizes[i], ends[OLD], with);
                assert_refused(-EBADMSG);
            }
        }
        sample(&sent, HANDOVER_PING); /* the next one is heard */
        ck_assert_int_eq(channel_send(ends[OLD], &sent, NULL, 0), 0);
        ck_assert_int_eq(receive(), 0);
        close_channel();
    }
END_TEST

/* A good message, were it not for what the receiver has no room for. */
START_TEST(refuses_a_good_beginning_of_a_packet_that_is_too_long)
    {
        struct sample_packet packet = {.size = 0};
        open_channel();
        sample(&sent, HANDOVER_WELCOME);
        ck_assert_int_gt(handover_encode(&sent, packet.bytes, sizeof packet.bytes), 0);
        send_raw(packet.bytes, sizeof packet.bytes, ends[OLD], 1);
        assert_refused(-EBADMSG);
        close_channel();
    }
END_TEST

START_TEST(takes_an_empty_packet_for_the_end)
    {
        open_channel();
        send_raw("", 0, -1, 0);
        assert_refused(-EPIPE);
        send_raw("", 0, ends[OLD], 3);
        assert_refused(-EPIPE);
        close_channel();
    }
END_TEST

START_TEST(refuses_another_number_of_descriptors_than_announced)
    {
        open_channel();
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            sample(&sent, sample_types[i]);
            unsigned right = sample_types[i] == HANDOVER_BATCH     ? SAMPLE_ENTRIES
                             : sample_types[i] == HANDOVER_WELCOME ? 1
                                                                   : 0;
            for (unsigned with = 0; with < 6; with++) {
                if (with == right)
                    continue;
                send_with(&sent, with);
                assert_refused(-EBADMSG);
            }
        }
        close_channel();
    }
END_TEST

START_TEST(refuses_more_descriptors_than_a_packet_may_carry)
    {
        static const unsigned counts[] = {33, 64, 253};
        open_channel();
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            batch_of(HANDOVER_BATCH_MAX);
            send_with(&sent, counts[i]);
            assert_refused(-EBADMSG);
        }
        close_channel();
    }
END_TEST

START_TEST(closes_what_comes_with_a_message_it_does_not_know)
    {
        static const unsigned char newer[] = "SRUN\1\0\x63\0\x01\0\x01\0?";
        open_channel();
        for (unsigned with = 0; with < 4; with++) {
            send_raw(newer, sizeof newer - 1, ends[OLD], with);
            assert_refused(-EPROTONOSUPPORT);
        }
        close_channel();
    }
END_TEST

START_TEST(takes_each_packet_by_itself_when_one_is_repeated)
    {
        open_channel();
        sample(&sent, HANDOVER_WELCOME);
        send_with(&sent, 1);
        send_with(&sent, 1);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(receive(), 0);
            ck_assert_uint_eq(count, 1);
            ck_assert_int_eq(close(fds[0]), 0);
        }
        assert_refused(-EAGAIN);
        close_channel();
    }
END_TEST

static int lose_some(void)
{
    const struct rlimit limit = {20, 20}; /* of the numbers below, some are free */
    batch_of(HANDOVER_BATCH_MAX);
    send_with(&sent, HANDOVER_BATCH_MAX);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 99;
    if (receive() != -EMFILE || count != 0)
        return 1;
    int next = dup(ends[OLD]); /* what came is closed again */
    return next >= 0 && next < 20 ? 0 : 2;
}

START_TEST(refuses_a_message_that_has_lost_descriptors_for_lack_of_numbers)
    {
        int status;
        open_channel();
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(lose_some());
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        close_channel();
    }
END_TEST

/* The receiver's room shrinks by what it did not ask for. */
START_TEST(closes_descriptors_though_credentials_come_first)
    {
        const int on = 1;
        open_channel();
        ck_assert_int_eq(setsockopt(ends[NEW], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
        sample(&sent, HANDOVER_WELCOME);
        send_with(&sent, 1);
        ck_assert_int_eq(receive(), 0);
        ck_assert_uint_eq(count, 1);
        ck_assert_int_eq(close(fds[0]), 0);
        batch_of(HANDOVER_BATCH_MAX);
        send_with(&sent, HANDOVER_BATCH_MAX);
        assert_refused(-EBADMSG);
        close_channel();
    }
END_TEST

/* --- who made it ----------------------------------------------------------------------------- */

START_TEST(knows_a_pair_by_the_process_that_made_it)
    {
        int status;
        open_channel();
        pid_t parent = getpid();
        ck_assert(channel_is_from(ends[OLD], parent) && channel_is_from(ends[NEW], parent));
        ck_assert(!channel_is_from(ends[NEW], parent + 1));
        ck_assert(!channel_is_from(ends[NEW], 0) && !channel_is_from(ends[NEW], -1));
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(channel_is_from(ends[NEW], parent) && !channel_is_from(ends[NEW], getpid()) ? 0
                                                                                              : 1);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        close_channel();
    }
END_TEST

START_TEST(believes_no_other_descriptor)
    {
        static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
        for (size_t i = 0; i < 2; i++) {
            ck_assert_int_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, ends), 0);
            ck_assert(!channel_is_from(ends[NEW], getpid()));
            close_channel();
        }
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert(!channel_is_from(ends[0], getpid()) && !channel_is_from(ends[1], getpid()));
        close_channel();
        int alone = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert(!channel_is_from(alone, getpid()) && !channel_is_from(alone, 0));
        ck_assert_int_eq(close(alone), 0);
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert(!channel_is_from(tcp, getpid()));
        ck_assert_int_eq(close(tcp), 0);
        int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert(!channel_is_from(file, getpid()));
        ck_assert_int_eq(close(file), 0);
        ck_assert(!channel_is_from(file, getpid()) && !channel_is_from(-1, getpid()));
    }
END_TEST

int main(void)
{
    return HARNESS(
        "channel", makes_ends_that_do_not_block_and_do_not_survive_exec,
        brings_every_message_both_ways_in_order, brings_a_thousand_descriptors_in_order,
        leaves_the_descriptors_of_the_sender_open,
        loses_nothing_when_a_message_with_descriptors_is_never_received,
        sends_no_other_number_of_descriptors_than_announced, says_that_a_descriptor_to_send_is_none,
        says_that_the_other_side_does_not_read, says_that_the_other_side_has_gone,
        receives_what_was_said_before_the_other_side_went,
        receives_the_last_words_of_a_side_that_did_not_listen_any_more,
        takes_a_reset_for_gone_when_it_sends, waits_until_there_is_something_or_the_end,
        refuses_garbage_and_what_is_too_short_or_too_long,
        refuses_a_good_beginning_of_a_packet_that_is_too_long, takes_an_empty_packet_for_the_end,
        refuses_another_number_of_descriptors_than_announced,
        refuses_more_descriptors_than_a_packet_may_carry,
        closes_what_comes_with_a_message_it_does_not_know,
        takes_each_packet_by_itself_when_one_is_repeated,
        refuses_a_message_that_has_lost_descriptors_for_lack_of_numbers,
        closes_descriptors_though_credentials_come_first, knows_a_pair_by_the_process_that_made_it,
        believes_no_other_descriptor);
}
