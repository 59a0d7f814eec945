/* SPDX-License-Identifier: MIT
 *
 * Prints the policy, a line break and the operator's page, as for a program of so many services:
 *
 *     page_sample COUNT
 */
#include "admin/page.h"
#include "page_survey.h"

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    struct survey survey;
    if (count > 1000 || !page_survey(&survey, count))
        return 1;
    auto_buf struct buf page = {0};
    page_render(&page, &survey, ADMIN_READ, "sample-host");
    printf("%s\n%s", page_policy, page.data);
    survey_free(&survey);
    return page.failed;
}
