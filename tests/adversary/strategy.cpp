#include "tests/adversary/strategy.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <random>

namespace hv::test {

namespace {

using sched::RunState;
using sched::test::ms;
using sched::test::Sim;
using sched::test::us;

constexpr Duration slice{ms(30)};
constexpr Duration warmup{ms(500)};
constexpr Duration look_again{us(200)}; // whether a thief that waits runs by now

using Draw = std::mt19937_64;

[[nodiscard]] std::uint64_t below(Draw& draw, std::uint64_t limit) { return draw() % limit; }

// Each decade is equally likely.
[[nodiscard]] Duration between(Draw& draw, double low_us, double high_us)
{
    double const at{static_cast<double>(below(draw, 1'000'000)) / 1e6};
    return Duration::from_ns(static_cast<std::int64_t>(1'000 * low_us * std::pow(high_us / low_us, at)));
}

[[nodiscard]] Phase phase_of(Draw& draw)
{
    Phase phase{.run = between(draw, 20, 60'000), .sleep = between(draw, 20, 60'000)};
    if (below(draw, 3) == 0) {
        phase.grid = std::array{ms(1), ms(10), ms(30), ms(100)}[below(draw, 4)];
        phase.guard = between(draw, 1, static_cast<double>(phase.grid.ns()) / 2'500);
    }
    if (below(draw, 4) == 0)
        phase.yield_every = between(draw, 50, 20'000);
    return phase;
}

class Thief {
public:
    Thief(Sim& sim, sched::Vcpu& vcpu) : sim_{sim}, vcpu_{vcpu} {}

    [[nodiscard]] Duration ran() const { return sim_.spent(vcpu_, RunState::running); }

    // Until `end` at the latest.
    void play(Phase const& phase, Instant end)
    {
        Instant const point{Instant::at(phase.grid == Duration{} ? Duration{} : next(phase.grid))};
        Instant const stop{phase.grid == Duration{} ? end : std::min(end, point + -phase.guard)};
        work(phase, stop);
        sleep(phase.grid == Duration{} ? std::min(end, sim_.now() + phase.sleep) : std::min(end, point + phase.guard));
    }

private:
    [[nodiscard]] Duration next(Duration grid) const { return grid * (sim_.now().since_start() / grid + 1); }

    void work(Phase const& phase, Instant stop)
    {
        Duration const enough{ran() + (phase.grid == Duration{} ? phase.run : ms(1'000'000))};
        Duration yields{ran() + phase.yield_every};
        while (sim_.now() < stop && ran() < enough) {
            Duration rest{std::min(stop - sim_.now(), look_again)};
            if (sim_.runs(vcpu_)) {
                rest = std::min(stop - sim_.now(), enough - ran());
                if (phase.yield_every != Duration{})
                    rest = std::min(rest, yields - ran());
            }
            sim_.run(std::max(rest, Duration::from_ns(1)));
            if (phase.yield_every != Duration{} && ran() >= yields && sim_.runs(vcpu_)) {
                yields = ran() + phase.yield_every;
                act([&](CpuId self, Instant now) { sim_.core().yield(self, vcpu_, now); });
            }
        }
    }

    void sleep(Instant until)
    {
        while (!sim_.runs(vcpu_)) // only who runs can wait for an event
            sim_.run(look_again);
        bool slept{false};
        act([&](CpuId self, Instant now) { slept = sim_.core().block(self, vcpu_, now); });
        HV_ASSERT(slept);
        sim_.run(std::max(until - sim_.now(), Duration::from_ns(1)));
        sim_.wake(vcpu_, vcpu_.processor().value());
    }

    template <typename Action>
    void act(Action const& action)
    {
        sim_.on(vcpu_.processor().value(), action);
        sim_.switches().clear();
    }

    Sim& sim_;
    sched::Vcpu& vcpu_;
};

} // namespace

double Contest::fair_share() const
{
    double const heavy{static_cast<double>(thief.weight)}, others{256.0 * hogs};
    double const share{std::min(1.0, pcpus * heavy / (heavy + others))};
    return thief.cap == 0 ? share : std::min(share, thief.cap / 100.0);
}

std::string Contest::text() const
{
    auto const micros = [](Duration d) { return fmt::format("{:.1f} us", static_cast<double>(d.ns()) / 1e3); };
    std::string said{fmt::format("{} pCPUs, {} hogs, weight {}, cap {}:", pcpus, hogs, thief.weight, thief.cap)};
    for (Phase const& phase : phases) {
        said += phase.grid == Duration{}
                    ? fmt::format(" run {}, sleep {}", micros(phase.run), micros(phase.sleep))
                    : fmt::format(" away {} around multiples of {}", micros(phase.guard), micros(phase.grid));
        if (phase.yield_every != Duration{})
            said += fmt::format(", yield every {}", micros(phase.yield_every));
        said += ';';
    }
    said.pop_back();
    return said;
}

Contest contest_of(std::uint64_t seed, std::uint64_t number)
{
    Draw draw{seed * 1'000'003 + number};
    Contest made;
    made.pcpus = below(draw, 2) == 0 ? 1 : 4;
    made.hogs = made.pcpus + static_cast<unsigned>(below(draw, 2 * made.pcpus + 1));
    made.thief.weight = std::array<std::uint16_t, 3>{128, 256, 512}[below(draw, 3)];
    if (below(draw, 2) == 0)
        made.thief.cap = static_cast<std::uint16_t>(10 + below(draw, 71));
    for (std::uint64_t count = 1 + below(draw, 4); count > 0; --count)
        made.phases.push_back(phase_of(draw));
    return made;
}

double play(Contest const& contest, sched::PolicyOps const& policy)
{
    Sim sim{contest.pcpus, {.policy = &policy, .trace_mask = 0}};
    for (unsigned hog = 0; hog < contest.hogs; ++hog)
        sim.start(sim.hog(sim.domain(), hog % contest.pcpus));
    sched::Vcpu& vcpu{sim.vcpu(sim.domain(contest.thief), 0)};
    sim.start(vcpu);
    sim.run(warmup);
    Thief thief{sim, vcpu};
    double const share{contest.fair_share()};
    Duration const long_enough{
        Duration::from_ns(static_cast<std::int64_t>(105.0 * static_cast<double>(slice.ns()) / share))};
    Instant const begin{sim.now()};
    Duration const before{thief.ran()};
    for (std::size_t i = 0; sim.now() < begin + long_enough; ++i)
        thief.play(contest.phases[i % contest.phases.size()], begin + long_enough);
    return static_cast<double>((thief.ran() - before).ns()) / (share * static_cast<double>((sim.now() - begin).ns()));
}

} // namespace hv::test
