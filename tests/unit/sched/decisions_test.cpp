// `credit` against the decision logs of Xen 4.3.0 (tests/golden/README.md): the simulator's first switches are those
// lines.
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace hv::sched {
namespace {

std::filesystem::path decisions_folder()
{
    char const* const root{std::getenv("NV_ROOT")};
    return std::filesystem::path{root == nullptr ? "." : root} / "tests/golden/decisions";
}

std::vector<std::string> lines_of(std::filesystem::path const& file)
{
    std::ifstream in{file};
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);)
        lines.push_back(line);
    return lines;
}

std::vector<std::string> names()
{
    std::vector<std::string> found;
    std::error_code missing;
    for (auto const& entry : std::filesystem::directory_iterator{decisions_folder(), missing})
        if (entry.path().extension() == ".txt")
            found.push_back(entry.path().stem().string());
    std::ranges::sort(found);
    return found;
}

std::string vcpu_name(std::uint32_t domain, std::uint32_t vcpu)
{
    return domain == idle_domain_id.value() ? "idle" : std::to_string(domain) + "." + std::to_string(vcpu);
}

void add_switch(void* lines, CpuId cpu, Instant now, std::uint32_t number,
                std::span<std::uint32_t const> words) noexcept
{
    if (number != static_cast<std::uint32_t>(trace::Event::switch_to))
        return;
    static_cast<std::vector<std::string>*>(lines)->push_back(
        std::to_string(now.ns()) + " " + std::to_string(cpu.value()) + " " + vcpu_name(words[0], words[1]) + " " +
        vcpu_name(words[2], words[3]));
}

class Decisions : public testing::TestWithParam<std::string> {
protected:
    // The switches up to and including `end`.
    std::vector<std::string> simulate(Instant end)
    {
        nv::Scenario scenario{nv::load_scenario(decisions_folder() / (GetParam() + ".json"))};
        scenario.policy = "credit";
        scenario.seed = 1;
        std::vector<std::byte> const image{nv::pack(scenario)};
        auto const view = scenario::validate(image);
        EXPECT_TRUE(view.ok());
        std::vector<std::string> lines;
        trace::Listener const listener{.self = &lines, .event = add_switch};
        nv::Simulation simulation{*view, {.listener = listener}};
        simulation.run_until(end);
        return lines;
    }
};

TEST_P(Decisions, EqualUpstreams)
{
    auto const expected = lines_of(decisions_folder() / (GetParam() + ".txt"));
    ASSERT_FALSE(expected.empty());
    auto const ours = simulate(Instant::at_ns(std::stoll(expected.back())));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_LT(i, ours.size()) << "nothing more is decided; upstream goes on with \"" << expected[i] << '"';
        ASSERT_EQ(ours[i], expected[i]) << "line " << i + 1;
    }
}

INSTANTIATE_TEST_SUITE_P(Golden, Decisions, testing::ValuesIn(names()), [](auto const& instance) {
    std::string name{instance.param};
    std::ranges::replace(name, '-', '_');
    return name;
});

// A run from the wrong folder would otherwise test nothing and pass.
TEST(DecisionLogs, AreThere) { EXPECT_EQ(names().size(), 25u) << "set NV_ROOT to the root of the repository"; }

} // namespace
} // namespace hv::sched
