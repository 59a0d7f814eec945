/* SPDX-License-Identifier: MIT
 *
 * Runs a suite with Check. The parent makes and removes the folders; the process of a test looks
 * at what it holds before and after. harness_test.c proves that each kind of failure is seen.
 */
#include "harness.h"

#include "leftovers.h"

#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifdef __has_feature
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                                 \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#define SANITIZED_SLOWNESS 5

#define DEFAULT_LIMIT_MS 60000
#define GONE_LIMIT_MS 5000

static int64_t test_limit_ms = DEFAULT_LIMIT_MS;
static char folder[PATH_MAX];
static pid_t suite_pid;
static struct leftovers before_test;
static void (*tell_at_end)(bool all);

/* HARNESS has no argc and argv, which only glibc hands to constructors. NULL: there is no argument.
 */
static const char *first_argument(void)
{
    static char line[4096];
    FILE *file = fopen("/proc/self/cmdline", "re");
    size_t size = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file != NULL)
        (void)fclose(file);
    size_t program = strlen(line) + 1;
    return program < size ? line + program : NULL;
}

/* Below valgrind the environment says; which no test sees any more, so it is asked at once. */
int harness_slowness(void)
{
    static int slowness;
    const char *said = slowness == 0 ? getenv("SRUN_TEST_SLOWNESS") : NULL;
    if (said != NULL)
        slowness = atoi(said);
    if (slowness <= 0)
        slowness = SANITIZED ? SANITIZED_SLOWNESS : 1;
    return slowness;
}

void harness_limit_ms(int64_t ms)
{
    test_limit_ms = ms;
}

void harness_at_end(void (*tell)(bool all))
{
    tell_at_end = tell;
}

const char *harness_folder(void)
{
    return folder;
}

int64_t harness_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool harness_wait(bool (*probe)(void *arg), void *arg, int64_t limit_ms)
{
    int64_t end = harness_now_ms() + limit_ms * harness_slowness();
    while (!probe(arg)) {
        if (harness_now_ms() >= end)
            return probe(arg);
        (void)poll(NULL, 0, 1);
    }
    return true;
}

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/srun-test-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL)
        ck_abort_msg("mkdtemp %s: %m", folder);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    (void)remove(path); /* what cannot go makes its parent stay, which is seen */
    return 0;
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void *say_who(void *arg)
{
    *(int *)arg = gettid();
    return NULL;
}

static bool is_in_no_list(void *arg)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d", *(int *)arg);
    return access(path, F_OK) < 0;
}

/* The sanitizers start a thread of their own with the first one of the program. Ours leaves the
 * kernel's list a moment after it was joined; a test may count who is in it. */
static void warm_up_threads(void)
{
    pthread_t thread;
    int tid = 0;
    if (!SANITIZED || pthread_create(&thread, NULL, say_who, &tid) != 0)
        return;
    (void)pthread_join(thread, NULL);
    (void)harness_wait(is_in_no_list, &tid, GONE_LIMIT_MS);
}

static void default_signals(void)
{
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                                  SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)signal(signals[i], SIG_DFL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A suite that is killed takes the test in flight with it. */
static void die_with_the_suite(void)
{
    if (getpid() != suite_pid)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void before_each(void)
{
    die_with_the_suite();
    default_signals(); /* Check's handlers are for its parent process */
    warm_up_threads();
    leftovers_look(&before_test);
}

static void after_each(void)
{
    char text[2048];
    if (!leftovers_none(&before_test, text, sizeof text))
        ck_abort_msg("left behind: %s", text);
}

/* strace traces too, but wants to see the tests as they are. */
static bool debugger_attached(void)
{
    char line[256], path[64];
    int tracer = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (status != NULL)
        (void)fclose(status);
    if (tracer == 0)
        return false;

    (void)snprintf(path, sizeof path, "/proc/%d/comm", tracer);
    FILE *name = fopen(path, "re");
    bool found = name != NULL && fgets(line, sizeof line, name) != NULL &&
                 (strncmp(line, "gdb", 3) == 0 || strncmp(line, "lldb", 4) == 0);
    if (name != NULL)
        (void)fclose(name);
    return found;
}

static void clean_environment(void)
{
    static const char *const prefixes[] = {"SRUN_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_",
                                           "JOURNAL_STREAM"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t length = strlen(prefixes[i]);
        for (char **entry = environ; *entry != NULL;) {
            char name[256];
            (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
            if (strncmp(name, prefixes[i], length) == 0 && unsetenv(name) == 0)
                entry = environ; /* the list has moved */
            else
                entry++;
        }
    }
    (void)setenv("SRUN_ADMIN", "false", 1); /* many run at once; its own tests turn it on */
}

static bool matches(const TTest *test, const char *wanted)
{
    regex_t pattern;
    if (regcomp(&pattern, wanted, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool match = regexec(&pattern, test->name, 0, NULL, 0) == 0;
    regfree(&pattern);
    return match;
}

static bool is_a_name(const TTest *const *tests, const char *wanted)
{
    for (; *tests != NULL; tests++)
        if (strcmp((*tests)->name, wanted) == 0)
            return true;
    return false;
}

/* A full name means this test alone, also when others contain it. */
static unsigned add_tests(Suite *suite, const TTest *const *tests, const char *wanted)
{
    bool exact = wanted != NULL && is_a_name(tests, wanted);
    unsigned added = 0;
    for (; *tests != NULL; tests++) {
        if (exact ? strcmp((*tests)->name, wanted) != 0
                  : wanted != NULL && !matches(*tests, wanted))
            continue;
        TCase *one = tcase_create((*tests)->name);
        tcase_set_timeout(one, (double)(test_limit_ms * harness_slowness()) / 1000.0);
        tcase_add_unchecked_fixture(one, make_folder, remove_folder);
        tcase_add_checked_fixture(one, before_each, after_each);
        tcase_add_test(one, *tests);
        suite_add_tcase(suite, one);
        added++;
    }
    return added;
}

static void report(SRunner *runner, const char *suite)
{
    int failed = srunner_ntests_failed(runner);
    TestResult **failures = srunner_failures(runner);
    for (int i = 0; i < failed; i++)
        printf("FAILED %s.%s\n    %s:%d: %s\n", suite, tr_tcname(failures[i]),
               tr_lfile(failures[i]), tr_lno(failures[i]), tr_msg(failures[i]));
    free(failures);
    printf("%s: %d passed, %d failed\n", suite, srunner_ntests_run(runner) - failed, failed);
}

int harness_run(const char *suite, const TTest *const *tests)
{
    const char *wanted = first_argument();
    if (wanted != NULL && strcmp(wanted, "--list") == 0) {
        for (; *tests != NULL; tests++)
            printf("%s.%s\n", suite, (*tests)->name);
        return EXIT_SUCCESS;
    }

    Suite *all = suite_create(suite);
    if (add_tests(all, tests, wanted) == 0) {
        (void)fprintf(stderr, "%s: no test matches '%s'; --list names them\n", suite, wanted);
        srunner_free(srunner_create(all)); /* Check frees a suite no other way */
        return 2;
    }
    suite_pid = getpid();
    clean_environment();
    default_signals();
    SRunner *runner = srunner_create(all);
    if (debugger_attached())
        srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    if (tell_at_end != NULL)
        tell_at_end(wanted == NULL);
    report(runner, suite);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
