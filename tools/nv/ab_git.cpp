// Trees of git, made without touching the repository: an index of our own, objects of our own.
#include "tools/nv/ab_side.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/process.hpp"

#include <fmt/format.h>

namespace hv::nv {

namespace {

std::string without_end(std::string text)
{
    while (text.ends_with('\n'))
        text.pop_back();
    return text;
}

std::string first_line(std::string_view text) { return std::string{text.substr(0, text.find('\n'))}; }

} // namespace

GitTrees::GitTrees(std::filesystem::path const& inside, std::filesystem::path work)
    : root_{inside}, work_{std::filesystem::absolute(work)}
{
    if (!program_exists("git"))
        give_up("git is missing; install it with: apt-get install git");
    Said const top{git({"rev-parse", "--show-toplevel"})};
    if (top.status != 0)
        refuse(fmt::format("{}: is in no git repository; go to a clone of numavisor, or compare two policies",
                           std::filesystem::absolute(inside).lexically_normal().string()));
    root_ = without_end(top.out);
    git_dir_ = without_end(must({"rev-parse", "--absolute-git-dir"}));
    objects_ = std::filesystem::absolute(root_ / without_end(must({"rev-parse", "--git-path", "objects"})));
    std::filesystem::create_directories(work_ / "objects");
}

GitTrees::Said GitTrees::git(std::vector<std::string> const& words, std::filesystem::path const& index) const
{
    ProcessSpec spec{.words = {"env"}, .folder = root_};
    spec.silence_limit = {};
    if (!index.empty()) {
        spec.words.push_back("GIT_INDEX_FILE=" + index.string());
        spec.words.push_back("GIT_OBJECT_DIRECTORY=" + (work_ / "objects").string());
        spec.words.push_back("GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects_.string());
    }
    spec.words.push_back("git");
    spec.words.insert(spec.words.end(), words.begin(), words.end());
    ProcessResult result{run_process(spec, [](std::string_view) {})};
    if (result.ending != Ending::exited)
        give_up(fmt::format("git {} was ended", words.front()));
    return {result.status, std::move(result.output), std::move(result.errors)};
}

std::string GitTrees::must(std::vector<std::string> const& words, std::filesystem::path const& index) const
{
    Said said{git(words, index)};
    if (said.status != 0)
        give_up(fmt::format("git {}: {}", words.front(), first_line(said.errors)));
    return std::move(said.out);
}

std::optional<GitTrees::Revision> GitTrees::revision(std::string const& name) const
{
    Said const commit{git({"rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"})};
    if (commit.status != 0)
        return std::nullopt;
    std::string const id{without_end(commit.out)};
    return Revision{without_end(must({"rev-parse", id + "^{tree}"})), without_end(must({"rev-parse", "--short", id}))};
}

GitTrees::Entry GitTrees::entry(std::string const& commit) const
{
    return {std::stoull(must({"rev-list", "--count", commit})),
            without_end(must({"show", "--no-patch", "--format=%s", commit}))};
}

std::string GitTrees::working_tree() const
{
    std::filesystem::path const index{work_ / "work.index"}, own{git_dir_ / "index"};
    // A copy knows which files are as they were.
    if (std::filesystem::exists(own))
        std::filesystem::copy_file(own, index, std::filesystem::copy_options::overwrite_existing);
    std::vector<std::string> words{"add", "--all", "--", "."};
    std::filesystem::path const below{work_.lexically_relative(root_)};
    if (!below.empty() && *below.begin() != "..")
        words.push_back(":(exclude)" + below.string());
    static_cast<void>(must(words, index));
    return without_end(must({"write-tree"}, index));
}

std::string GitTrees::patched(std::string const& tree, std::filesystem::path const& patch, std::string_view onto) const
{
    std::filesystem::path const index{work_ / "patch.index"};
    static_cast<void>(must({"read-tree", tree}, index));
    Said const said{git({"apply", "--cached", "--allow-empty", std::filesystem::absolute(patch).string()}, index)};
    if (said.status != 0)
        refuse(fmt::format("{}: does not apply to {}: {}", patch.string(), onto, first_line(said.errors)));
    return without_end(must({"write-tree"}, index));
}

std::vector<std::string> GitTrees::changed_files(std::string const& from, std::string const& to) const
{
    std::string const text{must({"diff-tree", "-r", "--name-only", from, to}, work_ / "work.index")};
    std::vector<std::string> files;
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
        files.push_back(text.substr(at, end - at));
    return files;
}

std::filesystem::path GitTrees::index_of(std::filesystem::path const& folder)
{
    return std::filesystem::absolute(folder).string() + ".index";
}

std::vector<std::string> GitTrees::in(std::filesystem::path const& folder, std::vector<std::string> words) const
{
    words.insert(words.begin(),
                 {"--git-dir=" + git_dir_.string(), "--work-tree=" + std::filesystem::absolute(folder).string()});
    return words;
}

void GitTrees::check_out(std::string const& tree, std::filesystem::path const& folder) const
{
    std::filesystem::create_directories(folder);
    static_cast<void>(must(in(folder, {"read-tree", "--reset", "-u", tree}), index_of(folder)));
    // Also what somebody changed there by hand.
    static_cast<void>(must(in(folder, {"checkout-index", "--all", "--force", "--quiet"}), index_of(folder)));
}

} // namespace hv::nv
