/* SPDX-License-Identifier: MIT
 *
 * Paths of unix sockets, and sockets that the service manager opened: what is ours to remove.
 */
#include "generations.h"

#include <netinet/tcp.h>

static void activate(struct sockets *sockets, const char *name, unsigned index, const char *address)
{
    struct handover_entry entry = {.kind = HANDOVER_LISTENER, .index = index, .outside = 1};
    struct address parsed;
    struct bind_path path;
    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    ck_assert_int_eq(address_parse(&parsed, address, NULL), 0);
    int fd = bind_open(&parsed, SRUN_LISTEN_OPTIONS(0), false, &path, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(sockets_adopt(sockets, &entry, fd), 0);
}

/* --- paths ----------------------------------------------------------------------------------- */

START_TEST(removes_a_path_only_in_office)
    {
        char path[ADDRESS_TEXT_MAX];
        in_folder(path, "unix");
        open_both();
        (void)listen_as(&old, "x", path);
        hand_over(&old, &new);
        (void)listen_from(&new, "x", path, "handed over");
        ck_assert_int_eq(sockets_close(&new, "x"), 0); /* not yet */
        ck_assert(exists(path));
        hand_over(&old, &new);
        sockets_drop_unclaimed(&new);
        ck_assert(exists(path));
        hand_over(&old, &new);
        (void)listen_from(&new, "x", path, "handed over");
        take_over();
        sockets_destroy(&old); /* no more */
        sockets_init(&old);
        ck_assert(exists(path));
        ck_assert_int_eq(sockets_close(&new, "x"), 0);
        ck_assert(!exists(path));
        close_both();
    }
END_TEST

START_TEST(removes_the_path_of_a_listener_that_nobody_asks_for_any_more)
    {
        char path[ADDRESS_TEXT_MAX], names[64];
        in_folder(path, "unix-dgram");
        open_both();
        (void)listen_as(&old, "log", path);
        hand_over(&old, &new);
        take_over();
        ck_assert_uint_eq(sockets_unclaimed(&new, false, names, sizeof names), 1);
        ck_assert_str_eq(names, "log");
        sockets_drop_unclaimed(&new);
        ck_assert(!exists(path));
        sockets_destroy(&old);
        sockets_init(&old);
        (void)listen_from(&new, "log", path, "made");
        close_both();
        ck_assert(!exists(path));
    }
END_TEST

START_TEST(removes_out_of_office_what_it_has_made_until_another_has_it)
    {
        char path[ADDRESS_TEXT_MAX];
        in_folder(path, "unix");
        open_both();
        hand_over(&old, &new);
        take_over();
        (void)listen_as(&new, "x", path);
        sockets_set_office(&new, false);
        sockets_destroy(&new); /* rolled back */
        sockets_init(&new);
        sockets_thaw(&old, NULL);
        ck_assert(!exists(path));
        (void)listen_as(&old, "x", path);
        hand_over(&old, &new);
        sockets_destroy(&old);
        sockets_init(&old);
        ck_assert(exists(path));
        take_over();
        (void)listen_from(&new, "x", path, "handed over");
        close_both();
        ck_assert(!exists(path));
    }
END_TEST

START_TEST(leaves_a_path_that_another_has_taken_and_its_mode)
    {
        char path[ADDRESS_TEXT_MAX];
        int fd = -1;
        in_folder(path, "unix");
        open_both();
        (void)listen_as(&old, "x", path);
        hand_over(&old, &new);
        ck_assert_int_eq(unlink(strchr(path, '/') + 2), 0);
        struct bind_path other;
        struct address address;
        ck_assert_int_eq(address_parse(&address, path, NULL), 0);
        int stranger = bind_open(&address, SRUN_LISTEN_OPTIONS(.mode = 0600), false, &other, NULL);
        ck_assert_int_ge(stranger, 0);
        take_over();
        ck_assert_int_eq(
            sockets_listen(&new, "x", path, SRUN_LISTEN_OPTIONS(.mode = 0666), &fd, 1, NULL, NULL),
            0); /* in office, so at once */
        struct stat now;
        ck_assert_int_eq(lstat(address_path(&address), &now), 0);
        ck_assert_uint_eq(now.st_mode & 0777, 0600);
        close_both();
        ck_assert(bind_is_same(&address, &other));
        (void)close(stranger);
    }
END_TEST

/* --- during an upgrade ----------------------------------------------------------------------- */

START_TEST(opens_nothing_that_the_new_generation_would_not_get)
    {
        char path[ADDRESS_TEXT_MAX];
        int fds[3];
        srun_err err = {0};
        in_folder(path, "unix");
        open_both();
        int fd = listen_as(&old, "http", ANY_TCP);
        activate(&old, "late.socket", 0, ANY_TCP);
        struct sockets_snapshot *snapshot = NULL;
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        assert_not(&old, "x", path, -EBUSY, "x.sock is not opened during an upgrade: ");
        ck_assert(!exists(path));
        ck_assert_int_eq(sockets_listen(&old, "http", ANY_TCP, NULL, fds, 3, NULL, &err), -EBUSY);
        ck_assert_int_eq(listen_as(&old, "http", ANY_TCP), fd);
        (void)listen_from(&old, "late", ANY_TCP, "activated"); /* the new one has it too */
        (void)listen_as(&new, "x", path);                      /* it is the new one's to open */
        ck_assert_int_eq(sockets_close(&new, "x"), 0);
        sockets_thaw(&old, snapshot); /* it has failed */
        (void)listen_from(&old, "x", path, "made");
        ck_assert_ptr_null(sockets_snapshot_free(snapshot));
        hand_over(&old, &new);
        take_over();
        sockets_let_go(&old);
        sockets_thaw(&old, NULL);
        assert_not(&old, "y", ANY_TCP, -EBUSY, "upgrade");
        ck_assert_int_eq(listen_as(&old, "http", ANY_TCP), fd);
        (void)listen_from(&new, "x", path, "handed over");
        close_both();
        ck_assert(!exists(path));
    }
END_TEST

START_TEST(removes_a_path_that_was_closed_during_an_upgrade_when_that_has_failed)
    {
        char path[ADDRESS_TEXT_MAX];
        in_folder(path, "unix");
        open_both();
        (void)listen_as(&old, "x", path);
        struct sockets_snapshot *snapshot = NULL;
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        ck_assert_int_eq(sockets_close(&old, "x"), 0);
        ck_assert(exists(path)); /* the new one may have asked for it */
        sockets_thaw(&old, snapshot);
        ck_assert(!exists(path));
        (void)listen_as(&old, "x", path); /* another one */
        ck_assert_ptr_null(sockets_snapshot_free(snapshot));
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        sockets_thaw(&old, snapshot);
        ck_assert(exists(path)); /* it is open */
        ck_assert_ptr_null(sockets_snapshot_free(snapshot));
        close_both();
        ck_assert(!exists(path));
    }
END_TEST

START_TEST(leaves_a_path_that_was_closed_during_an_upgrade_to_the_new_generation)
    {
        char path[ADDRESS_TEXT_MAX];
        struct address address;
        in_folder(path, "unix");
        ck_assert_int_eq(address_parse(&address, path, NULL), 0);
        open_both();
        (void)listen_as(&old, "x", path);
        hand_over(&old, &new);
        int fd = listen_from(&new, "x", path, "handed over");
        ck_assert_int_eq(sockets_close(&old, "x"), 0);
        take_over();
        int client = connect_to(&address);
        await_readable(fd);
        (void)close(client);
        sockets_let_go(&old);
        sockets_thaw(&old, NULL);
        close_both();
        ck_assert(!exists(path));
    }
END_TEST

/* --- options --------------------------------------------------------------------------------- */

static void listen_with(struct sockets *sockets, const char *name, const char *address,
                        const struct srun_listen_options *options)
{
    int fd = -1;
    struct sockets_found found = {0};
    ck_assert_int_eq(sockets_listen(sockets, name, address, options, &fd, 1, &found, NULL), 0);
    ck_assert_ptr_null(found.fixed);
}

/* The system tells it of a listener of TCP only. */
static unsigned backlog_of(struct sockets *sockets, const char *name)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int fd = listen_as(sockets, name, ANY_TCP);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_sacked;
}

static unsigned mode_of(const char *address)
{
    struct stat now;
    ck_assert_int_eq(lstat(strchr(address, '/') + 2, &now), 0);
    return now.st_mode & 0777;
}

START_TEST(changes_options_in_office_and_gives_them_back)
    {
        char path[ADDRESS_TEXT_MAX], name[HANDOVER_NAME_MAX] = "";
        in_folder(path, "unix");
        open_both();
        listen_with(&old, "x", path, SRUN_LISTEN_OPTIONS(.mode = 0600));
        listen_with(&old, "tcp", ANY_TCP, SRUN_LISTEN_OPTIONS(.backlog = 9));
        ck_assert_int_eq(chmod(strchr(path, '/') + 2, 0640), 0); /* the operator has */
        struct sockets_snapshot *snapshot = NULL;
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        hand_over(&old, &new);
        listen_with(&new, "x", path, SRUN_LISTEN_OPTIONS(.mode = 0666));
        listen_with(&new, "tcp", ANY_TCP, SRUN_LISTEN_OPTIONS(.backlog = 5));
        ck_assert_ptr_null(sockets_apply(&new, NULL, name)); /* too early */
        ck_assert_uint_eq(mode_of(path), 0640);
        ck_assert_uint_eq(backlog_of(&old, "tcp"), 9);
        take_over();
        ck_assert_uint_eq(mode_of(path), 0666);
        ck_assert_uint_eq(backlog_of(&old, "tcp"), 5);
        sockets_restore(snapshot);
        ck_assert_uint_eq(mode_of(path), 0640);
        ck_assert_uint_eq(backlog_of(&old, "tcp"), 9);
        ck_assert_ptr_null(sockets_apply(&new, NULL, name)); /* once */
        ck_assert_uint_eq(mode_of(path), 0640);
        ck_assert_str_eq(name, "");
        sockets_restore(NULL);
        (void)sockets_snapshot_free(snapshot);
        close_both();
    }
END_TEST

START_TEST(leaves_options_as_they_are_when_none_are_asked_for)
    {
        char path[ADDRESS_TEXT_MAX];
        in_folder(path, "unix");
        open_both();
        listen_with(&old, "x", path, SRUN_LISTEN_OPTIONS(.mode = 0600));
        hand_over(&old, &new);
        (void)listen_as(&new, "x", path);
        take_over();
        ck_assert_uint_eq(mode_of(path), 0600);
        close_both();
    }
END_TEST

/* --- from the service manager ---------------------------------------------------------------- */

START_TEST(takes_activated_sockets_by_name_then_by_address)
    {
        char path[ADDRESS_TEXT_MAX];
        in_folder(path, "unix");
        open_both();
        activate(&old, "http.socket", 0, ANY_TCP);
        activate(&old, "", 0, path);
        activate(&old, "exact", 0, "tcp://[::1]:0");
        activate(&old, "httpd.socket", 0, ANY_TCP);
        int fd = listen_from(&old, "http", "tcp://127.0.0.1:80", "activated");
        ck_assert_int_eq(listen_from(&old, "http", "tcp://127.0.0.1:80", "activated"), fd);
        (void)listen_from(&old, "exact", "tcp://127.0.0.1:81", "activated");
        (void)listen_from(&old, "local", path, "activated");
        (void)listen_from(&old, "other", ANY_TCP, "made");
        assert_not(&old, "second", path, -EADDRINUSE, "\"local\"");
        hand_over(&old, &new);
        take_over();
        char text[ADDRESS_TEXT_MAX];
        ck_assert_int_eq(sockets_address(&old, fd, text, sizeof text), 0);
        fd = listen_from(&new, "http", "tcp://127.0.0.1:80", "handed over");
        assert_address(&new, fd, text);
        (void)listen_from(&new, "local", path, "handed over");
        close_both();
        ck_assert(exists(path)); /* it is not ours, in no generation */
    }
END_TEST

START_TEST(tells_sockets_of_one_unit_apart_by_address_and_type)
    {
        char texts[2][ADDRESS_TEXT_MAX];
        open_both();
        activate(&old, "web.socket", 0, ANY_TCP);
        activate(&old, "web.socket", 1, ANY_TCP);
        activate(&old, "web.socket", 2, "udp://127.0.0.1:0");
        ck_assert_uint_eq(sockets_unclaimed(&old, false, NULL, 0), 0);
        ck_assert_uint_eq(sockets_unclaimed(&old, true, texts[0], sizeof texts[0]), 3);
        ck_assert_str_eq(texts[0], "web.socket, web.socket#1, web.socket#2");
        int probe = listen_as(&old, "web", "udp://127.0.0.1:1");
        ck_assert_int_eq(address_at(&old, probe).type, SOCK_DGRAM);
        hand_over(&old, &new);
        ck_assert_uint_eq(sockets_unclaimed(&new, false, texts[1], sizeof texts[1]), 1);
        ck_assert_str_eq(texts[1], "web");
        ck_assert_uint_eq(sockets_unclaimed(&new, true, texts[1], sizeof texts[1]), 2);
        ck_assert_str_eq(texts[1], "web.socket, web.socket#1");
        int fds[3];
        srun_err err = {0};
        sockets_thaw(&old, NULL);
        ck_assert_int_eq(sockets_close(&old, "web"), 0);
        ck_assert_int_eq(sockets_listen(&old, "web", ANY_TCP, NULL, fds, 3, NULL, &err), 0);
        ck_assert_uint_eq(sockets_unclaimed(&old, true, texts[0], sizeof texts[0]), 1);
        ck_assert_str_eq(texts[0], "web.socket#1"); /* it has another port */
        close_both();
    }
END_TEST

/* Its descriptors that are open, but for the standard streams. */
static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 3; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(hands_on_what_the_service_manager_opened_until_somebody_asks)
    {
        char path[ADDRESS_TEXT_MAX], names[64];
        in_folder(path, "unix");
        open_both();
        activate(&old, "web.socket", 0, ANY_TCP);
        activate(&old, "web.socket", 1, "tcp://[::1]:0");
        activate(&old, "", 0, path);
        for (int generation = 2; generation < 5; generation++) {
            ck_assert_uint_eq(sockets_to_hand_over(&old), 3);
            hand_over(&old, &new);
            take_over();
            unsigned before = descriptors();
            sockets_let_go(&old);
            ck_assert_uint_eq(descriptors(), before - 3); /* the last one has them alone */
            sockets_drop_unclaimed(&new);
            ck_assert_uint_eq(sockets_unclaimed(&new, false, NULL, 0), 0);
            ck_assert_uint_eq(sockets_unclaimed(&new, true, names, sizeof names), 3);
            ck_assert_str_eq(names, "web.socket, web.socket#1, unknown");
            move_on();
        }
        (void)listen_from(&old, "web", "tcp://[::1]:81", "activated");
        (void)listen_from(&old, "local", path, "activated");
        ck_assert_uint_eq(sockets_unclaimed(&old, true, names, sizeof names), 1);
        close_both();
        ck_assert(exists(path)); /* it is not ours, in no generation */
    }
END_TEST

START_TEST(hands_on_what_only_an_older_version_asked_for)
    {
        char names[64];
        open_both();
        activate(&old, "web.socket", 0, ANY_TCP);
        int fd = listen_from(&old, "web", "tcp://127.0.0.1:80", "activated");
        struct address address = address_at(&old, fd);
        for (int i = 0; i < 2; i++) {
            hand_over(&old, &new); /* and nobody asks for it */
            ck_assert_uint_eq(sockets_unclaimed(&new, i > 0, names, sizeof names), 1);
            ck_assert_str_eq(names, "web");
            take_over();
            sockets_let_go(&old);
            sockets_drop_unclaimed(&new);
            move_on();
        }
        fd = listen_from(&old, "web", "tcp://127.0.0.1:81", "activated");
        struct address now = address_at(&old, fd);
        ck_assert(address_equal(&now, &address));
        close_both();
    }
END_TEST

/* As after a restart: the unit says where to listen, whatever the program says. */
START_TEST(takes_activated_sockets_by_name_when_a_newer_version_names_another_address)
    {
        int fds[2];
        srun_err err = {0};
        open_both();
        activate(&old, "web.socket", 0, ANY_TCP);
        activate(&old, "local", 0, "tcp://[::1]:0");
        int web = listen_from(&old, "web", "tcp://127.0.0.1:80", "activated");
        struct address address = address_at(&old, web);
        int local = listen_from(&old, "local", "tcp://[::1]:80", "activated");
        char text[ADDRESS_TEXT_MAX];
        ck_assert_int_eq(sockets_address(&old, local, text, sizeof text), 0);
        (void)listen_as(&old, "made", ANY_TCP);
        hand_over(&old, &new);
        ck_assert_int_eq(
            sockets_listen(&new, "web", "tcp://127.0.0.1:81", NULL, fds, 2, NULL, &err), 0);
        for (int i = 0; i < 2; i++) {
            struct address now = address_at(&new, fds[i]);
            ck_assert(address_equal(&now, &address));
        }
        (void)listen_from(&new, "renamed", text, "handed over");
        (void)listen_from(&new, "made", "tcp://[::1]:0", "made"); /* the program says where */
        close_both();
    }
END_TEST

START_TEST(gives_back_what_a_new_generation_asked_for_and_did_not_keep)
    {
        struct sockets_snapshot *snapshot = NULL;
        char names[64];
        open_both();
        activate(&old, "tcp", 0, ANY_TCP);
        ck_assert_int_eq(sockets_snapshot(&old, &snapshot), 0);
        hand_over(&old, &new);
        int fd = listen_from(&new, "tcp", ANY_TCP, "activated");
        ck_assert_int_eq(listen(fd, 5), 0);
        sockets_destroy(&new); /* rolled back */
        sockets_init(&new);
        sockets_restore(snapshot);
        (void)sockets_snapshot_free(snapshot);
        ck_assert_uint_eq(backlog_of(&old, "tcp"), 5); /* as before for who has not asked for it */
        ck_assert_uint_eq(sockets_unclaimed(&old, true, names, sizeof names), 0);
        close_both();
    }
END_TEST

START_TEST(names_what_has_no_name_by_its_address)
    {
        char names[ADDRESS_TEXT_MAX], abstract[64];
        (void)snprintf(abstract, sizeof abstract, "unix://@srun-sockets-test-%d", getpid());
        open_both();
        activate(&old, "", 0, abstract);
        ck_assert_uint_eq(sockets_unclaimed(&old, true, names, sizeof names), 1);
        ck_assert_str_eq(names, abstract);
        ck_assert_uint_eq(sockets_unclaimed(&old, true, names, 10), 1);
        ck_assert_str_eq(names, "...");
        close_both();
    }
END_TEST

int main(void)
{
    return HARNESS("sockets_path", removes_a_path_only_in_office,
                   removes_the_path_of_a_listener_that_nobody_asks_for_any_more,
                   removes_out_of_office_what_it_has_made_until_another_has_it,
                   leaves_a_path_that_another_has_taken_and_its_mode,
                   opens_nothing_that_the_new_generation_would_not_get,
                   removes_a_path_that_was_closed_during_an_upgrade_when_that_has_failed,
                   leaves_a_path_that_was_closed_during_an_upgrade_to_the_new_generation,
                   changes_options_in_office_and_gives_them_back,
                   leaves_options_as_they_are_when_none_are_asked_for,
                   takes_activated_sockets_by_name_then_by_address,
                   tells_sockets_of_one_unit_apart_by_address_and_type,
                   hands_on_what_the_service_manager_opened_until_somebody_asks,
                   hands_on_what_only_an_older_version_asked_for,
                   takes_activated_sockets_by_name_when_a_newer_version_names_another_address,
                   gives_back_what_a_new_generation_asked_for_and_did_not_keep,
                   names_what_has_no_name_by_its_address);
}
