#include "tools/nv/shrink_cuts.hpp"

#include "tools/nv/scenario_edit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <set>

namespace hv::nv {

namespace {

constexpr std::array<std::string_view, 3> domain_masks{"hard_affinity", "node_affinity", "preferred_nodes"};
constexpr std::array<std::string_view, 2> vcpu_masks{"hard_affinity", "soft_affinity"};

Json const no_items{.kind = Json::Kind::list};

Json const& items_of(Json const& object, std::string_view key)
{
    Json const* const list{object.find(key)};
    return list == nullptr ? no_items : *list;
}

// Calls what(vcpu, domain number, vCPU number); a Json& or a Json const&.
template <typename Tree, typename What>
void each_vcpu_of(Tree& scenario, What const& what)
{
    for (std::size_t d = 0; d < items_of(scenario, "domains").items.size(); ++d) {
        auto& domain = const_cast<Tree&>(items_of(scenario, "domains").items[d]);
        for (std::size_t v = 0; v < items_of(domain, "vcpus").items.size(); ++v)
            what(const_cast<Tree&>(items_of(domain, "vcpus").items[v]), d, v);
    }
}

std::size_t domain_count(Json const& scenario) { return items_of(scenario, "domains").items.size(); }

std::size_t vcpu_count(Json const& scenario)
{
    std::size_t count{0};
    each_vcpu_of(scenario, [&](Json const&, std::size_t, std::size_t) { ++count; });
    return count;
}

void drop_nth_vcpu(Json& scenario, std::size_t part)
{
    std::size_t number{0}, domain{0}, vcpu{0};
    each_vcpu_of(std::as_const(scenario), [&](Json const&, std::size_t d, std::size_t v) {
        if (number++ == part) {
            domain = d;
            vcpu = v;
        }
    });
    if (part < number)
        drop_vcpu(scenario, domain, vcpu);
}

std::size_t pcpu_count_of(Json const& scenario)
{
    Json const* const machine{scenario.find("machine")};
    return machine == nullptr ? 0 : items_of(*machine, "cpus").items.size();
}

std::size_t node_count_of(Json const& scenario)
{
    Json const* const machine{scenario.find("machine")};
    if (machine == nullptr)
        return 0;
    std::uint64_t count{items_of(*machine, "nodes").items.size()};
    for (Json const& cpu : items_of(*machine, "cpus").items)
        count = std::max(count, number_of(cpu, "node") + 1);
    return count;
}

std::size_t change_count(Json const& scenario) { return items_of(scenario, "changes").items.size(); }

// From a list that is a member; an empty one goes.
void drop_item(Json& object, std::string_view key, std::size_t index)
{
    Json* const list{list_of(object, key)};
    if (list == nullptr || index >= list->items.size())
        return;
    list->items.erase(list->items.begin() + static_cast<std::ptrdiff_t>(index));
    if (list->items.empty())
        erase_member(object, key);
}

void drop_change(Json& scenario, std::size_t part) { drop_item(scenario, "changes", part); }

Json const& steps_of(Json const& vcpu)
{
    Json const* const workload{vcpu.find("workload")};
    return workload == nullptr ? no_items : items_of(*workload, "steps");
}

std::size_t step_count(Json const& scenario)
{
    std::size_t count{0};
    each_vcpu_of(scenario, [&](Json const& vcpu, std::size_t, std::size_t) { count += steps_of(vcpu).items.size(); });
    return count;
}

void drop_step(Json& scenario, std::size_t part)
{
    each_vcpu_of(scenario, [&](Json& vcpu, std::size_t, std::size_t) {
        std::size_t const here{steps_of(vcpu).items.size()};
        if (part < here)
            drop_item(vcpu.member("workload"), "steps", part);
        part = part < here ? SIZE_MAX : part == SIZE_MAX ? part : part - here;
    });
}

std::size_t parameter_count(Json const& scenario)
{
    Json const* const params{scenario.find("policy_params")};
    return params == nullptr ? 0 : params->members.size();
}

void drop_parameter(Json& scenario, std::size_t part)
{
    Json& params{scenario.member("policy_params")};
    if (part < params.members.size())
        params.members.erase(params.members.begin() + static_cast<std::ptrdiff_t>(part));
    if (params.members.empty())
        erase_member(scenario, "policy_params");
}

// Calls what(object, key, length) for every mask there is.
template <typename What>
void each_mask(Json const& scenario, What const& what)
{
    for (Json const& domain : items_of(scenario, "domains").items) {
        for (std::string_view const key : domain_masks)
            what(domain, key, items_of(domain, key).items.size());
        for (Json const& vcpu : items_of(domain, "vcpus").items)
            for (std::string_view const key : vcpu_masks)
                what(vcpu, key, items_of(vcpu, key).items.size());
    }
}

std::size_t mask_member_count(Json const& scenario)
{
    std::size_t count{0};
    each_mask(scenario, [&](Json const&, std::string_view, std::size_t length) { count += length; });
    return count;
}

void drop_mask_member(Json& scenario, std::size_t part)
{
    Json* where{nullptr};
    std::string_view which;
    each_mask(scenario, [&](Json const& object, std::string_view key, std::size_t length) {
        if (where == nullptr && part < length) {
            where = const_cast<Json*>(&object);
            which = key;
        } else if (where == nullptr) {
            part -= length;
        }
    });
    if (where != nullptr)
        drop_item(*where, which, part);
}

constexpr std::array all_parts{ShrinkParts{"VMs", domain_count, drop_domain},
                               ShrinkParts{"vCPUs", vcpu_count, drop_nth_vcpu},
                               ShrinkParts{"nodes", node_count_of, drop_node},
                               ShrinkParts{"pCPUs", pcpu_count_of, drop_pcpu},
                               ShrinkParts{"changes", change_count, drop_change},
                               ShrinkParts{"steps", step_count, drop_step},
                               ShrinkParts{"parameters", parameter_count, drop_parameter},
                               ShrinkParts{"members of masks", mask_member_count, drop_mask_member}};

// The largest number that is smaller and has only `digits` digits before its noughts; the number itself if it has.
std::uint64_t rounded_down(std::uint64_t number, int digits)
{
    std::uint64_t unit{1};
    std::uint64_t const most{digits == 1 ? 10ull : 100ull};
    while (number / unit >= most)
        unit *= 10;
    return number / unit * unit;
}

class Simplifier {
public:
    explicit Simplifier(Json const& scenario) : scenario_{scenario} {}

    [[nodiscard]] std::vector<Simplification> run()
    {
        duration();
        erase("$", {"memory_model", "placement", "placement_smt", "placement_strict", "trace", "warmup_ns", "label",
                    "description", "policy_params", "changes"});
        machine();
        for (std::size_t d = 0; d < domain_count(scenario_); ++d)
            domain(d);
        erase("$.sched", {"tslice_ms", "ratelimit_us"});
        if (Json const* const sched{scenario_.find("sched")}; sched != nullptr && sched->members.empty())
            erase("$", {"sched"});
        set("$.seed", 1, number_of(scenario_, "seed") > 1);
        numbers();
        return std::move(list_);
    }

private:
    void add(std::string what, std::function<void(Json&)> apply)
    {
        list_.push_back({std::move(what), std::move(apply)});
    }

    void erase(std::string const& place, std::initializer_list<std::string_view> keys)
    {
        Json tree{scenario_};
        Json const* const object{place == "$" ? &tree : at_path(tree, place)};
        for (std::string_view const key : keys)
            if (object != nullptr && object->find(key) != nullptr)
                add(fmt::format("without {}.{}", place, key), [place, key](Json& scenario) {
                    if (Json* const from{place == "$" ? &scenario : at_path(scenario, place)})
                        erase_member(*from, key);
                });
    }

    void set(std::string const& place, std::uint64_t value, bool is_simpler)
    {
        if (is_simpler)
            add(fmt::format("{} is {}", place, value), [place, value](Json& scenario) {
                if (Json* const number{at_path(scenario, place)})
                    *number = {.kind = Json::Kind::integer, .magnitude = value};
            });
    }

    void duration()
    {
        std::uint64_t const time{number_of(scenario_, "duration_ns")};
        for (std::uint64_t const part : {2u, 4u, 8u, 16u})
            set("$.duration_ns", time - time / part, time / part > 0);
    }

    // Not just without the others: what is on them comes along.
    void one_node()
    {
        if (node_count_of(scenario_) < 2)
            return;
        add("one node", [](Json& scenario) {
            Json& machine{scenario.member("machine")};
            for (Json& cpu : list_of(machine, "cpus")->items)
                cpu.member("node") = Json::integer(0);
            erase_member(machine, "nodes");
            erase_member(machine, "distances");
            for (Json& domain : list_of(scenario, "domains")->items)
                for (std::string_view const key : {"node_affinity", "preferred_nodes", "memory"})
                    erase_member(domain, key);
        });
    }

    void one_socket()
    {
        Json const* const machine{scenario_.find("machine")};
        if (machine == nullptr || std::ranges::none_of(items_of(*machine, "cpus").items,
                                                       [](Json const& cpu) { return number_of(cpu, "socket") > 0; }))
            return;
        add("one socket", [](Json& scenario) {
            for (Json& cpu : list_of(scenario.member("machine"), "cpus")->items)
                cpu.member("socket") = Json::integer(0);
        });
    }

    void machine()
    {
        one_node();
        one_socket();
        erase("$.machine", {"timer_late_ns", "ipi_ns", "wake_ns", "ctxsw_ns", "cpu_bringup_stagger_ns", "turn_ns",
                            "by_turns", "firmware", "distances", "nodes"});
        std::set<std::uint64_t> cores;
        for (std::size_t i = 0; i < pcpu_count_of(scenario_); ++i)
            cores.insert(number_of(items_of(*scenario_.find("machine"), "cpus").items[i], "core"));
        if (cores.size() == pcpu_count_of(scenario_))
            return;
        add("a core for each pCPU", [](Json& scenario) {
            std::int64_t core{0};
            for (Json& cpu : list_of(scenario.member("machine"), "cpus")->items)
                cpu.member("core") = Json::integer(core++);
        });
    }

    void domain(std::size_t d)
    {
        Json const& domain{items_of(scenario_, "domains").items[d]};
        std::string const place{fmt::format("$.domains[{}]", d)};
        erase(place, {"memory", "hard_affinity", "node_affinity", "preferred_nodes", "cap", "weight", "start_ns",
                      "name", "group"});
        for (std::size_t v = 0; v < items_of(domain, "vcpus").items.size(); ++v) {
            Json const& vcpu{items_of(domain, "vcpus").items[v]};
            std::string const of_vcpu{fmt::format("{}.vcpus[{}]", place, v)};
            erase(of_vcpu, {"hard_affinity", "soft_affinity"});
            set(of_vcpu + ".initial_cpu", 0, number_of(vcpu, "initial_cpu") > 0);
            add_workload_simplifications(list_, scenario_, d, v);
        }
    }

    void round(std::string const& place, std::uint64_t number)
    {
        for (int const digits : {1, 2})
            set(place, rounded_down(number, digits), rounded_down(number, digits) != number);
    }

    void round_step(std::string const& place, std::string const& step)
    {
        std::uint64_t number{0};
        auto const read = std::from_chars(step.data() + 1, step.data() + step.size(), number);
        if ((step[0] != 'r' && step[0] != 's') || read.ec != std::errc{})
            return;
        std::string const rest{read.ptr, step.data() + step.size()};
        for (int const digits : {1, 2})
            if (std::uint64_t const rounder{rounded_down(number, digits)}; rounder != number)
                add(fmt::format("{} is rounder", place),
                    [place, text = fmt::format("{}{}{}", step[0], rounder, rest)](Json& scenario) {
                        if (Json* const there{at_path(scenario, place)})
                            there->text = text;
                    });
    }

    void numbers()
    {
        for (std::size_t i = 0; i < change_count(scenario_); ++i)
            round(fmt::format("$.changes[{}].at_ns", i), number_of(items_of(scenario_, "changes").items[i], "at_ns"));
        for (std::size_t d = 0; d < domain_count(scenario_); ++d)
            if (std::uint64_t const start{number_of(items_of(scenario_, "domains").items[d], "start_ns")})
                round(fmt::format("$.domains[{}].start_ns", d), start);
        each_vcpu_of(scenario_, [&](Json const& vcpu, std::size_t d, std::size_t v) {
            std::string const place{fmt::format("$.domains[{}].vcpus[{}].workload", d, v)};
            Json const* const workload{vcpu.find("workload")};
            if (workload == nullptr)
                return;
            for (auto const& [key, value] : workload->members)
                if (value.kind == Json::Kind::integer && key.ends_with("_ns"))
                    round(fmt::format("{}.{}", place, key), value.magnitude);
            for (std::size_t i = 0; i < steps_of(vcpu).items.size(); ++i)
                round_step(fmt::format("{}.steps[{}]", place, i), steps_of(vcpu).items[i].text);
        });
        round("$.duration_ns", number_of(scenario_, "duration_ns"));
    }

    Json const& scenario_;
    std::vector<Simplification> list_;
};

} // namespace

std::span<ShrinkParts const> shrink_parts() { return all_parts; }

std::vector<Simplification> simplifications(Json const& scenario) { return Simplifier{scenario}.run(); }

} // namespace hv::nv
