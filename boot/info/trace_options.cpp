#include "boot/info/trace_options.hpp"

#include <charconv>

namespace hv::boot {

namespace {

std::optional<std::uint32_t> number(std::string_view text, int base)
{
    std::uint32_t result{0};
    std::from_chars_result const end{std::from_chars(text.data(), text.data() + text.size(), result, base)};
    if (end.ec != std::errc{} || end.ptr != text.data() + text.size())
        return std::nullopt;
    return result;
}

// Cuts the next item of a comma list off its front; `rest` becomes nothing behind the last one.
std::string_view next_item(std::optional<std::string_view>& rest)
{
    std::size_t comma{0};
    while (comma < rest->size() && (*rest)[comma] != ',')
        ++comma;
    std::string_view const item{rest->data(), comma};
    if (comma == rest->size())
        rest.reset();
    else
        rest->remove_prefix(comma + 1);
    return item;
}

std::optional<std::uint32_t> mask_of(std::string_view item)
{
    for (TraceClass const& known : trace_classes)
        if (item == known.name || item == known.xen_name)
            return known.mask;
    if (!item.starts_with("0x"))
        return number(item, 10);
    item.remove_prefix(2);
    return number(item, 16);
}

// A number at one side of a range, or what its absence means.
std::optional<std::uint32_t> bound(std::string_view text, std::uint32_t if_absent)
{
    std::optional<std::uint32_t> const given{text.empty() ? if_absent : number(text, 10)};
    return given && *given < TraceCpus::capacity ? given : std::nullopt;
}

[[nodiscard]] bool add_range(TraceCpus& cpus, std::string_view item)
{
    std::size_t dash{0};
    while (dash < item.size() && item[dash] != '-')
        ++dash;
    if (item.empty() || item == "-")
        return false;
    bool const is_range{dash < item.size()};
    auto const first = bound({item.data(), dash}, 0);
    auto const last =
        is_range ? bound({item.data() + dash + 1, item.size() - dash - 1}, TraceCpus::capacity - 1) : first;
    if (!first || !last || *first > *last)
        return false;
    cpus.set_range(*first, *last);
    return true;
}

} // namespace

std::optional<std::uint32_t> parse_trace_mask(std::string_view text)
{
    if (text == "off")
        return 0;
    std::uint32_t mask{0};
    for (std::optional<std::string_view> rest{text}; rest;) {
        std::optional<std::uint32_t> const part{mask_of(next_item(rest))};
        if (!part)
            return std::nullopt;
        mask |= *part;
    }
    return mask;
}

std::optional<TraceCpus> parse_trace_cpus(std::string_view text)
{
    TraceCpus cpus;
    if (text == "all")
        text = "0-";
    for (std::optional<std::string_view> rest{text}; rest;)
        if (!add_range(cpus, next_item(rest)))
            return std::nullopt;
    return cpus;
}

std::optional<TraceMode> parse_trace_mode(std::string_view text)
{
    if (text == "drop")
        return TraceMode::drop;
    if (text == "stop")
        return TraceMode::stop;
    if (text == "flight")
        return TraceMode::flight;
    return std::nullopt;
}

} // namespace hv::boot
