/* What bench_rpc measures the daemon beside: servers as small as they can be. */
#ifndef BENCH_RPC_FLOOR_H
#define BENCH_RPC_FLOOR_H

/* Areas that the cJSON server starts with: FLOOR_AREAS of one page from FLOOR_START on, two pages apart. */
#define FLOOR_AREAS 1000u
#define FLOOR_START 0x100000000u
#define FLOOR_PAGE  0x1000u

/* Each serves the Unix socket at `path` until the process is killed. */

/* Sends back what comes, in the pieces that it comes in: what libuv and the kernel cost. */
void floor_echo(const char *path);

/* JSON-RPC by lines with cJSON's trees both ways; area.find, area.map, area.unmap and area.list on one sorted array of
 * areas: what a server costs that was written in an afternoon. */
void floor_cjson(const char *path);

#endif
