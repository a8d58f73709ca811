#include "tools/nv/host_channel.hpp"

#include <charconv>

namespace hv::nv {

namespace {

std::optional<std::uint64_t> value_of(std::string_view line, std::string_view name)
{
    std::size_t at = line.find(name);
    if (at == std::string_view::npos || (at != 0 && line[at - 1] != ' '))
        return std::nullopt;
    at += name.size();
    bool const hex = line.substr(at).starts_with("0x");
    at += hex ? 2 : 0;
    std::uint64_t value{0};
    auto const result = std::from_chars(line.data() + at, line.data() + line.size(), value, hex ? 16 : 10);
    bool const ends = result.ptr == line.data() + line.size() || *result.ptr == ' ' || *result.ptr == '\r';
    return result.ec == std::errc{} && ends ? std::optional{value} : std::nullopt;
}

} // namespace

HostChannel parse_host_channel(std::string_view text)
{
    HostChannel channel;
    while (!text.empty()) {
        std::size_t const end = text.find('\n');
        std::string_view const line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.starts_with("trace "))
            channel.trace_directory = value_of(line, "directory=");
        if (line.starts_with("scenario ")) {
            channel.scenario_start = value_of(line, "start=");
            channel.scenario_end = value_of(line, "end=");
        }
    }
    return channel;
}

} // namespace hv::nv
