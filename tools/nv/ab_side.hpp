// The two sides of `nv ab`: what a word of the command line means, and the git tree that it stands for.
//
// A word is, in this order: `.` or WORK, the files as they are; a patch file, applied to the other side's tree, or to
// HEAD if that is a patch, too; the name of a policy, with parameters after a colon, of the other side's sources; a git
// revision. The repository is left as it is: trees that are not in it are kept below the output folder. Host only.
// Floor: tools.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct AbSide {
    std::string role;                  // "base", "change"
    std::string name;                  // for people: "tie.patch on HEAD (1a2b3c4)"
    std::optional<std::string> tree;   // of git; nothing: this very program
    std::optional<std::string> commit; // the short name, if it is one
    std::string policy;                // empty: the scenario's
    std::vector<std::string> settings; // "key=value"
    bool is_policy{false};             // a policy was asked for: what it refuses is the user's mistake
};

// A repository, and a place for objects of our own.
class GitTrees {
public:
    // `inside`: any folder of the repository. Throws (bad_input) if there is none.
    GitTrees(std::filesystem::path const& inside, std::filesystem::path work);

    [[nodiscard]] std::filesystem::path const& root() const { return root_; }
    // The tree of a revision and its short name; nothing if there is no such revision.
    struct Revision {
        std::string tree, short_name;
    };
    [[nodiscard]] std::optional<Revision> revision(std::string const& name) const;
    // How many commits it has behind it and with it, and its first line.
    struct Entry {
        std::uint64_t number;
        std::string subject;
    };
    [[nodiscard]] Entry entry(std::string const& commit) const;
    // Tracked and new files as they are, without what git ignores.
    [[nodiscard]] std::string working_tree() const;
    // Throws (bad_input) with git's reason if it does not apply.
    [[nodiscard]] std::string patched(std::string const& tree, std::filesystem::path const& patch,
                                      std::string_view onto) const;
    [[nodiscard]] std::vector<std::string> changed_files(std::string const& from, std::string const& to) const;
    // Makes `folder` the tree; rewrites only files that differ from what it was before. Others are left alone.
    void check_out(std::string const& tree, std::filesystem::path const& folder) const;

private:
    struct Said {
        int status;
        std::string out, errors;
    };
    [[nodiscard]] Said git(std::vector<std::string> const& words, std::filesystem::path const& index = {}) const;
    [[nodiscard]] std::string must(std::vector<std::string> const& words,
                                   std::filesystem::path const& index = {}) const;

    [[nodiscard]] static std::filesystem::path index_of(std::filesystem::path const& folder);
    [[nodiscard]] std::vector<std::string> in(std::filesystem::path const& folder,
                                              std::vector<std::string> words) const;

    std::filesystem::path root_, work_, git_dir_, objects_;
};

struct AbWords {
    std::string base, change;
    std::string policy{}; // of sides that name none; empty: the one whose folder differs, else the scenarios'
    std::vector<std::string> settings{}; // of such sides
};

struct AbSides {
    AbSide base, change;
};

// `trees`: nothing outside of a repository; then both sides have to be policies. Throws (bad_input).
[[nodiscard]] AbSides resolve_sides(AbWords const& words, std::optional<GitTrees> const& trees);

} // namespace hv::nv
