/* SPDX-License-Identifier: MIT
 *
 * A program that tells how it was started, on descriptor 3 (the channel of a new generation): a
 * line for each argument, variable, descriptor, ... and "end". Then it does what its first argument
 * says: exit N     kill N      ends so hangup     waits for a byte on the channel, then takes the
 * SIGHUP that waits, tells and ends
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL 3

static void tell_descriptors(FILE *out)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
            (void)fprintf(out, "fd %s\n", entry->d_name);
    (void)closedir(folder);
    (void)fprintf(out, "channel flags %d\n", fcntl(CHANNEL, F_GETFD));
}

static void tell_signals(FILE *out)
{
    sigset_t blocked;
    (void)sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int signo = 1; signo <= 64; signo++) {
        struct sigaction now;
        if (sigismember(&blocked, signo) == 1)
            (void)fprintf(out, "blocked %d\n", signo);
        if (sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            (void)fprintf(out, "ignored %d\n", signo);
    }
}

static void tell(FILE *out, char **argv, char **variables)
{
    char folder[4096];
    for (int i = 0; argv[i] != NULL; i++)
        (void)fprintf(out, "arg %d %s\n", i, argv[i]);
    for (; *variables != NULL; variables++)
        (void)fprintf(out, "env %s\n", *variables);
    tell_descriptors(out);
    tell_signals(out);
    (void)fprintf(out, "folder %s\n", getcwd(folder, sizeof folder) != NULL ? folder : "(removed)");
    (void)fprintf(out, "parent %d\n", getppid());
    (void)fprintf(out, "group %d\n", getpgrp());
    (void)fprintf(out, "end\n");
}

static void take_hangup(FILE *out)
{
    char byte;
    sigset_t hangup;
    if (read(CHANNEL, &byte, 1) != 1)
        exit(3);
    (void)sigemptyset(&hangup);
    (void)sigaddset(&hangup, SIGHUP);
    const struct timespec limit = {.tv_sec = 10};
    (void)fprintf(out, "took %d\n", sigtimedwait(&hangup, NULL, &limit));
}

int main(int argc, char **argv, char **variables)
{
    FILE *out = fdopen(CHANNEL, "w");
    if (out == NULL)
        return 2;
    tell(out, argv, variables);
    (void)fflush(out);
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "hangup") == 0)
        take_hangup(out);
    (void)fclose(out);
    if (argc > 2 && strcmp(what, "kill") == 0)
        (void)kill(getpid(), atoi(argv[2]));
    return argc > 2 && strcmp(what, "exit") == 0 ? atoi(argv[2]) : 0;
}
