#include "tools/nv/sweep_results.hpp"

#include "tools/nv/ab_key.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"

#include <fmt/format.h>

#include <unistd.h>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view result_schema{"numavisor-result/1"};
constexpr std::string_view folder_schema{"numavisor-sweep-folder/1"};

std::vector<std::string> texts_of(Reader const& reader)
{
    std::vector<std::string> texts;
    for (Reader const& item : reader.list())
        texts.push_back(item.text(4096, true));
    return texts;
}

std::string sum_of(std::string_view text)
{
    KeyHash hash;
    hash.add(text);
    return hash.hex();
}

// The first line says what the others have to be.
std::string head_of(std::string_view body)
{
    return fmt::format("{{\"schema\": \"{}\", \"sum\": \"{}\"}}\n", result_schema, sum_of(body));
}

SweepResult parse_result(std::string_view body)
{
    std::size_t const end{body.find('\n')};
    Json const root{parse_json(body.substr(0, end), "result")};
    ObjectReader top{Reader{root, "result", "$"}};
    SweepResult result;
    result.identity = {.program = top["program"].text(64),
                       .scenario = top["scenario"].text(64),
                       .names = texts_of(top["names"]),
                       .values = texts_of(top["values"])};
    if (std::optional<Reader> const failed = top.maybe("failed"))
        result.failed = failed->text(65535);
    ObjectReader const figures{top["figures"]};
    for (auto const& [key, value] : figures.self().value().members)
        result.figures.emplace_back(key, as_double(value));
    top.finish();
    result.run = body.substr(end + 1, body.size() - end - 2);
    return result;
}

} // namespace

std::string json_texts(std::vector<std::string> const& texts)
{
    std::vector<std::string> quoted;
    for (std::string const& text : texts)
        quoted.push_back(json_string(text));
    return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string SweepIdentity::key() const
{
    KeyHash hash;
    hash.add(program);
    hash.add(scenario);
    for (std::size_t i = 0; i < names.size(); ++i) {
        hash.add(names[i]);
        hash.add(values[i]);
    }
    return hash.hex();
}

std::string result_text(SweepResult const& result)
{
    std::vector<std::string> figures;
    for (auto const& [key, value] : result.figures)
        figures.push_back(fmt::format("{}: {}", json_string(key), value));
    std::string body{fmt::format("{{\"program\": {}, \"scenario\": {}, \"names\": {}, \"values\": {}, ",
                                 json_string(result.identity.program), json_string(result.identity.scenario),
                                 json_texts(result.identity.names), json_texts(result.identity.values))};
    if (!result.failed.empty())
        body += fmt::format("\"failed\": {}, ", json_string(result.failed));
    body += fmt::format("\"figures\": {{{}}}}}\n{}\n", fmt::join(figures, ", "), result.run);
    return head_of(body) + body;
}

std::optional<SweepResult> result_from(std::string_view text, std::string& damage)
{
    damage.clear();
    std::size_t const end{text.find('\n')};
    std::string_view const body{end == std::string_view::npos ? std::string_view{} : text.substr(end + 1)};
    if (!text.starts_with(fmt::format("{{\"schema\": \"{}\"", result_schema)))
        damage = text.empty() ? "is empty" : "is no result of a sweep";
    else if (body.empty() || text.substr(0, end + 1) != head_of(body))
        damage = "is torn: its sum is not that of what it says";
    if (!damage.empty())
        return std::nullopt;
    try {
        return parse_result(body);
    } catch (Error const& error) {
        damage = error.what();
        return std::nullopt;
    }
}

fs::path result_file(fs::path const& folder, std::string const& key) { return folder / (key + ".json"); }

void keep_result(fs::path const& folder, SweepResult const& result)
{
    replace_file(result_file(folder, result.identity.key()), result_text(result));
}

std::optional<SweepResult> kept_result(fs::path const& folder, std::string const& key, std::string& damage)
{
    damage.clear();
    fs::path const file{result_file(folder, key)};
    if (std::error_code error; !fs::exists(file, error))
        return std::nullopt;
    std::optional<SweepResult> result{result_from(read_text(file), damage)};
    if (result && result->identity.key() != key) {
        damage = "is another run's result";
        return std::nullopt;
    }
    return result;
}

SweepFolder SweepFolder::of(SweepGrid const& grid, std::string const& program)
{
    SweepFolder folder{.name = grid.name(), .program = program, .axes = {}, .scenarios = {}};
    for (SweepAxis const& axis : grid.axes())
        folder.axes.emplace_back(axis.name, axis.values);
    for (SweepScenario const& scenario : grid.scenarios())
        folder.scenarios.push_back(scenario.key);
    return folder;
}

SweepFolder SweepFolder::load(fs::path const& folder)
{
    fs::path const file{folder / file_name};
    if (std::error_code error; !fs::exists(file, error))
        refuse(fmt::format("{}: has no {}; give a folder that nv sweep made", folder.string(), file_name));
    std::string const place{file.string()};
    Json const root{parse_json(read_text(file), place)};
    ObjectReader top{Reader{root, place, "$"}};
    if (Reader const schema{top["schema"]}; schema.text(64, true) != folder_schema)
        schema.refuse(fmt::format("is not \"{}\"; another version of nv made the folder", folder_schema));
    SweepFolder result{.name = top["name"].text(63), .program = top["program"].text(64), .axes = {}, .scenarios = {}};
    for (Reader const& item : top["axes"].list()) {
        ObjectReader axis{item};
        result.axes.emplace_back(axis["name"].text(4096), texts_of(axis["values"]));
        axis.finish();
    }
    result.scenarios = texts_of(top["scenarios"]);
    top.finish();
    if (result.axes.empty() || result.axes.front().second.size() != result.scenarios.size())
        refuse(fmt::format("{}: does not say what it should; call nv sweep again", place));
    return result;
}

std::string SweepFolder::text() const
{
    std::vector<std::string> lists;
    for (auto const& [axis, values] : axes)
        lists.push_back(fmt::format("{{\"name\": {}, \"values\": {}}}", json_string(axis), json_texts(values)));
    return fmt::format("{{\"schema\": \"{}\",\n \"name\": {},\n \"program\": {},\n \"axes\": [\n  {}],\n"
                       " \"scenarios\": {}}}\n",
                       folder_schema, json_string(name), json_string(program), fmt::join(lists, ",\n  "),
                       json_texts(scenarios));
}

void replace_file(fs::path const& file, std::string_view text)
{
    // Whoever else writes the same file at the same time has a name of his own for it. If it was cleared away
    // meanwhile, as what somebody who was killed left behind, a second time does it.
    fs::path const part{fmt::format("{}.{}.part", file.string(), ::getpid())};
    std::error_code error;
    for (int attempt = 0; attempt < 2; ++attempt) {
        write_text(part, text);
        fs::rename(part, file, error);
        if (!error)
            return;
    }
    give_up(fmt::format("{}: cannot be put into its place: {}", file.string(), error.message()));
}

} // namespace hv::nv
