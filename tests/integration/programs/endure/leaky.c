/* SPDX-License-Identifier: MIT */
#include "leaky.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELPER_SECONDS 600 /* if nobody ends it */
#define HIGH 200

unsigned long long leaky_mask(void)
{
    sigset_t set;
    unsigned long long mask = 0;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    for (int signo = 1; signo <= 64; signo++)
        if (signo != SIGHUP && sigismember(&set, signo) == 1)
            mask |= 1ULL << (signo - 1);
    return mask;
}

static void tell_signals(FILE *out)
{
    for (int signo = 1; signo <= 64; signo++) {
        struct sigaction now;
        if (sigaction(signo, NULL, &now) == 0)
            fprintf(out, "signal %d %s\n", signo,
                    now.sa_handler == SIG_IGN   ? "ignored"
                    : now.sa_handler == SIG_DFL ? "default"
                                                : "handled");
    }
}

void leaky_tell_start(const char *name, int argc, char **argv)
{
    FILE *out = fopen(name, "we");
    if (out == NULL)
        return;
    char folder[4096];
    for (int i = 0; i < argc; i++)
        fprintf(out, "argument %s\n", argv[i]);
    for (char **entry = environ; *entry != NULL; entry++)
        fprintf(out, "variable %s\n", *entry);
    for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        if (getrlimit(i, &limit) == 0)
            fprintf(out, "limit %u %llu %llu\n", i, (unsigned long long)limit.rlim_cur,
                    (unsigned long long)limit.rlim_max);
    }
    mode_t mask = umask(0);
    umask(mask);
    fprintf(out, "umask %o\n", (unsigned)mask);
    fprintf(out, "folder %s\n", getcwd(folder, sizeof folder) != NULL ? folder : "?");
    tell_signals(out);
    fclose(out);
}

static void lower_limit(unsigned resource, rlim_t value)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur > value) {
        limit.rlim_cur = value;
        setrlimit(resource, &limit);
    }
}

static void open_things(void)
{
    int ends[2], null = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 3; i++)
        (void)dup(null);
    (void)dup2(null, HIGH);
    (void)pipe(ends);
    (void)socket(AF_INET, SOCK_DGRAM, 0);
    (void)open("left-open", O_RDWR | O_CREAT, 0600);
}

static void change_signals(void)
{
    static const int blocked[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        sigaddset(&set, blocked[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGWINCH, SIG_IGN);
}

static void change_environment(void)
{
    setenv("LEAKED", "yes", 1);
    setenv("PATH", "/nowhere", 1);
    unsetenv("HOME");
    (void)chdir("/");
    umask(0);
    lower_limit(RLIMIT_NOFILE, 400);
    lower_limit(RLIMIT_CORE, 0);
    lower_limit(RLIMIT_STACK, (rlim_t)1 << 20);
}

static void *sleep_for_ever(void *arg)
{
    pthread_setname_np(pthread_self(), "forgotten");
    for (;;)
        pause();
    return arg;
}

static void start_helper(srun_logger *log)
{
    int pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        signal(SIGALRM, SIG_DFL);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        alarm(HELPER_SECONDS);
        for (;;)
            pause();
    }
    SRUN_INFO(log, "helper", SRUN_INT("helper_pid", pid));
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    pthread_t thread;
    open_things();
    change_signals();
    change_environment();
    if (pthread_create(&thread, NULL, sleep_for_ever, NULL) == 0)
        pthread_detach(thread);
    start_helper(srun_context_log(ctx));
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, 3600000) == 0) {
    }
    return 0;
}

const struct srun_service_ops leaky_ops = {.size = sizeof leaky_ops, .run = run};
