/* SPDX-License-Identifier: MIT
 *
 * Names for addresses: of the C library, of the program, of nothing.
 */
#include "base/symbol.h"
#include "harness.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void expect_name(const char *function)
{
    char text[160], wanted[80];
    const char *address = dlsym(RTLD_DEFAULT, function);
    ck_assert_ptr_nonnull(address);
    symbol_describe(address + 1, text, sizeof text);
    (void)snprintf(wanted, sizeof wanted, "%s+0x1", function);
    ck_assert_str_eq(text, wanted);
}

START_TEST(names_exported_functions)
    {
        expect_name("ftok");
        expect_name("insque");
        expect_name("lfind");
    }
END_TEST

START_TEST(names_the_module_where_no_exported_function_covers_the_address)
    {
        char text[160];
        symbol_describe((const void *)(uintptr_t)&expect_name, text, sizeof text);
        ck_assert_msg(strncmp(text, "unit_symbol+0x", 14) == 0, "%s", text);
    }
END_TEST

START_TEST(gives_the_bare_address_of_what_lies_in_no_module)
    {
        char text[160];
        symbol_describe((const void *)(uintptr_t)0x10, text, sizeof text);
        ck_assert_str_eq(text, "0x10");
        int local = 0;
        symbol_describe(&local, text, sizeof text);
        ck_assert_msg(strncmp(text, "0x", 2) == 0, "%s", text);
    }
END_TEST

START_TEST(cuts_what_does_not_fit)
    {
        char text[8]; /* as long as the name, without the offset */
        symbol_describe(dlsym(RTLD_DEFAULT, "lsearch"), text, sizeof text);
        ck_assert_str_eq(text, "lsearch");
    }
END_TEST

int main(void)
{
    return HARNESS("symbol", names_exported_functions,
                   names_the_module_where_no_exported_function_covers_the_address,
                   gives_the_bare_address_of_what_lies_in_no_module, cuts_what_does_not_fit);
}
