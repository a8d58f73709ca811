#include "arch/x86_64/tlb.hpp"

#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/percpu.hpp"

namespace hv::arch {
namespace {

void invalidate(void*, Invalidation const& what) noexcept
{
    if (what.is_everything())
        return write_cr3(read_cr3());
    // Also forgets whatever was remembered of tables on the way, at any address.
    for (unsigned i = 0; i < what.count(); ++i)
        invalidate_page(what.page(i).value());
}

constinit ShootDown the_shoot_down{
    {.inbox = [](void*, CpuId cpu) noexcept -> ShootDown::Inbox& { return percpu(cpu).shoot_down; },
     .interrupt = [](void*, CpuId cpu) noexcept { apic_send(percpu(cpu).apic_id, Vector::shoot_down); },
     .invalidate = invalidate}};

} // namespace

ShootDown& shoot_down() noexcept { return the_shoot_down; }
void serve_shoot_down() noexcept { the_shoot_down.serve(this_cpu()); }
void load_page_tables(PhysAddr root) noexcept { write_cr3(root.value()); }

} // namespace hv::arch
