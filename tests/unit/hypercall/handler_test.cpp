#include "boot/hypercall/handler.hpp"

#include "tests/support/fake_caller.hpp"

#include <gtest/gtest.h>

namespace hv::hypercall {
namespace {

using sched::guest::Action;
using test::FakeCaller;

constexpr std::uint64_t data = 0x7000'0000, beside = data + guest_page_bytes, code = 0x40'0000, unmapped = 0x1000'0000;
constexpr std::uint64_t huge = ~std::uint64_t{0};

class Hypercalls : public testing::Test {
protected:
    Hypercalls()
    {
        static_cast<void>(caller.page(data));
        static_cast<void>(caller.page(beside));
        static_cast<void>(caller.page(code, false));
    }

    std::int64_t call(Number number, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0)
    {
        return handle(caller, static_cast<std::uint64_t>(number), {a, b, c, 0, 0, 0}).value;
    }
    // The whole of what is mapped, to see that nothing was written.
    std::vector<std::byte> memory()
    {
        std::vector<std::byte> all;
        for (auto const& [at, page] : caller.pages)
            all.insert(all.end(), page.bytes.begin(), page.bytes.end());
        return all;
    }
    template <typename T>
    T read(std::uint64_t at)
    {
        T value;
        EXPECT_TRUE(copy_in(caller, std::as_writable_bytes(std::span{&value, 1}), at));
        return value;
    }
    template <typename T>
    void write(std::uint64_t at, T const& value)
    {
        EXPECT_TRUE(copy_out(caller, at, std::as_bytes(std::span{&value, 1})));
    }

    FakeCaller caller;
};

constexpr std::int64_t value_of(Error error) { return static_cast<std::int64_t>(error); }

TEST_F(Hypercalls, NumbersThatDoNotExistAreUnknownHoweverLarge)
{
    for (std::uint64_t const number : {number_count, std::uint64_t{1} << 32, huge, huge - 7})
        EXPECT_EQ(handle(caller, number, {}).value, value_of(Error::unknown_call));
    EXPECT_EQ(call(Number::version), static_cast<std::int64_t>(abi_version));
}

TEST_F(Hypercalls, AnActionIsPassedOnWithItsNumbers)
{
    EXPECT_EQ(call(Number::compute, 1000), 77);
    EXPECT_EQ(call(Number::poll, 5000), 77);
    EXPECT_EQ(call(Number::notify, 1), 77);
    ASSERT_EQ(caller.actions.size(), 3u);
    EXPECT_EQ(caller.actions[0].kind, Action::Kind::compute);
    EXPECT_EQ(caller.actions[0].amount, Duration::from_us(1));
    EXPECT_EQ(caller.actions[1].kind, Action::Kind::wait_until);
    EXPECT_EQ(caller.actions[1].until, Instant::at_ns(5000));
    EXPECT_EQ(caller.actions[2].partner, VcpuIndex{1});
}

TEST_F(Hypercalls, NumbersOutOfRangeAreRefusedAndNothingIsDone)
{
    EXPECT_EQ(call(Number::compute, 1'000'000'001), value_of(Error::bad_argument));
    EXPECT_EQ(call(Number::compute, forever + 1), value_of(Error::bad_argument));
    EXPECT_EQ(call(Number::compute_until, huge), value_of(Error::bad_argument));
    EXPECT_EQ(call(Number::poll, max_time + 1), value_of(Error::bad_argument));
    EXPECT_EQ(call(Number::set_timer, std::uint64_t{1} << 63), value_of(Error::bad_argument));
    EXPECT_EQ(call(Number::notify, 2), value_of(Error::no_such_vcpu));
    EXPECT_EQ(call(Number::notify, 0x1'0001), value_of(Error::no_such_vcpu)) << "cut to 16 bits it would be vCPU 1";
    EXPECT_EQ(call(Number::vcpu_down, std::uint64_t{1} << 32), value_of(Error::no_such_vcpu));
    EXPECT_EQ(call(Number::notify_any, 0), value_of(Error::not_permitted));
    EXPECT_TRUE(caller.actions.empty());
    EXPECT_FALSE(caller.timer);
    EXPECT_EQ(call(Number::compute, forever), 77);
}

TEST_F(Hypercalls, TextMayLieAcrossPagesAndIsMadeReadable)
{
    std::string_view const text{"ab\ncd"};
    EXPECT_TRUE(copy_out(caller, beside - 2, std::as_bytes(std::span{text})));
    EXPECT_EQ(call(Number::console_write, beside - 2, text.size()), 0);
    EXPECT_EQ(caller.console, "ab.cd");
}

TEST_F(Hypercalls, RangesThatAreNotAllThereAreRefusedBeforeAnythingIsWritten)
{
    auto const before = memory();
    constexpr std::uint64_t end = beside + guest_page_bytes;
    for (std::uint64_t const at : {unmapped, code, end - 8, huge - 7, huge, address_limit - 8, address_limit,
                                   std::uint64_t{0}, std::uint64_t{0xffff'ffff'8010'0000}})
        EXPECT_EQ(call(Number::run_state, 0, at), value_of(Error::bad_address)) << std::hex << at;
    for (std::uint64_t const bytes : {max_touch_bytes, std::uint64_t{2 * guest_page_bytes + 1}})
        EXPECT_EQ(call(Number::touch, data, bytes, 1), value_of(Error::bad_address));
    EXPECT_EQ(call(Number::touch, data, huge), value_of(Error::too_much));
    EXPECT_EQ(call(Number::touch, code, 1, 1), value_of(Error::bad_address));
    EXPECT_EQ(call(Number::touch, code, 1, 0), 1);
    EXPECT_EQ(memory(), before);
}

TEST_F(Hypercalls, ARangeThatLeavesTheLowerHalfIsRefusedEvenIfItBeginsInIt)
{
    static_cast<void>(caller.page(address_limit - guest_page_bytes));
    EXPECT_EQ(call(Number::run_state, 0, address_limit - sizeof(RunStateRecord)), 0);
    EXPECT_EQ(call(Number::run_state, 0, address_limit - sizeof(RunStateRecord) + 1), value_of(Error::bad_address));
}

TEST_F(Hypercalls, RunStateIsWrittenWhole)
{
    EXPECT_EQ(call(Number::run_state, 1, beside - 8), 0);
    auto const record = read<RunStateRecord>(beside - 8);
    EXPECT_EQ(record.state, 1u);
    EXPECT_EQ(record.spent_ns[3], 6u);
}

TEST_F(Hypercalls, NumaTablesAreFilledAsFarAsThereIsRoom)
{
    write(data, NumaRequest{.memory_at = data + 64,
                            .distances_at = data + 128,
                            .vcpus_at = data + 256,
                            .node_room = 3,
                            .vcpu_room = 1,
                            .nodes = 0,
                            .vcpus = 0});
    EXPECT_EQ(call(Number::numa_info, data), 0);
    auto const request = read<NumaRequest>(data);
    EXPECT_EQ(request.nodes, 2u);
    EXPECT_EQ(request.vcpus, 2u);
    EXPECT_EQ(read<std::uint64_t>(data + 64 + 8), 101u);
    EXPECT_EQ(read<std::uint64_t>(data + 64 + 16), 0u);
    EXPECT_EQ(read<std::uint8_t>(data + 128 + 1), 20u);
    EXPECT_EQ(read<std::uint8_t>(data + 128 + 3), 20u) << "three columns a row";
    EXPECT_EQ(read<std::uint8_t>(data + 256), 1u);
    EXPECT_EQ(read<std::uint8_t>(data + 257), 0u) << "there was room for one vCPU";
}

TEST_F(Hypercalls, NumaTablesThatOverlapOrDoNotFitAreRefused)
{
    NumaRequest const good{.memory_at = data + 64,
                           .distances_at = data + 128,
                           .vcpus_at = data + 256,
                           .node_room = 2,
                           .vcpu_room = 4,
                           .nodes = 0,
                           .vcpus = 0};
    auto const refused = [&](auto change, Error error) {
        NumaRequest request{good};
        change(request);
        write(data, request);
        auto const before = memory();
        EXPECT_EQ(call(Number::numa_info, data), value_of(error));
        EXPECT_EQ(memory(), before);
    };
    refused([](NumaRequest& r) { r.distances_at = r.memory_at + 15; }, Error::bad_address);
    refused([](NumaRequest& r) { r.memory_at = data + 39; }, Error::bad_address);
    refused([](NumaRequest& r) { r.vcpus_at = r.distances_at - 3; }, Error::bad_address);
    refused([](NumaRequest& r) { r.vcpus_at = huge - 3; }, Error::bad_address);
    refused([](NumaRequest& r) { r.memory_at = code; }, Error::bad_address);
    refused([](NumaRequest& r) { r.node_room = 65; }, Error::too_much);
    refused([](NumaRequest& r) { r.vcpu_room = 0x8000'0000; }, Error::too_much);
}

TEST_F(Hypercalls, StepsAreTakenOnlyOnceTheyHaveArrived)
{
    EXPECT_EQ(call(Number::next_steps, data, 1), value_of(Error::not_permitted));
    caller.own.is_recorded = true;
    caller.recording.resize(70);
    caller.recording[64].ns = 17;
    EXPECT_EQ(call(Number::next_steps, code, 64), value_of(Error::bad_address));
    EXPECT_EQ(call(Number::next_steps, data, 65), value_of(Error::too_much));
    EXPECT_EQ(caller.steps_taken, 0u);
    EXPECT_EQ(call(Number::next_steps, data, 64), 64);
    EXPECT_EQ(call(Number::next_steps, data, 64), 6);
    EXPECT_EQ(read<sched::guest::Step>(data).ns, 17u);
    EXPECT_EQ(call(Number::next_steps, data, 64), 0);
}

TEST_F(Hypercalls, ShutdownEndsAndFaultReturnGoesBack)
{
    EXPECT_EQ(handle(caller, static_cast<std::uint64_t>(Number::shutdown), {9, 0, 0, 0, 0, 0}).then, Then::ends);
    EXPECT_EQ(call(Number::fault_return), value_of(Error::not_permitted));
    caller.in_fault = true;
    EXPECT_EQ(call(Number::fault_return, address_limit), value_of(Error::bad_address));
    EXPECT_EQ(handle(caller, static_cast<std::uint64_t>(Number::fault_return), {5, 0, 0, 0, 0, 0}).then,
              Then::goes_back);
    EXPECT_EQ(caller.fault_target, 5u);
}

} // namespace
} // namespace hv::hypercall
