#include "boot/console/executor.hpp"

#include "boot/console/words.hpp"

namespace hv::console {

void execute(Context& context, Command const& command)
{
    // What waits until a VM is gone must not keep it.
    if (auto const* const create = std::get_if<Create>(&command))
        return run(context, *create);
    if (auto const* const destroy = std::get_if<Destroy>(&command))
        return run(context, *destroy);
    HoldDomains const hold{context.machine};
    std::visit([&](auto const& wanted) { run(context, wanted); }, command);
}

sched::Domain* find_domain(Context& context, std::string_view name)
{
    sched::Domain *by_name{nullptr}, *by_number{nullptr};
    std::optional<std::uint64_t> const number{number_of(name)};
    for_each_domain(context.machine, [&](sched::Domain& domain) {
        if (by_name == nullptr && context.machine.name_of(domain) == name)
            by_name = &domain;
        if (number && *number == domain.id.value())
            by_number = &domain;
    });
    if (by_name == nullptr && by_number == nullptr)
        context.reply.refuse("'{}': no such VM; list shows those that there are", name);
    return by_name != nullptr ? by_name : by_number;
}

void run(Context& context, Help const& help)
{
    Reply& reply{context.reply};
    for (CommandSpec const& spec : commands()) {
        if (!help.command.empty() && help.command != spec.name)
            continue;
        if (help.command.empty()) {
            reply.field("command", "{:<14}", spec.name);
            reply.field("summary", " {}", spec.summary);
            reply.end_row();
            continue;
        }
        reply.text("{} {}", spec.name, spec.usage);
        reply.value("command", spec.name);
        reply.value("usage", spec.usage);
        reply.value("summary", spec.summary);
        reply.value("text", spec.text);
        reply.end_row();
        reply.heading("{}.", spec.summary);
        for (std::string_view rest{spec.text}; !rest.empty() && !reply.is_json();) {
            std::size_t const end{hv::detail::find_char(rest, '\n')};
            reply.heading("{}", std::string_view{rest.data(), end});
            rest.remove_prefix(end < rest.size() ? end + 1 : end);
        }
    }
}

void run(Context& context, Pause const& wanted)
{
    sched::Domain* const domain{find_domain(context, wanted.domain)};
    if (domain == nullptr)
        return;
    Undisturbed const undisturbed{context.machine};
    if (context.core().look_at(*domain).is_paused)
        return context.reply.refuse("pause: {} is paused; unpause lets it go on", context.machine.name_of(*domain));
    context.core().pause(context.machine.self(), *domain, context.machine.now());
}

void run(Context& context, Unpause const& wanted)
{
    sched::Domain* const domain{find_domain(context, wanted.domain)};
    if (domain == nullptr)
        return;
    Undisturbed const undisturbed{context.machine};
    if (!context.core().look_at(*domain).is_paused)
        return context.reply.refuse("unpause: {} is not paused", context.machine.name_of(*domain));
    context.core().unpause(context.machine.self(), *domain, context.machine.now());
}

void run(Context& context, Dmesg const&) { context.machine.show_log(context.reply); }
void run(Context& context, Quit const&) { context.machine.quit(); }

} // namespace hv::console
