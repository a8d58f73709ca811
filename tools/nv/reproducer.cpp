#include "tools/nv/reproducer.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/json_reader.hpp"
#include "tools/nv/metrics_json.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/shrink_fault.hpp"
#include "tools/nv/sim.hpp"

#include <fmt/format.h>

namespace hv::nv {

namespace {

constexpr std::string_view reproducer_schema{"numavisor-reproducer/1"};
constexpr std::size_t line_length{110};

void append_text(std::string& to, Json const& value, std::size_t depth)
{
    std::string const line{json_line(value)};
    bool const is_list{value.kind == Json::Kind::list};
    if (depth > 0 && (line.size() + depth <= line_length || (!is_list && value.kind != Json::Kind::object))) {
        to += line;
        return;
    }
    std::string const margin(depth + 1, ' ');
    to += is_list ? "[" : "{";
    bool first{true};
    auto const begin = [&] {
        to += (first ? "\n" : ",\n") + margin;
        first = false;
    };
    for (Json const& item : value.items) {
        begin();
        append_text(to, item, depth + 1);
    }
    for (auto const& [key, member] : value.members) {
        begin();
        to += json_string(key) + ": ";
        append_text(to, member, depth + 1);
    }
    to += is_list ? "]" : "}";
}

Json text_items(std::vector<std::string> const& texts)
{
    Json list{.kind = Json::Kind::list};
    for (std::string const& text : texts)
        list.items.push_back(Json::from_text(text));
    return list;
}

std::string first_difference(std::vector<std::string> const& wanted, std::string_view said)
{
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        std::string_view const line{said.substr(0, said.find('\n'))};
        if (line != wanted[i])
            return fmt::format("decision {} is \"{}\", not \"{}\"", i + 1, line, wanted[i]);
        said.remove_prefix(std::min(said.size(), line.size() + 1));
    }
    return said.empty()
               ? ""
               : fmt::format("decision {} is \"{}\", not the end", wanted.size() + 1, said.substr(0, said.find('\n')));
}

} // namespace

std::string json_text(Json const& value)
{
    std::string text;
    append_text(text, value, 0);
    return text + "\n";
}

std::string Reproducer::text() const
{
    Json expect{.kind = Json::Kind::object};
    if (!bar.empty())
        expect.member("bar") = Json::from_text(bar);
    else if (decisions)
        expect.member("decisions") = text_items(*decisions);
    else
        expect.member("completes") = {.kind = Json::Kind::boolean, .boolean = true};
    Json root{.kind = Json::Kind::object};
    root.member("schema") = Json::from_text(reproducer_schema);
    root.member("found") = Json::from_text(found);
    root.member("expect") = std::move(expect);
    root.member("scenario") = scenario;
    return json_text(root);
}

Reproducer Reproducer::parse(std::string_view text, std::string_view file)
{
    Json const root{parse_json(text, file)};
    ObjectReader top{Reader{root, file, "$"}};
    if (Reader const schema{top["schema"]}; schema.text(64, true) != reproducer_schema)
        schema.refuse(
            fmt::format("{} is not a schema known here, allowed is \"{}\"", shown(schema.value()), reproducer_schema));
    Reproducer result{.found = top["found"].text(4096, true)};
    ObjectReader expect{top["expect"]};
    std::optional<Reader> const bar{expect.maybe("bar")}, decisions{expect.maybe("decisions")},
        completes{expect.maybe("completes")};
    expect.finish();
    if ((bar ? 1 : 0) + (decisions ? 1 : 0) + (completes && completes->boolean() ? 1 : 0) != 1)
        top["expect"].refuse("give one of \"bar\", \"decisions\" and \"completes\": true");
    if (bar)
        result.bar = ShrinkBar::parse(bar->text(255)).text();
    if (decisions)
        for (result.decisions.emplace(); Reader const& line : decisions->list())
            result.decisions->push_back(line.text(255));
    result.scenario = top["scenario"].value();
    top.finish();
    return result;
}

std::string complaint_about(Reproducer const& reproducer, std::string_view file)
{
    Scenario const scenario{parse_scenario(json_line(reproducer.scenario), file)};
    std::string decisions;
    Metrics const metrics{simulate(scenario, &decisions)};
    if (reproducer.decisions)
        return first_difference(*reproducer.decisions, decisions);
    if (reproducer.bar.empty())
        return "";
    ShrinkBar const bar{ShrinkBar::parse(reproducer.bar)};
    std::string const said{metrics_json(
        metrics, {.scenario = scenario.name, .policy = scenario.policy, .seed = scenario.seed, .source = "simulator"})};
    std::optional<double> const figure{bar.figure_of(parse_json(said, file))};
    if (!figure)
        return fmt::format("the run has no figure {}", bar.figure);
    return bar.holds(*figure) ? "" : fmt::format("{} is {}, not {}{}", bar.figure, *figure, bar.relation, bar.value);
}

} // namespace hv::nv
