/* SPDX-License-Identifier: MIT
 *
 * A client of a message broker, MQTT by libmosquitto. It is connected while this generation serves
 * and at no other time, so an upgrade is a disconnect here and a connect there.
 *
 * What is promised: with QoS 1 and a session that the broker keeps under our client id, a message
 * that the broker has taken reaches us at least once, also when nobody was connected. Not promised:
 * that it comes only once; what the broker drops (its queue is full, it is restarted without
 * persistence); and, as libmosquitto acknowledges before it calls on_message, the one in a crash.
 */
#include <srun/srun.h>

#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 10000

struct subscriber {
    const char *broker, *topic, *id; /* flags */
    int64_t port, keepalive_ms;
    struct mosquitto *mqtt;
    srun_context *ctx;
    srun_series *messages;
    int64_t backoff_ms;
};

/* A broker that refuses us closes the connection, too. */
static void on_connect(struct mosquitto *mqtt, void *self, int refused)
{
    const struct subscriber *s = self;
    if (refused == 0)
        mosquitto_subscribe(mqtt, NULL, s->topic, 1);
    else
        srun_health_push(s->ctx, SRUN_HEALTH_UNHEALTHY, mosquitto_connack_string(refused));
}

static void on_subscribe(struct mosquitto *mqtt, void *self, int id, int count, const int *granted)
{
    (void)mqtt, (void)id, (void)count, (void)granted;
    struct subscriber *s = self;
    s->backoff_ms = BACKOFF_MIN_MS;
    srun_health_push(s->ctx, SRUN_HEALTH_HEALTHY, NULL);
    SRUN_INFO(srun_context_log(s->ctx), "subscribed");
}

static void on_message(struct mosquitto *mqtt, void *self, const struct mosquitto_message *message)
{
    (void)mqtt;
    const struct subscriber *s = self;
    __attribute__((cleanup(srun_span_leave), unused)) struct srun_span_scope scope =
        srun_span_enter(srun_context_tracer(s->ctx), "process message",
                        SRUN_SPAN(.kind = SRUN_SPAN_CONSUMER,
                                  .attributes = SRUN_KVS(SRUN_STR("messaging.system", "mqtt"))));
    srun_series_add(s->messages, 1);
    SRUN_INFO(srun_context_log(s->ctx), "message", SRUN_STR("topic", message->topic),
              SRUN_TEXT("payload", message->payload, (size_t)message->payloadlen));
}

/* One turn of libmosquitto's loop. Once a second, it looks whether the broker still answers. */
static int turn(struct subscriber *s)
{
    struct pollfd fds[] = {
        {.fd = srun_cancel_fd(s->ctx), .events = POLLIN},
        {.fd = srun_drain_fd(s->ctx), .events = POLLIN},
        {.fd = mosquitto_socket(s->mqtt), .events = POLLIN},
    };
    fds[2].events |= mosquitto_want_write(s->mqtt) ? POLLOUT : 0;
    if (poll(fds, 3, 1000) < 0)
        return errno == EINTR ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ERRNO;
    int rc = MOSQ_ERR_SUCCESS;
    if ((fds[2].revents & ~POLLOUT) != 0)
        rc = mosquitto_loop_read(s->mqtt, 1);
    if (rc == MOSQ_ERR_SUCCESS && (fds[2].revents & POLLOUT) != 0)
        rc = mosquitto_loop_write(s->mqtt, 1);
    return rc == MOSQ_ERR_SUCCESS ? mosquitto_loop_misc(s->mqtt) : rc;
}

/* A connection, from its beginning to its end. A name of the broker is looked up here, and waited
 * for; nothing else waits for it. */
static void converse(struct subscriber *s)
{
    int rc = mosquitto_connect_async(s->mqtt, s->broker, (int)s->port, (int)s->keepalive_ms / 1000);
    while (rc == MOSQ_ERR_SUCCESS && !srun_cancelled(s->ctx) && srun_gate_open(s->ctx))
        rc = turn(s);
    if (rc == MOSQ_ERR_SUCCESS) {
        mosquitto_disconnect(s->mqtt); /* the broker keeps the session for who comes next */
        return;
    }
    srun_health_push(s->ctx, SRUN_HEALTH_UNHEALTHY, mosquitto_strerror(rc));
    int64_t wait_ms = s->backoff_ms / 2 + random() % (s->backoff_ms / 2 + 1); /* jitter */
    SRUN_DEBUG(srun_context_log(s->ctx), "no connection", SRUN_MS("again_in", wait_ms));
    srun_sleep_ms(s->ctx, wait_ms);
    s->backoff_ms = s->backoff_ms < BACKOFF_MAX_MS / 2 ? s->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct subscriber *s = self;
    s->ctx = ctx;
    s->messages = srun_bind(srun_counter(srun_context_meter(ctx), "mqtt.messages", NULL), NULL);
    s->mqtt = s->keepalive_ms < 5000 ? NULL : mosquitto_new(s->id, false, s);
    if (s->mqtt == NULL)
        return srun_fail(err, -EINVAL, "--id is some text, --keepalive 5s or more");
    mosquitto_connect_callback_set(s->mqtt, on_connect);
    mosquitto_subscribe_callback_set(s->mqtt, on_subscribe);
    mosquitto_message_callback_set(s->mqtt, on_message);
    srun_ready(ctx); /* a broker that is away makes us unhealthy, not unstarted */
    while (!srun_cancelled(ctx)) {
        if (srun_gate_open(ctx))
            converse(s);
        else
            srun_sleep_ms(ctx, 20); /* another generation has the session */
    }
    mosquitto_destroy(s->mqtt);
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct subscriber *s = user;
    int rc = srun_flag_string(runner, &s->broker, "broker", "127.0.0.1",
                              "a host, or the path of a unix socket and --port=0", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &s->port, "port", 1883, "of the broker", err);
    if (rc == 0)
        rc = srun_flag_string(runner, &s->topic, "topic", "#", "what to subscribe to", err);
    if (rc == 0)
        rc = srun_flag_string(runner, &s->id, "id", "subscriber", "whose session it is", err);
    if (rc == 0)
        rc = srun_flag_duration_ms(runner, &s->keepalive_ms, "keepalive", 10000,
                                   "silence after which the broker is asked", err);
    return rc == 0 ? srun_serve(runner, "subscriber", run, s, err) : rc;
}

int main(int argc, char **argv)
{
    static struct subscriber subscriber = {.backoff_ms = BACKOFF_MIN_MS};
    srandom((unsigned)getpid()); /* many of us come back at different times */
    mosquitto_lib_init();        /* its end, mosquitto_lib_cleanup, is that of the process */
    int code = srun_main(argc, argv,
                         SRUN_CONFIG(.name = "subscriber", .version = "1.0.0", .health.enabled = 1),
                         setup, &subscriber);
    mosquitto_lib_cleanup();
    return code;
}
