// The words of a line that was typed, and numbers among them. Pure, no locks. Floor: boot/console.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::console {

[[nodiscard]] constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

[[nodiscard]] constexpr std::string_view trimmed(std::string_view text)
{
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

// Decimal digits and nothing else; a number that no word holds is none.
[[nodiscard]] inline std::optional<std::uint64_t> number_of(std::string_view text)
{
    std::uint64_t value{0};
    std::from_chars_result const end{std::from_chars(text.data(), text.data() + text.size(), value)};
    if (text.empty() || text.front() < '0' || text.front() > '9' || end.ec != std::errc{} ||
        end.ptr != text.data() + text.size())
        return std::nullopt;
    return value;
}

// Words are separated by blanks; one in double quotes may have blanks in it. Views into the line.
class Words {
public:
    static constexpr std::size_t most = 24;
    enum class Fault : std::uint8_t { none, too_many, open_quote };

    explicit Words(std::string_view line)
    {
        for (line = trimmed(line); !line.empty() && fault_ == Fault::none; line = trimmed(line)) {
            bool const quoted{line.front() == '"'};
            if (quoted)
                line.remove_prefix(1);
            std::size_t end{0};
            while (end < line.size() && (quoted ? line[end] != '"' : !is_blank(line[end])))
                ++end;
            if (quoted && end == line.size())
                fault_ = Fault::open_quote;
            else if (count_ == most)
                fault_ = Fault::too_many;
            else
                words_[count_++] = {line.data(), end};
            line.remove_prefix(quoted && end < line.size() ? end + 1 : end);
        }
    }

    [[nodiscard]] Fault fault() const { return fault_; }
    [[nodiscard]] bool at_end() const { return next_ == count_; }
    [[nodiscard]] std::string_view peek() const { return words_[next_]; } // not at the end
    [[nodiscard]] std::optional<std::string_view> take()
    {
        return at_end() ? std::nullopt : std::optional{words_[next_++]};
    }

private:
    std::array<std::string_view, most> words_{};
    std::size_t count_{0}, next_{0};
    Fault fault_{Fault::none};
};

} // namespace hv::console
