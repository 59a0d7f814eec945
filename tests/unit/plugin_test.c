/* SPDX-License-Identifier: MIT
 *
 * Where the plugin is looked for, and where it is not. The finder lies in a library of its own
 * here, of which each test makes a copy where it wants it.
 */
#include "base/clock.h"
#include "base/duration.h"
#include "telemetry/exporter.h"
#include "telemetry/plugin.h"

#include "base/auto.h"
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

typedef int load_function(const char *path, const struct transport_plugin **out, srun_err *err);

static void copy(const char *from, const char *to)
{
    auto_close int in = open(from, O_RDONLY | O_CLOEXEC);
    auto_close int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    struct stat stat;
    ck_assert(in >= 0 && out >= 0 && fstat(in, &stat) == 0);
    ck_assert_int_eq(sendfile(out, in, NULL, (size_t)stat.st_size), stat.st_size);
}

/* The finder of a library that lies in the folder of the test, with this plugin beside it. */
static load_function *finder_with(const char *plugin)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/srun", harness_folder());
    ck_assert_int_eq(mkdir(path, 0755), 0);
    if (plugin != NULL) {
        snprintf(path, sizeof path, "%s/srun/libsrun-otlp.so.0", harness_folder());
        copy(plugin, path);
    }
    snprintf(path, sizeof path, "%s/libsrun.so.0", harness_folder());
    copy(FINDER, path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(library != NULL, "%s", dlerror());
    load_function *load = (load_function *)dlsym(library, "plugin_load");
    ck_assert_ptr_nonnull(load);
    return load;
}

START_TEST(a_plugin_beside_the_library_is_found)
    {
#ifdef PLUGIN
        const struct transport_plugin *plugin = NULL, *again = NULL;
        srun_err err = {0};
        load_function *load = finder_with(PLUGIN);
        ck_assert_msg(load(NULL, &plugin, &err) == 0, "%s", err.text);
        ck_assert_str_eq(plugin->version, SRUN_VERSION_TEXT);
        ck_assert_int_eq(load(NULL, &again, &err), 0);
        ck_assert_ptr_eq(plugin, again);
#endif
    }
END_TEST

START_TEST(the_working_directory_and_the_search_path_are_not_looked_at)
    {
        const struct transport_plugin *plugin = NULL;
        srun_err err = {0};
        load_function *load = finder_with(NULL);
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/elsewhere", harness_folder());
        ck_assert(mkdir(path, 0755) == 0 && chdir(path) == 0 && mkdir("srun", 0755) == 0);
        copy(STRANGER, "srun/libsrun-otlp.so.0");
        copy(STRANGER, "libsrun-otlp.so.0");
        setenv("LD_LIBRARY_PATH", path, 1);
        ck_assert_int_eq(load(NULL, &plugin, &err), -ELIBACC);
        ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/srun/libsrun-otlp.so.0"));
        ck_assert_int_eq(load("srun/libsrun-otlp.so.0", &plugin, &err), -ELIBACC);
        ck_assert_ptr_nonnull(strstr(err.text, "not an absolute path"));
        ck_assert_ptr_null(plugin);
        ck_assert_int_eq(chdir("/"), 0);
    }
END_TEST

START_TEST(a_plugin_of_another_version_is_refused)
    {
        const struct transport_plugin *plugin = NULL;
        srun_err err = {0};
        load_function *load = finder_with(STRANGER);
        ck_assert_int_eq(load(NULL, &plugin, &err), -ELIBBAD);
        ck_assert_ptr_nonnull(strstr(err.text, "is not of version " SRUN_VERSION_TEXT));
        ck_assert_ptr_null(plugin);
    }
END_TEST

START_TEST(a_library_that_is_no_plugin_is_refused)
    {
        const struct transport_plugin *plugin = NULL;
        srun_err err = {0};
        load_function *load = finder_with(FINDER);
        ck_assert_int_eq(load(NULL, &plugin, &err), -ELIBACC);
        ck_assert_ptr_nonnull(strstr(err.text, "srun_otlp_plugin"));
    }
END_TEST

START_TEST(one_that_does_not_load_is_told_with_what_it_loses)
    {
        struct telemetry_exporter *exporter = NULL;
        struct telemetry_exporter_options options = {
            .plugin = STRANGER, .headers = (const char *const[]){"x-key", "value", NULL}};
        struct telemetry_span span = {.name = "s"};
        struct telemetry_result result;
        srun_err err = {0};
        int rc = telemetry_exporter_open(TELEMETRY_TRACES, &options, &exporter, &err);
        ck_assert_msg(rc == 0, "%s", err.text);
        for (int i = 0; i < 2; i++) {
            exporter->spans(exporter, &span, 1, clock_real_now() + 60 * NS_PER_S, &result);
            ck_assert_uint_eq(result.lost, 1);
            ck_assert_int_eq(result.code, -ELIBBAD);
            ck_assert_ptr_nonnull(strstr(result.text, "is not of version"));
            exporter->interrupt(exporter);
        }
        exporter->free(exporter);
    }
END_TEST

int main(void)
{
    return HARNESS("plugin", a_plugin_beside_the_library_is_found,
                   the_working_directory_and_the_search_path_are_not_looked_at,
                   a_plugin_of_another_version_is_refused, a_library_that_is_no_plugin_is_refused,
                   one_that_does_not_load_is_told_with_what_it_loses);
}
