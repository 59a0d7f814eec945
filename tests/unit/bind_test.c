/* SPDX-License-Identifier: MIT
 *
 * Sockets that listen: their options, and the paths they leave and find.
 */
#include "harness.h"
#include "upgrade/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static struct address parsed(const char *text)
{
    struct address address;
    srun_err err = {0};
    ck_assert_msg(address_parse(&address, text, &err) == 0, "%s: %s", text, err.text);
    return address;
}

/* An address of this kind in the test's folder. */
static struct address in_folder(const char *scheme)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s://%s/x.sock", scheme, harness_folder());
    return parsed(text);
}

static int opened(const struct address *address, const struct srun_listen_options *options,
                  struct bind_path *path)
{
    srun_err err = {0};
    int fd = bind_open(address, options, false, path, &err);
    ck_assert_msg(fd >= 0, "%s", err.text);
    return fd;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    ck_assert_int_eq(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

static unsigned mode_of(const char *path)
{
    struct stat now;
    ck_assert_int_eq(lstat(path, &now), 0);
    return now.st_mode & 0777;
}

static bool exists(const struct address *address)
{
    struct stat now;
    return lstat(address_path(address), &now) == 0;
}

static void assert_in_use(const struct address *address, const char *why)
{
    struct bind_path path;
    srun_err err = {0};
    ck_assert_int_eq(bind_open(address, SRUN_LISTEN_OPTIONS(0), false, &path, &err), -EADDRINUSE);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(err.text, address_path(address)));
    ck_assert(exists(address));
}

START_TEST(opens_every_kind_non_blocking_and_close_on_exec)
    {
        static const char *const kinds[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0", "udp://[::1]:0",
                                            "abstract",          "unix",          "unix-seqpacket",
                                            "unix-dgram"};
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            char text[64];
            bool abstract = strcmp(kinds[i], "abstract") == 0;
            if (abstract)
                (void)snprintf(text, sizeof text, "unix://@srun-bind-test-%d", getpid());
            else
                (void)snprintf(text, sizeof text, "%s", kinds[i]);
            bool in_files = strchr(text, ':') == NULL;
            struct address address = in_files ? in_folder(text) : parsed(text);
            struct bind_path path;
            int fd = opened(&address, SRUN_LISTEN_OPTIONS(0), &path);
            ck_assert_int_eq(bind_check(fd, &address), 0);
            ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
            ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
            ck_assert_int_eq(path.inode != 0, in_files);
            bind_unlink(&address, &path);
            ck_assert(!in_files || !exists(&address));
            (void)close(fd);
        }
    }
END_TEST

START_TEST(says_v6only_both_ways_whatever_the_system_says)
    {
        struct address address = parsed("tcp://[::]:0");
        struct bind_path path;
        for (int v6only = 0; v6only < 2; v6only++) {
            int fd = opened(&address, SRUN_LISTEN_OPTIONS(.v6only = v6only), &path);
            ck_assert_int_eq(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), v6only);
            ck_assert_ptr_null(bind_adopt(fd, &address, SRUN_LISTEN_OPTIONS(.v6only = v6only)));
            ck_assert_str_eq(bind_adopt(fd, &address, SRUN_LISTEN_OPTIONS(.v6only = !v6only)),
                             "v6only");
            (void)close(fd);
        }
        address = parsed("tcp://[::1]:0"); /* where it makes no difference */
        int fd = opened(&address, SRUN_LISTEN_OPTIONS(0), &path);
        ck_assert_ptr_null(bind_adopt(fd, &address, SRUN_LISTEN_OPTIONS(.v6only = 0)));
        ck_assert_ptr_null(bind_adopt(fd, &address, SRUN_LISTEN_OPTIONS(.v6only = 1)));
        (void)close(fd);
    }
END_TEST

START_TEST(shares_an_address_only_when_told)
    {
        struct bind_path path;
        static const char *const kinds[] = {"tcp://127.0.0.1:0", "udp://127.0.0.1:0"};
        for (size_t i = 0; i < 2; i++) {
            struct address address = parsed(kinds[i]);
            int first = opened(&address, SRUN_LISTEN_OPTIONS(0), &path);
            ck_assert_int_eq(address_of_socket(&address, first), 0);
            srun_err err = {0};
            ck_assert_int_eq(bind_open(&address, SRUN_LISTEN_OPTIONS(0), true, &path, &err),
                             -EADDRINUSE);
            ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1:"));
            ck_assert_int_eq(bind_share(first), 0);
            int second = bind_open(&address, SRUN_LISTEN_OPTIONS(0), true, &path, &err);
            ck_assert_msg(second >= 0, "%s", err.text);
            (void)close(first);
            (void)close(second);
        }
    }
END_TEST

START_TEST(replaces_the_path_of_a_dead_socket)
    {
        static const char *const kinds[] = {"unix", "unix-seqpacket", "unix-dgram"};
        for (size_t i = 0; i < 9; i++) { /* also one of another type */
            struct address dead = in_folder(kinds[i / 3]), address = in_folder(kinds[i % 3]);
            struct bind_path old, new;
            (void)close(opened(&dead, SRUN_LISTEN_OPTIONS(0), &old));
            ck_assert(exists(&dead));
            int fd = opened(&address, SRUN_LISTEN_OPTIONS(0), &new);
            ck_assert(bind_is_same(&address, &new));
            bind_unlink(&address, &new);
            (void)close(fd);
        }
    }
END_TEST

START_TEST(leaves_the_path_of_a_living_socket_alone)
    {
        static const char *const kinds[] = {"unix", "unix-seqpacket", "unix-dgram"};
        for (size_t i = 0; i < 9; i++) {
            struct address living = in_folder(kinds[i / 3]), address = in_folder(kinds[i % 3]);
            struct bind_path path;
            int fd = opened(&living, SRUN_LISTEN_OPTIONS(.backlog = 1), &path);
            for (int j = 0; j < 4; j++) /* the last ones find its queue full */
                assert_in_use(&address, "a process serves there");
            bind_unlink(&living, &path);
            (void)close(fd);
        }
    }
END_TEST

START_TEST(never_removes_what_is_no_socket)
    {
        struct address address = in_folder("unix");
        int fd = open(address_path(&address), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        (void)close(fd);
        assert_in_use(&address, "not a socket");
        ck_assert_int_eq(unlink(address_path(&address)), 0);
        ck_assert_int_eq(symlink("/nowhere", address_path(&address)), 0);
        assert_in_use(&address, "not a socket");
        ck_assert_int_eq(unlink(address_path(&address)), 0);
        ck_assert_int_eq(mkdir(address_path(&address), 0700), 0);
        assert_in_use(&address, "not a socket");
    }
END_TEST

START_TEST(removes_a_path_only_while_it_is_its_own)
    {
        struct address address = in_folder("unix");
        struct bind_path ours, theirs;
        int fd = opened(&address, SRUN_LISTEN_OPTIONS(0), &ours);
        ck_assert_int_eq(unlink(address_path(&address)), 0);
        bind_unlink(&address, &ours); /* gone already */
        int other = opened(&address, SRUN_LISTEN_OPTIONS(0), &theirs);
        ck_assert(!bind_is_same(&address, &ours));
        bind_unlink(&address, &ours);
        ck_assert(exists(&address));
        bind_unlink(&address, &(struct bind_path){0});
        ck_assert(exists(&address));
        bind_unlink(&address, &theirs);
        ck_assert(!exists(&address));
        (void)close(fd);
        (void)close(other);
    }
END_TEST

START_TEST(gives_a_path_the_mode_that_was_asked_for)
    {
        static const struct {
            unsigned mode;
            mode_t mask;
            unsigned expected;
        } cases[] = {{0, 022, 0644},    {0, 077, 0600},    {0600, 0, 0600},
                     {0666, 077, 0666}, {0770, 027, 0770}, {0660, 0, 0660}};
        static const char *const kinds[] = {"unix", "unix-dgram"};
        for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
            struct address address = in_folder(kinds[i % 2]);
            struct bind_path path;
            mode_t before = umask(cases[i / 2].mask);
            int fd = opened(&address, SRUN_LISTEN_OPTIONS(.mode = cases[i / 2].mode), &path);
            ck_assert_uint_eq(umask(before), cases[i / 2].mask);
            ck_assert_uint_eq(mode_of(address_path(&address)), cases[i / 2].expected);
            bind_unlink(&address, &path);
            (void)close(fd);
        }
    }
END_TEST

/* The kernel tells of each change of the folder: a mode that came after the path is one. */
static bool was_changed_after_it_was_made(int watch)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t size = read(watch, events, sizeof events);
    bool made = false, changed = false;
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(events + at);
        made |= (event->mask & IN_CREATE) != 0;
        changed |= (event->mask & IN_ATTRIB) != 0;
        at += (ssize_t)(sizeof *event + event->len);
    }
    ck_assert(made);
    return changed;
}

START_TEST(makes_a_path_that_was_never_more_open_than_asked_for)
    {
        static const char *const kinds[] = {"unix", "unix-seqpacket", "unix-dgram"};
        int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        ck_assert_int_ge(inotify_add_watch(watch, harness_folder(), IN_CREATE | IN_ATTRIB), 0);
        mode_t before = umask(0);
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            struct address address = in_folder(kinds[i]);
            struct bind_path path;
            int fd = opened(&address, SRUN_LISTEN_OPTIONS(.mode = 0600), &path);
            ck_assert_uint_eq(mode_of(address_path(&address)), 0600);
            ck_assert(!was_changed_after_it_was_made(watch));
            bind_unlink(&address, &path);
            (void)close(fd);
        }
        (void)umask(before);
        (void)close(watch);
    }
END_TEST

START_TEST(changes_what_can_be_changed_on_a_socket_that_was_handed_over)
    {
        struct address address = in_folder("unix");
        struct bind_path path;
        int fd = opened(&address, SRUN_LISTEN_OPTIONS(.mode = 0600), &path);
        ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
        ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
        ck_assert_ptr_null(bind_adopt(fd, &address, SRUN_LISTEN_OPTIONS(.mode = 0660)));
        ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ck_assert_uint_eq(mode_of(address_path(&address)), 0600);
        ck_assert_int_eq(bind_set_backlog(fd, &address, 7), 0);
        ck_assert_int_eq(bind_set_mode(&address, &path, BIND_AS_IT_IS), 0);
        ck_assert_int_eq(bind_mode(&address, &path), 0600);
        ck_assert_int_eq(bind_set_mode(&address, &path, 0660), 0);
        ck_assert_uint_eq(mode_of(address_path(&address)), 0660);
        bind_unlink(&address, &path);
        ck_assert_int_eq(bind_mode(&address, &path), BIND_AS_IT_IS);
        ck_assert_int_eq(bind_set_mode(&address, &path, 0600), 0);
        ck_assert_int_lt(bind_set_backlog(-1, &address, 7), 0);
        ck_assert_int_eq(bind_set_backlog(-1, &address, BIND_AS_IT_IS), 0);
        (void)close(fd);
    }
END_TEST

START_TEST(believes_no_descriptor_before_it_has_looked)
    {
        struct address tcp = parsed("tcp://127.0.0.1:0"), udp = parsed("udp://127.0.0.1:0");
        struct address v6 = parsed("tcp://[::1]:0");
        struct bind_path path;
        int fd = opened(&tcp, SRUN_LISTEN_OPTIONS(0), &path);
        ck_assert_int_eq(bind_check(fd, &udp), -EPROTOTYPE);
        ck_assert_int_eq(bind_check(fd, &v6), -EAFNOSUPPORT);
        (void)close(fd);
        ck_assert_int_eq(bind_check(fd, &tcp), -EBADF);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind_check(fd, &tcp), -EINVAL);
        (void)close(fd);
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(bind_check(fd, &tcp), -ENOTSOCK);
        (void)close(fd);
    }
END_TEST

START_TEST(names_the_address_when_it_fails)
    {
        struct address address = parsed("unix:///no/such/folder/x");
        struct bind_path path = {1, 1};
        srun_err err = {0};
        ck_assert_int_eq(bind_open(&address, SRUN_LISTEN_OPTIONS(0), false, &path, &err), -ENOENT);
        ck_assert_ptr_nonnull(strstr(err.text, "unix:///no/such/folder/x: bind: "));
        ck_assert_ptr_nonnull(strstr(err.text, ": there is no such folder"));
        ck_assert_uint_eq(path.inode, 0);
    }
END_TEST

static void assert_hint(const struct address *address, int code, const char *hint)
{
    struct bind_path path;
    srun_err err = {0};
    ck_assert_int_eq(bind_open(address, SRUN_LISTEN_OPTIONS(0), false, &path, &err), code);
    ck_assert_msg(strstr(err.text, hint) != NULL, "%s", err.text);
}

START_TEST(says_what_is_mostly_the_matter)
    {
        struct address free_one = parsed("tcp://127.0.0.1:0"), taken;
        struct address elsewhere = parsed("tcp://192.0.2.1:0"); /* nobody has one of these */
        struct bind_path path;
        int fd = opened(&free_one, SRUN_LISTEN_OPTIONS(0), &path);
        ck_assert_int_eq(address_of_socket(&taken, fd), 0);
        assert_hint(&taken, -EADDRINUSE, " in use: another process has it");
        assert_hint(&elsewhere, -EADDRNOTAVAIL, "this machine does not have this address");
        (void)close(fd);
    }
END_TEST

int main(void)
{
    return HARNESS("bind", opens_every_kind_non_blocking_and_close_on_exec,
                   says_v6only_both_ways_whatever_the_system_says, shares_an_address_only_when_told,
                   replaces_the_path_of_a_dead_socket, leaves_the_path_of_a_living_socket_alone,
                   never_removes_what_is_no_socket, removes_a_path_only_while_it_is_its_own,
                   gives_a_path_the_mode_that_was_asked_for,
                   makes_a_path_that_was_never_more_open_than_asked_for,
                   changes_what_can_be_changed_on_a_socket_that_was_handed_over,
                   believes_no_descriptor_before_it_has_looked, names_the_address_when_it_fails,
                   says_what_is_mostly_the_matter);
}
