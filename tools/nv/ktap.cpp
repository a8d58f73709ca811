#include "tools/nv/ktap.hpp"

#include <charconv>

namespace hv::nv {

namespace {

// "ok 3 name" or "not ok 3 - name": the name behind the number; nothing if it is no such line.
std::optional<std::string_view> result_name(std::string_view line, std::string_view verdict)
{
    if (!line.starts_with(verdict))
        return std::nullopt;
    line.remove_prefix(verdict.size());
    std::size_t const digits = line.find_first_not_of("0123456789");
    if (digits == 0)
        return std::nullopt;
    line.remove_prefix(digits == std::string_view::npos ? line.size() : digits);
    while (line.starts_with(' ') || line.starts_with('-'))
        line.remove_prefix(1);
    return line;
}

void take_line(KtapReport& report, std::string_view line)
{
    if (line.starts_with("KTAP version "))
        report.begun = true;
    if (!report.begun)
        return;
    if (line.starts_with("1..")) {
        std::size_t count{0};
        if (std::from_chars(line.data() + 3, line.data() + line.size(), count).ec == std::errc{})
            report.planned = count;
    } else if (result_name(line, "ok ")) {
        ++report.passed;
    } else if (std::optional<std::string_view> const name = result_name(line, "not ok ")) {
        ++report.failed;
        report.failures.emplace_back(*name);
    }
}

} // namespace

KtapReport parse_ktap(std::string_view console)
{
    KtapReport report;
    while (!console.empty()) {
        std::size_t const end = console.find('\n');
        std::string_view line = console.substr(0, end);
        console.remove_prefix(end == std::string_view::npos ? console.size() : end + 1);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        take_line(report, line);
    }
    return report;
}

} // namespace hv::nv
