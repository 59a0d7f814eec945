/* SPDX-License-Identifier: MIT
 *
 * The srun: section of the YAML file given by --config. Other top-level sections belong to the
 * program and are only required to be YAML. Control thread, before any other thread exists.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "config.h"

#define CONFIG_FILE_MAX ((size_t)1 << 20)
#define CONFIG_DEPTH_MAX 32

/* Sets what the section says. 0; SRUN_EUSAGE names file, line, key, value, what is accepted;
 * -ENOMEM. Never blocks on a FIFO or a device. */
int config_file_load(struct config *config, const char *path, srun_err *err);

/* The same of text in memory; path is for the errors. */
int config_file_parse(struct config *config, const char *text, size_t size, const char *path,
                      srun_err *err);

#endif
