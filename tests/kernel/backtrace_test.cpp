// Backtraces: callers by name, also of what an interrupt interrupted.
#include "arch/x86_64/backtrace.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <array>

namespace hv::test {
namespace {

struct Story {
    std::array<char, 4096> text{};
    std::size_t length{0};
    std::atomic<bool> is_told{false};

    [[nodiscard]] bool tells_of(std::string_view word) const
    {
        return std::string_view{text.data(), length}.find(word) != std::string_view::npos;
    }
};

void tell(void* self, CpuId, TimerId timer, Instant)
{
    if (timer != TimerId{1})
        return;
    Story& story{*static_cast<Story*>(self)};
    BufferSink sink{story.text};
    arch::print_backtrace(sink, reinterpret_cast<std::uint64_t>(&tell),
                          reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)));
    story.length = sink.text().size();
    story.is_told.store(true);
}

// A function that calls no other one has no frame: an interrupt there hides its caller. So this one is
// called by a loop that does have one.
[[gnu::noinline]] void wait_a_little()
{
    arch::relax();
    asm volatile("");
}

// Arms the timer itself: however late a pCPU of real threads is, nothing is interrupted but this.
[[gnu::noinline]] void is_interrupted(Story const& story)
{
    Instant const now{arch::clock_now()};
    Instant const end{now + Duration::from_ms(2000)};
    arch::timer_arm(arch::this_cpu(), TimerId{1}, now + Duration::from_ms(1));
    while (!story.is_told.load(std::memory_order_relaxed) && arch::clock_now() < end)
        wait_a_little();
}

[[gnu::noinline]] void calls_what_is_interrupted(Story const& story)
{
    is_interrupted(story);
    asm volatile(""); // No tail call.
}

} // namespace

HV_SELFTEST(backtrace_goes_through_an_interrupt)
{
    static constinit Story story;
    story.is_told.store(false);
    arch::UpCalls const calls{.self = &story, .timer = tell};
    UpCallsScope const scope{calls};
    calls_what_is_interrupted(story);
    HV_CHECK(story.is_told.load());
    HV_CHECK(story.tells_of("handle_trap"));
    HV_CHECK(story.tells_of("interrupt 224 interrupted"));
    // is_interrupted itself is hidden if the interrupt came in what it calls.
    HV_CHECK(story.tells_of("calls_what_is_interrupted"));
    HV_CHECK(story.tells_of("run_selftests"));
}

} // namespace hv::test
