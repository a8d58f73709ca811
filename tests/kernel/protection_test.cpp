// Memory protection, on every pCPU: each has its own switches for it.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/exceptions.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <atomic>

namespace hv::test {
namespace {

constexpr std::uint64_t fault_present = 1, fault_write = 2, fault_fetch = 16;
constexpr unsigned char return_instruction = 0xC3;

void write_byte(void* at) { *static_cast<unsigned char volatile*>(at) = return_instruction; }
void read_byte(void* at) { static_cast<void>(*static_cast<unsigned char volatile*>(at)); }
void execute(void* at) { reinterpret_cast<void (*)()>(at)(); }
void divide_by(void* at)
{
    int volatile number{1000};
    number = number / *static_cast<int volatile*>(at); // A result that nobody wants is not computed.
}

// Not a tail call, and never finished: each call takes a part of the stack.
int overflow(int depth)
{
    int volatile room[64];
    room[0] = depth;
    return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}
void overflow_stack(void*) { static_cast<void>(overflow(0)); }

constinit unsigned char data_that_returns[16]{return_instruction};
constinit unsigned char const constant[16]{return_instruction};

struct Attempt {
    arch::Vector vector;
    void (*function)(void*);
    void* argument;
    std::uint64_t error_code;
    bool overflows_stack{false};
    std::atomic<unsigned> as_expected{0};
};

void attempt(void* argument)
{
    Attempt& a{*static_cast<Attempt*>(argument)};
    arch::FaultOutcome const outcome{arch::expect_fault(a.vector, a.function, a.argument)};
    bool const right =
        outcome.faulted && outcome.error_code == a.error_code && outcome.overflowed_stack == a.overflows_stack;
    a.as_expected.fetch_add(right ? 1u : 0u);
}

bool faults_everywhere(Attempt a)
{
    arch::call_on_all(attempt, &a);
    return a.as_expected.load() == pcpus_up();
}

void* text_alias() { return arch::direct_map<void>(arch::physical_of(text_start)); }

} // namespace

HV_SELFTEST(protection_text_and_constants_are_not_writable)
{
    constexpr std::uint64_t code = fault_present | fault_write;
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, write_byte, text_start, code}));
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, write_byte, const_cast<unsigned char*>(constant), code}));
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, write_byte, text_alias(), code}));
}

HV_SELFTEST(protection_data_is_not_executable)
{
    constexpr std::uint64_t code = fault_present | fault_fetch;
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, execute, data_that_returns, code}));
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, execute, const_cast<unsigned char*>(constant), code}));
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, execute, text_alias(), code}));
    unsigned char on_stack[16]{return_instruction};
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, execute, on_stack, code}));
}

HV_SELFTEST(protection_null_pointer_is_not_mapped)
{
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, read_byte, nullptr, 0}));
    HV_CHECK(faults_everywhere({arch::Vector::page_fault, read_byte, reinterpret_cast<void*>(arch::image_base), 0}));
}

HV_SELFTEST(protection_stack_overflow_is_a_double_fault_in_the_guard)
{
    HV_CHECK(faults_everywhere({arch::Vector::double_fault, overflow_stack, nullptr, 0, true}));
}

HV_SELFTEST(protection_divide_error_is_reported_as_itself)
{
    int zero{0}, one{1};
    HV_CHECK(faults_everywhere({arch::Vector::divide_error, divide_by, &zero, 0}));
    HV_CHECK(!arch::expect_fault(arch::Vector::divide_error, divide_by, &one).faulted);
}

// No page of the image may be writable and executable, at either of its two addresses.
HV_SELFTEST(protection_no_page_of_the_image_is_writable_and_executable)
{
    for (std::uint64_t at = arch::address_of(text_start); at < arch::address_of(image_end); at += arch::page_size) {
        std::optional<Translation> const here{arch::kernel_space().find(VirtAddr{at})};
        HV_CHECK(here.has_value());
        HV_CHECK((here->protection.access == Access::read_execute) == (at < arch::address_of(text_end)));
        HV_CHECK((here->protection.access == Access::read_write) == (at >= arch::address_of(data_start)));
        std::optional<Translation> const alias{
            arch::kernel_space().find(VirtAddr{arch::direct_map_base + here->physical.value()})};
        HV_CHECK(alias.has_value() && alias->protection.access != Access::read_execute);
        HV_CHECK((alias->protection.access == Access::read_write) == (here->protection.access == Access::read_write));
    }
}

// The tables that the processor walks, to the last page, as it understands them.
HV_SELFTEST(protection_live_tables_have_no_page_writable_and_executable_and_none_for_ring_3)
{
    std::uint64_t pages{0}, executable{0}, writable_executable{0}, user{0}, lower_half{0}, tables_seen{0};
    PhysAddr const root{arch::read_cr3()};
    paging::for_each_page(
        arch::direct_map_base, root,
        [&](VirtAddr from, std::uint64_t bytes, paging::Rights rights) {
            ++pages;
            executable += rights.executable ? bytes : 0;
            writable_executable += rights.writable && rights.executable ? 1u : 0u;
            user += rights.user ? 1u : 0u;
            lower_half += from.value() < arch::direct_map_base ? 1u : 0u;
        },
        [&](PhysAddr table) {
            tables_seen += arch::kernel_space().find(VirtAddr{arch::direct_map_base + table.value()}) ? 1u : 0u;
        });
    HV_CHECK(root == arch::kernel_space().root());
    HV_CHECK(pages > 0 && tables_seen > 0);
    HV_CHECK(writable_executable == 0);
    HV_CHECK(user == 0);
    HV_CHECK(lower_half == 0);
    // Text, in pages that hold nothing else, and nothing but text.
    HV_CHECK(executable == mm::round_up(arch::address_of(text_end) - arch::address_of(text_start), arch::page_size));
}

} // namespace hv::test
