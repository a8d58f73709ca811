#include "tools/nv/shrink_search.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hv::nv {

namespace {

bool is_sound_scenario(std::string const& text)
{
    try {
        static_cast<void>(parse_scenario(text, "candidate"));
        return true;
    } catch (Error const&) {
        return false;
    }
}

} // namespace

ShrinkSearch::ShrinkSearch(Fails fails, std::size_t budget, Progress progress)
    : fails_{std::move(fails)}, budget_{budget}, progress_{std::move(progress)}
{
}

bool ShrinkSearch::accepts(Json candidate, std::string_view what)
{
    if (is_exhausted())
        return false;
    std::string text{json_line(candidate)};
    if (text == last_text_ || refused_.contains(text))
        return false;
    bool taken{false};
    if (is_sound_scenario(text)) {
        ++asked_;
        if (progress_)
            progress_(asked_, what);
        taken = fails_(candidate);
    }
    if (!taken) {
        refused_.insert(std::move(text));
        return false;
    }
    last_ = std::move(candidate);
    last_text_ = std::move(text);
    return true;
}

// Halves, quarters, ..., single ones, from the end: what came last is needed least.
bool ShrinkSearch::drop_parts(std::span<ShrinkParts const> kinds)
{
    bool smaller{false};
    for (ShrinkParts const& parts : kinds)
        for (std::size_t size{parts.count(last_)}; size > 0; size /= 2)
            for (std::size_t end{parts.count(last_)}; end > 0;) {
                std::size_t const first{end - std::min(end, size)};
                Json candidate{last_};
                for (std::size_t part{end}; part-- > first;)
                    parts.drop(candidate, part);
                bool const taken{accepts(std::move(candidate),
                                         fmt::format("{} {} of {}", end - first, parts.name, parts.count(last_)))};
                smaller = smaller || taken;
                end = taken ? std::min(first, parts.count(last_)) : first;
            }
    return smaller;
}

bool ShrinkSearch::simplify()
{
    bool smaller{false};
    std::vector<Simplification> list{simplifications(last_)};
    for (std::size_t i = 0; i < list.size();) {
        Json candidate{last_};
        list[i].apply(candidate);
        if (!accepts(std::move(candidate), list[i].what)) {
            ++i;
            continue;
        }
        smaller = true;
        list = simplifications(last_); // Those before were tried and would be tried again in the next round.
    }
    return smaller;
}

void ShrinkSearch::begin(Json scenario)
{
    last_ = std::move(scenario);
    last_text_ = json_line(last_);
}

Json ShrinkSearch::drop_only(Json scenario, std::span<ShrinkParts const> kinds)
{
    begin(std::move(scenario));
    while (drop_parts(kinds) && !is_exhausted()) {}
    return last_;
}

Json ShrinkSearch::run(Json scenario)
{
    begin(std::move(scenario));
    for (bool smaller = true; smaller && !is_exhausted();) {
        smaller = drop_parts(shrink_parts());
        smaller = simplify() || smaller;
    }
    return last_;
}

} // namespace hv::nv
