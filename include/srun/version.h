/* SPDX-License-Identifier: MIT */
#ifndef SRUN_VERSION_H
#define SRUN_VERSION_H

#define SRUN_VERSION_MAJOR 0
#define SRUN_VERSION_MINOR 1
#define SRUN_VERSION_PATCH 0
#define SRUN_VERSION_TEXT "0.1.0"

/* Marks what the shared library exports; the symbol must stand in src/libsrun.map too. */
#define SRUN_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library at run time, "major.minor.patch". Static storage. Threads: any. */
SRUN_API const char *srun_version(void);

#ifdef __cplusplus
}
#endif
#endif
