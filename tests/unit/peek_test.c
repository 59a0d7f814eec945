/* SPDX-License-Identifier: MIT
 *
 * Memory that may not be there.
 */
#include "base/ensure.h"
#include "base/peek.h"
#include "harness.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two pages, of which the second one is not there. */
static char *map_one_of_two(void)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    ck_assert_int_eq(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    return pages;
}

START_TEST(knows_what_can_be_read)
    {
        char *pages = map_one_of_two();
        ck_assert(peek_readable((uintptr_t)pages));
        ck_assert(peek_readable((uintptr_t)pages + 4096 - 8));
        ck_assert(!peek_readable((uintptr_t)pages + 4096));
        ck_assert(!peek_readable(0));
        ck_assert(!peek_readable(UINTPTR_MAX - 7));
        (void)munmap(pages, 8192);
    }
END_TEST

START_TEST(copies_what_is_there)
    {
        char out[200];
        char *pages = map_one_of_two();
        memset(pages, 'a', 4096);
        ck_assert_uint_eq(peek_copy(out, (uintptr_t)pages + 4000, sizeof out), 96);
        ck_assert_int_eq(out[95], 'a');
        ck_assert_uint_eq(peek_copy(out, (uintptr_t)pages + 4096, sizeof out), 0);
        (void)munmap(pages, 8192);
    }
END_TEST

/* A filter that answers in the kernel's place, as containers have them. */
static bool forbid(unsigned call)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = COUNT_OF(rules), .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

START_TEST(takes_nothing_for_readable_that_the_kernel_was_not_asked_for)
    {
        int status = 0;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            bool set = forbid(SYS_rt_sigprocmask);
            _exit(set && peek_readable((uintptr_t)&status));
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
END_TEST

START_TEST(copies_though_the_call_for_it_is_forbidden)
    {
        int status = 0;
        char out[200];
        struct rlimit none; /* for descriptors */
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &none), 0);
        none.rlim_cur = 0;
        int file = memfd_create("page", MFD_CLOEXEC);
        ck_assert_int_eq(ftruncate(file, 4096),
                         0); /* by the other way a guard page would be read */
        char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ck_assert_ptr_ne(pages, MAP_FAILED);
        memset(pages, 'a', 4096);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(forbid(SYS_process_vm_readv) &&
                  peek_copy(out, (uintptr_t)pages + 4000, sizeof out) == 96 && out[0] == 'a' &&
                  out[95] == 'a' && peek_copy(out, (uintptr_t)pages + 4096, sizeof out) == 0 &&
                  setrlimit(RLIMIT_NOFILE, &none) == 0 &&
                  peek_copy(out, (uintptr_t)pages, sizeof out) == 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        (void)munmap(pages, 8192);
        (void)close(file);
    }
END_TEST

int main(void)
{
    return HARNESS("peek", knows_what_can_be_read, copies_what_is_there,
                   takes_nothing_for_readable_that_the_kernel_was_not_asked_for,
                   copies_though_the_call_for_it_is_forbidden);
}
