// sched-credit: weights and caps of VMs, parameters of the scheduler.
#include "boot/console/executor.hpp"

namespace hv::console {
namespace {

constexpr std::string_view pool_name{"Pool-0"};

void show_pool(Context& context)
{
    Reply& reply{context.reply};
    sched::Core& core{context.core()};
    reply.field("cpupool", "Cpupool {}:", pool_name);
    reply.value("scheduler", core.policy().name);
    if (auto const tslice = core.policy_param("tslice_ms"))
        reply.field("tslice_ms", " tslice={}ms", *tslice);
    if (auto const limit = core.policy_param("ratelimit_us"))
        reply.field("ratelimit_us", " ratelimit={}us", *limit);
    if (auto const delay = core.policy_param("migration_delay_us"))
        reply.field("migration_delay_us", " migration-delay={}us", *delay);
    reply.end_row();
}

void show_params(Context& context, sched::Domain const* only)
{
    Reply& reply{context.reply};
    reply.heading("{:<33} {:4} {:6} {:4}", "Name", "ID", "Weight", "Cap");
    for_each_domain(context.machine, [&](sched::Domain const& domain) {
        if (only != nullptr && only != &domain)
            return;
        sched::DomainView const view{context.view_of(domain)};
        reply.field("name", "{:<33}", context.machine.name_of(domain));
        reply.field("id", " {:4}", domain.id);
        reply.field("weight", " {:6}", view.params.weight);
        reply.field("cap", " {:4}", view.params.cap);
        reply.end_row();
    });
}

// Both are set at once: what is not asked for stays as it is.
void set_params(Context& context, sched::Domain& domain, SchedCredit const& wanted)
{
    unsigned const most{100u * domain.vcpu_count};
    if (wanted.cap && *wanted.cap > most)
        return context.reply.refuse("sched-credit: '{}': {} has {} vCPUs, so its cap is at most {}", *wanted.cap,
                                    context.machine.name_of(domain), domain.vcpu_count, most);
    sched::DomainParams params{context.view_of(domain).params};
    if (wanted.weight)
        params.weight = static_cast<std::uint16_t>(*wanted.weight);
    if (wanted.cap)
        params.cap = static_cast<std::uint16_t>(*wanted.cap);
    Undisturbed const undisturbed{context.machine};
    context.core().set_params(domain, params);
}

bool set_one(Context& context, std::string_view key, std::optional<std::uint32_t> value)
{
    if (!value)
        return true;
    Undisturbed const undisturbed{context.machine};
    auto const set = context.core().set_policy_param(key, *value);
    if (!set)
        context.reply.refuse("sched-credit: {}={}: {}", key, *value, set.error().text);
    return set.ok();
}

// All of them or none. The policy keeps its limit within its slice at each step, so the one that makes room is first.
void set_scheduler(Context& context, SchedCredit const& wanted)
{
    sched::Core& core{context.core()};
    auto const slice =
        wanted.tslice_ms ? std::optional<std::int64_t>{*wanted.tslice_ms} : core.policy_param("tslice_ms");
    auto const limit =
        wanted.ratelimit_us ? std::optional<std::int64_t>{*wanted.ratelimit_us} : core.policy_param("ratelimit_us");
    if (!slice || !limit)
        return context.reply.refuse("sched-credit: the scheduler {} has no such parameters", core.policy().name);
    if (wanted.migration_delay_us && !core.policy_param("migration_delay_us"))
        return context.reply.refuse("sched-credit: -m: the scheduler {} has no migration delay; leave it out",
                                    core.policy().name);
    if (*limit > *slice * 1000)
        return context.reply.refuse("sched-credit: a rate limit of {} us is above the slice of {} ms; lower one or "
                                    "raise the other",
                                    *limit, *slice);
    if (*limit != 0 && *limit < 100)
        return context.reply.refuse("sched-credit: '{}': a rate limit is 0 (off) or 100 to 500000 us", *limit);
    bool const slice_first{*slice >= core.policy_param("tslice_ms").value_or(0)};
    if (slice_first && !set_one(context, "tslice_ms", wanted.tslice_ms))
        return;
    if (!set_one(context, "ratelimit_us", wanted.ratelimit_us))
        return;
    if (!slice_first && !set_one(context, "tslice_ms", wanted.tslice_ms))
        return;
    static_cast<void>(set_one(context, "migration_delay_us", wanted.migration_delay_us));
}

} // namespace

void run(Context& context, SchedCredit const& wanted)
{
    if (!wanted.pool.empty() && wanted.pool != pool_name)
        return context.reply.refuse("sched-credit: '{}': no such pool; there is {}", wanted.pool, pool_name);
    sched::Domain* const domain{wanted.domain.empty() ? nullptr : find_domain(context, wanted.domain)};
    if (domain == nullptr && !wanted.domain.empty())
        return;
    if (wanted.weight || wanted.cap)
        return set_params(context, *domain, wanted);
    if (wanted.tslice_ms || wanted.ratelimit_us || wanted.migration_delay_us)
        return set_scheduler(context, wanted);
    if (domain == nullptr)
        show_pool(context);
    if (!wanted.parameters)
        show_params(context, domain);
}

} // namespace hv::console
