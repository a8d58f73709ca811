// Simpler workloads for a vCPU of a scenario that is being shrunk.
#include "tools/nv/scenario_edit.hpp"
#include "tools/nv/shrink_cuts.hpp"

#include "sched/guest/workload.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace hv::nv {

namespace {

using sched::guest::Random;

// More of them are not simpler than a workload that makes them.
constexpr std::size_t most_steps{60};

// The steps of a vCPU until the scenario ends.
class StepList {
public:
    explicit StepList(std::uint64_t until) : until_{until} {}

    // Whether there is time for another one.
    [[nodiscard]] bool goes_on() const { return at_ <= until_ && steps_.items.size() <= most_steps; }
    void run(std::uint64_t ns) { timed('r', ns); }
    void sleep(std::uint64_t ns) { timed('s', ns); }
    void text(std::string_view step) { steps_.items.push_back(Json::from_text(step)); }
    [[nodiscard]] std::optional<Json> workload() const
    {
        if (steps_.items.size() > most_steps || steps_.items.empty())
            return std::nullopt;
        Json workload{.kind = Json::Kind::object};
        workload.member("kind") = Json::from_text("recorded");
        workload.member("steps") = steps_;
        return workload;
    }

private:
    void timed(char kind, std::uint64_t ns)
    {
        if (ns != 0)
            text(fmt::format("{}{}", kind, ns));
        at_ += ns;
    }

    std::uint64_t until_, at_{0};
    Json steps_{.kind = Json::Kind::list};
};

struct Whose {
    Json const& scenario;
    std::size_t domain, vcpu;

    [[nodiscard]] Json const& domain_json() const { return scenario.find("domains")->items[domain]; }
    [[nodiscard]] Json const& workload() const { return *domain_json().find("vcpus")->items[vcpu].find("workload"); }
    [[nodiscard]] std::uint64_t end() const
    {
        return number_of(scenario, "warmup_ns") + number_of(scenario, "duration_ns");
    }
};

std::pair<Duration, Duration> range_of(Json const& workload, std::string_view key)
{
    Json const* const range{workload.find(key)};
    if (range == nullptr || range->items.size() != 2)
        return {};
    auto const end = [&](std::size_t i) {
        return Duration::from_ns(static_cast<std::int64_t>(range->items[i].magnitude));
    };
    return {end(0), end(1)};
}

// Exactly what it would do: its random numbers do not depend on when it draws them.
std::optional<Json> steps_of_burst(Whose const& who)
{
    auto const [run_low, run_high] = range_of(who.workload(), "run_ns");
    auto const [block_low, block_high] = range_of(who.workload(), "block_ns");
    if (run_low.ns() < 1 || block_low.ns() < 1 || run_low > run_high || block_low > block_high)
        return std::nullopt;
    Random random{number_of(who.scenario, "seed"),
                  DomainId{static_cast<DomainId::Rep>(number_of(who.domain_json(), "id"))},
                  VcpuIndex{static_cast<VcpuIndex::Rep>(who.vcpu)}};
    StepList steps{who.end()};
    while (steps.goes_on()) {
        steps.run(static_cast<std::uint64_t>(random.between(run_low, run_high).ns()));
        steps.sleep(static_cast<std::uint64_t>(random.between(block_low, block_high).ns()));
    }
    return steps.workload();
}

// As long as it never waits for a pCPU.
std::optional<Json> steps_of_rhythm(Whose const& who, std::uint64_t first, std::uint64_t run, std::uint64_t pause)
{
    if (run + pause == 0)
        return std::nullopt;
    StepList steps{who.end()};
    for (steps.sleep(first); steps.goes_on(); steps.sleep(pause))
        steps.run(run);
    return steps.workload();
}

std::optional<Json> steps_of_player(Whose const& who)
{
    Json const& workload{who.workload()};
    Json const* const token{workload.find("token")};
    std::string const notify{fmt::format("n{}.{}", number_of(who.domain_json(), "id"), number_of(workload, "partner"))};
    StepList steps{who.end()};
    bool const begins{token != nullptr && token->boolean};
    for (bool first = true; steps.goes_on() && number_of(workload, "run_ns") > 0; first = false) {
        if (!first || !begins)
            steps.text("w");
        steps.run(number_of(workload, "run_ns"));
        steps.text(notify);
    }
    return steps.workload();
}

std::optional<Json> steps_for(Whose const& who)
{
    Json const& workload{who.workload()};
    std::string const kind{workload.find("kind") == nullptr ? "" : workload.find("kind")->text};
    if (kind == "burst")
        return steps_of_burst(who);
    if (kind == "pingpong")
        return steps_of_player(who);
    std::uint64_t const run{number_of(workload, "run_ns")}, period{number_of(workload, "period_ns")};
    if (kind == "periodic" && period > run)
        return steps_of_rhythm(who, number_of(workload, "phase_ns"), run, period - run);
    std::uint64_t const grid{number_of(workload, "grid_ns")}, guard{number_of(workload, "guard_ns")};
    if (kind == "gridsleep" && grid > guard)
        return steps_of_rhythm(who, 0, grid - guard, 2 * guard);
    return std::nullopt;
}

// `with`: what it becomes; its partner becomes `partner_with`.
void add_replacement(std::vector<Simplification>& to, Whose const& who, std::string_view what, Json with,
                     std::optional<Json> partner_with)
{
    std::string const domain{fmt::format("$.domains[{}].vcpus", who.domain)};
    std::string const place{fmt::format("{}[{}].workload", domain, who.vcpu)};
    std::string partner;
    if (who.workload().find("partner") != nullptr)
        partner = fmt::format("{}[{}].workload", domain, number_of(who.workload(), "partner"));
    to.push_back({fmt::format("{} is {}", place, what),
                  [=, with = std::move(with), partner_with = std::move(partner_with)](Json& scenario) {
                      if (Json* const workload{at_path(scenario, place)})
                          *workload = with;
                      Json* const other{partner_with ? at_path(scenario, partner) : nullptr};
                      if (other != nullptr)
                          *other = *partner_with;
                  }});
}

} // namespace

void add_workload_simplifications(std::vector<Simplification>& to, Json const& scenario, std::size_t domain,
                                  std::size_t vcpu)
{
    Whose const who{scenario, domain, vcpu};
    Json const& workload{who.workload()};
    Json hog{.kind = Json::Kind::object};
    hog.member("kind") = Json::from_text("hog");
    if (json_line(workload) == json_line(hog))
        return;
    std::size_t const partner{number_of(workload, "partner")};
    bool const has_partner{workload.find("partner") != nullptr &&
                           partner < who.domain_json().find("vcpus")->items.size()};
    add_replacement(to, who, "hog", hog, has_partner ? std::optional{hog} : std::nullopt);
    std::optional<Json> const steps{steps_for(who)};
    std::optional<Json> const partner_steps{has_partner ? steps_for({scenario, domain, partner}) : std::nullopt};
    if (steps && (!has_partner || partner_steps))
        add_replacement(to, who, "steps", *steps, partner_steps);
    for (std::string_view const key : {"run_ns", "block_ns"})
        if (auto const [low, high] = range_of(workload, key); low != high) {
            std::string const place{fmt::format("$.domains[{}].vcpus[{}].workload.{}[1]", domain, vcpu, key)};
            to.push_back({fmt::format("{} is the lowest", place), [place, low = low.ns()](Json& tree) {
                              if (Json* const end{at_path(tree, place)})
                                  *end = Json::integer(low);
                          }});
        }
}

} // namespace hv::nv
