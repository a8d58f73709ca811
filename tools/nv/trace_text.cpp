#include "tools/nv/trace_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

class Writer {
public:
    explicit Writer(TraceFigures const& figures) : figures_{figures} {}

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
        std::uint64_t run{0}, placed{0}, home{0}, migrations{0}, cross{0};
        for (VcpuFigures const& vcpu : figures_.vcpus) {
            if (vcpu.domain == 0)
                continue;
            run += vcpu.run();
            placed += vcpu.home ? vcpu.run() : 0;
            home += vcpu.home.value_or(0);
            migrations += vcpu.migrations;
            cross += vcpu.cross_node;
        }
        put("guests: {:.3f} pCPU-s", us(run) / 1e6);
        if (placed != 0)
            put(", {:.1f} % at home", percent(home, placed));
        put(", {:.1f} migrations/s", per_second(migrations));
        put("{}\n", figures_.nodes_known ? fmt::format(", {:.1f} of them across nodes", per_second(cross)) : "");
    }

    // One of `count` vCPUs, or their sum.
    void row(std::string_view label, VcpuFigures const& sum, std::uint64_t count)
    {
        std::uint64_t const whole = figures_.duration() * count;
        put("{:<16}{:>9.1f}{:>10.1f}{:>9.1f}{:>9.1f}", label, percent(sum.in_state[0], whole),
            percent(sum.in_state[1], whole), percent(sum.in_state[2], whole), percent(sum.in_state[3], whole));
        put("{:>9}", sum.home ? fmt::format("{:.1f}", percent(*sum.home, sum.run())) : std::string{"-"});
        put("{:>10.2f}", per_second(sum.migrations - sum.cross_node));
        put("{:>10}\n", figures_.nodes_known ? fmt::format("{:.2f}", per_second(sum.cross_node)) : std::string{"-"});
    }

    void vcpus()
    {
        put("\n{:<16}{:>9}{:>10}{:>9}{:>9}{:>9}{:>10}{:>10}\n", "vCPU", "running%", "runnable%", "blocked%", "offline%",
            "at home%", figures_.nodes_known ? "migr/s" : "moves/s", "xnode/s");
        for (auto at = figures_.vcpus.begin(); at != figures_.vcpus.end();) {
            VcpuFigures sum{*at};
            sum.home.reset();
            std::uint64_t placed{0}, home{0}, count{0};
            auto const first = at;
            for (; at != figures_.vcpus.end() && at->domain == first->domain; ++at, ++count) {
                row(fmt::format("d{}v{}", at->domain, at->vcpu), *at, 1);
                placed += at->home ? 1u : 0u;
                home += at->home.value_or(0);
                if (at == first)
                    continue;
                std::transform(at->in_state.begin(), at->in_state.end(), sum.in_state.begin(), sum.in_state.begin(),
                               std::plus{});
                sum.migrations += at->migrations;
                sum.cross_node += at->cross_node;
            }
            if (placed == count)
                sum.home = home;
            row("  " + domain_label(first->domain), sum, count);
        }
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
        for (auto at = figures_.vcpus.begin(); at != figures_.vcpus.end();) {
            WaitSamples whole;
            std::uint16_t const domain = at->domain;
            for (; at != figures_.vcpus.end() && at->domain == domain; ++at) {
                wait_row(fmt::format("d{}v{}", at->domain, at->vcpu), (*at).*samples);
                whole.add((*at).*samples);
            }
            wait_row("  " + domain_label(domain), std::move(whole));
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
        for (Gap const& gap : f.worst_gaps)
            put("{:>12.1f} us from {:.6f} s  d{}v{}\n", us(gap.length), us(gap.begin - f.first) / 1e6, gap.domain,
                gap.vcpu);
    }

    TraceFigures const& figures_;
    std::string text_;
};

} // namespace

std::string trace_text(TraceFigures const& figures, std::string_view file) { return Writer{figures}.run(file); }

} // namespace hv::nv
