#include "arch/host/thread_machine.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace hv::arch {

namespace {

// xorshift64 of the calling thread; 0: not seeded, so this thread never dawdles.
std::uint64_t& dawdle_state()
{
    thread_local std::uint64_t state{0};
    return state;
}

// The bare system call: a condition variable would order the sleeper after whoever wakes it.
void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, timespec const* timeout)
{
    static_assert(sizeof(word) == sizeof(std::uint32_t));
    static_cast<void>(syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, timeout, nullptr, 0));
}

} // namespace

ThreadMachine::ThreadMachine(MachineShape const& shape, ThreadOptions options) : shape_{shape}, options_{options}
{
    HV_ASSERT(options.speed >= 1);
    for (std::size_t i = 0; i < shape.topology().pcpus.size(); ++i) {
        pcpus_.push_back(std::make_unique<Pcpu>(CpuId{static_cast<CpuId::Rep>(i)}));
        pcpus_.back()->trace_memory.resize(options.trace_bytes_per_pcpu);
    }
}

ThreadMachine::~ThreadMachine()
{
    for (auto const& pcpu : pcpus_) {
        HV_ASSERT(!pcpu->thread.joinable());
        for (Posted* left = pcpu->posted.load(std::memory_order_relaxed); left != nullptr;)
            delete std::exchange(left, left->next);
    }
}

Instant ThreadMachine::now() const
{
    auto const passed = std::chrono::steady_clock::now() - origin_;
    return Instant::at_ns(std::chrono::duration_cast<std::chrono::nanoseconds>(passed).count() * options_.speed);
}

// --- threads

void ThreadMachine::start(ThreadClient& client)
{
    client_ = &client;
    stopping_.store(false, std::memory_order_relaxed);
    for (std::size_t i = 0; i < pcpus_.size(); ++i)
        pcpus_[i]->thread = std::thread{[this, i] { run(CpuId{static_cast<CpuId::Rep>(i)}); }};
}

void ThreadMachine::stop()
{
    // relaxed: joining orders what matters.
    stopping_.store(true, std::memory_order_relaxed);
    for (auto const& pcpu : pcpus_)
        rouse(*pcpu);
    for (auto const& pcpu : pcpus_)
        if (pcpu->thread.joinable())
            pcpu->thread.join();
}

void ThreadMachine::run(CpuId self)
{
    dawdle_state() = (options_.seed + self.value() + 1) * 0x9E3779B97F4A7C15ull | 1;
    Pcpu& pcpu{at(self)};
    while (!stopping_.load(std::memory_order_relaxed)) {
        pcpu.attention.store(0, std::memory_order_relaxed);
        bool busy{do_posted(self)};
        busy |= fire_due(self);
        // relaxed, here and below: who tickles holds a run-queue lock or is this thread; the scheduler needs no more.
        if (pcpu.tickled.exchange(false, std::memory_order_relaxed)) {
            client_->reschedule(self, now());
            busy = true;
        }
        if (!client_->go_on(self, now()) && !busy)
            rest(pcpu);
    }
}

// Until roused or a timer is due. At most a millisecond: between relaxed words a request may come unseen.
void ThreadMachine::rest(Pcpu& pcpu)
{
    std::int64_t const left = pcpu.first_due_ns.load(std::memory_order_relaxed) - now().ns();
    if (left <= 0)
        return;
    timespec const timeout{.tv_sec = 0, .tv_nsec = std::min<std::int64_t>(left / options_.speed, 1'000'000)};
    futex(pcpu.attention, FUTEX_WAIT, 0, &timeout);
}

void ThreadMachine::rouse(Pcpu& pcpu)
{
    if (pcpu.attention.exchange(1, std::memory_order_relaxed) == 0)
        futex(pcpu.attention, FUTEX_WAKE, 1, nullptr);
}

void ThreadMachine::dawdle()
{
    std::uint64_t& state{dawdle_state()};
    if (state == 0 || options_.dawdle_one_in == 0)
        return;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state % options_.dawdle_one_in != 0)
        return;
    if (state % (options_.dawdle_one_in * 8ull) == 0)
        std::this_thread::sleep_for(std::chrono::microseconds{50});
    else
        std::this_thread::yield();
}

// --- posted work

void ThreadMachine::post(CpuId cpu, Work work)
{
    Pcpu& pcpu{at(cpu)};
    auto* const posted = new Posted{.work = std::move(work), .next = pcpu.posted.load(std::memory_order_relaxed)};
    // release: the work, and what its poster did before. Nothing comes back: posters do not learn of each other.
    while (!pcpu.posted.compare_exchange_weak(posted->next, posted, std::memory_order_release,
                                              std::memory_order_relaxed)) {}
    rouse(pcpu);
}

void ThreadMachine::call(CpuId cpu, Work work)
{
    std::atomic<bool> finished{false};
    post(cpu, [&](CpuId self, Instant now) {
        work(self, now);
        finished.store(true, std::memory_order_release); // pairs with the load: the caller sees what was done
    });
    while (!finished.load(std::memory_order_acquire))
        std::this_thread::sleep_for(std::chrono::microseconds{20});
}

bool ThreadMachine::do_posted(CpuId self)
{
    Pcpu& pcpu{at(self)};
    if (pcpu.posted.load(std::memory_order_relaxed) == nullptr)
        return false;
    Posted* in_order{nullptr};
    for (Posted* last = pcpu.posted.exchange(nullptr, std::memory_order_acquire); last != nullptr;) {
        Posted* const before{std::exchange(last->next, in_order)};
        in_order = std::exchange(last, before);
    }
    while (in_order != nullptr) {
        std::unique_ptr<Posted> const first{in_order};
        in_order = first->next;
        first->work(self, now());
    }
    return true;
}

// --- timers

// A few at a time: one that is always due must not keep the pCPU from its other duties.
bool ThreadMachine::fire_due(CpuId self)
{
    constexpr unsigned at_most = 8;
    for (unsigned fired = 0; fired < at_most; ++fired) {
        std::optional<TimerId> const due{take_due(at(self))};
        if (!due)
            return fired != 0;
        client_->timer(self, *due, now());
    }
    return true;
}

std::optional<TimerId> ThreadMachine::take_due(Pcpu& pcpu)
{
    if (pcpu.first_due_ns.load(std::memory_order_relaxed) > now().ns())
        return std::nullopt;
    Guard const guard{pcpu.timer_lock, irqs_off};
    auto const first = std::ranges::min_element(pcpu.timers, {}, [](auto const& timer) { return timer.second; });
    if (first == pcpu.timers.end() || first->second > now())
        return std::nullopt;
    TimerId const id{first->first};
    pcpu.timers.erase(first);
    note_first_due(pcpu);
    return id;
}

void ThreadMachine::note_first_due(Pcpu& pcpu)
{
    std::int64_t due{never};
    for (auto const& [id, when] : pcpu.timers)
        due = std::min(due, when.ns());
    pcpu.first_due_ns.store(due, std::memory_order_relaxed); // a hint; the lock decides
}

void ThreadMachine::arm(CpuId cpu, TimerId timer, Instant when) noexcept
{
    Pcpu& pcpu{at(cpu)};
    dawdle();
    {
        Guard const guard{pcpu.timer_lock, irqs_off};
        pcpu.timers.insert_or_assign(timer, when);
        note_first_due(pcpu);
    }
    rouse(pcpu);
}

void ThreadMachine::disarm(CpuId cpu, TimerId timer) noexcept
{
    Pcpu& pcpu{at(cpu)};
    dawdle();
    Guard const guard{pcpu.timer_lock, irqs_off};
    pcpu.timers.erase(timer);
    note_first_due(pcpu);
}

std::vector<TimerId> ThreadMachine::armed_on(CpuId cpu)
{
    Pcpu& pcpu{at(cpu)};
    Guard const guard{pcpu.timer_lock, irqs_off};
    std::vector<TimerId> ids;
    for (auto const& [id, when] : pcpu.timers)
        ids.push_back(id);
    return ids;
}

// --- rest of port

void ThreadMachine::tickle(CpuId cpu) noexcept
{
    dawdle();
    at(cpu).tickled.store(true, std::memory_order_relaxed);
    rouse(at(cpu));
}

void* ThreadMachine::allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept
{
    return memory_.allocate(node, bytes, align);
}

void ThreadMachine::release(void* memory, std::size_t bytes) noexcept { memory_.release(memory, bytes); }

std::uint64_t ThreadMachine::trace_clock(CpuId cpu) noexcept
{
    Pcpu& pcpu{at(cpu)};
    pcpu.last_stamp = std::max(pcpu.last_stamp + 1, static_cast<std::uint64_t>(now().ns()));
    return pcpu.last_stamp;
}

std::span<std::byte> ThreadMachine::trace_memory(CpuId cpu) noexcept { return at(cpu).trace_memory; }

} // namespace hv::arch
