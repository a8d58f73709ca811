// One run of a scenario: three fibers, one a pCPU, of which one executes at a time. Every atomic operation on memory
// that they share is a point at which another may go on; who decides is the run's Chooser.
//
// Memory is that of x86 as far as order goes: a store weaker than seq_cst may be seen by others only after later loads
// of its own fiber (the Chooser delays it), and all of them at the next operation that x86 has to lock. What weaker
// hardware might do shows as a race (clocks.hpp).
//
// A run ends when nobody has anything to do, when something is found, or when the Chooser knows the state that it has
// come to. A state is told by its history: for each fiber, what it has done and which operations of others each of
// these came after. Two runs in which only operations that have nothing to do with each other changed places have the
// same history. A store that was delayed and that nobody missed meanwhile ends a run, too: another one does not delay
// it. Floor: tests.
#pragma once

#include "tests/explorer/runtime/clocks.hpp"
#include "tests/explorer/runtime/fiber.hpp"
#include "tests/explorer/runtime/sharing.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace hv::explorer {

enum class Access : std::uint8_t { load, store, change };

// What was decided, other than to go on: at this step, `fiber` went on; or the store was delayed.
struct Decision {
    std::uint32_t step;
    std::uint8_t fiber;
    bool delays;
};

struct Choice {
    std::uint32_t step;
    bool free;   // nobody is stopped: whoever executed waits
    bool delays; // 0: the store is made at once, 1: it is delayed
    unsigned options;
    std::array<std::uint8_t, fiber_count> fibers; // not delays: who goes on, by option
};

class Chooser {
public:
    virtual ~Chooser() = default;
    virtual unsigned choose(Choice const& choice) = 0; // below choice.options; 0 is the ordinary course
    // Before some choices: whether all that follows from here is known, `used` preemptions having been made.
    [[nodiscard]] virtual bool knows(std::uint64_t, unsigned) { return false; }
};

struct Bounds {
    unsigned preemptions{3}; // and delayed stores
    unsigned delays{1};      // of them
    bool prunes{true};       // ends runs in which a delayed store makes no difference
};

enum class End : std::uint8_t { quiet, equal, found };

// What a fiber did, for who wants to read it.
struct Step {
    std::uint32_t number;
    std::uint8_t fiber;
    char const* what;
    std::uint32_t offset;
    std::uint64_t value;
    void const* pc;
};

class Run {
public:
    // program(fiber) must not return.
    [[nodiscard]] End execute(void (*program)(unsigned fiber), Sharing& sharing, Chooser& chooser, Bounds bounds);
    // Executes on a stack of its own, so that what it finds ends it.
    [[nodiscard]] End execute_alone(void (*program)());

    [[nodiscard]] std::string const& found() const { return found_; }
    [[nodiscard]] std::vector<Decision> const& decisions() const { return decisions_; }
    void record(bool wanted) { records_ = wanted; }
    [[nodiscard]] std::vector<Step> const& steps() const { return steps_; }
    [[nodiscard]] void const* other_pc() const { return other_pc_; }
    [[nodiscard]] void const* found_pc() const { return found_pc_; }

    // From hooks.cpp.
    [[nodiscard]] bool is_active() const { return active_; }
    [[nodiscard]] unsigned current() const { return current_; }
    void plain(void const* at, unsigned bytes, bool writes, void const* pc);
    [[nodiscard]] std::uint64_t load(void const* at, unsigned bytes, int order, void const* pc);
    void store(void* at, unsigned bytes, std::uint64_t value, int order, void const* pc);
    // Before the change is made, and after it.
    void begin_change(void* at, unsigned bytes, bool is_lock, void const* pc);
    void end_change(void* at, int order, bool changed, std::uint64_t value, void const* pc);
    void fence() { drain(); }
    // From programs.
    void spin(bool idle);
    void note(char const* text, std::uint64_t value);
    [[noreturn]] void fail(std::string const& text);
    void release(void* memory, std::size_t bytes);
    void stop_alone() { leave(End::quiet); }

private:
    enum class State : std::uint8_t { ready, spins, idles };
    struct Delayed {
        std::uint32_t offset;
        unsigned bytes;
        std::uint64_t value;
        void* at;
        bool releases;
        Clock clock;
    };
    struct Pcpu {
        Fiber fiber;
        State state{State::ready};
        bool stale{false};
        bool delay_met{false};
        std::uint64_t history{0}, history_before_watch{0};
        unsigned watched{0};
        std::array<std::uint32_t, 16> watch{};
        unsigned delayed{0};
        std::array<Delayed, 16> buffer{};
    };

    static void enter();
    static void enter_alone();
    // Returns the step's number.
    std::uint32_t point(std::uint32_t offset, Access access, bool is_choice, void const* pc);
    void did(std::uint32_t offset, bool writes);
    void remember(std::uint32_t offset, bool writes);
    void ask_whether_known(bool free);
    void count_step(void const* pc);
    void expect_alive(std::uint32_t offset, bool writes, void const* pc);
    [[nodiscard]] unsigned choose(Choice& choice);
    void go_to(unsigned next);
    void pick_next();
    void drain();
    void write(Delayed const& store);
    [[noreturn]] void leave(End end);
    void log(char const* what, std::uint32_t offset, std::uint64_t value, void const* pc);

    Fiber main_;
    Fiber alone_;
    std::array<Pcpu, fiber_count> pcpus_;
    unsigned current_{fiber_count};
    bool active_{false};
    bool records_{false};
    End end_{End::quiet};
    void (*program_)(unsigned){nullptr};
    void (*program_alone_)(){nullptr};
    Sharing* sharing_{nullptr};
    Chooser* chooser_{nullptr};
    Bounds bounds_;
    unsigned used_{0}, delays_{0};
    std::uint32_t step_{0};
    std::uint32_t plain_steps_{0};
    Clocks clocks_;
    struct Word {
        std::uint32_t run{0};
        std::uint64_t written{0}; // the history of who wrote it last
    };
    std::vector<Word> words_;
    std::uint32_t run_number_{0};
    bool switched_{false}; // since the last look whether the state is known
    std::string found_;
    void const* found_pc_{nullptr};
    void const* other_pc_{nullptr};
    std::vector<Decision> decisions_;
    std::vector<Step> steps_;
};

[[nodiscard]] Run& run();

} // namespace hv::explorer
