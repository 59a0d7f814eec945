/* SPDX-License-Identifier: MIT
 *
 * srunctl, when the system refuses: each command is run in a process of its own against a program
 * that answers by a script, and each call that it makes fails once. Either it does what it does
 * otherwise, or it says in one line why not, and with its exit code; and it leaves nothing behind.
 */
#include "scenario.h"
#include "scripted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { WORDS_MAX = 8, OUT_MAX = 65536, LIMIT_S = 30 };

/* The main of srunctl, whose calls are wrapped. */
int srunctl_main(int argc, char **argv);

/* --- what is asked ---------------------------------------------------------------------------- */

#define STATUS(pid)                                                                                \
    "{\"v\":1,\"name\":\"ledger\",\"version\":\"1.2.3\",\"pid\":" pid                              \
    ",\"generation\":3,\"state\":\"running\",\"ready\":false,\"not_ready\":\"db waits\","          \
    "\"overall\":\"degraded\",\"not_healthy\":\"db is slow\",\"started_ms\":1000,"                 \
    "\"now_ms\":3724000,\"log_level\":\"debug\",\"log_level_reverts_in_ms\":59000}\n"
#define LAST                                                                                       \
    {                                                                                              \
        NULL, 0, NULL, 0, STAYS                                                                    \
    }

static const struct scripted_page usual[] = {
    {"GET /build", 200, "{\"v\":1,\"libsrun\":\"0.1.0\"}\n", 0, STAYS},
    {"GET /status.json", 200, STATUS("4711"), 0, STAYS},
    {"GET /services", 200, "NAME  STATE    HEALTH\ndb    RUNNING  healthy\n", 0, STAYS},
    {"GET /metrics", 200, "# HELP x y\nprocess_cpu_seconds_total 1.5\nprocess_threads 5\n", 0,
     STAYS},
    {"GET /healthz", 200, "[+]db ok\n", 0, STAYS},
    {"GET /health/history", 200, "db healthy\n", 0, STAYS},
    {"GET /readyz", 200, "OK\n", 0, STAYS},
    {"GET /livez", 200, "OK\n", 0, STAYS},
    {"GET /debug/pprof", 200, "50%  main\n", 0, STAYS},
    {"GET /debug/captures", 200, "a profile\n", 0, STAYS},
    {"POST /admin/upgrade", 202, "begun\n", 0, STAYS},
    {"POST /admin/log-level", 200, "debug, for 10m\n", 0, STAYS},
    {"POST /admin/drain", 202, "drained\n", 0, STAYS},
    {"POST /admin/stop", 202, "stopping\n", 0, STAYS},
    LAST,
};

static const struct scripted_page starts[] = {
    {"GET /readyz", 503, "db waits\n", 0, TURNS},
    {"GET /readyz", 200, "OK\n", 1, STAYS},
    LAST,
};

static const struct scripted_page stops[] = {
    {"GET /status.json", 200, STATUS(SCRIPTED_PID), 0, STAYS},
    {"GET /livez", 200, "OK\n", 0, STAYS},
    {"POST /admin/stop", 202, "stopping\n", 0, ENDS},
    LAST,
};

static const struct scripted_page upgrades[] = {
    {"GET /generations", 200, "GENERATION  PID\n1  10\n", 0, STAYS},
    {"POST /admin/upgrade", 200, "done\n", 0, TURNS},
    {"GET /generations", 200, "GENERATION  PID\n1  10\n2  20\n", 1, TURNS},
    {"GET /generations", 200, "GENERATION  PID\n2  20\n", 2, STAYS},
    {"GET /readyz", 200, "OK\n", 2, STAYS},
    LAST,
};

/* Where the program listens, and how srunctl is told. */
enum place { PATH, NAME, PORT };

struct command {
    const char *words[WORDS_MAX];
    const struct scripted_page *pages; /* NULL: the usual */
    enum place place;
    bool terminal;
    bool folder;      /* "there" is an empty one */
    const char *keys; /* were typed before it began */
    long keeps;       /* blocks of memory that it has until its end */
};

/* --- one run ---------------------------------------------------------------------------------- */

/* What became of it. */
struct outcome {
    int status; /* as wait has it */
    unsigned files;
    size_t size;
    char out[OUT_MAX], err[1500];
};

/* What the process of srunctl has seen of its failures. */
static struct told {
    unsigned failed;
    int error, second_error; /* the second is 0 when there was none */
    long lost;
    char name[32];
} * told;

/* The streams of one run. */
struct streams {
    int master; /* of a terminal, or -1 */
    int out, err;
};

static int open_file(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", harness_folder(), name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static struct streams open_streams(bool terminal)
{
    struct streams streams = {.master = -1, .err = open_file("err")};
    if (!terminal) {
        streams.out = open_file("out");
        return streams;
    }
    streams.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    ck_assert_int_ge(streams.master, 0);
    ck_assert_int_eq(grantpt(streams.master), 0);
    ck_assert_int_eq(unlockpt(streams.master), 0);
    streams.out = open(ptsname(streams.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(streams.out, 0);
    return streams;
}

/* One by one, and not shown, as the command will have them: what is typed before counts then. */
static void type(const struct streams *streams, const char *keys)
{
    struct termios modes;
    ck_assert_int_eq(tcgetattr(streams->out, &modes), 0);
    modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    ck_assert_int_eq(tcsetattr(streams->out, TCSANOW, &modes), 0);
    ck_assert_int_eq(write(streams->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static size_t read_all(int fd, char *out, size_t size)
{
    size_t got = 0;
    ssize_t more;
    while (got < size - 1 && (more = read(fd, out + got, size - 1 - got)) > 0)
        got += (size_t)more;
    out[got] = '\0';
    return got;
}

static void close_streams(const struct streams *streams, struct outcome *outcome)
{
    (void)lseek(streams->out, 0, SEEK_SET);
    (void)lseek(streams->err, 0, SEEK_SET);
    outcome->size = read_all(streams->master >= 0 ? streams->master : streams->out, outcome->out,
                             sizeof outcome->out);
    (void)read_all(streams->err, outcome->err, sizeof outcome->err);
    (void)close(streams->out);
    (void)close(streams->err);
    if (streams->master >= 0)
        (void)close(streams->master);
}

/* The last that the process of srunctl does. */
static void tell(void)
{
    told->failed = scenario_disarm();
    told->error = scenario_errno();
    told->second_error = fault_second_errno();
    told->lost += fault_blocks();
    (void)snprintf(told->name, sizeof told->name, "%s", fault_name());
}

/* In the process of srunctl. */
__attribute__((noreturn)) static void be_srunctl(const struct command *command,
                                                 const struct streams *streams, const char *folder,
                                                 const char *where)
{
    static const char *const options[] = {[PATH] = "-s", [NAME] = "-n", [PORT] = "-a"};
    const char *argv[WORDS_MAX + 4] = {"srunctl"};
    int argc = 1;
    for (size_t i = 0; i < WORDS_MAX && command->words[i] != NULL; i++)
        argv[argc++] = command->words[i];
    if (strcmp(command->words[0], "new") != 0) {
        argv[argc++] = options[command->place];
        argv[argc++] = where;
    }
    (void)clearenv();
    (void)setenv("XDG_RUNTIME_DIR", harness_folder(), 1);
    (void)setenv("TERM", "xterm", 1);
    int input = command->terminal ? streams->out : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (chdir(folder) < 0 || dup2(input, STDIN_FILENO) < 0 ||
        dup2(streams->out, STDOUT_FILENO) < 0 || dup2(streams->err, STDERR_FILENO) < 0)
        _exit(99);
    (void)alarm((unsigned)(LIMIT_S * harness_slowness()));
    fault_hurry();
    fault_output_fd(STDOUT_FILENO);
    told->lost = -fault_blocks();
    (void)atexit(tell); /* behind those of srunctl */
    scenario_arm();
    exit(srunctl_main(argc, (char **)argv));
}

static unsigned count_files(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(folder);
    return count;
}

static void make_folder(const char *above)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/there", above);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void run_command(const struct command *command, struct outcome *out)
{
    char folder[256], socket[256], address[32];
    uint16_t port = 0;
    (void)snprintf(folder, sizeof folder, "%s/run.XXXXXX", harness_folder());
    (void)snprintf(socket, sizeof socket, "%s/ledger.sock", harness_folder());
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const struct scripted_page *pages = command->pages != NULL ? command->pages : usual;
    pid_t program =
        command->place == PORT ? scripted_start_tcp(&port, pages) : scripted_start(socket, pages);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    if (command->folder)
        make_folder(folder);
    unsigned before = count_files(folder);
    struct streams streams = open_streams(command->terminal);
    if (command->keys != NULL)
        type(&streams, command->keys);
    memset(told, 0, sizeof *told);
    (void)fflush(stdout);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        be_srunctl(command, &streams, folder,
                   command->place == PORT   ? address
                   : command->place == NAME ? "ledger"
                                            : socket);
    ck_assert_int_eq(waitpid(child, &out->status, 0), child);
    close_streams(&streams, out);
    scripted_end(program, command->place == PORT ? NULL : socket);
    out->files = count_files(folder) - before;
}

/* --- what has to come of it ------------------------------------------------------------------- */

struct play {
    const struct command *command;
    unsigned kinds;
    struct outcome usual; /* without a failure */
    bool known;
};

/* One line, with what the system said; but of a place that cannot be looked at, that nothing is
 * there. */
static bool is_a_reason(const char *text)
{
    const char *start = "srunctl: ";
    const char *end = strchr(text, '\n');
    return strncmp(text, start, strlen(start)) == 0 && end != NULL && end[1] == '\0' &&
           (strstr(text, strerror(told->error)) != NULL || strstr(text, "out of memory") != NULL ||
            (told->second_error != 0 && strstr(text, strerror(told->second_error)) != NULL) ||
            strstr(text, "in the usual places") != NULL);
}

static void judge(const struct play *play, const struct outcome *now)
{
    SCENARIO_ASSERT(WIFEXITED(now->status), "ended by signal %d", WTERMSIG(now->status));
    int code = WEXITSTATUS(now->status);
    SCENARIO_ASSERT(code <= 4, "exit code %d: %s", code, now->err);
    SCENARIO_ASSERT(told->lost <= play->command->keeps, "%ld blocks are lost", told->lost);
    if (code == 0) {
        SCENARIO_ASSERT(strcmp(now->out, play->usual.out) == 0, "%.1000s", now->out);
        SCENARIO_ASSERT(now->files == play->usual.files, "%u files", now->files);
        return;
    }
    SCENARIO_ASSERT(code != 2, "it blames who called it: %s", now->err);
    bool shown = strstr(now->out, "no answer: ") != NULL; /* by top */
    SCENARIO_ASSERT(is_a_reason(now->err) || shown, "%d: %s", code, now->err);
    SCENARIO_ASSERT(play->kinds != FAULT_INTERRUPT, "an interrupt is no failure: %s", now->err);
    SCENARIO_ASSERT((play->kinds & FAULT_OUTPUT) != 0 || now->files == 0, "%u files are left",
                    now->files);
}

static void play_once(void *arg)
{
    static struct outcome now;
    struct play *play = arg;
    run_command(play->command, &now);
    if (told->failed > 0)
        scenario_failed_elsewhere(told->name);
    if (!play->known) {
        ck_assert_msg(WIFEXITED(now.status) && WEXITSTATUS(now.status) == 0, "%s fails: %s",
                      play->command->words[0], now.err);
        play->known = true;
        play->usual = now;
    }
    judge(play, &now);
    if (getenv("FAULT_TELL") != NULL)
        printf("    %s: %s: %d %s\n", play->command->words[0], scenario_point(),
               WEXITSTATUS(now.status), now.err);
}

static void play_each(const struct command *commands, size_t count, unsigned kinds)
{
    static struct play play;
    for (size_t i = 0; i < count; i++) {
        char name[128] = "";
        for (size_t w = 0; w < WORDS_MAX && commands[i].words[w] != NULL; w++)
            (void)snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s",
                           w > 0 ? " " : "", commands[i].words[w]);
        play = (struct play){.command = &commands[i], .kinds = kinds};
        scenario_each(name, kinds, play_once, &play);
    }
}

#define PLAY(kinds, ...)                                                                           \
    do {                                                                                           \
        static const struct command commands_[] = {__VA_ARGS__};                                   \
        play_each(commands_, sizeof commands_ / sizeof commands_[0], kinds);                       \
    } while (0)

static void prepare(void)
{
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(told, MAP_FAILED);
    int token = open_file("token");
    ck_assert_int_eq(write(token, "a-token-of-the-tests\n", 21), 21);
    (void)close(token);
}

/* --- the commands ----------------------------------------------------------------------------- */

START_TEST(asks_or_says_why_not)
    {
        prepare();
        PLAY(FAULT_SYSTEM, {.words = {"status"}}, {.words = {"status", "--json"}},
             {.words = {"services"}}, {.words = {"health"}}, {.words = {"health", "a b"}},
             {.words = {"history", "db"}}, {.words = {"metrics"}}, {.words = {"log-level"}},
             {.words = {"log-level", "debug", "--for", "5s"}}, {.words = {"drain"}},
             {.words = {"stop"}}, {.words = {"upgrade"}}, {.words = {"profile", "heap"}},
             {.words = {"profile", "-o", "cpu.pb"}}, {.words = {"captures"}},
             {.words = {"captures", "7", "-o", "7.pb"}});
    }
END_TEST

START_TEST(finds_the_program_or_says_why_not)
    {
        prepare();
        PLAY(FAULT_SYSTEM, {.words = {"services"}, .place = NAME, .keeps = 1},
             {.words = {"drain", "--token-file", "../token", "--ca-file", "../token"},
              .place = PORT});
    }
END_TEST

START_TEST(waits_or_says_why_not)
    {
        prepare();
        PLAY(FAULT_SYSTEM, {.words = {"wait"}, .pages = starts}, {.words = {"wait", "--live"}},
             {.words = {"wait", "--healthy"}},
             {.words = {"upgrade", "--wait", "-t", "20s"}, .pages = upgrades},
             {.words = {"stop", "--wait", "-t", "20s"}, .pages = stops});
    }
END_TEST

START_TEST(shows_a_frame_or_says_why_not)
    {
        prepare();
        PLAY(FAULT_SYSTEM, {.words = {"top", "-c", "1"}},
             {.words = {"top", "-c", "1"}, .terminal = true},
             {.words = {"services"}, .terminal = true},
             {.words = {"services", "--json"}, .terminal = true});
    }
END_TEST

START_TEST(writes_a_program_or_nothing)
    {
        prepare();
        PLAY(FAULT_SYSTEM, {.words = {"new", "ledger"}},
             {.words = {"new", "ledger", "--dir", "there"}, .folder = true});
    }
END_TEST

START_TEST(helps_or_says_why_not)
    {
        prepare();
        PLAY(FAULT_SYSTEM, {.words = {"help"}}, {.words = {"help", "wait"}},
             {.words = {"--version"}});
    }
END_TEST

START_TEST(tells_a_full_disk)
    {
        prepare();
        PLAY(FAULT_OUTPUT, {.words = {"status"}}, {.words = {"services", "--json"}},
             {.words = {"log-level"}}, {.words = {"help"}}, {.words = {"--version"}},
             {.words = {"top", "-c", "1"}},
             {.words = {"upgrade", "--wait", "-t", "20s"}, .pages = upgrades},
             {.words = {"new", "ledger"}},
             {.words = {"drain", "--token-file", "../token"}, .place = PORT});
        PLAY(FAULT_OUTPUT | FAULT_SYSTEM, {.words = {"profile", "-o", "cpu.pb"}});
    }
END_TEST

START_TEST(is_not_disturbed_by_signals)
    {
        prepare();
        PLAY(FAULT_INTERRUPT, {.words = {"wait"}, .pages = starts},
             {.words = {"upgrade", "--wait", "-t", "20s"}, .pages = upgrades},
             {.words = {"stop", "--wait", "-t", "20s"}, .pages = stops},
             {.words = {"top", "-c", "2"}, .terminal = true, .keys = "q"},
             {.words = {"new", "ledger"}});
    }
END_TEST

int main(void)
{
    harness_limit_ms(300000);
    return HARNESS("fault.srunctl", asks_or_says_why_not, finds_the_program_or_says_why_not,
                   waits_or_says_why_not, shows_a_frame_or_says_why_not,
                   writes_a_program_or_nothing, helps_or_says_why_not, tells_a_full_disk,
                   is_not_disturbed_by_signals);
}
