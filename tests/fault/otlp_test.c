/* SPDX-License-Identifier: MIT
 *
 * The plugin that sends telemetry, when the system refuses: opening says why not; an attempt that
 * fails has its reason, and the next one works.
 */
#include "scenario.h"
#include "scripted.h"

#include "base/clock.h"
#include "base/duration.h"
#include "telemetry/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern const struct transport_plugin srun_otlp_plugin;

static const struct scripted_page pages[] = {
    {"POST /v1/traces", 200, "accepted", 0, STAYS},
    {NULL, 0, NULL, 0, STAYS},
};
static const atomic_bool never;

struct case_ {
    struct transport_options options;
    bool answered; /* by a server that speaks the same protocol */
};

static void attempt(struct transport *transport, struct transport_reply *out)
{
    transport->attempt(transport, clock_real_now() + 30 * NS_PER_S, out);
}

static bool is_fine(const struct transport_reply *reply)
{
    return reply->code == 0 && reply->http_status == 200 && reply->size == strlen("accepted") &&
           memcmp(reply->body, "accepted", reply->size) == 0;
}

static void send_again(const struct case_ *now, struct transport *transport, const char *body)
{
    struct transport_reply reply;
    SCENARIO_ASSERT(transport->load(transport, body, strlen(body)) == 0, "it cannot load again");
    attempt(transport, &reply);
    SCENARIO_ASSERT(is_fine(&reply) == now->answered, "%d: %s", reply.code, reply.text);
}

static void send_one(void *arg)
{
    const struct case_ *now = arg;
    struct transport_options options = now->options;
    static char body[20000];
    char url[64];
    uint16_t port;
    pid_t program = scripted_start_tcp(&port, pages);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/traces", port);
    options.url = url;
    struct transport *transport = NULL;
    struct transport_reply reply = {0};
    char text[160] = "";
    memset(body, 'x', sizeof body - 1);
    scenario_arm();
    int rc = srun_otlp_plugin.open(&options, &transport, text, sizeof text);
    int loaded = rc == 0 ? transport->load(transport, body, strlen(body)) : -1;
    if (loaded == 0)
        attempt(transport, &reply);
    if (rc == 0)
        transport->wake(transport);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((rc == 0) == (transport != NULL), "%d", rc);
    SCENARIO_ASSERT(rc == 0 || (failed > 0 && text[0] != '\0'), "%d: %s", rc, text);
    SCENARIO_ASSERT(rc < 0 || loaded == 0 || (failed > 0 && loaded == -ENOMEM), "%d", loaded);
    if (loaded == 0 && now->answered)
        SCENARIO_ASSERT(is_fine(&reply) || (failed > 0 && reply.code < 0 && reply.text[0] != '\0'),
                        "%d: %s", reply.code, reply.text);
    if (rc == 0) {
        send_again(now, transport, body);
        transport->free(transport);
    }
    scripted_end(program, NULL);
}

static void send_as(const char *name, bool grpc, bool gzip)
{
    static const char *const headers[] = {"api-key", "secret", "X-Empty", "", NULL};
    struct case_ now = {.options = {.grpc = grpc,
                                    .gzip = gzip,
                                    .headers = headers,
                                    .user_agent = "tests",
                                    .ca_file = "/nowhere/ca",
                                    .cert_file = "/nowhere/cert",
                                    .key_file = "/nowhere/key",
                                    .reply_max = 4096,
                                    .interrupted = &never},
                        .answered = !grpc};
    scenario_each(name, FAULT_SYSTEM, send_one, &now);
}

START_TEST(sends_over_http_or_says_why_not)
    {
        send_as("http", false, false);
        send_as("http, gzip", false, true);
    }
END_TEST

/* Who answers does not speak it: what goes out is made, and no answer is taken for one. */
START_TEST(makes_a_request_of_grpc_or_says_why_not)
    {
        send_as("grpc", true, false);
        send_as("grpc, gzip", true, true);
    }
END_TEST

static void open_first(void *arg)
{
    const struct transport_options *options = arg;
    struct transport *transport = NULL;
    char text[160] = "";
    scenario_arm();
    int rc = srun_otlp_plugin.open(options, &transport, text, sizeof text);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((rc < 0) == (failed > 0) && (rc == 0 || text[0] != '\0'), "%d: %s", rc, text);
    if (rc == 0)
        transport->free(transport);
}

static void open_first_in_child(void *arg)
{
    scenario_in_child(open_first, arg);
}

START_TEST(opens_the_first_of_a_process_or_says_why_not)
    {
        struct transport_options options = {.url = "http://127.0.0.1:9/",
                                            .user_agent = "tests",
                                            .reply_max = 4096,
                                            .interrupted = &never};
        scenario_each("the first", FAULT_SYSTEM, open_first_in_child, &options);
    }
END_TEST

int main(void)
{
    harness_limit_ms(120000);
    return HARNESS("fault.otlp", sends_over_http_or_says_why_not,
                   makes_a_request_of_grpc_or_says_why_not,
                   opens_the_first_of_a_process_or_says_why_not);
}
