#include "boot/console/session.hpp"

#include "boot/console/words.hpp"

namespace hv::console {
namespace {

void parse_and_execute(Context& context, std::string_view line)
{
    auto const parsed = parse_command(line);
    if (!parsed) {
        std::array<char, 1024> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): the sink fills what is used.
        BufferSink sink{buffer};
        describe(parsed.error(), sink);
        context.reply.refuse("{}", sink.text());
    } else if (parsed->has_value()) {
        execute(context, **parsed);
    }
}

// The `index`-th of the words in `text`; counts `index` down by those that it passes.
std::optional<std::string_view> word_at(std::string_view text, unsigned& index)
{
    Words words{text};
    while (!words.at_end()) {
        std::string_view const word{*words.take()};
        if (index-- == 0)
            return word;
    }
    return std::nullopt;
}

} // namespace

void run_line(Context& context, std::string_view line)
{
    parse_and_execute(context, line);
    bool const failed{context.reply.take_failure()};
    if (!context.reply.is_json())
        return;
    context.reply.value("end", true);
    context.reply.value("ok", !failed);
    context.reply.end_row();
}

std::optional<std::string_view> CommandCompleter::candidate(std::string_view before, unsigned index) const
{
    Words words{before};
    std::string_view name{words.take().value_or("")};
    if (name == "xl" || name == "help")
        name = words.take().value_or("");
    if (name.empty())
        return index < commands().size() ? std::optional{commands()[index].name} : std::nullopt;
    CommandSpec const* const spec{find_command(name)};
    if (spec == nullptr)
        return std::nullopt;
    if (std::optional<std::string_view> const option{word_at(spec->options, index)})
        return option;
    if (!spec->takes_domain)
        return std::nullopt;
    std::optional<std::string_view> name_found;
    for_each_domain(machine_, [&](sched::Domain const& domain) {
        if (index-- == 0)
            name_found = machine_.name_of(domain);
    });
    return name_found;
}

} // namespace hv::console
