#include "tools/nv/trace_facts.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/json_reader.hpp"
#include "tools/nv/scenario_parts.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hv::nv {

namespace {

using Ids = std::vector<std::uint16_t>;

constexpr std::uint64_t most_nodes = 64;
constexpr std::uint64_t most_vcpus = 65536;                 // of all domains
constexpr std::uint64_t most_time = std::uint64_t{1} << 61; // ns; sums of two are far from an overflow
constexpr std::size_t most_text = 64;
constexpr std::uint64_t least_hertz = 1'000;
constexpr std::uint64_t most_hertz = 100'000'000'000;

std::optional<std::uint64_t> whole_number(std::string_view text)
{
    std::uint64_t value{0};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::vector<std::string_view> split(std::string_view text, char separator)
{
    std::vector<std::string_view> parts;
    for (;;) {
        std::size_t const end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos)
            return parts;
        text.remove_prefix(end + 1);
    }
}

std::size_t nodes_in(TraceFacts const& facts)
{
    std::size_t const seen =
        facts.node_of.empty() ? 0 : *std::max_element(facts.node_of.begin(), facts.node_of.end()) + std::size_t{1};
    return std::max(seen, facts.node_count);
}

TraceFacts::Place read_place(ObjectReader& object, TraceFacts const& facts)
{
    TraceFacts::Place place;
    if (std::optional<Reader> const home = object.maybe("home_nodes")) {
        if (facts.node_of.empty())
            home->refuse("needs $.pcpu_nodes");
        place.home = id_list<std::uint16_t>(*home, nodes_in(facts), "nodes");
    }
    if (std::optional<Reader> const hard = object.maybe("hard_affinity"))
        place.hard = id_list<std::uint16_t>(
            *hard, facts.node_of.empty() ? TraceStream::most_pcpus : facts.node_of.size(), "pCPUs");
    return place;
}

std::uint64_t number_or(ObjectReader& object, std::string_view key, std::uint64_t most, std::uint64_t standard)
{
    std::optional<Reader> const member = object.maybe(key);
    return member ? member->number(0, most) : standard;
}

std::string text_or(ObjectReader& object, std::string_view key, std::string standard)
{
    std::optional<Reader> const member = object.maybe(key);
    return member ? member->text(most_text, true) : standard;
}

// What only the figures of a run need of a domain; its vCPUs' affinities follow.
Domain read_run_domain(ObjectReader& object, std::uint16_t id, TraceFacts const& facts)
{
    Domain domain;
    domain.id = id;
    auto const name = facts.names.find(id);
    domain.name = name == facts.names.end() ? fmt::format("d{}", id) : name->second;
    domain.group = text_or(object, "group", "guest");
    domain.weight = static_cast<std::uint16_t>(number_or(object, "weight", 65535, 256));
    domain.cap = static_cast<std::uint32_t>(number_or(object, "cap", 1'000'000, 0));
    domain.vcpus.resize(number_or(object, "vcpu_count", most_vcpus, 0));
    TraceFacts::Place const& place = facts.domains.at(id);
    domain.hard_affinity = place.hard;
    if (place.home)
        domain.preferred_nodes.emplace(place.home->begin(), place.home->end());
    return domain;
}

void read_vcpu(Reader const& reader, TraceFacts& facts, Domain& domain)
{
    ObjectReader object{reader};
    Reader const index = object["index"];
    std::pair const key{domain.id, static_cast<std::uint16_t>(index.number(0, 65535))};
    if (facts.vcpus.contains(key))
        index.refuse(fmt::format("vCPU {} is in the list twice", key.second));
    facts.vcpus[key] = read_place(object, facts);
    object.finish();
    if (key.second < domain.vcpus.size())
        domain.vcpus[key.second].hard_affinity = facts.vcpus[key].hard;
}

Domain read_domain(Reader const& reader, TraceFacts& facts)
{
    ObjectReader object{reader};
    Reader const id = object["id"];
    auto const number = static_cast<std::uint16_t>(id.number(0, 32766));
    if (facts.domains.contains(number))
        id.refuse(fmt::format("domain {} is in the list twice", number));
    if (std::optional<Reader> const name = object.maybe("name"))
        facts.names[number] = name->text(most_text);
    facts.domains[number] = read_place(object, facts);
    Domain domain{read_run_domain(object, number, facts)};
    if (std::optional<Reader> const vcpus = object.maybe("vcpus"))
        for (Reader const& item : vcpus->list())
            read_vcpu(item, facts, domain);
    object.finish();
    return domain;
}

// Names, times and counts; the scenario's machine and domains come from the rest of the file.
RecordedRun read_run(Reader const& reader, TraceFacts const& facts)
{
    if (facts.node_of.empty())
        reader.refuse("needs $.pcpu_nodes");
    ObjectReader object{reader};
    RecordedRun run;
    run.scenario.name = object["scenario"].text(most_text);
    run.scenario.policy = object["policy"].text(most_text);
    run.scenario.seed = object["seed"].number(0, ~0ull);
    Reader const source = object["source"];
    std::string const name = source.text(most_text);
    if (name != "kernel" && name != "simulator")
        source.refuse("is neither \"kernel\" nor \"simulator\"");
    run.source = name == "kernel" ? RecordedRun::Source::kernel : RecordedRun::Source::simulator;
    run.start = object["start"].number(0, most_time);
    run.scenario.warmup_ns = object["warmup_ns"].number(0, most_time);
    run.scenario.duration_ns = object["duration_ns"].number(1, most_time);
    run.last = number_or(object, "last", ~0ull, ~0ull);
    run.lost_records = number_or(object, "lost_records", ~0ull, 0);
    run.events = number_or(object, "events", ~0ull, 0);
    object.finish();
    for (std::uint16_t const node : facts.node_of)
        run.scenario.machine.pcpus.push_back({.node = node, .socket = 0, .core = 0});
    run.scenario.machine.node_memory_mib.resize(nodes_in(facts));
    return run;
}

} // namespace

std::optional<Ids> TraceFacts::home_of(std::uint16_t domain, std::uint16_t vcpu) const
{
    auto const own = vcpus.find({domain, vcpu});
    if (own != vcpus.end() && own->second.home)
        return own->second.home;
    auto const whole = domains.find(domain);
    return whole == domains.end() ? std::nullopt : whole->second.home;
}

std::optional<Ids> TraceFacts::hard_of(std::uint16_t domain, std::uint16_t vcpu) const
{
    auto const own = vcpus.find({domain, vcpu});
    if (own != vcpus.end() && own->second.hard)
        return own->second.hard;
    auto const whole = domains.find(domain);
    return whole == domains.end() ? std::nullopt : whole->second.hard;
}

std::filesystem::path facts_file_of(std::filesystem::path const& trace)
{
    return std::filesystem::path{trace}.replace_extension(".facts.json");
}

TraceFacts load_trace_facts(std::filesystem::path const& file)
{
    return parse_trace_facts(read_text(file), file.string());
}

TraceFacts parse_trace_facts(std::string_view text, std::string_view file)
{
    Json const tree{parse_json(text, file)};
    ObjectReader object{Reader{tree, file, "$"}};
    TraceFacts facts;
    if (std::optional<Reader> const clock = object.maybe("clock_hz"))
        facts.clock_hz = clock->number(least_hertz, most_hertz);
    if (std::optional<Reader> const nodes = object.maybe("pcpu_nodes")) {
        for (Reader const& node : nodes->list())
            facts.node_of.push_back(static_cast<std::uint16_t>(node.number(0, most_nodes - 1)));
        if (facts.node_of.empty() || facts.node_of.size() > TraceStream::most_pcpus)
            nodes->refuse(fmt::format("{} pCPUs, allowed is 1 to {}", facts.node_of.size(), TraceStream::most_pcpus));
    }
    facts.node_count = number_or(object, "node_count", most_nodes, 0);
    if (std::optional<Reader> const run = object.maybe("run"))
        facts.run = read_run(*run, facts);
    std::size_t vcpus{0};
    if (std::optional<Reader> const domains = object.maybe("domains"))
        for (Reader const& domain : domains->list()) {
            Domain const found{read_domain(domain, facts)};
            vcpus += found.vcpus.size();
            if (vcpus > most_vcpus)
                domain.refuse(fmt::format("more than {} vCPUs up to here", most_vcpus));
            if (facts.run)
                facts.run->scenario.domains.push_back(found);
        }
    object.finish();
    return facts;
}

void apply_nodes(TraceFacts& facts, std::string_view text)
{
    facts.node_of.clear();
    std::uint16_t node{0};
    for (std::string_view const part : split(text, ',')) {
        std::optional<std::uint64_t> const count = whole_number(part);
        if (!count || *count == 0 || *count > TraceStream::most_pcpus - facts.node_of.size() || node >= most_nodes)
            refuse(fmt::format("--nodes {}: \"{}\" is not a number of pCPUs; give one for each node (at most {}), in "
                               "all at most {}, like 4,4",
                               text, part, most_nodes, TraceStream::most_pcpus));
        facts.node_of.insert(facts.node_of.end(), *count, node);
        ++node;
    }
}

void require_nodes(TraceFacts const& facts, std::span<std::uint32_t const> pcpus)
{
    for (std::uint32_t const pcpu : pcpus)
        if (!facts.node_of.empty() && pcpu >= facts.node_of.size())
            refuse(fmt::format("the trace has pCPU {}, but the nodes of only {} pCPUs are given; correct --nodes or "
                               "pcpu_nodes of --facts",
                               pcpu, facts.node_of.size()));
}

void apply_homes(TraceFacts& facts, std::string_view text)
{
    if (facts.node_of.empty())
        refuse(fmt::format("--home {}: needs to know which pCPUs are on a node; give --nodes or --facts too", text));
    for (std::string_view const part : split(text, ',')) {
        std::size_t const sign = part.find('=');
        std::optional<VcpuName> const who = parse_vcpu_name(part.substr(0, sign));
        Ids nodes;
        if (who && sign != std::string_view::npos)
            for (std::string_view const item : split(part.substr(sign + 1), '+')) {
                std::optional<std::uint64_t> const node = whole_number(item);
                if (!node || *node >= nodes_in(facts))
                    refuse(fmt::format("--home {}: \"{}\" is not a node; there are {}, counted from 0", text, item,
                                       nodes_in(facts)));
                nodes.push_back(static_cast<std::uint16_t>(*node));
            }
        if (nodes.empty())
            refuse(fmt::format("--home {}: \"{}\" is not dN=NODE or dNvM=NODE (several nodes: 0+1)", text, part));
        std::sort(nodes.begin(), nodes.end());
        if (who->vcpu)
            facts.vcpus[{who->domain, *who->vcpu}].home = nodes;
        else
            facts.domains[who->domain].home = nodes;
    }
}

std::uint64_t parse_hertz(std::string_view text)
{
    std::string_view digits{text};
    double unit{1};
    constexpr std::string_view suffixes{"KMG"};
    if (std::size_t const at = text.empty() ? text.npos : suffixes.find(text.back()); at != text.npos) {
        unit = std::pow(1000.0, static_cast<double>(at + 1));
        digits.remove_suffix(1);
    }
    double value{0};
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    double const hertz = value * unit;
    if (error != std::errc{} || end != digits.data() + digits.size() ||
        !(hertz >= static_cast<double>(least_hertz) && hertz <= static_cast<double>(most_hertz)))
        refuse(fmt::format("--cpu-hz {}: is not a rate from 1K to 100G, like 2.4G or 1000000000", text));
    return static_cast<std::uint64_t>(std::llround(hertz));
}

std::optional<VcpuName> parse_vcpu_name(std::string_view text)
{
    if (!text.starts_with('d'))
        return std::nullopt;
    std::size_t const at = text.find('v');
    std::optional<std::uint64_t> const domain = whole_number(text.substr(1, at == text.npos ? at : at - 1));
    if (!domain || *domain > 0xffff)
        return std::nullopt;
    if (at == text.npos)
        return VcpuName{static_cast<std::uint16_t>(*domain), std::nullopt};
    std::optional<std::uint64_t> const vcpu = whole_number(text.substr(at + 1));
    if (!vcpu || *vcpu > 0xffff)
        return std::nullopt;
    return VcpuName{static_cast<std::uint16_t>(*domain), static_cast<std::uint16_t>(*vcpu)};
}

} // namespace hv::nv
