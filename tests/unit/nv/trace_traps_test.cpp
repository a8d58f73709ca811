// Every trace that is known to confuse xenalyze: nv says what is wrong with it, and xenalyze still does what made it a
// trap (a changed tool would show here).
#include "tests/unit/nv/trace_sample.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/trace_check.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace hv::nv {
namespace {

using namespace sample;
namespace fs = std::filesystem;

struct Trap {
    char const* name;
    Bytes file;
    char const* rule; // of the first breach; "damage": a line from the reader; "": nothing is wrong
    int status;       // xenalyze's
};

void PrintTo(Trap const& trap, std::ostream* out) { *out << trap.name; }

// pCPU 0 runs d1v0, pCPU 1 idles.
Sample begun()
{
    Sample sample;
    sample.resume(0, 10, 1, 0).change(1, 11, idle, 1, State::runnable, State::running);
    return sample;
}

// pCPU 0 goes from d1v0 to its idle vCPU.
Sample left(State to)
{
    Sample sample{begun()};
    return sample.change(0, 20, 1, 0, State::running, to).change(0, 21, idle, 0, State::runnable, State::running);
}

Sample& arrive(Sample& sample, std::uint32_t pcpu, std::uint64_t stamp, std::uint16_t domain)
{
    return sample.change(pcpu, stamp, domain, 0, State::runnable, State::running);
}

Sample& leave_idle(Sample& sample, std::uint16_t pcpu, std::uint64_t stamp)
{
    return sample.change(pcpu, stamp, idle, pcpu, State::running, State::runnable);
}

// begun() with one record more.
Bytes with(std::uint32_t pcpu, Record const& record) { return begun().put(pcpu, record).file(); }

// d1v0 goes from pCPU 0 to pCPU 1.
Sample resumed(std::uint64_t left_at, std::uint64_t resumed_at)
{
    Sample sample{begun()};
    leave_idle(sample, 1, 15);
    arrive(sample, 1, resumed_at, 1);
    sample.change(0, left_at, 1, 0, State::running, State::runnable);
    return arrive(sample, 0, left_at + 1, 2);
}

Bytes resumed_at(std::uint64_t left_at, std::uint64_t resumed_at) { return resumed(left_at, resumed_at).file(); }

Bytes resumed_and_left()
{
    Sample sample{resumed(20, 16)};
    sample.change(1, 40, 1, 0, State::running, State::runnable);
    return sample.change(1, 41, idle, 1, State::runnable, State::running).file();
}

Bytes run_before_wake()
{
    Sample sample{left(State::blocked)};
    leave_idle(sample, 1, 30);
    arrive(sample, 1, 31, 1);
    return sample.change(0, 35, 1, 0, State::blocked, State::runnable).file();
}

Bytes blocked_to_running()
{
    Sample sample{left(State::blocked)};
    return leave_idle(sample, 0, 30).change(0, 31, 1, 0, State::blocked, State::running).file();
}

Bytes arrival_first()
{
    Sample sample{left(State::runnable)};
    arrive(sample, 0, 30, 1);
    return leave_idle(sample, 0, 31).file();
}

Bytes moved_before_its_pcpu_began()
{
    Sample sample;
    sample.resume(0, 10, 1, 0).change(0, 20, 1, 0, State::running, State::runnable);
    arrive(sample, 0, 21, 2);
    return arrive(sample, 1, 30, 1).file();
}

Bytes into_the_middle()
{
    Sample sample;
    sample.change(0, 10, 1, 0, State::running, State::blocked).change(0, 11, idle, 0, State::runnable, State::running);
    return sample.file();
}

Bytes unstamped_switch()
{
    Sample sample{begun()};
    leave_idle(sample, 1, 20);
    arrive(sample, 1, 21, 2);
    sample.change(0, 30, 1, 0, State::running, State::runnable);
    sample.put(0, make(0x21101, std::nullopt, {2 << 16}));
    return sample.change(1, 25, 2, 0, State::running, State::runnable).file();
}

Bytes lost_elsewhere()
{
    Sample sample{begun()};
    sample.put(1, make(0x1f001, 20, {1, 1, 15, 0})); // d1v0, which runs on pCPU 0
    return sample.change(0, 25, 1, 0, State::running, State::blocked)
        .change(0, 26, idle, 0, State::runnable, State::running)
        .change(1, 30, 1, 0, State::running, State::blocked)
        .file();
}

// After the loss d2v0 is said to run on pCPU 0; it is d1v0 that leaves.
Bytes lost_another()
{
    Sample sample{begun()};
    sample.put(0, make(0x1f001, 20, {1, 2, 15, 0}));
    return sample.change(0, 30, 1, 0, State::running, State::blocked)
        .change(0, 31, idle, 0, State::runnable, State::running)
        .file();
}

Bytes other_idle_domain(std::uint16_t domain)
{
    Sample sample;
    sample.resume(0, 10, 1, 0).change(1, 11, domain, 1, State::runnable, State::running);
    return sample.change(1, 20, domain, 1, State::running, State::runnable)
        .change(1, 21, 2, 0, State::runnable, State::running)
        .file();
}

Bytes to_offline()
{
    Sample sample{left(State::runnable)};
    sample.change(0, 30, 1, 0, State::runnable, State::offline);
    return sample.change(0, 40, idle, 0, State::running, State::offline).file();
}

Bytes patched(std::size_t at, std::uint32_t word)
{
    Bytes file{begun().file()};
    std::memcpy(file.data() + at, &word, sizeof word);
    return file;
}

Bytes cut_short()
{
    Bytes file{begun().file()};
    file.erase(file.end() - 8, file.end()); // resize() makes a sanitizing g++ see an impossible size
    return file;
}

std::vector<Trap> traps()
{
    return {
        {"an arrival from elsewhere begins a pCPU", moved_before_its_pcpu_began(), "R1", 1},
        {"a departure begins a pCPU", into_the_middle(), "R1", 0},
        {"preempted and resumed at one stamp", resumed_at(20, 20), "R3", 0},
        {"resumed before it is preempted", resumed_at(20, 16), "R3", 0},
        {"resumed too early and preempted again", resumed_and_left(), "R3", 1},
        {"run before it is woken", run_before_wake(), "R3", 0},
        {"the arrival comes before the departure", arrival_first(), "R2", 1},
        {"the departure is missing", left(State::runnable).change(0, 30, 1, 0, State::runnable, State::running).file(),
         "R2", 1},
        {"a stranger continues", with(0, make(0x21002, 20, {9 << 16})), "continue", 1},
        {"continued on another pCPU", begun().resume(1, 20, 1, 0).resume(0, 30, 1, 0).file(), "continue", 1},
        {"blocked to running", blocked_to_running(), "transition", 0},
        {"runnable to blocked", left(State::runnable).change(0, 30, 1, 0, State::runnable, State::blocked).file(),
         "transition", 0},
        {"to offline", to_offline(), "", 0},
        {"running to running", with(0, make(0x21001, 20, {1 << 16})), "transition", 0},
        {"a run state without stamp", unstamped_switch(), "stamp", 0},
        {"stamps go backward", begun().resume(0, 20, 1, 0).resume(0, 15, 1, 0).file(), "R2", 0},
        {"the first stamp is 0", Sample{}.resume(0, 0, 1, 0).resume(0, 10, 1, 0).file(), "stamp", 1},
        {"an event of class GUEST", with(0, make(0x0800'f001, 20, {1})), "class", 1},
        {"the end of a loss that was not begun", with(0, make(0x1f032, 20, {})), "class", 1},
        {"a private event", with(0, make(0x22e01, 20, {1, 2, 3})), "", 0},
        {"an unknown hardware event", with(0, make(0x0080'4001, 20, {1})), "", 0},
        {"no window at the start", patched(0, 0x1000'1001), "damage", 1},
        {"a window with a stamp", patched(0, 0xa001'f003), "damage", 1},
        {"a window's size is too small", patched(8, 12), "damage", 1},
        {"the file ends inside a window", cut_short(), "damage", 0},
        {"a loss begins when it ends", with(0, make(0x1f001, 20, {1, 1, 20, 0})), "lost", 1},
        {"a loss of two words", with(0, make(0x1f001, 20, {1, 1})), "lost", 1},
        {"a loss names who runs elsewhere", lost_elsewhere(), "lost", 1},
        {"a loss names another than who runs", lost_another(), "R2", 0},
        {"an idle domain that is not 32767", other_idle_domain(32000), "R1", 0},
        {"an idle domain above 32767", other_idle_domain(32768), "R6", 0},
        {"a loss begins a pCPU", Sample{}.put(0, make(0x1f001, 20, {1, 1, 15, 0})).resume(0, 30, 1, 0).file(), "", 0},
        {"vCPU 256", Sample{}.resume(0, 10, 1, 256).file(), "limit", 139},
        {"pCPU 255", Sample{}.resume(255, 10, 1, 0).file(), "", 0},
        {"pCPU 256", Sample{}.resume(256, 10, 1, 0).file(), "limit", 134},
        {"a guest's event on an idle pCPU", with(1, make(0x0020'100d, 20, {1})), "idle", 0},
    };
}

class Traps : public testing::TestWithParam<Trap> {};

// What nv trace check says first; R5, which none of these keeps, is left out.
std::string first_breach(Bytes const& file)
{
    Losses losses;
    TraceStream first{file};
    while (std::optional<Record> const record = first.next())
        losses.note(*record);
    TraceStream stream{file};
    Checker checker{losses, false};
    while (std::optional<Record> const record = stream.next())
        checker.record(*record);
    if (!stream.damages().empty())
        return "damage";
    return checker.breaches().empty() ? "" : std::string{checker.breaches().front().rule};
}

TEST_P(Traps, AreNamedByNv) { EXPECT_EQ(first_breach(GetParam().file), GetParam().rule); }

TEST_P(Traps, AreStillTrapsForXenalyze)
{
    if (!program_exists("xenalyze"))
        GTEST_SKIP() << "xenalyze is not installed (apt-get install xen-utils-common)";
    fs::path const folder = fs::temp_directory_path() / fmt::format("nv-traps-{}", ::getpid());
    fs::create_directories(folder);
    write_bytes(folder / "t", GetParam().file);
    ProcessResult const result = run_process(
        {.words = {"sh", "-c", "ulimit -c 0; xenalyze --cpu-hz 1G --summary t >out 2>err; echo $?"}, .folder = folder},
        [](auto) {});
    EXPECT_EQ(result.output, fmt::format("{}\n", GetParam().status)) << read_text(folder / "err");
    fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Xenalyze, Traps, testing::ValuesIn(traps()), [](auto const& one) {
    std::string name{one.param.name};
    std::erase_if(name, [](char c) { return c == '\''; });
    std::replace(name.begin(), name.end(), ' ', '_');
    return name;
});

} // namespace
} // namespace hv::nv
