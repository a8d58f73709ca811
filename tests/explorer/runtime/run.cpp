#include "tests/explorer/runtime/run.hpp"

#include "tests/explorer/runtime/arena.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hv::explorer {
namespace {

// A step of splitmix64.
[[nodiscard]] std::uint64_t mix(std::uint64_t state, std::uint64_t value)
{
    state = (state ^ value) + 0x9E3779B97F4A7C15ull;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ull;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBull;
    return state ^ (state >> 31);
}

constexpr std::uint32_t most_steps{20'000}, most_plain_steps{2'000'000}; // a run that takes more does not end

} // namespace

Run& run()
{
    static Run one;
    return one;
}

// --- a run

void Run::enter()
{
    Run& self{run()};
    self.program_(self.current_);
    __builtin_unreachable();
}

void Run::enter_alone()
{
    Run& self{run()};
    self.program_alone_();
    self.leave(End::quiet);
}

End Run::execute(void (*program)(unsigned fiber), Sharing& sharing, Chooser& chooser, Bounds bounds)
{
    program_ = program;
    sharing_ = &sharing;
    chooser_ = &chooser;
    bounds_ = bounds;
    used_ = delays_ = step_ = plain_steps_ = 0;
    found_.clear();
    found_pc_ = other_pc_ = nullptr;
    decisions_.clear();
    steps_.clear();
    clocks_.begin();
    words_.resize(Arena::capacity);
    ++run_number_;
    switched_ = false;
    for (Pcpu& pcpu : pcpus_) {
        Fiber const fiber{pcpu.fiber};
        pcpu = {};
        pcpu.fiber = fiber;
        prepare(pcpu.fiber, enter);
    }
    Choice first{.step = 0, .free = true, .delays = false, .options = fiber_count, .fibers = {0, 1, 2}};
    current_ = first.fibers[choose(first)];
    active_ = true;
    switch_fiber(main_, pcpus_[current_].fiber);
    active_ = false;
    current_ = fiber_count;
    return end_;
}

End Run::execute_alone(void (*program)())
{
    program_alone_ = program;
    prepare(alone_, enter_alone);
    switch_fiber(main_, alone_);
    return end_;
}

void Run::leave(End end)
{
    end_ = end;
    Fiber abandoned;
    switch_fiber(abandoned, main_);
    __builtin_unreachable();
}

void Run::fail(std::string const& text)
{
    found_ = text;
    leave(End::found);
}

void Run::log(char const* what, std::uint32_t offset, std::uint64_t value, void const* pc)
{
    if (records_) [[unlikely]]
        steps_.push_back({.number = step_,
                          .fiber = static_cast<std::uint8_t>(current_),
                          .what = what,
                          .offset = offset,
                          .value = value,
                          .pc = pc});
}

void Run::note(char const* text, std::uint64_t value)
{
    if (active_)
        log(text, ~0u, value, nullptr);
}

void Run::count_step(void const* pc)
{
    if (++step_ == most_steps) {
        found_pc_ = pc;
        fail("does not end");
    }
}

// --- choices

unsigned Run::choose(Choice& choice)
{
    unsigned const chosen{choice.options == 1 ? 0 : chooser_->choose(choice)};
    if (chosen != 0)
        decisions_.push_back({.step = choice.step,
                              .fiber = choice.delays ? static_cast<std::uint8_t>(current_) : choice.fibers[chosen],
                              .delays = choice.delays});
    return chosen;
}

void Run::go_to(unsigned next)
{
    unsigned const self{current_};
    current_ = next;
    switched_ = true;
    switch_fiber(pcpus_[self].fiber, pcpus_[next].fiber);
}

// Only what may have to do with others belongs to the history.
void Run::remember(std::uint32_t offset, bool writes)
{
    if (!sharing_->is_contended(offset))
        return;
    Word& word{words_[offset]};
    if (word.run != run_number_)
        word = {.run = run_number_, .written = 0};
    // Who reads knows what it read, so that who writes need not know whether anybody has read what was there before.
    std::uint64_t& history{pcpus_[current_].history};
    history = mix(mix(history, offset * 2u + (writes ? 1u : 0u)), word.written);
    if (writes)
        word.written = history;
}

void Run::ask_whether_known(bool free)
{
    switched_ = false;
    std::uint64_t state{(delays_ * fiber_count + current_) * 2u + (free ? 1u : 0u)};
    for (Pcpu const& pcpu : pcpus_)
        state = mix(state, pcpu.history);
    if (chooser_->knows(state, used_))
        leave(End::equal);
}

// Before an operation: perhaps somebody else goes on first.
std::uint32_t Run::point(std::uint32_t offset, Access access, bool is_choice, void const* pc)
{
    count_step(pc);
    std::uint32_t const step{step_};
    bool const writes{access != Access::load};
    sharing_->touch(offset, current_, writes);
    if (!is_choice || !sharing_->is_contended(offset))
        return step;
    if (switched_ && used_ == bounds_.preemptions)
        ask_whether_known(false);
    if (used_ < bounds_.preemptions) {
        Choice choice{.step = step_, .free = false, .delays = false, .options = 1, .fibers = {}};
        for (std::uint8_t other = 0; other < fiber_count; ++other)
            if (other != current_ && pcpus_[other].state == State::ready)
                choice.fibers[choice.options++] = other;
        if (choice.options > 1)
            ask_whether_known(false);
        if (unsigned const chosen = choose(choice); chosen != 0) {
            ++used_;
            go_to(choice.fibers[chosen]);
        }
    }
    return step;
}

// The operation is made.
void Run::did(std::uint32_t offset, bool writes)
{
    remember(offset, writes);
    for (unsigned other = 0; other < fiber_count; ++other) {
        Pcpu& pcpu{pcpus_[other]};
        if (other == current_)
            continue;
        for (unsigned i = 0; i < pcpu.delayed; ++i)
            pcpu.delay_met |= pcpu.buffer[i].offset == offset;
        if (!writes)
            continue;
        bool watches{pcpu.watched == 0 && pcpu.state != State::ready};
        for (unsigned i = 0; i < pcpu.watched && !watches; ++i)
            watches = pcpu.watch[i] == offset;
        if (watches) {
            pcpu.stale = true;
            pcpu.state = State::ready;
        }
    }
}

void Run::pick_next()
{
    Choice choice{.step = step_, .free = true, .delays = false, .options = 0, .fibers = {}};
    bool deadlock{false};
    for (std::uint8_t other = 0; other < fiber_count; ++other) {
        if (pcpus_[other].state == State::ready)
            choice.fibers[choice.options++] = other;
        deadlock |= pcpus_[other].state == State::spins;
    }
    if (choice.options == 0) {
        if (deadlock)
            fail("deadlock: whoever is not idle spins");
        leave(End::quiet);
    }
    if (choice.options > 1)
        ask_whether_known(true);
    unsigned const next{choice.fibers[choose(choice)]};
    if (next != current_)
        go_to(next);
}

void Run::spin(bool idle)
{
    if (!active_)
        return;
    drain();
    count_step(nullptr);
    Pcpu& mine{pcpus_[current_]};
    if (mine.watched != 0)
        mine.history = mine.history_before_watch; // It looked in vain, and will look again.
    if (!std::exchange(mine.stale, false)) {
        mine.state = idle ? State::idles : State::spins;
        log(idle ? "idles" : "waits", mine.watched != 0 ? mine.watch[mine.watched - 1] : ~0u, 0, nullptr);
        pick_next();
        pcpus_[current_].stale = false;
    }
    pcpus_[current_].watched = 0;
}

// --- memory

void Run::expect_alive(std::uint32_t offset, bool writes, void const* pc)
{
    if (!clocks_.is_free(offset)) [[likely]]
        return;
    found_pc_ = pc;
    fail(writes ? "write to memory that was released" : "read of memory that was released");
}

void Run::plain(void const* at, unsigned bytes, bool writes, void const* pc)
{
    std::uint32_t const offset{arena().offset_of(at)};
    if (++plain_steps_ == most_plain_steps) {
        found_pc_ = pc;
        fail("does not end");
    }
    expect_alive(offset, writes, pc);
    Race race{};
    if (!clocks_.plain(current_, offset, bytes, writes, pc, race)) [[likely]]
        return;
    found_pc_ = pc;
    other_pc_ = race.other_pc;
    fail(std::string{"race: "} + (writes ? "write" : "read") + " on pCPU " + std::to_string(current_) + ", " +
         (race.other_wrote ? "write" : "read") + " on pCPU " + std::to_string(race.other));
}

std::uint64_t Run::load(void const* at, unsigned bytes, int order, void const* pc)
{
    std::uint32_t const offset{arena().offset_of(at)};
    expect_alive(offset, false, pc);
    bool const owners_look{bytes == 2 && order == __ATOMIC_RELAXED && sharing_->is_lock(offset)};
    static_cast<void>(point(offset, Access::load, !owners_look, pc));
    Pcpu& mine{pcpus_[current_]};
    for (unsigned i = mine.delayed; i-- > 0;)
        if (mine.buffer[i].offset == offset)
            return mine.buffer[i].value;
    std::uint64_t value{0};
    std::memcpy(&value, at, bytes);
    if (order != __ATOMIC_RELAXED)
        clocks_.acquire(current_, offset);
    if (mine.watched == mine.watch.size()) {
        std::copy(mine.watch.begin() + 1, mine.watch.end(), mine.watch.begin());
        --mine.watched;
    }
    if (mine.watched == 0)
        mine.history_before_watch = mine.history;
    mine.watch[mine.watched++] = offset;
    if (owners_look)
        return value;
    log("reads", offset, value, pc);
    did(offset, false);
    return value;
}

void Run::store(void* at, unsigned bytes, std::uint64_t value, int order, void const* pc)
{
    std::uint32_t const offset{arena().offset_of(at)};
    expect_alive(offset, true, pc);
    std::uint32_t const step{point(offset, Access::store, true, pc)};
    Pcpu& mine{pcpus_[current_]};
    mine.watched = 0;
    mine.stale = false;
    bool const strong{order == __ATOMIC_SEQ_CST};
    if (strong)
        drain();
    Delayed one{
        .offset = offset, .bytes = bytes, .value = value, .at = at, .releases = order != __ATOMIC_RELAXED, .clock = {}};
    if (one.releases)
        one.clock = clocks_.leave(current_);
    bool delays{mine.delayed != 0};
    if (!strong && !delays && sharing_->is_contended(offset) && used_ < bounds_.preemptions &&
        delays_ < bounds_.delays) {
        Choice choice{.step = step, .free = false, .delays = true, .options = 2, .fibers = {}};
        delays = choose(choice) != 0;
        used_ += delays ? 1 : 0;
        if (delays) {
            ++delays_;
            mine.delay_met = false;
            mine.history = mix(mine.history, ~std::uint64_t{0});
        }
    }
    if (delays && mine.delayed == mine.buffer.size())
        drain();
    log(delays ? "writes, seen later," : "writes", offset, value, pc);
    if (delays)
        mine.buffer[mine.delayed++] = one;
    else
        write(one);
}

void Run::write(Delayed const& store)
{
    std::memcpy(store.at, &store.value, store.bytes);
    if (store.releases)
        clocks_.publish(store.offset, false, store.clock);
    else
        clocks_.forget(store.offset);
    did(store.offset, true);
}

void Run::drain()
{
    Pcpu& mine{pcpus_[current_]};
    if (mine.delayed == 0)
        return;
    if (bounds_.prunes && !mine.delay_met)
        leave(End::equal);
    for (unsigned i = 0; i < mine.delayed; ++i)
        write(mine.buffer[i]);
    mine.delayed = 0;
}

void Run::begin_change(void* at, unsigned bytes, bool is_lock, void const* pc)
{
    std::uint32_t const offset{arena().offset_of(at)};
    expect_alive(offset, true, pc);
    if (is_lock && bytes == 2)
        sharing_->note_lock(offset);
    static_cast<void>(point(offset, Access::change, true, pc));
    drain();
}

void Run::end_change(void* at, int order, bool changed, std::uint64_t value, void const* pc)
{
    std::uint32_t const offset{arena().offset_of(at)};
    Pcpu& mine{pcpus_[current_]};
    mine.watched = 0;
    mine.stale = false;
    if (order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST ||
        order == __ATOMIC_CONSUME)
        clocks_.acquire(current_, offset);
    if (changed && (order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST))
        clocks_.release(current_, offset, true);
    log(changed ? "changes to" : "would change", offset, value, pc);
    did(offset, changed);
}

void Run::release(void* memory, std::size_t bytes)
{
    if (active_)
        clocks_.free(arena().offset_of(memory), static_cast<std::uint32_t>(bytes));
}

} // namespace hv::explorer
