#include "tools/nv/ab_seed.hpp"

#include "tools/nv/files.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

// What the compiler wrote of an object: from which files it came.
struct MadeOf {
    std::string output;             // the output folder, as its own make called it, with a slash
    std::vector<std::string> files; // absolute, below `output`, or below the sources
};

// `object` is relative to the output folder. Nothing if the file is not of that object.
std::optional<MadeOf> made_of(fs::path const& dependencies, fs::path const& object)
{
    std::string const text{read_text(dependencies)};
    std::size_t const name{text.find("/" + object.string() + ":")};
    if (name == std::string::npos)
        return std::nullopt;
    MadeOf result{.output = text.substr(0, name + 1), .files = {}};
    constexpr std::string_view blanks{" \n\t\\"};
    for (std::size_t at{0}; (at = text.find_first_not_of(blanks, at)) != std::string::npos;) {
        std::size_t const end{std::min(text.find_first_of(blanks, at), text.size())};
        if (text[end - 1] != ':')
            result.files.push_back(text.substr(at, end - at));
        at = end;
    }
    return result;
}

class Seeder {
public:
    Seeder(BuildTree const& from, BuildTree const& to) : from_{from}, to_{to} {}

    // Objects that are of use here, if their lists become the same.
    void look_through(std::string_view part)
    {
        if (!fs::exists(from_.output / part))
            return;
        for (auto const& entry : fs::recursive_directory_iterator{from_.output / part})
            if (entry.is_regular_file() && is_compiled(entry.path().string()))
                consider(entry.path().lexically_relative(from_.output));
    }

    [[nodiscard]] std::vector<std::string> lists() const { return {lists_.begin(), lists_.end()}; }

    std::size_t take_over()
    {
        std::size_t taken{0};
        for (Candidate const& one : candidates_)
            if (one.list.empty() || has_same_list(one.list)) {
                take_over(one);
                ++taken;
            }
        return taken;
    }

private:
    struct Candidate {
        fs::path object;
        std::string list; // that it was made of; may be empty
        std::string output;
    };
    struct Compared {
        bool same;
        fs::file_time_type there, here;
    };

    // Not assembled: that takes no time, and the bytes that it includes are on no list.
    static bool is_compiled(std::string_view object) { return object.ends_with(".o") && !object.ends_with(".S.o"); }

    void consider(fs::path const& object)
    {
        fs::path dependencies{object};
        dependencies.replace_extension(".d");
        if (!fs::exists(from_.output / dependencies))
            return;
        std::optional<MadeOf> const made{made_of(from_.output / dependencies, object)};
        if (!made)
            return;
        fs::file_time_type const there{fs::last_write_time(from_.output / object)};
        bool const is_here{fs::exists(to_.output / object)};
        bool is_old{!is_here};
        std::string list;
        for (std::string const& file : made->files) {
            bool const is_list{file.starts_with(made->output)};
            Compared const compared{is_list ? compare_list(file.substr(made->output.size())) : compare_source(file)};
            if (there < compared.there || (!is_list && !compared.same))
                return;
            if (is_list)
                list = file.substr(made->output.size());
            is_old = is_old || !compared.same || fs::last_write_time(to_.output / object) < compared.here;
        }
        if (!is_old)
            return;
        if (!list.empty() && !has_same_list(list))
            lists_.insert(list);
        candidates_.push_back({object, list, made->output});
    }

    Compared compare_source(std::string const& file)
    {
        auto const known = known_.find(file);
        if (known != known_.end())
            return known->second;
        return known_[file] = compare(from_.sources / file, to_.sources / file); // An absolute one stays what it is.
    }

    [[nodiscard]] Compared compare_list(fs::path const& list) const
    {
        return compare(from_.output / list, to_.output / list);
    }

    [[nodiscard]] bool has_same_list(fs::path const& list) const { return compare_list(list).same; }

    // What is missing there is as if it had changed since.
    static Compared compare(fs::path const& there, fs::path const& here)
    {
        if (!fs::is_regular_file(there))
            return {false, fs::file_time_type::max(), fs::file_time_type::max()};
        if (!fs::is_regular_file(here))
            return {false, fs::last_write_time(there), fs::file_time_type::max()};
        bool const same{there == here ||
                        (fs::file_size(there) == fs::file_size(here) && read_text(there) == read_text(here))};
        return {same, fs::last_write_time(there), fs::last_write_time(here)};
    }

    void take_over(Candidate const& one) const
    {
        fs::path dependencies{one.object};
        dependencies.replace_extension(".d");
        std::string text{read_text(from_.output / dependencies)};
        std::string const ours{to_.output.lexically_relative(to_.sources).string() + "/"};
        for (std::size_t at = 0; (at = text.find(one.output, at)) != std::string::npos; at += ours.size())
            if (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n')
                text.replace(at, one.output.size(), ours);
        fs::create_directories((to_.output / one.object).parent_path());
        write_text(to_.output / dependencies, text);
        fs::copy_file(from_.output / one.object, to_.output / one.object, fs::copy_options::overwrite_existing);
    }

    BuildTree const& from_;
    BuildTree const& to_;
    std::map<std::string, Compared> known_;
    std::vector<Candidate> candidates_;
    std::set<std::string> lists_;
};

} // namespace

std::size_t seed_objects(BuildTree const& from, BuildTree const& to, std::span<std::string_view const> parts,
                         std::function<void(std::span<std::string const>)> const& make_lists)
{
    Seeder seeder{from, to};
    for (std::string_view const part : parts)
        seeder.look_through(part);
    if (std::vector<std::string> const lists{seeder.lists()}; !lists.empty())
        make_lists(lists);
    return seeder.take_over();
}

std::string compile_rules(std::string_view makefile)
{
    std::string rules, line;
    while (!makefile.empty()) {
        std::size_t const end{std::min(makefile.find('\n'), makefile.size())};
        line += makefile.substr(0, end);
        makefile.remove_prefix(std::min(makefile.size(), end + 1));
        if (line.ends_with('\\') && !makefile.empty()) {
            line.back() = ' ';
            continue;
        }
        constexpr std::array names{"CXX", "FLAGS", "WARN", "COMMON", "_OPT"};
        if (!line.starts_with('#') &&
            std::ranges::any_of(names, [&](char const* name) { return line.find(name) != std::string::npos; }))
            rules += line + '\n';
        line.clear();
    }
    return rules;
}

} // namespace hv::nv
