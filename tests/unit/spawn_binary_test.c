/* SPDX-License-Identifier: MIT
 *
 * Files that a deployment may leave behind: each starts, or is refused with its reason.
 */
#include "start.h"

#include <elf.h>
#include <link.h>

static char program[4 << 20]; /* show_start, as it is in the file */

static void assert_refused(const char *path, int code, const char *reason)
{
    static struct started started;
    struct origin origin;
    srun_err err = {0};
    take_start(&origin, NULL, NULL);
    int rc = try_start(&origin, path, &started, &err);
    ck_assert_msg(rc == code, "%s: %d: %s", path, rc, err.text);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, reason) != NULL, "'%s' is not in: %s", reason, err.text);
    ck_assert_msg(path == NULL || strstr(err.text, path) != NULL, "%s", err.text);
    origin_free(&origin);
}

static void assert_starts(const char *path)
{
    struct origin origin;
    take_start(&origin, NULL, NULL);
    ASSERT_TOLD(start_and_finish(&origin, path), "arg 0 show_start");
    origin_free(&origin);
}

START_TEST(refuses_what_is_not_there)
    {
        assert_refused(NULL, -ENOENT, "not known");
        assert_refused(in_folder("none"), -ENOENT, "No such file");
        ck_assert_int_eq(symlink("none", in_folder("link")), 0);
        assert_refused(in_folder("link"), -ENOENT, "No such file");
        copy_program(in_folder("file"));
        assert_starts(in_folder("file"));
        ck_assert_int_eq(unlink(in_folder("file")), 0);
        assert_refused(in_folder("file"), -ENOENT, "No such file");
    }
END_TEST

START_TEST(refuses_what_cannot_be_executed)
    {
        copy_program(in_folder("file"));
        ck_assert_int_eq(chmod(in_folder("file"), 0644), 0);
        assert_refused(in_folder("file"), -EACCES, "Permission denied");
        assert_refused(harness_folder(), -EACCES, "Permission denied");
        assert_refused("/dev/null", -EACCES, "Permission denied");
    }
END_TEST

START_TEST(refuses_what_is_no_program)
    {
        write_file(in_folder("empty"), "", 0, 0755);
        assert_refused(in_folder("empty"), -ENOEXEC, "not a program for this machine");
        write_file(in_folder("text"), "echo hello\n", 11, 0755); /* no shell tries it */
        assert_refused(in_folder("text"), -ENOEXEC, "not a program for this machine");
        (void)read_program(program, sizeof program);
        write_file(in_folder("head"), program, 40, 0755);
        assert_refused(in_folder("head"), -ENOEXEC, "not a program for this machine");
    }
END_TEST

START_TEST(refuses_another_machine_s_program)
    {
        size_t size = read_program(program, sizeof program);
        ElfW(Ehdr) head;
        memcpy(&head, program, sizeof head);
        head.e_machine = head.e_machine == EM_S390 ? EM_X86_64 : EM_S390;
        memcpy(program, &head, sizeof head);
        write_file(in_folder("other"), program, size, 0755);
        assert_refused(in_folder("other"), -ENOEXEC, "not a program for this machine");
    }
END_TEST

START_TEST(refuses_a_program_without_its_loader)
    {
        size_t size = read_program(program, sizeof program);
        ElfW(Ehdr) head;
        memcpy(&head, program, sizeof head);
        bool found = false;
        for (unsigned i = 0; i < head.e_phnum; i++) {
            ElfW(Phdr) segment;
            memcpy(&segment, program + head.e_phoff + i * sizeof segment, sizeof segment);
            if (segment.p_type == PT_INTERP) {
                program[segment.p_offset + 1] = '~';
                found = true;
            }
        }
        ck_assert(found);
        write_file(in_folder("alone"), program, size, 0755);
        assert_refused(in_folder("alone"), -ENOENT, "its loader, or the interpreter");
    }
END_TEST

START_TEST(starts_a_script_if_its_interpreter_is_there)
    {
        char text[600];
        (void)snprintf(text, sizeof text, "#!/bin/sh\nexec '%s'\n", SHOW_START);
        struct origin origin;
        write_file(in_folder("good"), text, strlen(text), 0755);
        take_start(&origin, NULL, NULL);
        ASSERT_TOLD(start_and_finish(&origin, in_folder("good")), "channel flags 0");
        origin_free(&origin);
        write_file(in_folder("bad"), "#!/nowhere/sh\n", 14, 0755);
        assert_refused(in_folder("bad"), -ENOENT, "its loader, or the interpreter");
    }
END_TEST

START_TEST(refuses_a_file_that_is_still_being_written)
    {
        copy_program(in_folder("file"));
        int fd = open(in_folder("file"), O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        assert_refused(in_folder("file"), -ETXTBSY, "still being written");
        (void)close(fd);
        assert_starts(in_folder("file"));
    }
END_TEST

/* The kernel may see it, or the new process falls over it: then its end is told. */
START_TEST(survives_a_program_that_was_cut_short)
    {
        static struct started started;
        struct origin origin;
        size_t size = read_program(program, sizeof program);
        take_start(&origin, NULL, NULL);
        for (size_t part = 1; part < 8; part++) {
            srun_err err = {0};
            write_file(in_folder("cut"), program, size * part / 8, 0755);
            if (try_start(&origin, in_folder("cut"), &started, &err) < 0) {
                ck_assert_str_ne(err.text, "");
                continue;
            }
            read_report(&started, NULL);
            const char *ending = finish(&started);
            ck_assert_msg(strncmp(ending, "killed by SIG", 13) == 0 ||
                              strncmp(ending, "exited with ", 12) == 0,
                          "%s", ending);
        }
        origin_free(&origin);
    }
END_TEST

static void assert_runs_script(const struct origin *origin, const char *path, const char *said)
{
    const struct started *started = start_and_finish(origin, path);
    ck_assert_msg(strncmp(started->report, said, strlen(said)) == 0, "%s", started->report);
}

static void write_script(const char *path, const char *says)
{
    char text[100];
    (void)snprintf(text, sizeof text, "#!/bin/sh\nprintf '%%s\\nend\\n' %s >&3\n", says);
    write_file(path, text, strlen(text), 0755);
}

START_TEST(starts_what_the_name_leads_to_now)
    {
        struct origin origin;
        take_start(&origin, NULL, NULL);
        write_script(in_folder("one"), "one");
        write_script(in_folder("two"), "two");
        ck_assert_int_eq(symlink("one", in_folder("current")), 0);
        assert_runs_script(&origin, in_folder("current"), "one");
        ck_assert_int_eq(symlink("two", in_folder("next")), 0);
        ck_assert_int_eq(rename(in_folder("next"), in_folder("current")), 0);
        assert_runs_script(&origin, in_folder("current"), "two");

        ck_assert_int_eq(rename(in_folder("two"), in_folder("one")), 0);
        assert_runs_script(&origin, in_folder("one"), "two");
        origin_free(&origin);
    }
END_TEST

START_TEST(starts_a_binary_that_was_renamed_over_a_running_one)
    {
        static struct started running;
        struct origin origin;
        srun_err err = {0};
        copy_program(in_folder("program"));
        take_start(&origin, "hangup", NULL);
        ck_assert_int_eq(try_start(&origin, in_folder("program"), &running, &err), 0);
        read_report(&running, "end");
        write_script(in_folder("new"), "new");
        ck_assert_int_eq(rename(in_folder("new"), in_folder("program")), 0);
        assert_runs_script(&origin, in_folder("program"), "new");
        ck_assert_int_eq(spawn_signal(running.pidfd, SIGTERM), 0);
        ck_assert_str_eq(finish(&running), "killed by SIGTERM");
        origin_free(&origin);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "spawn_binary", refuses_what_is_not_there, refuses_what_cannot_be_executed,
        refuses_what_is_no_program, refuses_another_machine_s_program,
        refuses_a_program_without_its_loader, starts_a_script_if_its_interpreter_is_there,
        refuses_a_file_that_is_still_being_written, survives_a_program_that_was_cut_short,
        starts_what_the_name_leads_to_now, starts_a_binary_that_was_renamed_over_a_running_one);
}
