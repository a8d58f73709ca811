// What pages of nv have in common. Host only. Floor: tools.
#pragma once

#include <string>
#include <string_view>

namespace hv::nv {

// As text or as a quoted attribute of HTML, whatever it says.
[[nodiscard]] inline std::string escaped(std::string_view text)
{
    std::string result;
    for (char const c : text)
        result += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string{c};
    return result;
}

} // namespace hv::nv
