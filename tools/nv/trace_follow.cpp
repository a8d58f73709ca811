#include "tools/nv/trace_follow.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace hv::nv {

namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::uint32_t window_header = static_cast<std::uint32_t>(sched::trace::Event::cpu_change) | 2u << 28;

std::uint32_t load(std::span<std::byte const> bytes, std::size_t at)
{
    std::uint32_t word{0};
    std::memcpy(&word, bytes.data() + at, sizeof word);
    return word;
}

double percent(std::uint64_t part, std::uint64_t whole)
{
    return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

} // namespace

std::size_t whole_passes(std::span<std::byte const> bytes, bool is_last)
{
    std::size_t at{0}, pass{0};
    std::uint32_t last{0};
    while (bytes.size() - at >= header_bytes && load(bytes, at) == window_header) {
        std::uint32_t const pcpu = load(bytes, at + 4);
        if (at != 0 && pcpu <= last)
            pass = at;
        last = pcpu;
        std::size_t const size = load(bytes, at + 8);
        if (size > bytes.size() - at - header_bytes)
            break;
        at += header_bytes + size;
    }
    return is_last ? at : pass;
}

std::vector<Record> RecordMerger::add(std::span<std::byte const> windows)
{
    auto const before = static_cast<std::ptrdiff_t>(waiting_.size());
    if (!windows.empty()) {
        TraceStream stream{windows};
        while (std::optional<Record> record = stream.next()) {
            std::uint64_t& last = last_[record->pcpu];
            if (record->has_stamp)
                last = record->stamp;
            else
                record->stamp = last;
            waiting_.push_back(*record);
        }
    }
    std::ranges::stable_sort(waiting_.begin() + before, waiting_.end(), {}, &Record::stamp);
    std::ranges::inplace_merge(waiting_, waiting_.begin() + before, {}, &Record::stamp);
    std::uint64_t const newest = waiting_.empty() ? 0 : waiting_.back().stamp;
    std::uint64_t const horizon = newest < held_back_ ? 0 : newest - held_back_;
    auto const end = std::ranges::upper_bound(waiting_, horizon, {}, &Record::stamp);
    std::vector<Record> complete{waiting_.begin(), end};
    waiting_.erase(waiting_.begin(), end);
    return complete;
}

Moment moment_between(TraceFigures const& before, TraceFigures const& now)
{
    std::uint64_t const ticks = now.duration() - before.duration();
    double const seconds = static_cast<double>(ticks) / static_cast<double>(now.hz);
    auto const rate = [&](std::uint64_t count) { return ticks == 0 ? 0 : static_cast<double>(count) / seconds; };
    GuestTotals const old{before.guests()}, fresh{now.guests()};
    Moment moment{.at = static_cast<double>(now.duration()) / static_cast<double>(now.hz),
                  .guests = rate(fresh.run - old.run) / static_cast<double>(now.hz),
                  .home = {},
                  .switches = rate(now.switches - before.switches),
                  .wakeups = rate(now.wakeups - before.wakeups),
                  .migrations = rate(fresh.migrations - old.migrations),
                  .lost = now.lost_events,
                  .rows = {}};
    if (fresh.placed != old.placed)
        moment.home = percent(fresh.home - old.home, fresh.placed - old.placed);
    WaitSamples waits;
    for (VcpuFigures const& vcpu : now.vcpus) {
        waits.add(vcpu.wakes);
        auto const same = [&](VcpuFigures const& other) {
            return other.domain == vcpu.domain && other.vcpu == vcpu.vcpu;
        };
        auto const known = std::ranges::find_if(before.vcpus, same);
        VcpuFigures const was{known == before.vcpus.end() ? VcpuFigures{} : *known};
        moment.rows.push_back(
            {.domain = vcpu.domain,
             .vcpu = vcpu.vcpu,
             .run = percent(vcpu.in_state[0] - was.in_state[0], ticks),
             .wait = percent(vcpu.in_state[1] - was.in_state[1], ticks),
             .home = vcpu.home && vcpu.placed != 0 ? std::optional{percent(*vcpu.home, vcpu.placed)} : std::nullopt,
             .migrations = rate(vcpu.migrations - was.migrations)});
    }
    Waits const all{Waits::of(std::move(waits))};
    moment.p50 = static_cast<double>(all.p50) * 1e6 / static_cast<double>(now.hz);
    moment.p99 = static_cast<double>(all.p99) * 1e6 / static_cast<double>(now.hz);
    std::ranges::stable_sort(moment.rows, std::greater{}, &MomentRow::run);
    return moment;
}

std::string moment_line(Moment const& m)
{
    return fmt::format("{:9.3f} s  guests {:.2f} pCPUs{}  switches {:.0f}/s  wake-ups {:.0f}/s  migrations {:.0f}/s  "
                       "wake-up p50 {:.1f} us p99 {:.1f} us  lost {}\n",
                       m.at, m.guests, m.home ? fmt::format("  at home {:.1f} %", *m.home) : "", m.switches, m.wakeups,
                       m.migrations, m.p50, m.p99, m.lost);
}

std::string moment_screen(Moment const& m, std::string_view file, std::size_t lines)
{
    std::string text{fmt::format("{}\n{}\n{:<10}{:>10}{:>11}{:>10}{:>9}\n", file, moment_line(m), "vCPU", "running%",
                                 "runnable%", "at home%", "moves/s")};
    constexpr std::size_t above = 4;
    std::size_t const rows = lines > above + 1 ? lines - above - 1 : 0;
    for (std::size_t i = 0; i < std::min(rows, m.rows.size()); ++i) {
        MomentRow const& row = m.rows[i];
        fmt::format_to(std::back_inserter(text), "{:<10}{:>10.1f}{:>11.1f}{:>10}{:>9.1f}\n",
                       fmt::format("d{}v{}", row.domain, row.vcpu), row.run, row.wait,
                       row.home ? fmt::format("{:.1f}", *row.home) : "-", row.migrations);
    }
    return text;
}

} // namespace hv::nv
