#include "tools/nv/verdict.hpp"

#include "tools/nv/ktap.hpp"

#include <fmt/format.h>

#include <csignal>

namespace hv::nv {

namespace {

// The last lines of what it said, in one line.
std::string last_lines(std::string_view output, unsigned wanted = 3)
{
    std::vector<std::string> lines;
    while (!output.empty() && lines.size() < wanted) {
        std::size_t const last = output.find_last_not_of("\r\n");
        if (last == std::string_view::npos)
            break;
        output = output.substr(0, last + 1);
        std::size_t const start = output.rfind('\n');
        std::size_t const begin = start == std::string_view::npos ? 0 : start + 1;
        lines.insert(lines.begin(), std::string{output.substr(begin)});
        output = output.substr(0, begin);
    }
    if (lines.empty())
        return "it never said anything";
    return wanted == 1 ? lines.front() : fmt::format("last lines: {}", fmt::join(lines, " | "));
}

Verdict judge_selftest(std::string const& console)
{
    KtapReport const report = parse_ktap(console);
    if (!report.begun)
        return {ExitCode::failed, "status 33, but no KTAP report on the console: not a pass"};
    if (!report.complete())
        return {ExitCode::failed,
                fmt::format("status 33, but {} of {} self-tests reported: not a pass", report.passed + report.failed,
                            report.planned ? std::to_string(*report.planned) : "an unknown number")};
    if (report.failed != 0)
        return {ExitCode::failed,
                fmt::format("status 33, but failed self-tests: {}", fmt::join(report.failures, ", "))};
    if (report.passed == 0)
        return {ExitCode::failed, "no self-test has such a name: not a pass"};
    return {};
}

Verdict judge_status(RunFacts const& facts)
{
    std::string const& console = facts.result.output;
    switch (static_cast<KernelStatus>(facts.result.status)) {
    case KernelStatus::passed:
        return facts.selftest ? judge_selftest(console) : Verdict{};
    case KernelStatus::tests_failed: {
        KtapReport const report = parse_ktap(console);
        return {ExitCode::failed, report.failures.empty()
                                      ? "self-tests failed"
                                      : fmt::format("failed self-tests: {}", fmt::join(report.failures, ", "))};
    }
    case KernelStatus::panicked:
        return {ExitCode::failed, fmt::format("the kernel panicked; {}", last_lines(console))};
    case KernelStatus::refused:
        return {ExitCode::bad_input, fmt::format("the kernel refused to start: {}", last_lines(console, 1))};
    case KernelStatus::reset:
        return {ExitCode::failed,
                fmt::format("QEMU ended with status 0: a triple fault or a power-off; {}", last_lines(console))};
    }
    std::string const said = facts.result.errors.empty() ? last_lines(console) : last_lines(facts.result.errors);
    // QEMU's own complaint about its command line is status 1 with nothing on the console.
    ExitCode const code = facts.result.status == 1 && console.empty() ? ExitCode::own_failure : ExitCode::failed;
    return {code, fmt::format("QEMU ended with unexpected status {}; {}", facts.result.status, said)};
}

} // namespace

Verdict judge(RunFacts const& facts)
{
    auto const seconds = [](std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000; };
    std::string const& console = facts.result.output;
    switch (facts.result.ending) {
    case Ending::silent:
        return {ExitCode::timed_out,
                fmt::format("no sign of life for {:g} s; {}", seconds(facts.spec.silence_limit), last_lines(console))};
    case Ending::overdue:
        return {ExitCode::timed_out,
                fmt::format("not done after {:g} s; {}", seconds(facts.spec.total_limit), last_lines(console))};
    case Ending::talkative:
        return {ExitCode::failed,
                fmt::format("said more than {} bytes; {}", facts.spec.output_limit, last_lines(console))};
    case Ending::interrupted:
        return {ExitCode::failed, fmt::format("interrupted by signal {}", facts.result.status)};
    case Ending::killed_by_signal:
        return {ExitCode::own_failure,
                fmt::format("QEMU was killed by signal {}; {}", facts.result.status,
                            last_lines(facts.result.errors.empty() ? console : facts.result.errors))};
    case Ending::exited:
        return judge_status(facts);
    }
    return {};
}

} // namespace hv::nv
