// create and destroy: VMs that come and go.
#include "boot/console/executor.hpp"

namespace hv::console {
namespace {

bool is_taken(Context& context, std::string_view name)
{
    bool taken{false};
    HoldDomains const hold{context.machine};
    for_each_domain(context.machine,
                    [&](sched::Domain const& domain) { taken |= context.machine.name_of(domain) == name; });
    return taken;
}

std::optional<DomainId> id_of(Context& context, std::string_view name)
{
    HoldDomains const hold{context.machine};
    sched::Domain const* const domain{find_domain(context, name)};
    return domain == nullptr ? std::nullopt : std::optional{domain->id};
}

} // namespace

void run(Context& context, Create const& wanted)
{
    CpuMask cpus, cpus_soft;
    if (!wanted.name.empty() && is_taken(context, wanted.name))
        return context.reply.refuse("create: name={}: there is a VM of that name; give another", wanted.name);
    if (!wanted.cpus.empty() && !read_set(context, "create", "cpus", wanted.cpus, cpus))
        return;
    if (!wanted.cpus_soft.empty() && !read_set(context, "create", "cpus_soft", wanted.cpus_soft, cpus_soft))
        return;
    if (wanted.params.cap > 100 * wanted.vcpus)
        return context.reply.refuse("create: cap={}: {} vCPUs can have a cap of at most {}", wanted.params.cap,
                                    wanted.vcpus, 100 * wanted.vcpus);
    auto const made = context.machine.create({.name = wanted.name,
                                              .vcpus = wanted.vcpus,
                                              .memory_mib = wanted.memory_mib,
                                              .cpus = wanted.cpus.empty() ? nullptr : &cpus,
                                              .cpus_soft = wanted.cpus_soft.empty() ? nullptr : &cpus_soft,
                                              .params = wanted.params,
                                              .workload = wanted.workload});
    if (!made)
        return context.reply.refuse("create: {}", made.error().text);
    context.reply.field("id", "VM {} runs", *made);
    context.reply.end_row();
}

void run(Context& context, Destroy const& wanted)
{
    std::optional<DomainId> const id{id_of(context, wanted.domain)};
    if (!id)
        return;
    if (auto const gone = context.machine.destroy(*id); !gone)
        context.reply.refuse("destroy: '{}': {}", wanted.domain, gone.error().text);
}

} // namespace hv::console
