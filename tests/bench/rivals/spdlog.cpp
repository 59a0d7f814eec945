// SPDX-License-Identifier: MIT
//
// What bench_log.c does, with spdlog: a line of text with five values to /dev/null, each of which is
// handed to the kernel at once, as ours are; and buffered, as it is without being told.
#include "pieces.h"

#include <cstdio>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

namespace {

constexpr unsigned rounds = 3;
constexpr size_t records_of_a_piece = 1000, disabled_of_a_piece = 100000;

void record(void *user, unsigned, size_t ops)
{
    auto *log = static_cast<spdlog::logger *>(user);
    for (size_t i = 0; i < ops; i++)
        log->info("payment settled id={} cents={} rate={} retry={} took={}ms", "3f6c2a90-51d2",
                  129900 + i, 0.0725, (i & 1) != 0, 37);
}

void disabled(void *user, unsigned, size_t ops)
{
    auto *log = static_cast<spdlog::logger *>(user);
    for (size_t i = 0; i < ops; i++)
        log->debug("not shown i={} key={}", i, "value");
}

void measure(const char *name, void (*work)(void *, unsigned, size_t), spdlog::logger *log, size_t ops)
{
    const pieces pieces{work, log, ops, nullptr};
    for (unsigned threads : {1U, 2U, 4U})
        pieces_json(name, threads, pieces_best(&pieces, threads, rounds));
}

} // namespace

int main()
{
    auto log = spdlog::basic_logger_mt("bench", "/dev/null");
    std::printf("{\"spdlog\":\"%d.%d.%d\"", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH);
    measure("buffered", record, log.get(), records_of_a_piece);
    measure("disabled", disabled, log.get(), disabled_of_a_piece);
    log->flush_on(spdlog::level::trace);
    measure("text", record, log.get(), records_of_a_piece);
    std::printf("}\n");
    return 0;
}
