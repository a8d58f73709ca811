#include "tools/nv/feed.hpp"
#include "tools/nv/trace_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace hv::nv {

namespace {

// Rounded, without needless zeros, always with a point.
std::string real(double value, int digits)
{
    std::string text = fmt::format("{:.{}f}", value, digits);
    while (text.ends_with('0') && !text.ends_with(".0"))
        text.pop_back();
    return text == "-0.0" ? "0.0" : text;
}

std::string object(std::vector<std::string> const& members)
{
    return members.empty() ? "{}" : fmt::format("{{\n{}\n}}", fmt::join(members, ",\n"));
}

std::string member(std::string_view key, std::string_view value) { return fmt::format("\"{}\": {}", key, value); }

class FiguresWriter {
public:
    explicit FiguresWriter(TraceFigures const& figures) : figures_{figures} {}

    [[nodiscard]] std::string run(std::uint64_t bytes, std::string_view of_run) const
    {
        TraceFigures const& f = figures_;
        GuestTotals const guests = f.guests();
        std::vector<std::string> members{
            member("duration_s", real(ticks(f.duration()) / 1e6, 3)),
            member("records", fmt::format("{}", f.records)),
            member("records_per_s", per_second(f.records, 1)),
            member("lost_events", fmt::format("{}", f.lost_events)),
            member("lost_recs", fmt::format("{}", f.lost_records)),
            member("bytes", fmt::format("{}", bytes)),
            member("context_switches_per_s", per_second(f.switches, 1)),
            member("wakeups_per_s", per_second(f.wakeups, 1)),
            member("guest_run_us", fmt::format("{:.0f}", ticks(guests.run))),
            member("home_node_fraction", guests.placed == 0 ? "null" : real(ratio(guests.home, guests.placed), 4)),
            member("per_vcpu", vcpus()),
        };
        latencies(members);
        gaps(members);
        members.push_back(member("guest_migrations_per_s", per_second(guests.migrations, 1)));
        members.push_back(member("guest_xnode_migrations_per_s",
                                 f.nodes_known ? per_second(guests.cross_node, 1) : std::string{"null"}));
        members.push_back(member("events", events()));
        members.push_back(member("detail", detail()));
        if (!of_run.empty())
            members.push_back(member("run", of_run.substr(0, of_run.find_last_not_of('\n') + 1)));
        return object(members) + "\n";
    }

private:
    // In microseconds.
    [[nodiscard]] double ticks(double count) const { return count * 1e6 / static_cast<double>(figures_.hz); }
    [[nodiscard]] double ticks(std::uint64_t count) const { return ticks(static_cast<double>(count)); }
    [[nodiscard]] static double ratio(std::uint64_t part, std::uint64_t whole)
    {
        return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    }
    [[nodiscard]] std::string per_second(std::uint64_t count, int digits) const
    {
        double const seconds = ticks(figures_.duration()) / 1e6;
        return real(seconds > 0 ? static_cast<double>(count) / seconds : 0.0, digits);
    }

    [[nodiscard]] std::string vcpus() const
    {
        std::vector<std::string> members;
        for (VcpuFigures const& vcpu : figures_.vcpus) {
            auto const percent = [&](std::size_t state) {
                return real(100 * ratio(vcpu.in_state[state], figures_.duration()), 1);
            };
            members.push_back(member(
                fmt::format("d{}v{}", vcpu.domain, vcpu.vcpu),
                object({member("run_pct", percent(0)), member("wait_pct", percent(1)),
                        member("home", vcpu.home ? real(ratio(*vcpu.home, vcpu.run()), 3) : std::string{"null"}),
                        member("mig_s", per_second(vcpu.migrations, 2)),
                        member("xnode_s", figures_.nodes_known ? per_second(vcpu.cross_node, 2) : std::string{"null"}),
                        member("nwake", fmt::format("{}", vcpu.wakes.count()))})));
        }
        return object(members);
    }

    [[nodiscard]] std::string latency(WaitSamples all) const
    {
        Waits const waits = Waits::of(std::move(all));
        std::vector<std::string> members{member("n", fmt::format("{}", waits.count))};
        if (waits.count != 0)
            for (auto const& [key, value] : {std::pair{"p50", waits.p50},
                                             {"p90", waits.p90},
                                             {"p95", waits.p95},
                                             {"p99", waits.p99},
                                             {"max", waits.max}})
                members.push_back(member(key, real(ticks(value), 1)));
        if (waits.count != 0)
            members.push_back(member("mean", real(ticks(waits.mean), 1)));
        return object(members);
    }

    template <typename Chosen>
    [[nodiscard]] std::string latency(WaitSamples VcpuFigures::* samples, Chosen chosen) const
    {
        WaitSamples all;
        for (VcpuFigures const& vcpu : figures_.vcpus)
            if (chosen(vcpu.domain))
                all.add(vcpu.*samples);
        return latency(std::move(all));
    }

    void latencies(std::vector<std::string>& members) const
    {
        auto const is_guest = [](std::uint16_t domain) { return domain != 0; };
        auto const is_dom0 = [](std::uint16_t domain) { return domain == 0; };
        members.push_back(member("guest_wakeup_latency_us", latency(&VcpuFigures::wakes, is_guest)));
        members.push_back(member("guest_preempt_wait_us", latency(&VcpuFigures::preempts, is_guest)));
        members.push_back(member("dom0_wakeup_latency_us", latency(&VcpuFigures::wakes, is_dom0)));
        std::set<std::uint16_t> domains;
        for (VcpuFigures const& vcpu : figures_.vcpus)
            domains.insert(vcpu.domain);
        std::vector<std::string> by_domain;
        for (std::uint16_t const domain : domains)
            by_domain.push_back(
                member(fmt::format("{}", domain),
                       latency(&VcpuFigures::wakes, [domain](std::uint16_t other) { return other == domain; })));
        members.push_back(member("wakeup_by_dom", object(by_domain)));
    }

    void gaps(std::vector<std::string>& members) const
    {
        TraceFigures const& f = figures_;
        members.push_back(member("wc_intervals_any", fmt::format("{}", f.gaps)));
        members.push_back(member("wc_intervals_over_1ms", fmt::format("{}", f.long_gaps)));
        members.push_back(member("wc_over_1ms_total_ms", real(ticks(f.long_gap_ticks) / 1e3, 1)));
        members.push_back(member("wc_longest_ms", real(ticks(f.longest_gap) / 1e3, 2)));
        members.push_back(member("wc_per_s_over_1ms", per_second(f.long_gaps, 2)));
        std::vector<std::string> by_vcpu;
        for (auto const& [name, count] : f.long_gaps_of)
            by_vcpu.push_back(member(name, fmt::format("{}", count)));
        members.push_back(member("wc_by_vcpu", object(by_vcpu)));
    }

    [[nodiscard]] std::string events() const
    {
        std::vector<std::string> members;
        for (auto const& [number, count] : figures_.events)
            members.push_back(member(fmt::format("{:#x}", number), fmt::format("{}", count)));
        return object(members);
    }

    // In microseconds, with all digits that a clock of 1 GHz has.
    [[nodiscard]] std::string exactly(std::uint64_t count) const { return real(ticks(count), 3); }

    [[nodiscard]] std::string waits(WaitSamples const& samples) const
    {
        std::vector<std::uint64_t> counts{samples.histogram(figures_.wait_limits())};
        while (!counts.empty() && counts.back() == 0)
            counts.pop_back();
        std::string text{latency(samples)};
        text.insert(text.size() - 2, fmt::format(",\n\"histogram\": [{}]", fmt::join(counts, ", ")));
        return text;
    }

    // Of a vCPU or a domain.
    [[nodiscard]] std::string everything(VcpuFigures const& of) const
    {
        auto const share = [&](std::optional<std::uint64_t> part) {
            return part ? real(ratio(*part, of.placed), 5) : std::string{"null"};
        };
        auto const moves = [&](std::uint64_t count) {
            return figures_.nodes_known ? fmt::format("{}", count) : std::string{"null"};
        };
        return object({member("running_us", exactly(of.in_state[0])), member("runnable_us", exactly(of.in_state[1])),
                       member("blocked_us", exactly(of.in_state[2])), member("offline_us", exactly(of.in_state[3])),
                       member("home", share(of.home)), member("misplaced", share(of.misplaced)),
                       member("migrations", fmt::format("{}", of.migrations)),
                       member("within_node", moves(of.migrations - of.cross_node)),
                       member("across_nodes", moves(of.cross_node)), member("wakeup_latency_us", waits(of.wakes)),
                       member("preempt_wait_us", waits(of.preempts))});
    }

    // What the keys above leave out.
    [[nodiscard]] std::string detail() const
    {
        std::vector<std::string> vcpus, domains, pcpus, worst, limits;
        for (VcpuFigures const& vcpu : figures_.vcpus)
            vcpus.push_back(member(fmt::format("d{}v{}", vcpu.domain, vcpu.vcpu), everything(vcpu)));
        for (VcpuFigures const& domain : figures_.domains())
            domains.push_back(member(fmt::format("d{}", domain.domain), everything(domain)));
        for (PcpuFigures const& pcpu : figures_.pcpus)
            pcpus.push_back(member(fmt::format("{}", pcpu.pcpu), object({member("busy_us", exactly(pcpu.busy)),
                                                                         member("idle_us", exactly(pcpu.idle))})));
        for (WorstGap const& gap : figures_.worst_gaps)
            worst.push_back(object({member("at_us", exactly(gap.begin)), member("length_us", exactly(gap.length)),
                                    member("vcpu", fmt::format("\"d{}v{}\"", gap.domain, gap.vcpu)),
                                    member("pcpu", fmt::format("{}", gap.pcpu))}));
        for (std::uint64_t us = 1; us <= TraceFigures::most_wait_limit; us *= 2)
            limits.push_back(fmt::format("{}", us));
        return object({member("histogram_limits_us", fmt::format("[{}]", fmt::join(limits, ", "))),
                       member("vcpus", object(vcpus)), member("domains", object(domains)),
                       member("pcpus", object(pcpus)),
                       member("wc_worst", fmt::format("[{}]", fmt::join(worst, ",\n")))});
    }

    TraceFigures const& figures_;
};

} // namespace

std::string trace_json(TraceFigures const& figures, std::uint64_t bytes, std::string_view run)
{
    return FiguresWriter{figures}.run(bytes, run);
}

} // namespace hv::nv
