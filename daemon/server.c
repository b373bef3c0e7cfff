/* The loop and the way down: stop listening, flush every reply, close, remove the socket. */
#include "daemon/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "aspace/version.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/socket_path.h"
#include "daemon/line_file.h"
#include "daemon/sandbox.h"
#include "daemon/supervisor.h"
#include "daemon/upkeep.h"
#include "daemon/workers.h"
#include "net/net.h"
#include "net/socket_file.h"
#include "rpc/service.h"

/* How long peers have to take their last replies. */
#define GRACE_MS 5000

static const int stop_signals[] = {SIGTERM, SIGINT};
#define STOP_SIGNALS (sizeof(stop_signals) / sizeof(stop_signals[0]))

struct server {
    uv_loop_t loop;
    struct baton baton;
    uv_signal_t signals[STOP_SIGNALS];
    uv_timer_t grace;
    uv_timer_t alarm; /* the service's */
    struct socket_file file;
    struct service service;
    struct net net;
    struct worker_pool pool;
    struct upkeep upkeep;
    struct line_file audit;
};

static void on_grace(uv_timer_t *timer)
{
    struct server *server = timer->data;

    log_line(LOG_WARNING, "some peers did not take their last replies; closing all the same");
    net_abort(&server->net);
}

static void on_alarm(uv_timer_t *timer)
{
    service_alarm(timer->data);
}

static void set_alarm(struct service *service, uint64_t ms)
{
    struct server *server = service->owner;

    uv_update_time(&server->loop);
    uv_timer_start(&server->alarm, on_alarm, ms, 0);
}

static void stop(struct server *server)
{
    service_end_waits(&server->service);
    supervisor_stopping();
    uv_timer_start(&server->grace, on_grace, GRACE_MS, 0);
    net_stop(&server->net);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct server *server = signal->data;

    if (server->net.stopping) {
        log_line(LOG_INFO, "%s again: stopping at once", strsignal(number));
        net_abort(&server->net);
        return;
    }
    log_line(LOG_INFO, "%s: stopping", strsignal(number));
    stop(server);
}

static void on_shutdown(struct net *net)
{
    log_line(LOG_INFO, "a peer asked for shutdown: stopping");
    stop(net->data);
}

static void on_closed(struct service *service)
{
    struct server *server = service->owner;

    worker_pool_stop(&server->pool);
    upkeep_stop(&server->upkeep);
    uv_close((uv_handle_t *)&server->grace, NULL);
    uv_close((uv_handle_t *)&server->alarm, NULL);
}

/* The last connection is closed: what still runs for peers that have left ends first. */
static void on_stopped(struct net *net)
{
    struct server *server = net->data;

    service_close(&server->service, on_closed);
}

/* They are never closed, nor do they keep the loop alive: a second signal must not kill us before the audit log is
 * written and the socket removed. */
static void start_signals(struct server *server)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* then a write that passes the limit is refused */
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], on_signal, stop_signals[i]);
        uv_unref((uv_handle_t *)&server->signals[i]);
    }
}

/* Whoever started us waits for this line, or for the end of the descriptor. */
static bool tell_ready(int fd)
{
    static const char line[] = "READY=1\n";
    bool told;

    if (fd < 0)
        return true;
    told = write(fd, line, sizeof(line) - 1) == (ssize_t)(sizeof(line) - 1);
    if (!told)
        log_line(LOG_ERROR, "--ready-fd %d: %s", fd, strerror(errno));
    if (fd > STDERR_FILENO)
        close(fd);
    return told;
}

/* Whether it has served as it was told to. */
static bool run_loop(struct server *server, const struct config *config)
{
    int error = baton_init(&server->baton, &server->loop);
    bool told;

    if (!error)
        error = worker_pool_start(&server->pool, &server->baton);
    if (error) {
        log_line(LOG_ERROR, "cannot start the worker threads: %s", uv_strerror(error));
        return false;
    }
    server->service.workers = &server->pool.workers;
    server->service.owner = server;
    server->service.set_alarm = set_alarm;
    uv_timer_init(&server->loop, &server->alarm);
    server->alarm.data = &server->service;
    server->net.data = server;
    server->net.admission = config->admission;
    server->net.on_shutdown = on_shutdown;
    server->net.on_stopped = on_stopped;
    error = net_start(&server->net, &server->loop, &server->service, server->file.fd);
    server->file.fd = -1;
    if (error) {
        log_line(LOG_ERROR, "cannot listen on %s: %s", server->file.path, uv_strerror(error));
        worker_pool_stop(&server->pool);
        uv_close((uv_handle_t *)&server->alarm, NULL);
        baton_run(&server->baton);
        return false;
    }
    uv_timer_init(&server->loop, &server->grace);
    server->grace.data = server;
    start_signals(server);
    upkeep_start(&server->upkeep, &server->loop, &server->file, server->service.audit ? &server->audit : NULL);
    log_line(LOG_INFO, "version %s listens on %s (pid %ld)", ASPACE_VERSION, server->file.path, (long)getpid());
    supervisor_ready(server->file.path);
    told = tell_ready(config->ready_fd);
    if (!told)
        stop(server);
    baton_run(&server->baton);
    baton_free(&server->baton);
    return told;
}

static bool open_log(const struct config *config)
{
    int error;

    log_set_level(config->log_level);
    log_look_for_journal();
    error = config->log_file ? log_open(config->log_file) : 0;
    if (error)
        log_line(LOG_ERROR, "cannot open the log file %s: %s", config->log_file, strerror(-error));
    return !error;
}

/* One that somebody gives us, or one of our own. */
static bool open_socket(const struct config *config, struct socket_file *file)
{
    char path[CONFIG_PATH_MAX];
    char problem[CONFIG_PATH_MAX + 200];
    int fd = config->listen_fd >= 0 ? config->listen_fd : supervisor_socket(problem, sizeof(problem));
    bool opened = false;
    int error;

    if (fd >= 0) {
        opened = socket_file_adopt(fd, file, problem, sizeof(problem));
    } else if (fd == -1) {
        error = socket_path_resolve(config->socket, path, sizeof(path));
        if (error)
            snprintf(problem, sizeof(problem), "the socket path is %s; use --socket with another one",
                     error == -EINVAL ? "empty" : "longer than the system allows");
        else
            opened = socket_file_open(path, config->mode, file, problem, sizeof(problem));
    }
    if (!opened)
        log_line(LOG_ERROR, "%s", problem);
    return opened;
}

static bool open_audit(struct server *server, const char *path)
{
    int error = line_file_open(&server->audit, path);

    if (error)
        log_line(LOG_ERROR, "cannot open the audit log %s: %s", path, strerror(-error));
    else
        server->service.audit = &server->audit.audit;
    return !error;
}

/* Before anything runs. */
static int fail(struct server *server, const char *problem)
{
    if (problem)
        log_line(LOG_ERROR, "%s", problem);
    socket_file_close(&server->file);
    return 1;
}

int server_run(const struct config *config)
{
    static struct server server; /* large, and there is one */
    char problem[200];
    bool served;

    descriptors_raise();
    if (!open_log(config) || !open_socket(config, &server.file))
        return 1;
    if (config->sandbox && !sandbox_enter(problem, sizeof(problem)))
        return fail(&server, problem);
    service_init(&server.service, &config->limits);
    server.service.sandboxed = config->sandbox;
    if (config->audit && !open_audit(&server, config->audit))
        return fail(&server, NULL);
    uv_loop_init(&server.loop);
    served = run_loop(&server, config);
    service_free(&server.service);
    if (server.service.audit)
        line_file_close(&server.audit);
    socket_file_close(&server.file);
    return served ? 0 : 1;
}
