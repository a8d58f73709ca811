#include "tests/explorer/search.hpp"

#include "tests/explorer/runtime/arena.hpp"

#include <cctype>
#include <cstdlib>

namespace hv::explorer {

namespace {

// For functions that have to do without arguments.
Scenario const* chosen_scenario{nullptr};
sched::PolicyOps const* chosen_policy{nullptr};

void program(unsigned fiber)
{
    chosen_scenario->programs[fiber](machine(), cpu(fiber));
    machine().idle(cpu(fiber));
}

void check_all()
{
    if (chosen_scenario->check != nullptr)
        chosen_scenario->check(machine());
    machine().check();
}

// Numbers of 56 bits, with the least of what was said along with each.
class Known {
public:
    // true: it is there, with as little.
    [[nodiscard]] bool add(std::uint64_t state, unsigned with)
    {
        if (2 * count_ >= table_.size())
            grow();
        std::uint64_t& place{find(state)};
        bool const is_there{place != 0};
        if (is_there && (place & 0xff) <= with)
            return true;
        count_ += is_there ? 0 : 1;
        place = (state & ~std::uint64_t{0xff}) | with;
        return false;
    }
    void clear() { table_.assign(1024, 0), count_ = 0; }
    [[nodiscard]] std::size_t count() const { return count_; }

private:
    [[nodiscard]] std::uint64_t& find(std::uint64_t state)
    {
        std::size_t at{(state >> 8) & (table_.size() - 1)};
        while (table_[at] != 0 && (table_[at] ^ state) >> 8 != 0)
            at = (at + 1) & (table_.size() - 1);
        return table_[at];
    }
    void grow()
    {
        std::vector<std::uint64_t> const before{std::move(table_)};
        table_.assign(before.size() * 2, 0);
        for (std::uint64_t const state : before)
            if (state != 0)
                find(state) = state;
    }

    std::vector<std::uint64_t> table_ = std::vector<std::uint64_t>(1024);
    std::size_t count_{0};
};

// In depth: the last decision that has another option left takes it.
class InDepth final : public Chooser {
public:
    unsigned choose(Choice const& choice) override
    {
        if (depth_ == trail_.size())
            trail_.push_back({.chosen = 0, .options = choice.options});
        return trail_[depth_++].chosen;
    }
    [[nodiscard]] bool knows(std::uint64_t state, unsigned used) override
    {
        return depth_ == trail_.size() && known_.add(state, used + 1);
    }
    [[nodiscard]] bool next()
    {
        trail_.resize(depth_);
        depth_ = 0;
        while (!trail_.empty() && trail_.back().chosen + 1 == trail_.back().options)
            trail_.pop_back();
        if (trail_.empty())
            return false;
        ++trail_.back().chosen;
        return true;
    }
    void restart()
    {
        trail_.clear();
        known_.clear();
        depth_ = 0;
    }

private:
    struct Taken {
        unsigned chosen, options;
    };
    std::vector<Taken> trail_;
    std::size_t depth_{0};
    Known known_;
};

class AtRandom final : public Chooser {
public:
    explicit AtRandom(std::uint64_t seed) : state_{seed * 0x9E3779B97F4A7C15ull | 1} { one_in_ = 2u << (draw() % 6); }
    unsigned choose(Choice const& choice) override
    {
        if (!choice.free && draw() % one_in_ != 0)
            return 0;
        return static_cast<unsigned>(draw() % choice.options);
    }

private:
    std::uint64_t draw()
    {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ >> 11;
    }
    std::uint64_t state_;
    std::uint64_t one_in_;
};

class AsBefore final : public Chooser {
public:
    explicit AsBefore(std::vector<Decision> const& schedule) : schedule_{schedule} {}
    unsigned choose(Choice const& choice) override
    {
        for (Decision const& decision : schedule_) {
            if (decision.step != choice.step || decision.delays != choice.delays)
                continue;
            if (choice.delays)
                return 1;
            for (unsigned option = 1; option < choice.options; ++option)
                if (choice.fibers[option] == decision.fiber)
                    return option;
        }
        return 0;
    }

private:
    std::vector<Decision> const& schedule_;
};

} // namespace

Search::Search(Scenario const& scenario, sched::PolicyOps const& policy)
{
    chosen_scenario = &scenario;
    chosen_policy = &policy;
    End const end{run().execute_alone([] { chosen_scenario->set_up(Machine::make(*chosen_policy)); })};
    if (end == End::found)
        at_once_ = Finding{.text = "while it is set up: " + run().found(), .schedule = {}};
    arena().keep();
}

End Search::once(Chooser& chooser, Bounds bounds, Tally& tally)
{
    arena().restore();
    ++tally.runs;
    End end{run().execute(program, sharing_, chooser, bounds)};
    if (end == End::quiet)
        end = run().execute_alone(check_all);
    tally.equal += end == End::equal ? 1 : 0;
    if (end == End::found)
        tally.finding = Finding{
            .text = run().found(), .schedule = run().decisions(), .pc = run().found_pc(), .other_pc = run().other_pc()};
    return end;
}

Tally Search::within(unsigned preemptions, unsigned delays)
{
    Tally tally;
    InDepth in_depth;
    for (bool more = true; more;) {
        if (once(in_depth, {.preemptions = preemptions, .delays = delays, .prunes = true}, tally) == End::found)
            return tally;
        if (sharing_.has_grown())
            in_depth.restart();
        else
            more = in_depth.next();
    }
    return tally;
}

Tally Search::all(unsigned preemptions, unsigned delays)
{
    Tally sum;
    sum.finding = at_once_;
    for (unsigned bound = 0; bound <= preemptions && !sum.finding; ++bound) {
        Tally const one{within(bound, delays)};
        sum = {.runs = sum.runs + one.runs, .equal = sum.equal + one.equal, .finding = one.finding};
    }
    return sum;
}

Tally Search::random(std::uint64_t runs, std::uint64_t seed)
{
    Tally tally;
    for (std::uint64_t i = 0; i < runs && !tally.finding; ++i) {
        AtRandom chooser{seed + i};
        static_cast<void>(once(chooser, {.preemptions = ~0u, .delays = ~0u, .prunes = false}, tally));
    }
    return tally;
}

Tally Search::again(std::vector<Decision> const& schedule)
{
    // Which operations are points depends on what was learnt: here all of them may be.
    sharing_.share_all();
    Tally tally;
    AsBefore chooser{schedule};
    run().record(true);
    static_cast<void>(once(chooser, {.preemptions = ~0u, .delays = ~0u, .prunes = false}, tally));
    run().record(false);
    return tally;
}

// --- as text

std::string schedule_text(std::string const& name, std::vector<Decision> const& schedule)
{
    std::string text{name + ":"};
    for (Decision const& decision : schedule) {
        text += text.back() == ':' ? "" : ",";
        text += std::to_string(decision.step) + (decision.delays ? "~" : ">" + std::to_string(decision.fiber));
    }
    return text;
}

std::optional<std::vector<Decision>> parse_schedule(std::string const& text)
{
    std::vector<Decision> schedule;
    char const* at{text.c_str()};
    while (*at != '\0') {
        if (std::isdigit(static_cast<unsigned char>(*at)) == 0)
            return std::nullopt;
        char* end{nullptr};
        auto const step = static_cast<std::uint32_t>(std::strtoul(at, &end, 10));
        if (*end == '~') {
            schedule.push_back({.step = step, .fiber = 0, .delays = true});
            at = end + 1;
        } else if (*end == '>' && end[1] >= '0' && end[1] < '0' + static_cast<int>(fiber_count)) {
            schedule.push_back({.step = step, .fiber = static_cast<std::uint8_t>(end[1] - '0'), .delays = false});
            at = end + 2;
        } else {
            return std::nullopt;
        }
        if (*at == ',' && at[1] != '\0')
            ++at;
        else if (*at != '\0')
            return std::nullopt;
    }
    return schedule;
}

} // namespace hv::explorer
