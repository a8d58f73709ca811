// Looks for a strategy of sleeping, waking and yielding that gets a vCPU more than its share.
#include "tests/adversary/strategy.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>

namespace {

constexpr double most{1.02};

struct Worst {
    std::uint64_t played{0}, above{0}, number{0};
    double got{0};

    void count(std::uint64_t next, double share)
    {
        ++played;
        above += share > most ? 1 : 0;
        if (share > got) {
            got = share;
            number = next;
        }
    }
};

int usage(char const* wrong)
{
    fmt::print(stderr, "adversary: {}; usage: adversary [--policy NAME] [--strategies N] [--seed N] [--only NUMBER]\n",
               wrong);
    return 2;
}

} // namespace

int main(int count, char** words)
{
    hv::sched::PolicyOps const* policy{hv::sched::find_policy("numacredit")};
    std::map<std::string_view, std::uint64_t> numbers{{"--strategies", 500}, {"--seed", 1}, {"--only", 0}};
    bool one{false};
    for (int i = 1; i < count; i += 2) {
        std::string_view const key{words[i]};
        if (i + 1 == count)
            return usage("the last option lacks its value");
        std::string_view const value{words[i + 1]};
        if (key == "--policy") {
            policy = hv::sched::find_policy(value);
        } else if (auto const known = numbers.find(key); known != numbers.end()) {
            auto const [end, error] = std::from_chars(value.data(), value.data() + value.size(), known->second);
            if (error != std::errc{} || end != value.data() + value.size())
                return usage("a number is expected");
            one |= key == "--only";
        } else {
            return usage("no such option");
        }
    }
    if (policy == nullptr)
        return usage("no such policy");

    std::uint64_t const first{one ? numbers["--only"] : 0}, end{one ? first + 1 : numbers["--strategies"]};
    std::array<Worst, 2> worst; // without and with a cap
    for (std::uint64_t number = first; number < end; ++number) {
        hv::test::Contest const contest{hv::test::contest_of(numbers["--seed"], number)};
        worst[contest.thief.cap != 0 ? 1 : 0].count(number, hv::test::play(contest, *policy));
    }
    for (auto const& [what, found] : {std::pair{"uncapped", worst[0]}, std::pair{"capped", worst[1]}}) {
        if (found.played != 0)
            fmt::print("{} {}: {} above {:.2f} x the fair share; worst {:.4f} x, number {}: {}\n", found.played, what,
                       found.above, most, found.got, found.number,
                       hv::test::contest_of(numbers["--seed"], found.number).text());
    }
    return worst[0].above + worst[1].above != 0 ? 1 : 0;
}
