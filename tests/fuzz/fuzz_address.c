/* SPDX-License-Identifier: MIT
 *
 * Any text as where to listen: what is understood is written in a form that means the same. And any
 * bytes as what the kernel says of a socket: it can be written, on one line.
 */
#include "base/text.h"
#include "fuzz.h"
#include "upgrade/address.h"

#include <errno.h>
#include <sys/un.h>

static void check_written(const struct address *address)
{
    struct address back;
    srun_err err = {0};
    char text[ADDRESS_TEXT_MAX], small[8];
    ENSURE(address_format(address, text, sizeof text) == 0);
    ENSURE(text_printable(text, sizeof text));
    ENSURE(address_format(address, small, sizeof small) == -ENOSPC);
    ENSURE(address_equal(address, address));
    bool any_port = address->family != AF_UNIX && strcmp(strrchr(text, ':'), ":0") == 0;
    ENSURE(address_overlap(address, address) == !any_port);
    if (strchr(text, '?') != NULL) /* a name of bytes that cannot be printed */
        return;
    ENSURE(address_parse(&back, text, &err) == 0);
    ENSURE(address_equal(address, &back) && address->type == back.type);
    ENSURE(address->has_path == back.has_path);
}

static void check_text(const char *text)
{
    struct address address;
    srun_err err = {0};
    int rc = address_parse(&address, text, &err);
    ENSURE(rc == 0 || rc == -EINVAL);
    ENSURE((rc == 0) == (err.text[0] == '\0'));
    if (rc < 0)
        return;
    ENSURE(address.length <= sizeof address.socket);
    ENSURE(!address.has_path || (address.family == AF_UNIX && address_path(&address)[0] == '/'));
    check_written(&address);
}

/* A program that is started by others may be given a socket of any name. */
static void check_name(const uint8_t *data, size_t size)
{
    struct address address = {.family = AF_UNIX, .type = SOCK_STREAM};
    struct sockaddr_un *name = (struct sockaddr_un *)&address.socket;
    size_t most = sizeof name->sun_path;
    size_t length = size < most ? size : most;
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, data, length);
    address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    char text[ADDRESS_TEXT_MAX];
    ENSURE(address_format(&address, text, sizeof text) == 0);
    ENSURE(text_printable(text, sizeof text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    check_text(text);
    if (size > 0)
        check_name(data, size);
    free(text);
    return 0;
}
