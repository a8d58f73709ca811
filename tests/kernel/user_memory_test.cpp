// SMEP, SMAP and UMIP: memory of ring 3 is out of the kernel's reach by mistake, on every pCPU that can see to it.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/exceptions.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <array>
#include <cstring>

namespace hv::test {
namespace {

constexpr std::uint64_t user_address = 0x400000;
constexpr unsigned char return_instruction = 0xC3;
constexpr unsigned cr4_umip = 11, cr4_smep = 20, cr4_smap = 21;

bool has_bit(std::uint64_t value, unsigned bit) { return (value >> bit & 1) != 0; }
bool has_smep() { return arch::cpuid(0).eax >= 7 && has_bit(arch::cpuid(7).ebx, 7); }
bool has_smap() { return arch::cpuid(0).eax >= 7 && has_bit(arch::cpuid(7).ebx, 20); }
bool has_umip() { return arch::cpuid(0).eax >= 7 && has_bit(arch::cpuid(7).ecx, 2); }

// An address space that is the kernel's and has one page for ring 3: read, write, execute.
class UserPage {
public:
    UserPage()
    {
        constexpr std::uint64_t present_writable_user = 7;
        arch::IrqSave const irqs;
        for (PhysAddr& page : pages_) {
            std::optional<PhysAddr> const taken{arch::allocate_zeroed_pages(arch::this_percpu().node, 0)};
            HV_ASSERT(taken.has_value());
            page = *taken;
        }
        std::memcpy(words(0), arch::direct_map<void>(arch::kernel_space().root()), arch::page_size);
        std::array<std::size_t, 4> const indices{0, 0, user_address >> 21, 0};
        for (std::size_t level = 0; level < indices.size(); ++level)
            words(level)[indices[level]] = pages_[level + 1].value() | present_writable_user;
        *arch::direct_map<unsigned char>(pages_[4]) = return_instruction;
    }
    ~UserPage()
    {
        arch::IrqSave const irqs;
        for (PhysAddr const page : pages_)
            arch::release_pages(page, 0);
    }
    UserPage(UserPage const&) = delete;
    UserPage& operator=(UserPage const&) = delete;

    [[nodiscard]] std::uint64_t root() const { return pages_[0].value(); }

private:
    [[nodiscard]] std::uint64_t* words(std::size_t page) const { return arch::direct_map<std::uint64_t>(pages_[page]); }

    std::array<PhysAddr, 5> pages_{};
};

struct Touch {
    std::uint64_t root;
    void (*function)(void*);
    bool must_fault;
    std::uint64_t error_code;
    std::atomic<unsigned> as_expected{0};
};

void attempt(void* argument)
{
    Touch& a{*static_cast<Touch*>(argument)};
    std::uint64_t const before{arch::read_cr3()};
    arch::write_cr3(a.root);
    arch::FaultOutcome const outcome{arch::expect_fault(arch::Vector::page_fault, a.function, nullptr)};
    arch::write_cr3(before);
    bool const right = outcome.faulted == a.must_fault &&
                       (!a.must_fault || (outcome.error_code == a.error_code && outcome.address == user_address));
    a.as_expected.fetch_add(right ? 1u : 0u);
}

bool happens_everywhere(UserPage const& page, void (*function)(void*), bool must_fault, std::uint64_t error_code)
{
    Touch a{page.root(), function, must_fault, error_code};
    arch::call_on_all(attempt, &a);
    return a.as_expected.load() == pcpus_up();
}

void read_it(void*) { static_cast<void>(*reinterpret_cast<unsigned char volatile*>(user_address)); }
void write_it(void*) { *reinterpret_cast<unsigned char volatile*>(user_address) = return_instruction; }
void read_it_on_purpose(void*)
{
    asm volatile("stac" ::: "memory");
    read_it(nullptr);
    asm volatile("clac" ::: "memory");
}
void execute_it(void*) { reinterpret_cast<void (*)()>(user_address)(); }

void count_switches(void* argument)
{
    std::uint64_t const cr4{arch::read_cr4()};
    bool const right = has_bit(cr4, cr4_smep) == has_smep() && has_bit(cr4, cr4_smap) == has_smap() &&
                       has_bit(cr4, cr4_umip) == has_umip();
    static_cast<std::atomic<unsigned>*>(argument)->fetch_add(right ? 1u : 0u);
}

} // namespace

HV_SELFTEST(user_memory_switches_are_on_wherever_there_are_any)
{
    std::atomic<unsigned> right{0};
    arch::call_on_all(count_switches, &right);
    HV_CHECK(right.load() == pcpus_up());
}

HV_SELFTEST(user_memory_is_not_executed_by_the_kernel)
{
    UserPage const page;
    constexpr std::uint64_t present_fetch = 0x11;
    HV_CHECK(happens_everywhere(page, execute_it, has_smep(), present_fetch));
}

HV_SELFTEST(user_memory_is_touched_by_the_kernel_on_purpose_only)
{
    UserPage const page;
    constexpr std::uint64_t present_read = 0x1, present_write = 0x3;
    HV_CHECK(happens_everywhere(page, read_it, has_smap(), present_read));
    HV_CHECK(happens_everywhere(page, write_it, has_smap(), present_write));
    if (has_smap())
        HV_CHECK(happens_everywhere(page, read_it_on_purpose, false, 0));
}

} // namespace hv::test
