/* SPDX-License-Identifier: MIT
 *
 * The service: where to listen, and what to do when that is not possible. What somebody has asked
 * for has to work, or the start fails; what is there by itself is left out with one warning.
 */
#include "admin/admin.h"

#include "admin/place.h"
#include "admin/revert.h"
#include "admin/samples.h"
#include "admin/watch.h"
#include "base/duration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <srun/upgrade.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_TCP "srun.admin"
#define NAME_LOCAL "srun.admin.unix"
#define ADDRESS_MAX 160

enum { TCP, LOCAL, LISTENERS };

#define PATIENCE_MS 500

struct admin {
    struct admin_host host;
    struct routes_user *routes;
    struct token token;
    bool has_token; /* there is one to destroy */
    struct server server;
    struct watch_listener listeners[LISTENERS];
    struct samples *samples;
    struct revert *revert;
    pthread_mutex_t lock;                   /* guards what follows */
    char addresses[LISTENERS][ADDRESS_MAX]; /* "": it does not listen there */
};

/* --- making ---------------------------------------------------------------------------------- */

int admin_new(struct admin **out, const struct admin_host *host)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return -ENOMEM;
    if (slots_init(&admin->server.slots) < 0 || pthread_mutex_init(&admin->lock, NULL) != 0) {
        free(admin);
        return -ENOMEM;
    }
    admin->host = *host;
    admin->server.patience_ns =
        (host->patience_ms > 0 ? host->patience_ms : PATIENCE_MS) * NS_PER_MS;
    admin->samples = samples_new();
    admin->revert = revert_new();
    if (admin->samples == NULL || admin->revert == NULL) {
        admin_free(admin);
        return -ENOMEM;
    }
    *out = admin;
    return 0;
}

static void forget_token(struct admin *admin)
{
    if (admin->has_token)
        token_destroy(&admin->token);
    admin->has_token = false;
}

struct admin *admin_free(struct admin *admin)
{
    if (admin == NULL)
        return NULL;
    forget_token(admin);
    routes_free(&admin->routes);
    slots_destroy(&admin->server.slots);
    (void)pthread_mutex_destroy(&admin->lock); /* nobody holds it */
    admin->samples = samples_free(admin->samples);
    admin->revert = revert_free(admin->revert);
    free(admin);
    return NULL;
}

const struct admin_host *admin_host(const struct admin *admin)
{
    return &admin->host;
}

const struct routes_user *admin_routes(const struct admin *admin)
{
    return admin->routes;
}

srun_context *admin_context(const struct admin *admin)
{
    return admin->server.ctx;
}

int admin_add_route(struct admin *admin, const char *method, const char *path,
                    srun_admin_handler *handler, void *user, srun_err *err)
{
    char *known_method = (char *)(uintptr_t)method, *known_path = (char *)(uintptr_t)path;
    return routes_add(
        &admin->routes,
        &(struct routes_user){
            .method = known_method, .path = known_path, .handler = handler, .user = user},
        err);
}

static int tell(struct admin *admin, int which, char *out, size_t size)
{
    pthread_mutex_lock(&admin->lock);
    const char *text = admin->addresses[which];
    int rc = text[0] == '\0' ? -ENOENT : strlen(text) >= size ? -ENOSPC : 0;
    if (rc == 0)
        memcpy(out, text, strlen(text) + 1);
    pthread_mutex_unlock(&admin->lock);
    return rc;
}

int admin_address(struct admin *admin, char *out, size_t size)
{
    return tell(admin, TCP, out, size);
}

int admin_socket(struct admin *admin, char *out, size_t size)
{
    return tell(admin, LOCAL, out, size);
}

void admin_traffic(struct admin *admin, struct admin_traffic *out)
{
    slots_traffic(&admin->server.slots, out);
}

/* --- listening ------------------------------------------------------------------------------- */

static void note_address(struct admin *admin, int which, const char *text)
{
    pthread_mutex_lock(&admin->lock);
    (void)snprintf(admin->addresses[which], ADDRESS_MAX, "%s", text); /* any fits */
    pthread_mutex_unlock(&admin->lock);
}

static int listen_at(struct admin *admin, int which, const char *address, srun_err *err)
{
    srun_context *ctx = admin->server.ctx;
    struct watch_listener *listener = &admin->listeners[which];
    char bound[ADDRESS_MAX];
    int rc = srun_listen_with(ctx, listener->name, address,
                              which == LOCAL ? SRUN_LISTEN_OPTIONS(.mode = 0600) : NULL,
                              &listener->fd, 1, err);
    if (rc < 0) {
        listener->fd = -1;
        return rc;
    }
    rc = srun_listen_address(ctx, listener->fd, bound, sizeof bound);
    note_address(admin, which, rc == 0 ? bound : address);
    return 0;
}

/* What the system says that we are bound to, which may have been opened by somebody else. */
static bool is_loopback(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &length) < 0)
        return false;
    if (bound.ss_family == AF_INET)
        return ntohl(((struct sockaddr_in *)&bound)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    const struct in6_addr *six = &((struct sockaddr_in6 *)&bound)->sin6_addr;
    return bound.ss_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(six) ||
            (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET));
}

static int listen_tcp(struct admin *admin, srun_err *err)
{
    const char *wanted = admin->host.config->admin.address;
    const char *at = wanted != NULL ? wanted : ADMIN_ADDRESS;
    char address[ADDRESS_MAX];
    if (strcmp(at, "none") == 0)
        return 0;
    bool schemed = strstr(at, "://") != NULL;
    if ((schemed && strncmp(at, "tcp://", 6) != 0) ||
        snprintf(address, sizeof address, "%s%s", schemed ? "" : "tcp://", at) >=
            (int)sizeof address)
        return srun_fail(err, -EINVAL,
                         "admin.address: %.60s: accepted are none, 127.0.0.1:8778, [::]:8778", at);
    srun_err why = {0};
    int rc = listen_at(admin, TCP, address, &why);
    if (rc == 0) {
        admin->listeners[TCP].loopback = is_loopback(admin->listeners[TCP].fd);
        return 0;
    }
    if (wanted != NULL)
        return srun_fail(err, rc, "admin.address: %s", why.text);
    SRUN_WARN(admin->server.log, "no admin port over TCP: set SRUN_ADMIN_ADDRESS",
              SRUN_STR("error", why.text));
    return 0;
}

static int listen_local(struct admin *admin, srun_err *err)
{
    const struct srun_config *config = admin->host.config;
    char path[PLACE_MAX], address[PLACE_MAX + 8];
    srun_err why = {0};
    int rc = place_find(config->admin.socket, config->name != NULL ? config->name : "", true, path,
                        &why);
    if (rc == -ENOENT && why.text[0] == '\0')
        return 0; /* none is wanted */
    if (rc == 0) {
        (void)snprintf(address, sizeof address, "unix://%s", path);
        rc = listen_at(admin, LOCAL, address, &why);
    }
    if (rc == 0)
        return 0;
    if (config->admin.socket != NULL)
        return srun_fail(err, rc, "admin.socket: %s", why.text);
    SRUN_WARN(admin->server.log, "no admin port on a unix socket: set SRUN_ADMIN_SOCKET",
              SRUN_STR("error", why.text));
    return 0;
}

static void stop_listening(struct admin *admin)
{
    for (int i = 0; i < LISTENERS; i++) {
        if (admin->listeners[i].fd >= 0)
            (void)srun_listen_close(admin->server.ctx, admin->listeners[i].name); /* or closed */
        admin->listeners[i].fd = -1;
        note_address(admin, i, "");
    }
}

/* --- the verbs ------------------------------------------------------------------------------- */

static bool is_listening(const struct admin *admin)
{
    return admin->listeners[TCP].fd >= 0 || admin->listeners[LOCAL].fd >= 0;
}

/* Somebody has asked for it, rather than that it is there by itself. */
static bool is_wanted(const struct srun_config *config)
{
    return config->admin.address != NULL || config->admin.socket != NULL ||
           config->admin.token_file != NULL;
}

/* Loaded here and not later: the program may give up its privileges, or change its root. */
static int load(struct admin *admin, srun_err *err)
{
    srun_err why = {0};
    admin->server.mhd = mhd_load(&why);
    if (admin->server.mhd != NULL)
        return 0;
    stop_listening(admin);
    if (is_wanted(admin->host.config))
        return srun_fail(err, why.code, "admin port: %s", why.text);
    SRUN_WARN(admin->server.log, "no admin port", SRUN_STR("error", why.text));
    return 0;
}

/* For this life of the service: it may be restarted. */
static void prepare(struct admin *admin, srun_context *ctx)
{
    struct server *server = &admin->server;
    server->admin = admin;
    server->ctx = ctx;
    server->log = srun_context_log(ctx);
    server->routes = admin->routes;
    server->allowed_hosts = admin->host.config->admin.allowed_hosts;
    server->token = &admin->token;
    atomic_store(&server->closing, false);
    admin->listeners[TCP] = (struct watch_listener){.fd = -1, .name = NAME_TCP};
    admin->listeners[LOCAL] = (struct watch_listener){.fd = -1, .name = NAME_LOCAL};
}

static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct admin *admin = self;
    const struct srun_config *config = admin->host.config;
    prepare(admin, ctx);
    forget_token(admin);
    int rc = token_init(&admin->token, config->admin.token_file, err);
    if (rc < 0)
        return rc;
    admin->has_token = true;
    rc = listen_tcp(admin, err);
    if (rc == 0)
        rc = listen_local(admin, err);
    return rc == 0 && is_listening(admin) ? load(admin, err) : rc;
}

static void log_addresses(struct admin *admin)
{
    char address[ADDRESS_MAX] = "none", local[ADDRESS_MAX] = "none";
    (void)admin_address(admin, address, sizeof address); /* or none */
    (void)admin_socket(admin, local, sizeof local);
    SRUN_DEBUG(admin->server.log, "admin port", SRUN_STR("address", address),
               SRUN_STR("socket", local));
}

static int serve(struct admin *admin, srun_err *err)
{
    struct server *server = &admin->server;
    int rc = slots_start(&server->slots);
    if (rc < 0)
        return srun_fail(err, rc, "admin port: %s", srun_strerror(rc));
    rc = server_start(server, err);
    if (rc == 0) {
        log_addresses(admin);
        rc = watch(server, admin->listeners, LISTENERS, err);
        server_stop(server);
    }
    slots_end(&server->slots);
    return rc;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct admin *admin = self;
    int rc = 0;
    if (is_listening(admin)) {
        rc = serve(admin, err);
    } else {
        srun_ready(ctx);
        (void)srun_sleep_ms(ctx, -1); /* until cancelled */
    }
    stop_listening(admin);
    forget_token(admin);
    return rc;
}

const struct srun_service_ops admin_ops = {
    .size = sizeof admin_ops,
    .init = init,
    .run = run,
};
struct samples *admin_samples(struct admin *admin)
{
    return admin->samples;
}

struct revert *admin_revert(struct admin *admin)
{
    return admin->revert;
}
