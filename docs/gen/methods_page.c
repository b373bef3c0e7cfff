/* Prints docs/methods.md. */
#include <stdio.h>

#include "proto/methods.h"

int main(void)
{
    struct json_writer page = {0};
    int status = 1;

    methods_write_page(&page);
    if (!page.failed && fwrite(page.data, 1, page.size, stdout) == page.size && fflush(stdout) == 0)
        status = 0;
    json_writer_free(&page);
    return status;
}
