#include "tools/nv/scenario_edit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

namespace hv::nv {

namespace {

constexpr std::array<std::string_view, 2> pcpu_lists{"hard_affinity", "soft_affinity"};
constexpr std::array<std::string_view, 2> node_lists{"node_affinity", "preferred_nodes"};

// Calls `what` with each item of a list that is one.
template <typename What>
void each_of(Json& object, std::string_view key, What const& what)
{
    if (Json* const list{list_of(object, key)})
        for (Json& item : list->items)
            what(item);
}

// `gone` leaves, those above move down.
void renumber(Json& number, std::size_t gone)
{
    if (number.kind == Json::Kind::integer && !number.negative && number.magnitude > gone)
        --number.magnitude;
}

void drop_from_list(Json& object, std::string_view key, std::size_t gone)
{
    Json* const list{list_of(object, key)};
    if (list == nullptr)
        return;
    std::erase_if(list->items, [&](Json const& item) { return item.magnitude == gone; });
    for (Json& item : list->items)
        renumber(item, gone);
    if (list->items.empty())
        erase_member(object, key);
}

// What a step "nDOMAIN.VCPU" notifies.
struct Target {
    std::uint64_t domain, vcpu;
};

std::optional<Target> target_of(Json const& step)
{
    std::string_view const text{step.text};
    std::size_t const dot{text.find('.')};
    if (!text.starts_with('n') || dot == std::string_view::npos)
        return std::nullopt;
    Target target{};
    std::from_chars(text.data() + 1, text.data() + dot, target.domain);
    std::from_chars(text.data() + dot + 1, text.data() + text.size(), target.vcpu);
    return target;
}

template <typename What>
void each_vcpu(Json& scenario, What const& what)
{
    each_of(scenario, "domains", [&](Json& domain) { each_of(domain, "vcpus", what); });
}

template <typename IsGone>
void drop_steps(Json& scenario, IsGone const& is_gone)
{
    each_vcpu(scenario, [&](Json& vcpu) {
        if (Json* const steps{list_of(vcpu.member("workload"), "steps")})
            std::erase_if(steps->items, [&](Json const& step) {
                std::optional<Target> const target{target_of(step)};
                return target && is_gone(*target);
            });
    });
}

void drop_changes(Json& scenario, std::string_view subject, std::uint64_t number)
{
    Json* const changes{list_of(scenario, "changes")};
    if (changes == nullptr)
        return;
    std::erase_if(changes->items, [&](Json const& change) {
        Json const* const found{change.find(subject)};
        return found != nullptr && found->magnitude == number;
    });
    if (changes->items.empty())
        erase_member(scenario, "changes");
}

void remove_one_vcpu(Json& scenario, Json& domain, std::size_t gone)
{
    Json& vcpus{*list_of(domain, "vcpus")};
    vcpus.items.erase(vcpus.items.begin() + static_cast<std::ptrdiff_t>(gone));
    for (Json& vcpu : vcpus.items)
        if (Json & workload{vcpu.member("workload")}; workload.find("partner") != nullptr)
            renumber(workload.member("partner"), gone);
    std::uint64_t const id{number_of(domain, "id")};
    drop_steps(scenario, [&](Target const& target) { return target.domain == id && target.vcpu == gone; });
    each_vcpu(scenario, [&](Json& vcpu) {
        each_of(vcpu.member("workload"), "steps", [&](Json& step) {
            std::optional<Target> const target{target_of(step)};
            if (target && target->domain == id && target->vcpu > gone)
                step.text = fmt::format("n{}.{}", id, target->vcpu - 1);
        });
    });
}

// Numbers from 0 without gaps, in the order of what they were.
void close_gaps(Json& cpus, std::string_view key)
{
    std::map<std::uint64_t, std::uint64_t> numbers;
    for (Json const& cpu : cpus.items)
        numbers[number_of(cpu, key)] = 0;
    std::uint64_t next{0};
    for (auto& [old_number, number] : numbers)
        number = next++;
    for (Json& cpu : cpus.items)
        cpu.member(key) = Json::integer(static_cast<std::int64_t>(numbers[number_of(cpu, key)]));
}

void copy_vm(Json& domains, std::size_t row)
{
    std::uint64_t id{0};
    for (Json const& domain : domains.items)
        id = std::max(id, number_of(domain, "id"));
    Json copy{domains.items[row]};
    copy.member("id") = Json::integer(static_cast<std::int64_t>(id + 1));
    erase_member(copy, "name");
    domains.items.push_back(std::move(copy));
}

} // namespace

void erase_member(Json& object, std::string_view key)
{
    std::erase_if(object.members, [&](auto const& member) { return member.first == key; });
}

Json* list_of(Json& object, std::string_view key)
{
    if (object.kind != Json::Kind::object || object.find(key) == nullptr)
        return nullptr;
    Json& member{object.member(key)};
    return member.kind == Json::Kind::list ? &member : nullptr;
}

std::uint64_t number_of(Json const& object, std::string_view key)
{
    Json const* const member{object.find(key)};
    return member == nullptr ? 0 : member->magnitude;
}

Json* at_path(Json& scenario, std::string_view path)
{
    if (!path.starts_with('$') || path.size() < 2)
        return nullptr;
    Json* at{&scenario};
    for (path.remove_prefix(1); !path.empty();) {
        std::size_t const end{std::min(path.find_first_of(".[", 1), path.size())};
        std::string_view const step{path.substr(1, end - 1)};
        if (path[0] == '.') {
            if (at->kind != Json::Kind::object || step.empty() || (end != path.size() && at->find(step) == nullptr))
                return nullptr;
            at = &at->member(step);
        } else {
            std::size_t index{0};
            auto const read = std::from_chars(step.data(), step.data() + step.size(), index);
            if (read.ec != std::errc{} || step.substr(static_cast<std::size_t>(read.ptr - step.data())) != "]" ||
                index >= at->items.size())
                return nullptr;
            at = &at->items[index];
        }
        path.remove_prefix(end);
    }
    return at;
}

bool is_guest(Json const& domain)
{
    Json const* const group{domain.find("group")};
    return group == nullptr || group->text != "dom0";
}

void drop_domain(Json& scenario, std::size_t row)
{
    Json* const domains{list_of(scenario, "domains")};
    if (domains == nullptr || row >= domains->items.size())
        return;
    std::uint64_t const id{number_of(domains->items[row], "id")};
    domains->items.erase(domains->items.begin() + static_cast<std::ptrdiff_t>(row));
    drop_changes(scenario, "domain", id);
    drop_steps(scenario, [&](Target const& target) { return target.domain == id; });
}

void drop_vcpu(Json& scenario, std::size_t row, std::size_t vcpu)
{
    Json* const domains{list_of(scenario, "domains")};
    if (domains == nullptr || row >= domains->items.size())
        return;
    Json& domain{domains->items[row]};
    Json* const vcpus{list_of(domain, "vcpus")};
    if (vcpus == nullptr || vcpu >= vcpus->items.size())
        return;
    Json const* const partner{vcpus->items[vcpu].member("workload").find("partner")};
    std::size_t const other{partner == nullptr ? vcpu : partner->magnitude};
    std::size_t const later{std::max(vcpu, other)}, sooner{std::min(vcpu, other)};
    if (later < vcpus->items.size())
        remove_one_vcpu(scenario, domain, later);
    if (sooner != later)
        remove_one_vcpu(scenario, domain, sooner);
    std::uint64_t const most{100 * vcpus->items.size()};
    if (number_of(domain, "cap") > most)
        domain.member("cap") = Json::integer(static_cast<std::int64_t>(most));
    if (vcpus->items.empty())
        drop_domain(scenario, row);
}

void drop_pcpu(Json& scenario, std::size_t cpu)
{
    Json* const cpus{list_of(scenario.member("machine"), "cpus")};
    if (cpus == nullptr || cpu >= cpus->items.size())
        return;
    std::uint64_t const node{number_of(cpus->items[cpu], "node")};
    cpus->items.erase(cpus->items.begin() + static_cast<std::ptrdiff_t>(cpu));
    std::uint64_t instead{0}, number{0};
    for (std::size_t i = cpus->items.size(); i-- > 0;)
        instead = number_of(cpus->items[i], "node") == node ? i : instead;
    for (Json& left : cpus->items)
        left.member("cpu") = Json::integer(static_cast<std::int64_t>(number++));
    close_gaps(*cpus, "socket");
    close_gaps(*cpus, "core");
    auto const leave = [&](Json& who) {
        for (std::string_view const list : pcpu_lists)
            drop_from_list(who, list, cpu);
    };
    each_of(scenario, "domains", leave);
    each_vcpu(scenario, [&](Json& vcpu) {
        leave(vcpu);
        Json& first{vcpu.member("initial_cpu")};
        if (first.magnitude == cpu)
            first.magnitude = instead;
        else
            renumber(first, cpu);
    });
    drop_changes(scenario, "cpu", cpu);
    each_of(scenario, "changes", [&](Json& change) {
        if (change.find("cpu") != nullptr)
            renumber(change.member("cpu"), cpu);
    });
}

void drop_node(Json& scenario, std::size_t node)
{
    Json& machine{scenario.member("machine")};
    Json* const cpus{list_of(machine, "cpus")};
    if (cpus == nullptr)
        return;
    for (std::size_t cpu = cpus->items.size(); cpu-- > 0;)
        if (number_of(cpus->items[cpu], "node") == node)
            drop_pcpu(scenario, cpu);
    for (Json& cpu : cpus->items)
        if (cpu.find("node") != nullptr)
            renumber(cpu.member("node"), node);
    auto const drop_item = [&](Json* list) {
        if (list != nullptr && node < list->items.size())
            list->items.erase(list->items.begin() + static_cast<std::ptrdiff_t>(node));
    };
    drop_item(list_of(machine, "nodes"));
    drop_item(list_of(machine, "distances"));
    each_of(machine, "distances", [&](Json& row) { drop_item(&row); });
    each_of(scenario, "domains", [&](Json& domain) {
        for (std::string_view const list : node_lists)
            drop_from_list(domain, list, node);
        if (domain.find("memory") == nullptr)
            return;
        Json& memory{domain.member("memory")};
        drop_from_list(memory, "nodes", node);
        if (memory.find("nodes") == nullptr)
            erase_member(memory, "policy");
    });
}

void set_vms(Json& scenario, std::size_t count)
{
    Json* const domains{list_of(scenario, "domains")};
    if (domains == nullptr)
        return;
    std::vector<std::size_t> guests;
    for (std::size_t row = 0; row < domains->items.size(); ++row)
        if (is_guest(domains->items[row]))
            guests.push_back(row);
    for (std::size_t i = guests.size(); i-- > count;)
        drop_domain(scenario, guests[i]);
    for (std::size_t i = guests.size(); i < count && !guests.empty(); ++i)
        copy_vm(*domains, guests[i % guests.size()]);
}

void set_pcpus(Json& scenario, std::size_t count)
{
    Json* const cpus{list_of(scenario.member("machine"), "cpus")};
    while (cpus != nullptr && cpus->items.size() > std::max<std::size_t>(count, 1)) {
        std::map<std::uint64_t, std::size_t> on_node;
        std::size_t last{0}, most{0};
        for (Json const& cpu : cpus->items)
            most = std::max(most, ++on_node[number_of(cpu, "node")]);
        for (std::size_t i = 0; i < cpus->items.size(); ++i)
            last = on_node[number_of(cpus->items[i], "node")] == most ? i : last;
        drop_pcpu(scenario, last);
    }
}

} // namespace hv::nv
