/* aspaced. */
#include "daemon/config.h"
#include "daemon/server.h"

int main(int argc, char **argv)
{
    struct config config;

    switch (config_read(argc, argv, &config)) {
    case CONFIG_DONE:
        return 0;
    case CONFIG_USAGE:
        return 2;
    case CONFIG_RUN:
        break;
    }
    return server_run(&config);
}
