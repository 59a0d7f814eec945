/* SPDX-License-Identifier: MIT
 *
 * docs/configuration.md says of every setting what the table of knobs says, in the same order.
 */
#include "harness.h"
#include "knobs.h"

#include <stdio.h>
#include <string.h>

static void row_of(const struct knob *knob, char *out, size_t size)
{
    char accepted[KNOB_TEXT_MAX];
    char fallback[KNOB_TEXT_MAX];
    bool path = knob_is_text(knob);
    (void)snprintf(out, size, "| `%s.%s` | `%s` | `.%s` | %s | %s%s%s | %s |\n", knob->group,
                   knob->key, knob->variable, knob->field,
                   knob->type == KNOB_TIME ? "a duration" : knob_accepted(knob, accepted),
                   path ? "" : "`", knob_default(knob, fallback), path ? "" : "`", knob->help);
}

START_TEST(the_page_and_the_table_of_knobs_agree_row_by_row)
    {
        FILE *page = fopen(SRUN_SOURCE_DIR "/docs/configuration.md", "r");
        ck_assert_ptr_nonnull(page);
        size_t count = 0;
        const struct knob *knobs = knobs_all(&count);
        size_t seen = 0;
        char line[512];
        while (fgets(line, sizeof line, page) != NULL) {
            char expected[512] = "(no such knob)";
            if (strstr(line, " | `SRUN_") == NULL)
                continue;
            if (seen < count)
                row_of(&knobs[seen], expected, sizeof expected);
            ck_assert_str_eq(line, expected);
            seen++;
        }
        (void)fclose(page);
        ck_assert_uint_eq(seen, count);
    }
END_TEST

int main(void)
{
    return HARNESS("config_doc", the_page_and_the_table_of_knobs_agree_row_by_row);
}
