#include "tools/nv/trace_drain.hpp"

#include "sched/trace/ring.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <new>
#include <thread>

namespace hv::nv {
namespace {

using namespace sched::trace;

constexpr std::size_t ram_bytes = 64 << 10;
constexpr std::uint64_t directory_at = 0x100, ring_at = 0x1000, data_at = 0x2000;
constexpr std::size_t ring_bytes = 4096;

// A guest with one pCPU, whose RAM is a file as QEMU has it: directory, ring and records lie in it.
class Guest {
public:
    explicit Guest(Mode mode = Mode::drop)
        : folder_{std::filesystem::path{::testing::TempDir()} / fmt::format("trace-drain-{}", ::getpid())}
    {
        std::filesystem::create_directories(folder_);
        write_bytes(ram(), std::vector<std::byte>(ram_bytes));
        memory_.emplace(std::vector{ram()});
        ring_ = new (&memory_->at<Ring>(ring_at)) Ring;
        ring_->attach({&memory_->at<std::byte>(data_at), ring_bytes}, mode);
        memory_->at<Directory>(directory_at) = Directory{.pcpu_count = 1, .mode = mode};
        memory_->at<DirectoryRing>(directory_at +
                                   sizeof(Directory)) = {.control = ring_at, .data = data_at, .bytes = ring_bytes};
    }
    ~Guest() { std::filesystem::remove_all(folder_); }
    Guest(Guest const&) = delete;
    Guest& operator=(Guest const&) = delete;

    void announce() { write_text(channel(), "trace directory=0x100\n"); }
    void write(std::uint32_t number)
    {
        auto const clock = [this] { return ++stamp_; };
        static_cast<void>(ring_->write_slowly(clock, static_cast<std::uint32_t>(Event::wake), std::array{1u, number}));
    }
    [[nodiscard]] Ring& ring() { return *ring_; }
    [[nodiscard]] std::filesystem::path ram() const { return folder_ / "ram"; }
    [[nodiscard]] std::filesystem::path channel() const { return folder_ / "channel"; }

private:
    std::filesystem::path folder_;
    std::optional<GuestMemory> memory_;
    Ring* ring_{nullptr};
    std::uint64_t stamp_{0};
};

// The numbers that Guest::write wrote, in the order of the file.
std::vector<std::uint32_t> numbers(Drained const& drained)
{
    constexpr std::size_t size = 20;
    std::vector<std::uint32_t> found(drained.streams.at(0).bytes.size() / size);
    for (std::size_t i = 0; i < found.size(); ++i)
        std::memcpy(&found[i], drained.streams[0].bytes.data() + i * size + 16, 4);
    return found;
}

std::vector<std::uint32_t> counting_to(std::uint32_t end)
{
    std::vector<std::uint32_t> list(end);
    for (std::uint32_t i = 0; i < end; ++i)
        list[i] = i;
    return list;
}

TEST(TraceDrain, TakesWhatTheRingCouldNotHoldAndTheRestAfterTheEnd)
{
    Guest guest;
    guest.announce();
    TraceDrain drain{{guest.ram()}, guest.channel()};
    for (std::uint32_t i = 0; i < 1000; ++i) { // five times the ring
        guest.write(i);
        if (i % 150 == 149)
            drain.poll();
    }
    Drained const drained = drain.take(directory_at);
    EXPECT_EQ(drained.lost, 0u);
    EXPECT_EQ(numbers(drained), counting_to(1000));
}

TEST(TraceDrain, LosesNothingBesideAWriterThatWaitsForRoom)
{
    Guest guest;
    guest.announce();
    TraceDrain drain{{guest.ram()}, guest.channel()};
    constexpr std::uint32_t count = 50'000;
    std::atomic<bool> done{false};
    std::jthread writer{[&] {
        for (std::uint32_t i = 0; i < count; ++i) {
            RingControl& control = *guest.ring().control();
            while (control.head - std::atomic_ref{control.tail}.load(std::memory_order_acquire) > ring_bytes / 2)
                std::this_thread::yield();
            guest.write(i);
        }
        done = true;
    }};
    while (!done)
        drain.poll();
    writer.join();
    Drained const drained = drain.take(directory_at);
    EXPECT_EQ(drained.lost, 0u);
    EXPECT_EQ(numbers(drained), counting_to(count));
}

TEST(TraceDrain, WaitsForTheKernelToSayWhereItsRingsAre)
{
    Guest guest;
    TraceDrain drain{{guest.ram()}, guest.channel()};
    guest.write(0);
    drain.poll();                                       // no channel yet
    write_text(guest.channel(), "trace directory=0x1"); // half a line
    drain.poll();
    EXPECT_EQ(guest.ring().control()->tail, 0u);
    guest.announce();
    drain.poll();
    EXPECT_EQ(guest.ring().control()->tail, guest.ring().control()->head);
    EXPECT_EQ(numbers(drain.take(directory_at)), counting_to(1));
}

TEST(TraceDrain, LeavesAFlightRecorderAlone)
{
    Guest guest{Mode::flight};
    guest.announce();
    TraceDrain drain{{guest.ram()}, guest.channel()};
    guest.write(0);
    drain.poll();
    EXPECT_EQ(guest.ring().control()->tail, 0u);
    EXPECT_EQ(numbers(drain.take(directory_at)), counting_to(1));
}

TEST(TraceDrain, SaysInTheEndWhatMadeNoSense)
{
    Guest guest;
    guest.announce();
    TraceDrain drain{{guest.ram()}, guest.channel()};
    guest.ring().control()->head = 1u << 20;
    drain.poll();
    EXPECT_THROW(static_cast<void>(drain.take(directory_at)), Error);
}

} // namespace
} // namespace hv::nv
