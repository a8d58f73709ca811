#include "tools/nv/scenario.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/scenario_parts.hpp"

#include <array>
#include <charconv>

namespace hv::nv {

namespace {

using namespace hv::scenario;

// What --set reaches by path; any other key is a parameter of the policy.
constexpr std::array<std::string_view, 20> settable{"warmup_ns",
                                                    "duration_ns",
                                                    "sched.tslice_ms",
                                                    "sched.ratelimit_us",
                                                    "machine.cpu_bringup_stagger_ns",
                                                    "machine.ipi_ns",
                                                    "machine.ctxsw_ns",
                                                    "machine.timer_late_ns",
                                                    "machine.wake_ns",
                                                    "machine.by_turns",
                                                    "machine.turn_ns",
                                                    "trace.ring_kib",
                                                    "trace.mask",
                                                    "placement",
                                                    "placement_smt",
                                                    "placement_strict",
                                                    "memory_model.remote_permille",
                                                    "memory_model.node_mbps",
                                                    "memory_model.link_mbps",
                                                    "memory_model.queueing_permille"};

bool is_word(std::string_view text, std::string_view also)
{
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.find(c) != also.npos;
    });
}

std::int64_t setting_value(std::string_view setting, std::string_view text)
{
    if (text == "true" || text == "false")
        return text == "true" ? 1 : 0;
    bool const hex = text.starts_with("0x");
    std::string_view const digits = hex ? text.substr(2) : text;
    std::int64_t value{0};
    auto const result = std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
    if (digits.empty() || result.ec != std::errc{} || result.ptr != digits.data() + digits.size())
        refuse(fmt::format("--set {}: \"{}\" is not an integer, true or false", setting, text));
    return value;
}

void apply_setting(Json& root, std::string_view setting)
{
    std::size_t const equals = setting.find('=');
    if (equals == std::string_view::npos || equals == 0)
        refuse(fmt::format("--set {}: give KEY=VALUE", setting));
    std::string_view const key = setting.substr(0, equals);
    bool const is_text = key == "placement" || key == "placement_smt";
    Json const value = is_text ? Json::from_text(setting.substr(equals + 1))
                               : Json::integer(setting_value(setting, setting.substr(equals + 1)));
    std::size_t const dot = key.find('.');
    bool const known = std::ranges::find(settable, key) != settable.end();
    if (!known && dot != std::string_view::npos)
        refuse(fmt::format("--set {}: unknown setting, allowed are {} and parameters of the policy", setting,
                           fmt::join(settable, ", ")));
    Json* parent = &root;
    if (!known || dot != std::string_view::npos)
        parent = &root.member(known ? key.substr(0, dot) : "policy_params");
    // A model that is given by its name alone.
    if (parent->kind == Json::Kind::text && key.starts_with("memory_model.")) {
        Json model{.kind = Json::Kind::object};
        model.member("set") = *parent;
        *parent = std::move(model);
    }
    if (parent->kind == Json::Kind::null)
        parent->kind = Json::Kind::object;
    if (parent->kind == Json::Kind::object) // Otherwise the parser will refuse it, with its place.
        parent->member(known && dot != std::string_view::npos ? key.substr(dot + 1) : key) = value;
}

unsigned parse_schema(Reader const& reader)
{
    std::string const schema = reader.text(64, true);
    if (schema != "credit-scenario/1" && schema != "credit-scenario/2")
        reader.refuse(
            fmt::format("{} is not a schema known here, allowed are \"credit-scenario/1\" and \"credit-scenario/2\"",
                        json_string(schema)));
    return schema.back() == '1' ? 1 : 2;
}

std::string parse_name(Reader const& reader, std::size_t most)
{
    std::string name = reader.text(most);
    if (!is_word(name, "._-") || name.front() == '.' || name.front() == '-')
        reader.refuse(
            fmt::format("{} is not a name, allowed are letters, digits, '.', '_' and '-'", json_string(name)));
    return name;
}

void parse_sched(ObjectReader& top, unsigned schema, Scenario& scenario)
{
    std::optional<Reader> const reader = schema < 2 ? std::optional{top["sched"]} : top.maybe("sched");
    if (!reader)
        return;
    ObjectReader sched{*reader};
    scenario.tslice_ms = static_cast<std::uint32_t>(number_or(sched, "tslice_ms", schema, 1, max_tslice_ms, 30));
    scenario.ratelimit_us =
        static_cast<std::uint32_t>(number_or(sched, "ratelimit_us", schema, 0, max_ratelimit_us, 1000));
    sched.finish();
}

std::uint32_t parse_mask(Reader const& reader)
{
    if (reader.value().kind != Json::Kind::text)
        return static_cast<std::uint32_t>(reader.number(0, 0xffff'ffff));
    std::string const text = reader.text(16);
    std::uint32_t mask{0};
    auto const result =
        std::from_chars(text.data() + std::min<std::size_t>(2, text.size()), text.data() + text.size(), mask, 16);
    if (!text.starts_with("0x") || result.ec != std::errc{} || result.ptr != text.data() + text.size())
        reader.refuse(fmt::format("{} is not an event mask, give one like \"0x0002f000\"", json_string(text)));
    return mask;
}

void parse_trace(Reader const& reader, Scenario& scenario)
{
    ObjectReader trace{reader};
    if (std::optional<Reader> const mask = trace.maybe("mask"))
        scenario.trace_mask = parse_mask(*mask);
    if (std::optional<Reader> const ring = trace.maybe("ring_kib")) {
        scenario.trace_ring_kib = static_cast<std::uint32_t>(ring->number(0, max_ring_kib));
        if (scenario.trace_ring_kib != 0 && !std::has_single_bit(scenario.trace_ring_kib))
            ring->refuse(fmt::format("{} is not a power of two", scenario.trace_ring_kib));
    }
    trace.finish();
}

void parse_params(Reader const& reader, Scenario& scenario)
{
    ObjectReader object{reader};
    auto const& members = reader.value().members;
    if (members.size() > max_params)
        reader.refuse(fmt::format("{} parameters, at most {} are allowed", members.size(), max_params));
    for (auto const& member : members) {
        Reader const value = object[member.first];
        if (member.first.size() >= sizeof(ShortText) || !is_word(member.first, "_-"))
            value.refuse("not a parameter name, allowed are up to 31 letters, digits, '_' and '-'");
        bool const boolean = value.value().kind == Json::Kind::boolean;
        scenario.policy_params.emplace_back(member.first, boolean ? (value.boolean() ? 1 : 0) : value.signed_number());
    }
}

} // namespace

std::string Scenario::run_name() const { return fmt::format("{}-{}-{}", name, policy, seed); }

// Changes of the command line may need keys of schema 2, of which every schema 1 file is a part.
void apply_overrides(Json& root, Overrides const& overrides)
{
    if (root.kind != Json::Kind::object)
        return;
    if (overrides.seed)
        root.member("seed") = {.kind = Json::Kind::integer, .magnitude = *overrides.seed};
    if (!overrides.policy.empty())
        root.member("policy") = Json::from_text(overrides.policy);
    for (std::string const& setting : overrides.settings)
        apply_setting(root, setting);
    Json const* const schema = root.find("schema");
    if (schema != nullptr && schema->text == "credit-scenario/1" &&
        (!overrides.policy.empty() || !overrides.settings.empty()))
        root.member("schema") = Json::from_text("credit-scenario/2");
}

Scenario parse_scenario(std::string_view text, std::string_view file, Overrides const& overrides)
{
    Json root = parse_json(text, file);
    apply_overrides(root, overrides);
    ObjectReader top{Reader{root, file, "$"}};
    unsigned const schema = parse_schema(top["schema"]);
    Scenario scenario;
    scenario.name = parse_name(top["name"], sizeof(NameText) - 1);
    if (std::optional<Reader> const description = top.maybe("description"))
        scenario.description = description->text(sizeof(LongText) - 1, true);
    scenario.seed = top["seed"].number(0, UINT64_MAX);
    scenario.warmup_ns = number_or(top, "warmup_ns", schema, 0, max_time_ns, 0);
    scenario.duration_ns = top["duration_ns"].number(1, max_time_ns);
    parse_sched(top, schema, scenario);
    scenario.machine = parse_machine(top["machine"], schema);
    if (std::optional<Reader> const model = of_schema_2(top, "memory_model", schema))
        scenario.memory_model = parse_memory_model(*model);
    if (scenario.machine.by_turns && scenario.memory_model)
        top["machine"].refuse("by_turns and a memory_model do not go together, leave one of them out");
    scenario.domains = parse_domains(top["domains"], schema, scenario.machine, scenario.memory_model.has_value());
    if (std::optional<Reader> const label = of_schema_2(top, "label", schema))
        scenario.label = label->text(sizeof(ShortText) - 1);
    if (std::optional<Reader> const policy = of_schema_2(top, "policy", schema))
        scenario.policy = parse_name(*policy, sizeof(ShortText) - 1);
    if (std::optional<Reader> const params = of_schema_2(top, "policy_params", schema))
        parse_params(*params, scenario);
    if (std::optional<Reader> const trace = of_schema_2(top, "trace", schema))
        parse_trace(*trace, scenario);
    if (std::optional<Reader> const changes = of_schema_2(top, "changes", schema))
        parse_changes(*changes, scenario);
    parse_placement(top, schema, scenario.placement);
    top.finish();
    place_domains(scenario, file);
    return scenario;
}

Scenario load_scenario(std::filesystem::path const& file, Overrides const& overrides)
{
    return parse_scenario(read_text(file), file.string(), overrides);
}

} // namespace hv::nv
