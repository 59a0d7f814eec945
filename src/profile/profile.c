/* SPDX-License-Identifier: MIT */
#include "profile/profile.h"

void profile_free(struct profile *profile)
{
    stacks_free(&profile->stacks);
    modules_free(profile->modules);
    buf_free(&profile->remarks);
    *profile = (struct profile){0};
}
