/* SIGHUP, the watchdog, the socket's file. */
#include "daemon/upkeep.h"

#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "daemon/supervisor.h"

/* How often the socket's file is looked at. */
#define LOOK_MS 5000

static void look(struct upkeep *upkeep)
{
    bool missing = !socket_file_is_there(upkeep->file);

    if (missing && !upkeep->missing)
        log_line(LOG_ERROR,
                 "the socket %s was removed or replaced: nobody new can connect; those connected are served on. "
                 "Start the daemon again to have it back",
                 upkeep->file->path);
    upkeep->missing = missing;
}

static void on_look(uv_timer_t *timer)
{
    look(timer->data);
}

static void on_alive(uv_timer_t *timer)
{
    (void)timer;
    supervisor_alive();
}

static void on_hangup(uv_signal_t *signal, int number)
{
    struct upkeep *upkeep = signal->data;
    int error = log_reopen();

    (void)number;
    if (error)
        log_line(LOG_ERROR, "cannot open the log file again: %s", strerror(-error));
    else
        log_line(LOG_INFO, "SIGHUP: the logs are opened again");
    if (upkeep->audit)
        line_file_reopen(upkeep->audit);
    look(upkeep);
    supervisor_reloading();
}

void upkeep_start(struct upkeep *upkeep, uv_loop_t *loop, const struct socket_file *file, struct line_file *audit)
{
    uint64_t alive_ms = supervisor_watchdog_ms();

    upkeep->file = file;
    upkeep->audit = audit;
    upkeep->missing = false;
    uv_signal_init(loop, &upkeep->hangup);
    uv_timer_init(loop, &upkeep->look);
    uv_timer_init(loop, &upkeep->alive);
    upkeep->hangup.data = upkeep->look.data = upkeep;
    uv_signal_start(&upkeep->hangup, on_hangup, SIGHUP);
    uv_timer_start(&upkeep->look, on_look, LOOK_MS, LOOK_MS);
    if (alive_ms)
        uv_timer_start(&upkeep->alive, on_alive, 0, alive_ms);
}

void upkeep_stop(struct upkeep *upkeep)
{
    uv_close((uv_handle_t *)&upkeep->hangup, NULL);
    uv_close((uv_handle_t *)&upkeep->look, NULL);
    uv_close((uv_handle_t *)&upkeep->alive, NULL);
}
