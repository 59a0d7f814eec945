/* SPDX-License-Identifier: MIT
 *
 * The command line of srunctl. Options may stand before and behind the command; each command says
 * which it takes.
 */
#include "base/duration.h"
#include "base/text.h"
#include "srunctl.h"

#include <popt.h>
#include <srun/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct command {
    const char *name, *argument; /* NULL: takes none */
    const char *takes;           /* letters of its own options */
    const char *help;
    const char *request; /* or run */
    int (*run)(struct options *options);
} commands[] = {
    {"status", NULL, "j", "the program in a line, and its services", NULL, run_status},
    {"services", NULL, "j", "the services in start order", "GET /services", NULL},
    {"top", NULL, "c", "status and usage, once a second; q ends it", NULL, run_top},
    {"wait", NULL, "rleg", "until it is ready, or what an option says", NULL, run_wait},
    {"health", "[SERVICE]", "j", "what its health checks say", NULL, run_health},
    {"history", "[SERVICE]", "j", "the last results of health checks", NULL, run_history},
    {"timeline", NULL, "j", "the changes of state of this run", "GET /timeline", NULL},
    {"threads", NULL, "j", "its threads", "GET /threads", NULL},
    {"profile", "[KIND]", "SO", "where time goes: cpu; or heap, threads", NULL, run_profile},
    {"captures", "[N]", "jO", "profiles that it kept by itself, or one", NULL, run_captures},
    {"metrics", NULL, "", "its metrics, as Prometheus reads them", "GET /metrics", NULL},
    {"config", NULL, "j", "its settings and where they come from", "GET /config", NULL},
    {"flags", NULL, "j", "its command line flags", "GET /flags", NULL},
    {"generations", NULL, "j", "its processes while it is upgraded", "GET /generations", NULL},
    {"version", NULL, "j", "what it was built from", "GET /build", NULL},
    {"log-level", "[LEVEL]", "jf", "shows it, or sets it for a while", NULL, run_log_level},
    {"drain", NULL, "jo", "says not ready, so that no new work comes", NULL, run_drain},
    {"upgrade", NULL, "jw", "starts the program's file anew, losing nothing", NULL, run_upgrade},
    {"stop", NULL, "jw", "stops it", NULL, run_stop},
    {"new", "NAME", "d", "a new program on libsrun, in a folder of its own", NULL, run_new},
    {"help", "[COMMAND]", "", "this, or more about a command", NULL, NULL},
};

static struct options options = {.timeout_ms = -1, .probe = 'r'};
static const char *timeout, *frames;

#define EVERYWHERE "sankithV"
#define TEXT POPT_ARG_STRING
#define FLAG POPT_ARG_NONE

/* Their letters are those of popt's answers; a command takes some of them, and all that count
 * EVERYWHERE. */
static struct poptOption known[] = {
    {"socket", 's', TEXT, &options.socket, 's', "its unix socket (SRUNCTL_SOCKET)", "PATH"},
    {"address", 'a', TEXT, &options.address, 'a', "or its address (SRUNCTL_ADDRESS)", "HOST:PORT"},
    {"name", 'n', TEXT, &options.name, 'n', "or its name, for the usual places", "NAME"},
    {"token-file", 0, TEXT, &options.token_file, 'k',
     "holds the token for --address (SRUN_ADMIN_TOKEN_FILE)", "FILE"},
    {"ca-file", 0, TEXT, &options.ca_file, 'i', "who vouches for an --address of https://", "FILE"},
    {"timeout", 't', TEXT, &timeout, 't', "gives up after so long: 30s, 500ms, or seconds", "TIME"},
    {"json", 'j', FLAG, NULL, 'j', "what the program answers, as JSON", NULL},
    {"count", 'c', TEXT, &frames, 'c', "ends after so many frames", "N"},
    {"ready", 0, FLAG, NULL, 'r', "until all services run (the default)", NULL},
    {"live", 0, FLAG, NULL, 'l', "until nothing hangs", NULL},
    {"healthy", 0, FLAG, NULL, 'e', "until no health check fails", NULL},
    {"gone", 0, FLAG, NULL, 'g', "until nobody listens", NULL},
    {"for", 0, TEXT, &options.span, 'f', "goes back after so long; forever: it stays [10m]",
     "TIME"},
    {"seconds", 0, TEXT, &options.seconds, 'S', "takes so long [10]", "N"},
    {"output", 'o', TEXT, &options.output, 'O', "into a file, as other tools read it", "FILE"},
    {"dir", 0, TEXT, &options.folder, 'd', "into this folder, new or empty [./NAME]", "DIR"},
    {"off", 0, FLAG, NULL, 'o', "takes new work again", NULL},
    {"wait", 'w', FLAG, NULL, 'w', "until it is done; exit code 0: it is", NULL},
    {"help", 'h', FLAG, NULL, 'h', "this", NULL},
    {"version", 'V', FLAG, NULL, 'V', "the version of srunctl", NULL},
    POPT_TABLEEND,
};
static bool given[128]; /* by letter */

/* NULL: does every command? */
static bool takes(const struct command *command, int letter)
{
    bool asks = command == NULL || command->run != run_new; /* a program, somewhere */
    return strchr(asks ? EVERYWHERE : "hV", letter) != NULL ||
           (command != NULL && strchr(command->takes, letter) != NULL);
}

/* --- help ------------------------------------------------------------------------------------ */

static int help_on(poptContext context, const struct command *command)
{
    char usage[64] = "[OPTION...] COMMAND";
    for (struct poptOption *option = known; option->longName != NULL; option++)
        if (!takes(command, option->val))
            option->argInfo |= POPT_ARGFLAG_DOC_HIDDEN;
    if (command != NULL)
        (void)snprintf(usage, sizeof usage, "%s [OPTION...] %s", command->name,
                       command->argument ? command->argument : "");
    poptSetOtherOptionHelp(context, usage);
    poptPrintHelp(context, stdout, 0);
    puts("");
    for (size_t i = 0; i < COUNT(commands); i++)
        if (command == NULL || command == &commands[i])
            printf("  %-11s %-9s  %s\n", commands[i].name,
                   commands[i].argument ? commands[i].argument : "", commands[i].help);
    puts("\nExit code: 0 yes or done, 1 no, 2 usage, 3 not reached, 4 not allowed.");
    return YES;
}

/* --- options --------------------------------------------------------------------------------- */

/* bad: as it was typed, with its dashes and its value. */
static int wrong_option(const char *bad, int code)
{
    char name[32];
    const char *start = bad + strspn(bad, "-");
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(start, "="), start);
    struct text_nearest nearest = {.word = name};
    for (const struct poptOption *option = known; option->longName != NULL; option++)
        text_nearest_offer(&nearest, option->longName);
    if (code == POPT_ERROR_BADOPT && nearest.best != NULL)
        return fail(USAGE, "\"%s\": no such option; did you mean --%s?", bad, nearest.best);
    return fail(USAGE, "\"%s\": %s; srunctl help lists what there is", bad, poptStrerror(code));
}

static int read_options(poptContext context)
{
    int letter;
    while ((letter = poptGetNextOpt(context)) > 0) {
        given[letter] = true;
        if (strchr("rleg", letter) != NULL)
            options.probe = letter;
    }
    options.json = given['j'];
    options.off = given['o'];
    options.wait = given['w'];
    if (letter == -1)
        return YES;
    const char *bad = poptBadOption(context, 0);
    return wrong_option(bad != NULL ? bad : "", letter);
}

/* A duration, or a number of seconds; -1: neither. */
static int64_t parse_time(const char *text)
{
    char seconds[32];
    int64_t ns = -1;
    bool plain = text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
    (void)snprintf(seconds, sizeof seconds, "%ss", text);
    if (duration_parse(plain ? seconds : text, &ns) < 0 || ns < 0)
        return -1;
    return ns / NS_PER_MS + (ns % NS_PER_MS > 0);
}

static int read_values(void)
{
    char *end = NULL;
    if (timeout != NULL && (options.timeout_ms = parse_time(timeout)) < 0)
        return fail(USAGE, "--timeout \"%s\": a time such as 30s or 500ms, or a number of seconds",
                    timeout);
    if (frames != NULL && ((options.frames = strtoll(frames, &end, 10)) <= 0 || *end != '\0'))
        return fail(USAGE, "--count \"%s\": a number from 1", frames);
    if ((options.socket != NULL) + (options.address != NULL) + (options.name != NULL) > 1)
        return fail(USAGE, "--socket, --address, --name: one of them");
    return YES;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* As the program's log writes it: unix:///run/a.sock, tcp://127.0.0.1:8778. */
static const char *without_scheme(const char *where)
{
    const char *scheme = where != NULL ? strstr(where, "://") : NULL;
    return scheme != NULL ? scheme + 3 : where;
}

static int read_target(void)
{
    if (options.socket == NULL && options.address == NULL && options.name == NULL) {
        options.socket = variable("SRUNCTL_SOCKET");
        options.address = options.socket == NULL ? variable("SRUNCTL_ADDRESS") : NULL;
    }
    if (options.token_file == NULL)
        options.token_file = variable("SRUN_ADMIN_TOKEN_FILE");
    options.socket = without_scheme(options.socket);
    const char *where = without_scheme(options.address);
    if (where == NULL)
        return YES;
    const char *port = strrchr(where, ':');
    if (port == NULL || port == where || port[1] == '\0' ||
        port[1 + strspn(port + 1, "0123456789")] != '\0')
        return fail(USAGE, "--address: HOST:PORT, such as 127.0.0.1:8778");
    if (strncmp(options.address, "https://", 8) != 0)
        options.address = where;
    return YES;
}

/* --- commands -------------------------------------------------------------------------------- */

/* NULL: there is none, which it says. */
static const struct command *find_command(const char *name)
{
    struct text_nearest nearest = {.word = name};
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        text_nearest_offer(&nearest, commands[i].name);
    }
    if (nearest.best != NULL)
        (void)fail(USAGE, "\"%s\": no such command; did you mean %s?", name, nearest.best);
    else
        (void)fail(USAGE, "\"%s\": no such command; srunctl help lists them", name);
    return NULL;
}

static int check_command(const struct command *command, int count, const char **words)
{
    for (const struct poptOption *option = known; option->longName != NULL; option++)
        if (given[option->val] && !takes(command, option->val))
            return fail(USAGE, "--%s: %s does not take it; srunctl help %s lists what it takes",
                        option->longName, command->name, command->name);
    if (count > (command->argument != NULL))
        return fail(USAGE, "\"%s\": %s takes %s", words[count - 1], command->name,
                    command->argument != NULL ? "one argument" : "no argument");
    return YES;
}

static int run(poptContext context, int count, const char **words)
{
    if (given['V'])
        return printf("srunctl %s\n", SRUN_VERSION_TEXT) > 0 ? YES : NO;
    if (count == 0)
        return given['h'] ? help_on(context, NULL)
                          : fail(USAGE, "a command is missing; srunctl help lists them");
    const struct command *command = find_command(words[0]);
    if (command == NULL)
        return USAGE;
    int answer = check_command(command, count - 1, words + 1);
    if (answer != YES)
        return answer;
    bool about = strcmp(command->name, "help") == 0 && !given['h'];
    if (about && count > 1 && (command = find_command(words[1])) == NULL)
        return USAGE;
    if (about || given['h'])
        return help_on(context, count > 1 || !about ? command : NULL);
    answer = read_target();
    if (answer != YES)
        return answer;
    options.argument = words[1]; /* or NULL */
    return command->run != NULL ? command->run(&options) : run_request(&options, command->request);
}

int main(int argc, char **argv)
{
    poptContext context = poptGetContext("srunctl", argc, (const char **)argv, known, 0);
    int answer = context != NULL ? read_options(context) : fail(NO, "out of memory");
    const char **words = answer == YES ? poptGetArgs(context) : NULL;
    int count = 0;
    while (words != NULL && words[count] != NULL)
        count++;
    if (answer == YES)
        answer = read_values();
    if (answer == YES)
        answer = run(context, count, words);
    poptFreeContext(context);
    if (fflush(stdout) != 0 && answer == YES)
        return fail(NO, "standard output: %m");
    return answer;
}
