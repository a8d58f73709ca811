#include "tools/nv/metrics_json.hpp"

#include "tools/nv/json.hpp"

#include <fmt/format.h>

#include <iterator>

namespace hv::nv {

namespace {

double ratio(std::int64_t part, std::int64_t whole)
{
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Rounded, without needless zeros, always with a point: as upstream.json has it.
std::string real(double value, int digits)
{
    std::string text = fmt::format("{:.{}f}", value, digits);
    while (text.ends_with('0') && !text.ends_with(".0"))
        text.pop_back();
    return text == "-0.0" ? "0.0" : text;
}

class Writer {
public:
    Writer(Metrics const& metrics, RunIdentity const& identity) : metrics_{metrics}, identity_{identity} {}

    [[nodiscard]] std::string run()
    {
        begin_object("");
        whole_machine();
        begin_object("groups");
        for (GroupMetrics const& group : metrics_.groups)
            group_object(group.name, group);
        end_object();
        group_object("guests", metrics_.guests);
        domains();
        end_object();
        return std::move(text_) + "\n";
    }

private:
    void key(std::string_view name)
    {
        if (!first_)
            text_ += ',';
        text_ += '\n';
        text_.append(depth_, ' ');
        if (!name.empty())
            text_ += json_string(name) + ": ";
        first_ = false;
    }
    void open(std::string_view name, char bracket)
    {
        if (depth_ != 0)
            key(name);
        text_ += bracket;
        ++depth_;
        first_ = true;
    }
    void close(char bracket)
    {
        --depth_;
        text_ += '\n';
        text_.append(depth_, ' ');
        text_ += bracket;
        first_ = false;
    }
    void begin_object(std::string_view name) { open(name, '{'); }
    void end_object() { close('}'); }
    void member(std::string_view name, std::string const& raw)
    {
        key(name);
        text_ += raw;
    }
    void member(std::string_view name, double value, int digits) { member(name, real(value, digits)); }
    void member(std::string_view name, std::uint64_t value) { member(name, fmt::format("{}", value)); }
    void per_second(std::string_view name, std::uint64_t count, int digits = 3)
    {
        member(name, static_cast<double>(count) / (static_cast<double>(metrics_.window) / 1e9), digits);
    }
    void percent(std::string_view name, std::int64_t part, std::int64_t whole, int digits = 4)
    {
        member(name, whole == 0 ? 0.0 : 100 * static_cast<double>(part) / static_cast<double>(whole), digits);
    }

    void whole_machine()
    {
        auto const capacity = metrics_.window * static_cast<std::int64_t>(metrics_.pcpus);
        member("scenario", json_string(identity_.scenario));
        member("variant", json_string(identity_.policy));
        member("seed", identity_.seed);
        member("source", json_string(identity_.source));
        member("lost_records", identity_.lost_records);
        if (identity_.events != 0)
            member("events", identity_.events);
        member("contradictions", metrics_.contradictions);
        member("sim_seconds", static_cast<double>(metrics_.window) / 1e9, 9);
        per_second("ctx_switches_per_s", metrics_.switches, 2);
        per_second("switch_to_vcpu_per_s", metrics_.switches_to_vcpu, 2);
        per_second("migrations_per_s", metrics_.total.migrations);
        per_second("xnode_migrations_per_s", metrics_.total.cross_node);
        per_second("guest_migrations_per_s", metrics_.guests.sums.migrations);
        per_second("guest_xnode_migrations_per_s", metrics_.guests.sums.cross_node);
        percent("wc_violation_time_pct", metrics_.violation, metrics_.window, 5);
        percent("wc_lost_cpu_pct", metrics_.lost_capacity, capacity, 5);
        percent("idle_pct", metrics_.idle, capacity);
    }

    void latency(std::string_view name, Latency const& latency)
    {
        begin_object(name);
        member("n", latency.count);
        member("mean_us", ratio(latency.sum, static_cast<std::int64_t>(latency.count)) / 1000, 3);
        member("p50_us", static_cast<double>(latency.p50) / 1000, 3);
        member("p95_us", static_cast<double>(latency.p95) / 1000, 3);
        member("p99_us", static_cast<double>(latency.p99) / 1000, 3);
        member("max_us", static_cast<double>(latency.max) / 1000, 3);
        end_object();
    }

    void states(Sums const& sums)
    {
        auto const seconds = [&](std::string_view name, RunState state) {
            member(name, static_cast<double>(sums.in_state[static_cast<std::size_t>(state)]) / 1e9, 6);
        };
        seconds("runnable_seconds", RunState::runnable);
        seconds("blocked_seconds", RunState::blocked);
        seconds("offline_seconds", RunState::offline);
    }

    void group_object(std::string_view name, GroupMetrics const& group)
    {
        Sums const& sums = group.sums;
        begin_object(name);
        member("vcpus", group.vcpus);
        member("cpu_seconds", static_cast<double>(sums.run()) / 1e9, 6);
        states(sums);
        if (group.has_preferred) {
            percent("pref_share_pct", sums.home, sums.placeable);
            percent("misplaced_pct", sums.misplaced, sums.placeable);
        } else {
            member("pref_share_pct", "-1.0");
            member("misplaced_pct", "-1.0");
        }
        member("min_over_max", ratio(group.min_run, group.max_run), 5);
        member("max_wait_ms", static_cast<double>(sums.max_wait) / 1e6, 4);
        per_second("wakes_per_s", sums.wakes, 2);
        per_second("jobs_per_s", sums.jobs, 2);
        per_second("missed_per_s", sums.missed, 2);
        per_second("migrations_per_s", sums.migrations);
        per_second("xnode_migrations_per_s", sums.cross_node);
        latency("wake_latency", group.wake);
        latency("runq_wait", group.wait);
        latency("response", group.response);
        end_object();
    }

    void vcpu_object(Sums const& vcpu)
    {
        begin_object("");
        percent("cpu_pct", vcpu.run(), metrics_.window);
        member("pref_pct", 100 * ratio(vcpu.home, vcpu.placeable), 3);
        member("max_wait_ms", static_cast<double>(vcpu.max_wait) / 1e6, 4);
        member("jobs", vcpu.jobs);
        member("mig", vcpu.migrations);
        states(vcpu);
        end_object();
    }

    void domains()
    {
        open("domains", '[');
        for (DomainMetrics const& domain : metrics_.domains) {
            begin_object("");
            member("id", std::uint64_t{domain.id});
            member("name", json_string(domain.name));
            member("group", json_string(domain.group));
            member("weight", std::uint64_t{domain.weight});
            member("cap", std::uint64_t{domain.cap});
            percent("cpu_pct", domain.sums.run(), metrics_.window);
            open("vcpus", '[');
            for (Sums const& vcpu : domain.vcpus)
                vcpu_object(vcpu);
            close(']');
            end_object();
        }
        close(']');
    }

    Metrics const& metrics_;
    RunIdentity const& identity_;
    std::string text_;
    std::size_t depth_{0};
    bool first_{true};
};

} // namespace

std::string metrics_json(Metrics const& metrics, RunIdentity const& identity)
{
    return Writer{metrics, identity}.run();
}

} // namespace hv::nv
