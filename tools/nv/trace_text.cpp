#include "tools/nv/trace_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

class TextWriter {
public:
    explicit TextWriter(TraceFigures const& figures) : figures_{figures} {}

    [[nodiscard]] std::string run(std::string_view file)
    {
        TraceFigures const& f = figures_;
        put("{}: {:.3f} s, {} records of {} pCPUs, clock {} Hz\n", file, us(f.duration()) / 1e6, f.records,
            f.pcpus.size(), f.hz);
        put("switches {:.1f}/s, wake-ups {:.1f}/s, records {:.1f}/s\n", per_second(f.switches), per_second(f.wakeups),
            per_second(f.records));
        guests();
        put("lost: {} records, in {} places\n", f.lost_events, f.lost_records);
        if (f.backward != 0)
            put("backward: {} records are stamped before an earlier one; they count as of that one\n", f.backward);
        if (f.undated != 0)
            put("undated: {} run states come before any stamp; they are passed over\n", f.undated);
        vcpus();
        latencies();
        pcpus();
        gaps();
        return std::move(text_);
    }

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> format, Values&&... values)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    [[nodiscard]] double us(double ticks) const { return ticks * 1e6 / static_cast<double>(figures_.hz); }
    [[nodiscard]] double us(std::uint64_t ticks) const { return us(static_cast<double>(ticks)); }
    [[nodiscard]] double per_second(std::uint64_t count) const
    {
        double const seconds = us(figures_.duration()) / 1e6;
        return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
    }
    [[nodiscard]] static double percent(std::uint64_t part, std::uint64_t whole)
    {
        return whole == 0 ? 0.0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
    }

    [[nodiscard]] std::string domain_label(std::uint16_t domain) const
    {
        auto const name = figures_.names.find(domain);
        return name == figures_.names.end() ? fmt::format("d{}", domain) : fmt::format("d{} {}", domain, name->second);
    }

    void guests()
    {
        GuestTotals const all = figures_.guests();
        put("guests: {:.3f} pCPU-s", us(all.run) / 1e6);
        if (all.placed != 0)
            put(", {:.1f} % at home", percent(all.home, all.placed));
        put(", {:.1f} migrations/s", per_second(all.migrations));
        put("{}\n",
            figures_.nodes_known ? fmt::format(", {:.1f} of them across nodes", per_second(all.cross_node)) : "");
    }

    // A vCPU, or a domain.
    void row(std::string_view label, VcpuFigures const& of)
    {
        std::uint64_t const whole = figures_.duration() * of.count;
        auto const share = [&](std::optional<std::uint64_t> part) {
            return part ? fmt::format("{:.1f}", percent(*part, of.placed)) : std::string{"-"};
        };
        put("{:<16}{:>9.1f}{:>10.1f}{:>9.1f}{:>9.1f}", label, percent(of.in_state[0], whole),
            percent(of.in_state[1], whole), percent(of.in_state[2], whole), percent(of.in_state[3], whole));
        put("{:>9}{:>11}", share(of.home), share(of.misplaced));
        put("{:>10.2f}", per_second(of.migrations - of.cross_node));
        put("{:>10}\n", figures_.nodes_known ? fmt::format("{:.2f}", per_second(of.cross_node)) : std::string{"-"});
    }

    // One line for each vCPU, and one for its domain behind its last.
    template <typename Line>
    void for_all(Line line)
    {
        std::vector<VcpuFigures> const domains{figures_.domains()};
        auto domain = domains.begin();
        for (std::size_t i = 0; i < figures_.vcpus.size(); ++i) {
            VcpuFigures const& vcpu = figures_.vcpus[i];
            line(fmt::format("d{}v{}", vcpu.domain, vcpu.vcpu), vcpu);
            if (i + 1 == figures_.vcpus.size() || figures_.vcpus[i + 1].domain != vcpu.domain)
                line("  " + domain_label(vcpu.domain), *domain++);
        }
    }

    void vcpus()
    {
        put("\n{:<16}{:>9}{:>10}{:>9}{:>9}{:>9}{:>11}{:>10}{:>10}\n", "vCPU", "running%", "runnable%", "blocked%",
            "offline%", "at home%", "misplaced%", figures_.nodes_known ? "within/s" : "moves/s", "xnode/s");
        for_all([&](std::string const& label, VcpuFigures const& of) { row(label, of); });
    }

    void wait_row(std::string_view label, WaitSamples samples)
    {
        Waits const waits = Waits::of(std::move(samples));
        if (waits.count != 0)
            put("{:<16}{:>9}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}\n", label, waits.count,
                us(waits.mean), us(waits.p50), us(waits.p90), us(waits.p95), us(waits.p99), us(waits.max));
    }

    void waits(std::string_view title, WaitSamples VcpuFigures::* samples)
    {
        put("\n{:<16}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", title, "n", "mean us", "p50", "p90", "p95", "p99",
            "max");
        WaitSamples all;
        for_all([&](std::string const& label, VcpuFigures const& of) { wait_row(label, of.*samples); });
        for (VcpuFigures const& vcpu : figures_.vcpus)
            all.add(vcpu.*samples);
        histogram(all);
    }

    // Of all together: a line of stars for each range in use, and those between.
    void histogram(WaitSamples const& samples)
    {
        constexpr std::uint64_t stars = 50;
        std::vector<std::uint64_t> const counts{samples.histogram(figures_.wait_limits())};
        auto const used = [](std::uint64_t count) { return count != 0; };
        auto const first = std::ranges::find_if(counts, used) - counts.begin();
        auto const last = std::find_if(counts.rbegin(), counts.rend(), used).base() - counts.begin();
        for (auto i = first; i < last; ++i) {
            std::uint64_t const count = counts[static_cast<std::size_t>(i)];
            bool const is_open = static_cast<std::size_t>(i) + 1 == counts.size();
            put("{:<7}{:>9} us{:>9} {}\n", is_open ? "from" : "below", std::uint64_t{1} << (is_open ? i - 1 : i), count,
                std::string((count * stars + samples.count() - 1) / samples.count(), '*'));
        }
    }

    void latencies()
    {
        waits("after a wake-up", &VcpuFigures::wakes);
        waits("after preemption", &VcpuFigures::preempts);
    }

    void pcpus()
    {
        put("\n{:<16}{:>9}{:>10}{:>9}\n", "pCPU", "busy%", "idle%", "unseen%");
        for (PcpuFigures const& pcpu : figures_.pcpus)
            put("{:<16}{:>9.1f}{:>10.1f}{:>9.1f}\n", pcpu.pcpu, percent(pcpu.busy, figures_.duration()),
                percent(pcpu.idle, figures_.duration()),
                std::max(0.0, 100 - percent(pcpu.busy + pcpu.idle, figures_.duration())));
    }

    void gaps()
    {
        TraceFigures const& f = figures_;
        put("\na vCPU waited beside an idle pCPU that it may run on: {} times, longest {:.1f} us; over 1 ms: {} times, "
            "{:.1f} ms in all\n",
            f.gaps, us(f.longest_gap), f.long_gaps, us(f.long_gap_ticks) / 1e3);
        for (WorstGap const& gap : f.worst_gaps)
            put("{:>12.1f} us from {:.6f} s  d{}v{}, pCPU {} idle\n", us(gap.length), us(gap.begin) / 1e6, gap.domain,
                gap.vcpu, gap.pcpu);
    }

    TraceFigures const& figures_;
    std::string text_;
};

} // namespace

std::string trace_text(TraceFigures const& figures, std::string_view file) { return TextWriter{figures}.run(file); }

} // namespace hv::nv
