// Hypercalls with any numbers: each is carried out within its limits, or refused with an error of the interface and
// nothing written. Nothing outside the guest's writable pages ever changes.
//
// The input: a byte of settings, what the guest's memory begins with, room for a NumaRequest, then calls of 1 + 6
// words, number and arguments; before each a byte says how it is to be read: as it is, or near something that matters.
#include "boot/hypercall/handler.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/support/fake_caller.hpp"

#include <cstring>

namespace {

using namespace hv;
using hypercall::Number;

constexpr std::uint64_t page = hypercall::guest_page_bytes;
constexpr std::uint64_t first = 0x7000'0000, second = first + page, code = 0x40'0000;
constexpr std::uint64_t near_to[]{0,
                                  first,
                                  second,
                                  second + page,
                                  code,
                                  hypercall::address_limit,
                                  ~std::uint64_t{0},
                                  hypercall::forever,
                                  hypercall::max_time};

class Bytes {
public:
    explicit Bytes(fuzz::Input input) : left_{input} {}
    [[nodiscard]] bool empty() const { return left_.empty(); }
    template <typename T>
    T next()
    {
        T value{};
        std::size_t const size{std::min(sizeof value, left_.size())};
        if (size != 0)
            std::memcpy(&value, left_.data(), size);
        left_ = left_.subspan(size);
        return value;
    }

private:
    fuzz::Input left_;
};

std::uint64_t argument(Bytes& bytes)
{
    auto const how = bytes.next<std::uint8_t>();
    if (how == 0)
        return bytes.next<std::uint64_t>();
    if (how % 2 == 1)
        return bytes.next<std::uint8_t>();
    return near_to[how / 2 % std::size(near_to)] + static_cast<std::uint64_t>(std::int64_t{bytes.next<std::int16_t>()});
}

bool may_write(Number number)
{
    return number == Number::touch || number == Number::run_state || number == Number::numa_info ||
           number == Number::next_steps;
}

using Memory = std::array<std::array<std::byte, page>, 3>;
Memory copy_of(test::FakeCaller& caller)
{
    return {caller.pages[first].bytes, caller.pages[second].bytes, caller.pages[code].bytes};
}

} // namespace

HV_FUZZ_TARGET(hypercall)
{
    Bytes bytes{input};
    test::FakeCaller caller;
    static_cast<void>(caller.page(first));
    static_cast<void>(caller.page(second));
    static_cast<void>(caller.page(code, false));
    auto const settings = bytes.next<std::uint8_t>();
    caller.own.is_recorded = (settings & 1) != 0;
    caller.in_fault = (settings & 2) != 0;
    caller.own.vcpus = 1 + (settings >> 2 & 3);
    caller.vm_nodes = 1 + (settings >> 4 & 3);
    caller.recording.resize(settings >> 1);
    for (std::byte& byte : caller.page(first).first(sizeof(hypercall::NumaRequest)))
        byte = static_cast<std::byte>(bytes.next<std::uint8_t>());
    for (unsigned calls = 0; calls < 32 && !bytes.empty(); ++calls) {
        std::uint64_t const number{argument(bytes)};
        hypercall::Arguments arguments;
        for (std::uint64_t& word : arguments)
            word = argument(bytes);
        Memory const before{copy_of(caller)};
        hypercall::Reply const reply{hypercall::handle(caller, number, arguments)};
        Memory const after{copy_of(caller)};
        bool const refused{reply.then == hypercall::Then::goes_on && reply.value < 0};
        HV_ASSERT(!refused || reply.value >= static_cast<std::int64_t>(hypercall::Error::no_such_vcpu));
        HV_ASSERT(number < hypercall::number_count || (refused && reply.value == -1));
        HV_ASSERT(after[2] == before[2]);
        HV_ASSERT(after == before || (!refused && may_write(static_cast<Number>(number))));
        HV_ASSERT((reply.then == hypercall::Then::ends) == (number == static_cast<std::uint64_t>(Number::shutdown)));
        caller.actions.clear();
    }
}
