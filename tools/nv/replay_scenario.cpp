// A recording as a scenario file.
#include "boot/scenario/layout.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/json.hpp"
#include "tools/nv/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

using sched::guest::Step;
using sched::guest::StepKind;

constexpr std::size_t line_width = 110;

class ScenarioWriter {
public:
    ScenarioWriter(Recording const& recording, TraceFacts const& facts, ReplayConfig const& config)
        : recording_{recording}, facts_{facts}, config_{config}
    {
    }

    [[nodiscard]] std::string run(std::uint32_t pcpus)
    {
        put("{{\"schema\": \"credit-scenario/2\", \"name\": {}, \"description\": \"what the vCPUs of a trace did\",\n",
            json_string(config_.name));
        put(" \"seed\": 1, \"duration_ns\": {}, \"policy\": {},\n", recording_.duration_ns,
            json_string(config_.policy));
        machine(pcpus);
        put(" \"domains\": [");
        std::string_view separator{"\n"};
        for (auto at = recording_.vcpus.begin(); at != recording_.vcpus.end(); separator = ",\n") {
            auto const domain = static_cast<std::uint16_t>(at->first >> 16);
            auto const end =
                std::find_if(at, recording_.vcpus.end(), [&](auto const& of) { return of.first >> 16 != domain; });
            put("{}", separator);
            this->domain(domain, std::prev(end)->first & 0xffff);
            at = end;
        }
        put("\n ]\n}}\n");
        return std::move(text_);
    }

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> format, Values&&... values)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    void machine(std::uint32_t pcpus)
    {
        put(" \"machine\": {{\"ipi_ns\": {}, \"wake_ns\": {}, {}\"cpus\": [", recording_.ipi_ns, recording_.wake_ns,
            recording_.host == HostPcpus::by_turns
                ? fmt::format("\"by_turns\": true, \"turn_ns\": {}, ", recording_.turn_ns)
                : "");
        for (std::uint32_t cpu = 0; cpu < pcpus; ++cpu) {
            unsigned const node = facts_.node_of.empty() ? 0u : facts_.node_of[cpu];
            put("{}\n  {{\"cpu\": {}, \"node\": {}, \"socket\": {}, \"core\": {}}}", cpu == 0 ? "" : ",", cpu, node,
                node, cpu);
        }
        put("]}},\n");
    }

    using Ids = std::optional<std::vector<std::uint16_t>>;

    // pCPUs of these nodes, of those that hard affinity allows.
    [[nodiscard]] std::vector<std::uint16_t> pcpus_of(std::vector<std::uint16_t> const& nodes, Ids const& hard) const
    {
        std::vector<std::uint16_t> pcpus;
        for (std::uint16_t cpu = 0; cpu < facts_.node_of.size(); ++cpu)
            if (std::ranges::binary_search(nodes, facts_.node_of[cpu]) &&
                (!hard || std::ranges::binary_search(*hard, cpu)))
                pcpus.push_back(cpu);
        return pcpus;
    }

    void domain(std::uint16_t id, std::uint32_t last_vcpu)
    {
        auto const name = facts_.names.find(id);
        put("  {{\"id\": {}, \"name\": {}, \"group\": \"{}\"", id,
            json_string(name == facts_.names.end() ? fmt::format("d{}", id) : name->second.substr(0, 31)),
            id == 0 ? "dom0" : "guest");
        if (facts_.run)
            for (Domain const& known : facts_.run->scenario.domains)
                if (known.id == id)
                    put(", \"weight\": {}, \"cap\": {}", known.weight, known.cap);
        auto const place = facts_.domains.find(id);
        if (place != facts_.domains.end() && place->second.home) {
            put(", \"preferred_nodes\": [{}]", fmt::join(*place->second.home, ", "));
            if (config_.affinity == ReplayAffinity::facts)
                put(", \"node_affinity\": [{}]", fmt::join(*place->second.home, ", "));
        }
        put(", \"vcpus\": [");
        for (std::uint32_t vcpu = 0; vcpu <= last_vcpu; ++vcpu) {
            put("{}", vcpu == 0 ? "\n" : ",\n");
            this->vcpu(id, static_cast<std::uint16_t>(vcpu));
        }
        put("]}}");
    }

    // A number that was not seen is a vCPU that waits for ever.
    void vcpu(std::uint16_t id, std::uint16_t index)
    {
        auto const found = recording_.vcpus.find(sched::trace::pack_vcpu(id, index));
        put("   {{\"initial_cpu\": {}", found == recording_.vcpus.end() ? 0 : found->second.first_pcpu);
        Ids const home{facts_.home_of(id, index)};
        Ids hard{config_.affinity == ReplayAffinity::none ? std::nullopt : facts_.hard_of(id, index)};
        auto const own = facts_.vcpus.find({id, index});
        if (home && config_.affinity == ReplayAffinity::hard)
            hard = pcpus_of(*home, hard);
        if (hard && !hard->empty())
            put(", \"hard_affinity\": [{}]", fmt::join(*hard, ", "));
        if (home && config_.affinity == ReplayAffinity::facts && own != facts_.vcpus.end() && own->second.home)
            put(", \"soft_affinity\": [{}]", fmt::join(pcpus_of(*home, std::nullopt), ", "));
        put(", \"workload\": {{\"kind\": \"recorded\", \"steps\": [");
        if (found != recording_.vcpus.end())
            steps(found->second.steps);
        put("]}}}}");
    }

    [[nodiscard]] static std::string cost(Step const& step)
    {
        return step.target == 0 ? "" : fmt::format("+{}", step.target);
    }

    void steps(std::vector<Step> const& steps)
    {
        std::size_t begin{text_.size()};
        for (std::size_t i = 0; i < steps.size(); ++i) {
            bool const is_full = text_.size() - begin > line_width;
            put("{}", i == 0 ? "\n    \"" : is_full ? "\",\n    \"" : " ");
            begin = is_full ? text_.size() : begin;
            switch (steps[i].kind) {
            case StepKind::run:
                put("r{}", steps[i].ns);
                break;
            case StepKind::sleep:
                put("s{}{}", steps[i].ns, cost(steps[i]));
                break;
            case StepKind::wait:
                put("w{}", cost(steps[i]));
                break;
            case StepKind::notify:
                put("n{}.{}", steps[i].target >> 16, steps[i].target & 0xffff);
                break;
            }
        }
        put("{}", steps.empty() ? "" : "\"");
    }

    Recording const& recording_;
    TraceFacts const& facts_;
    ReplayConfig const& config_;
    std::string text_;
};

} // namespace

std::string replay_scenario(Recording const& recording, TraceFacts const& facts, std::uint32_t pcpus,
                            ReplayConfig const& config)
{
    if (recording.vcpus.empty())
        refuse(fmt::format("{}: no vCPU runs in the trace, there is nothing to replay", config.name));
    if (pcpus > scenario::max_pcpus)
        refuse(fmt::format("{}: pCPU {} in the trace, a scenario has at most {}", config.name, pcpus - 1,
                           scenario::max_pcpus));
    for (auto const& [packed, vcpu] : recording.vcpus)
        if (packed >> 16 > scenario::max_domain_id || (packed & 0xffff) >= scenario::max_domain_vcpus)
            refuse(fmt::format("{}: {} in the trace, a scenario has domains up to {} of at most {} vCPUs", config.name,
                               packed_name(packed), scenario::max_domain_id, scenario::max_domain_vcpus));
    if (recording.duration_ns > scenario::max_time_ns || recording.steps > scenario::max_steps)
        refuse(fmt::format("{}: {} s and {} steps, a scenario has at most {} s and {} steps", config.name,
                           recording.duration_ns / 1'000'000'000, recording.steps,
                           scenario::max_time_ns / 1'000'000'000, scenario::max_steps));
    return ScenarioWriter{recording, facts, config}.run(pcpus);
}

} // namespace hv::nv
