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
    return facts.node_of.empty() ? 0 : *std::max_element(facts.node_of.begin(), facts.node_of.end()) + std::size_t{1};
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

void read_domain(Reader const& reader, TraceFacts& facts)
{
    ObjectReader object{reader};
    Reader const id = object["id"];
    auto const domain = static_cast<std::uint16_t>(id.number(0, 32766));
    if (facts.domains.contains(domain))
        id.refuse(fmt::format("domain {} is in the list twice", domain));
    if (std::optional<Reader> const name = object.maybe("name"))
        facts.names[domain] = name->text(64);
    facts.domains[domain] = read_place(object, facts);
    if (std::optional<Reader> const vcpus = object.maybe("vcpus"))
        for (Reader const& item : vcpus->list()) {
            ObjectReader vcpu{item};
            Reader const index = vcpu["index"];
            std::pair const key{domain, static_cast<std::uint16_t>(index.number(0, 65535))};
            if (facts.vcpus.contains(key))
                index.refuse(fmt::format("vCPU {} is in the list twice", key.second));
            facts.vcpus[key] = read_place(vcpu, facts);
            vcpu.finish();
        }
    object.finish();
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

TraceFacts load_trace_facts(std::filesystem::path const& file)
{
    std::string const name{file.string()};
    Json const tree{parse_json(read_text(file), name)};
    ObjectReader object{Reader{tree, name, "$"}};
    TraceFacts facts;
    if (std::optional<Reader> const clock = object.maybe("clock_hz"))
        facts.clock_hz = clock->number(least_hertz, most_hertz);
    if (std::optional<Reader> const nodes = object.maybe("pcpu_nodes")) {
        for (Reader const& node : nodes->list())
            facts.node_of.push_back(static_cast<std::uint16_t>(node.number(0, most_nodes - 1)));
        if (facts.node_of.empty() || facts.node_of.size() > TraceStream::most_pcpus)
            nodes->refuse(fmt::format("{} pCPUs, allowed is 1 to {}", facts.node_of.size(), TraceStream::most_pcpus));
    }
    if (std::optional<Reader> const domains = object.maybe("domains"))
        for (Reader const& domain : domains->list())
            read_domain(domain, facts);
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
