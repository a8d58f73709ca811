#include "boot/selftest.hpp"

#include "arch/x86_64/console.hpp"
#include "boot/refuse.hpp"

#include <span>

extern "C" {
// NOLINTBEGIN(readability-identifier-naming): the linker script's names.
extern hv::boot::Selftest const* const __start_hv_selftests[];
extern hv::boot::Selftest const* const __stop_hv_selftests[];
// NOLINTEND(readability-identifier-naming)
}

namespace hv::boot {
namespace {

std::span<Selftest const* const> all_selftests() { return {__start_hv_selftests, __stop_hv_selftests}; }

bool is_chosen(Selftest const& test, std::string_view pattern)
{
    bool const all_but{pattern.starts_with('!')};
    return (test.name.find(pattern.substr(all_but ? 1 : 0)) != std::string_view::npos) != all_but;
}

// The chosen test with the lowest name above `last`: the order of the linker's table depends on the build.
Selftest const* next_selftest(Selftest const* last, std::string_view pattern)
{
    Selftest const* best{nullptr};
    for (Selftest const* const test : all_selftests())
        if (is_chosen(*test, pattern) && (last == nullptr || test->name > last->name) &&
            (best == nullptr || test->name < best->name))
            best = test;
    return best;
}

void print_result(unsigned number, Selftest const& test, SelftestReport const& report)
{
    if (report.failed())
        arch::say("not ok {} - {} # {}:{} {}", number, test.name, report.file(), report.line(), report.text());
    else if (report.skipped())
        arch::say("ok {} - {} # SKIP {}", number, test.name, report.text());
    else
        arch::say("ok {} - {}", number, test.name);
}

} // namespace

arch::ExitCode run_selftests(std::string_view pattern)
{
    unsigned chosen{0};
    for (Selftest const* test = next_selftest(nullptr, pattern); test != nullptr; test = next_selftest(test, pattern))
        ++chosen;
    if (chosen == 0)
        refuse("option selftest={}: no self-test of this image has that in its name; give a part of one, or selftest "
               "alone",
               pattern);
    arch::say("KTAP version 1");
    arch::say("1..{}", chosen);
    unsigned number{0}, failed{0}, skipped{0};
    for (Selftest const* test = next_selftest(nullptr, pattern); test != nullptr; test = next_selftest(test, pattern)) {
        SelftestReport report;
        test->run(report);
        print_result(++number, *test, report);
        failed += report.failed() ? 1u : 0u;
        skipped += report.skipped() ? 1u : 0u;
    }
    arch::say("# {} passed, {} failed, {} skipped", chosen - failed - skipped, failed, skipped);
    return failed == 0 ? arch::ExitCode::pass : arch::ExitCode::selftest_failed;
}

} // namespace hv::boot
