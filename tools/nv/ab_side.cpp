#include "tools/nv/ab_side.hpp"

#include "sched/policy.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace hv::nv {

namespace {

enum class WordKind { work, patch, policy, revision };

std::string_view policy_part(std::string_view word) { return word.substr(0, word.find(':')); }

WordKind kind_of(std::string const& word)
{
    if (word == "." || word == "WORK")
        return WordKind::work;
    if (std::filesystem::is_regular_file(word))
        return WordKind::patch;
    return sched::find_policy(policy_part(word)) != nullptr ? WordKind::policy : WordKind::revision;
}

// "steal_gain_us=2,boost_us=1"
std::vector<std::string> parameters_of(std::string const& word)
{
    std::vector<std::string> result;
    std::size_t const colon{word.find(':')};
    std::string_view rest{colon == std::string::npos ? std::string_view{} : std::string_view{word}.substr(colon + 1)};
    while (!rest.empty()) {
        std::string_view const setting{rest.substr(0, rest.find(','))};
        if (setting.find('=') == setting.npos || setting.starts_with('='))
            refuse(fmt::format("{}: \"{}\" is no KEY=VALUE", word, setting));
        result.emplace_back(setting);
        rest.remove_prefix(std::min(rest.size(), setting.size() + 1));
    }
    return result;
}

class SideResolver {
public:
    SideResolver(AbWords const& words, std::optional<GitTrees> const& trees) : words_{words}, trees_{trees} {}

    [[nodiscard]] AbSides run()
    {
        AbSides sides{.base = first(words_.base, "base"), .change = first(words_.change, "change")};
        finish(sides.base, words_.base, sides.change, words_.change);
        finish(sides.change, words_.change, sides.base, words_.base);
        std::string const policy{words_.policy.empty() ? touched_policy(sides) : words_.policy};
        for (AbSide* const side : {&sides.base, &sides.change}) {
            if (side->is_policy)
                continue;
            side->policy = policy;
            side->settings = words_.settings;
            side->is_policy = !words_.policy.empty() || !words_.settings.empty();
        }
        return sides;
    }

private:
    // What a word says by itself.
    [[nodiscard]] AbSide first(std::string const& word, std::string role)
    {
        AbSide side{.role = std::move(role), .name = word, .tree = {}, .commit = {}, .policy = {}, .settings = {}};
        switch (kind_of(word)) {
        case WordKind::work:
            side.tree = trees(word).working_tree();
            side.name = "the working tree";
            break;
        case WordKind::policy:
            side.policy = policy_part(word);
            side.settings = parameters_of(word);
            side.is_policy = true;
            break;
        case WordKind::revision:
            revision_side(side, word);
            break;
        case WordKind::patch:
            break;
        }
        return side;
    }

    void revision_side(AbSide& side, std::string const& word)
    {
        std::optional<GitTrees::Revision> const found{trees(word).revision(word)};
        if (!found) {
            std::array<char, 512> buffer{};
            BufferSink known{buffer};
            sched::list_policies(known);
            refuse(fmt::format("{}: is no revision, no patch file and no policy; policies are {}", word, known.text()));
        }
        side.tree = found->tree;
        side.commit = found->short_name;
        side.name = word == found->short_name ? word : fmt::format("{} ({})", word, found->short_name);
    }

    // What it says beside the other one.
    void finish(AbSide& side, std::string const& word, AbSide const& other, std::string const& other_word)
    {
        WordKind const kind{kind_of(word)}, other_kind{kind_of(other_word)};
        if (kind == WordKind::policy && other_kind != WordKind::policy && other_kind != WordKind::patch)
            side.tree = other.tree;
        if (kind == WordKind::policy && other_kind == WordKind::patch)
            side.tree = head().tree;
        if (kind != WordKind::patch)
            return;
        bool const on_other{other_kind == WordKind::work || other_kind == WordKind::revision};
        std::string const onto{on_other ? other.name : fmt::format("HEAD ({})", head().short_name)};
        side.tree = trees(word).patched(on_other ? *other.tree : head().tree, word, onto);
        side.name = fmt::format("{} on {}", std::filesystem::path{word}.filename().string(), onto);
    }

    [[nodiscard]] GitTrees const& trees(std::string const& word) const
    {
        if (!trees_)
            refuse(
                fmt::format("{}: needs a git repository; go to a clone of numavisor, or compare two policies", word));
        return *trees_;
    }

    [[nodiscard]] GitTrees::Revision head() const
    {
        auto const found = trees("HEAD").revision("HEAD");
        if (!found)
            refuse("HEAD: the repository has no commit yet");
        return *found;
    }

    // The policy that is to be looked at: the only one whose folder differs.
    [[nodiscard]] std::string touched_policy(AbSides const& sides) const
    {
        std::set<std::string> touched;
        if (sides.base.tree && sides.change.tree && *sides.base.tree != *sides.change.tree)
            for (std::filesystem::path const file : trees_->changed_files(*sides.base.tree, *sides.change.tree))
                if (auto part = file.begin(); part != file.end() && *part == "sched" && ++part != file.end())
                    if (sched::find_policy(part->string()) != nullptr)
                        touched.insert(part->string());
        return touched.size() == 1 ? *touched.begin() : "";
    }

    AbWords const& words_;
    std::optional<GitTrees> const& trees_;
};

} // namespace

AbSides resolve_sides(AbWords const& words, std::optional<GitTrees> const& trees)
{
    return SideResolver{words, trees}.run();
}

} // namespace hv::nv
