// Self-tests of the running kernel: HV_SELFTEST(name) { ... HV_CHECK(condition); ... } anywhere in the image.
//
// The option `selftest` runs all of them, `selftest=TEXT` those whose name contains TEXT, in order of their names, on
// the boot pCPU with interrupts on, and reports in KTAP on the console. The linker collects them. Floor: boot.
#pragma once

#include "arch/x86_64/exit.hpp"

#include <string_view>

namespace hv::boot {

// What a test says about itself. Only the first failure of a test is kept.
class SelftestReport {
public:
    void fail(std::string_view condition, std::string_view file, unsigned line)
    {
        if (failed_)
            return;
        failed_ = true;
        text_ = condition;
        file_ = file;
        line_ = line;
    }
    // The machine has not what the test is about.
    void skip(std::string_view reason)
    {
        skipped_ = true;
        text_ = reason;
    }

    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] bool skipped() const { return skipped_; }
    [[nodiscard]] std::string_view text() const { return text_; }
    [[nodiscard]] std::string_view file() const { return file_; }
    [[nodiscard]] unsigned line() const { return line_; }

private:
    std::string_view text_;
    std::string_view file_;
    unsigned line_{0};
    bool failed_{false};
    bool skipped_{false};
};

struct Selftest {
    std::string_view name; // unique
    void (*run)(SelftestReport& report);
};

// pass, or selftest_failed; refuses a pattern that no name contains.
[[nodiscard]] arch::ExitCode run_selftests(std::string_view pattern);

} // namespace hv::boot

// NOLINTBEGIN(bugprone-macro-parentheses): the argument becomes a name.
#define HV_SELFTEST(test_name) \
    static void test_name(::hv::boot::SelftestReport& selftest_report); \
    static constexpr ::hv::boot::Selftest test_name##_selftest{#test_name, &test_name}; \
    [[gnu::used, gnu::section("hv_selftests")]] static constinit ::hv::boot::Selftest const* const test_name##_entry{ \
        &test_name##_selftest}; \
    static void test_name([[maybe_unused]] ::hv::boot::SelftestReport& selftest_report)
// NOLINTEND(bugprone-macro-parentheses)

// In the body of a test: ends it as failed unless the condition holds.
#define HV_CHECK(condition) \
    do { \
        if (!(condition)) { \
            selftest_report.fail(#condition, __FILE__, __LINE__); \
            return; \
        } \
    } while (false)

// Ends the test as skipped.
#define HV_SKIP(reason) \
    do { \
        selftest_report.skip(reason); \
        return; \
    } while (false)
