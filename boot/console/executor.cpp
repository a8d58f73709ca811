#include "boot/console/executor.hpp"

#include "boot/console/words.hpp"

namespace hv::console {

void execute(Context& context, Command const& command)
{
    std::visit([&](auto const& wanted) { run(context, wanted); }, command);
}

sched::Domain* find_domain(Context& context, std::string_view name)
{
    sched::Domain* by_number{nullptr};
    std::optional<std::uint64_t> const number{number_of(name)};
    for (sched::Domain const& domain : context.core().domains()) {
        if (context.machine.name_of(domain) == name)
            return &const_cast<sched::Domain&>(domain);
        if (number && *number == domain.id.value())
            by_number = &const_cast<sched::Domain&>(domain);
    }
    if (by_number == nullptr)
        context.reply.refuse("'{}': no such VM; list shows those that there are", name);
    return by_number;
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

void run(Context& context, Dmesg const&) { context.machine.show_log(context.reply); }
void run(Context& context, Quit const&) { context.machine.quit(); }

} // namespace hv::console
