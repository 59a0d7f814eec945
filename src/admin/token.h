/* SPDX-License-Identifier: MIT
 *
 * The file that holds the token. It is looked at on each use and read again when it has changed, so
 * that a token can be replaced, or taken back by removing the file. What is read from it lives in
 * the caller's buffer only for as long as a request is judged. Threads: any.
 */
#ifndef ADMIN_TOKEN_H
#define ADMIN_TOKEN_H

#include <pthread.h>
#include <srun/error.h>
#include <stdbool.h>
#include <sys/stat.h>

#define TOKEN_MIN 16
#define TOKEN_MAX 512
#define TOKEN_TEXT_MAX (TOKEN_MAX + 1)

struct token {
    pthread_mutex_t lock; /* guards what follows; never held while a file is looked at */
    const char *path;     /* borrowed; NULL: there is no token */
    size_t credentials; /* of the path: $CREDENTIALS_DIRECTORY, if it lies directly there, else 0 */
    struct stat seen;   /* the file when it was read */
    int code;           /* what reading it said */
    char text[TOKEN_TEXT_MAX];
};

/* path NULL: nobody ever has a token. 0; or negative, with what is accepted. */
int token_init(struct token *token, const char *path, srun_err *err);
void token_destroy(struct token *token);

/* The token as it is now. True: out holds it. False: there is none; *err tells once per change of
 * the file what is wrong with it, else its code is 0. */
bool token_get(struct token *token, char out[TOKEN_TEXT_MAX], srun_err *err);

#endif
