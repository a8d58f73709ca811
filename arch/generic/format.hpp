// Typed text output: print(sink, "node {} has {:x} pages", node, pages).
//
// A Sink takes characters; the serial console, a fixed buffer and a host stream are sinks. Place holders: {} as it is,
// {:x} hexadecimal with 0x, {:08x} the same padded with zeros to 8 digits (no 0x), {:7} right-aligned in 7 columns,
// {:<7} left-aligned. "{{" prints one brace. A place holder without argument prints "{?}", a surplus argument is
// ignored: printing never fails. No allocation, no state; a sink brings its own lock. Floor: arch/generic.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace hv {

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): sinks are never deleted through this class.
class Sink {
public:
    virtual void write(std::string_view text) = 0;

protected:
    constexpr Sink() = default;
    constexpr ~Sink() = default;
    Sink(Sink const&) = default;
    Sink& operator=(Sink const&) = default;
};

// Collects text in memory that the caller owns; what does not fit is dropped and remembered.
class BufferSink final : public Sink {
public:
    constexpr explicit BufferSink(std::span<char> buffer) : buffer_{buffer} {}

    void write(std::string_view text) override
    {
        for (char const c : text) {
            if (used_ < buffer_.size())
                buffer_[used_++] = c;
            else
                truncated_ = true;
        }
    }

    [[nodiscard]] std::string_view text() const { return {buffer_.data(), used_}; }
    [[nodiscard]] bool truncated() const { return truncated_; }
    void clear()
    {
        used_ = 0;
        truncated_ = false;
    }

private:
    std::span<char> buffer_;
    std::size_t used_{0};
    bool truncated_{false};
};

// One argument of print(), whatever its type was.
class FormatArg {
public:
    enum class Kind : std::uint8_t { text, number, negative };

    constexpr FormatArg(std::string_view text)
        : kind_{Kind::text}, text_{text} {}                                      // NOLINT(google-explicit-constructor)
    constexpr FormatArg(char const* text) : FormatArg{std::string_view{text}} {} // NOLINT(google-explicit-constructor)
    constexpr FormatArg(bool b) : FormatArg{b ? "yes" : "no"} {}                 // NOLINT(google-explicit-constructor)
    template <std::unsigned_integral N>
    constexpr FormatArg(N n) : kind_{Kind::number}, number_{n} // NOLINT(google-explicit-constructor)
    {
    }
    template <std::signed_integral N>
    constexpr FormatArg(N n) // NOLINT(google-explicit-constructor)
        : kind_{n < 0 ? Kind::negative : Kind::number},
          number_{n < 0 ? ~static_cast<std::uint64_t>(n) + 1 : static_cast<std::uint64_t>(n)}
    {
    }
    template <typename Tag, typename Rep>
    constexpr FormatArg(Id<Tag, Rep> id)
        : kind_{Kind::number}, number_{id.value()} // NOLINT(google-explicit-constructor)
    {
    }
    constexpr FormatArg(Duration d) : FormatArg{d.ns()} {} // NOLINT(google-explicit-constructor)

    [[nodiscard]] Kind kind() const { return kind_; }
    [[nodiscard]] std::string_view text() const { return text_; }
    [[nodiscard]] std::uint64_t number() const { return number_; }

private:
    Kind kind_;
    std::uint64_t number_{0};
    std::string_view text_;
};

namespace detail {

struct FormatSpec {
    bool hex{false}, zero{false}, left{false};
    std::size_t width{0};
};

constexpr FormatSpec parse_spec(std::string_view spec)
{
    FormatSpec result;
    for (char const c : spec) {
        if (c == '<')
            result.left = true;
        else if (c == 'x')
            result.hex = true;
        else if (c == '0' && result.width == 0)
            result.zero = true;
        else if (c >= '0' && c <= '9')
            result.width = result.width * 10 + static_cast<std::size_t>(c - '0');
    }
    return result;
}

inline void pad(Sink& sink, std::size_t count, char with)
{
    for (; count > 0; --count)
        sink.write({&with, 1});
}

inline void write_arg(Sink& sink, FormatArg const& arg, FormatSpec const& spec)
{
    std::array<char, 32> digits; // NOLINT(cppcoreguidelines-pro-type-member-init): to_chars fills what is used.
    std::string_view body{arg.text()};
    std::string_view prefix;
    if (arg.kind() != FormatArg::Kind::text) {
        char const* const end =
            std::to_chars(digits.data(), digits.data() + digits.size(), arg.number(), spec.hex ? 16 : 10).ptr;
        body = {digits.data(), static_cast<std::size_t>(end - digits.data())};
        if (arg.kind() == FormatArg::Kind::negative)
            prefix = "-";
        else if (spec.hex && !spec.zero)
            prefix = "0x";
    }
    std::size_t const length = prefix.size() + body.size();
    std::size_t const missing = spec.width > length ? spec.width - length : 0;
    if (!spec.left && !spec.zero)
        pad(sink, missing, ' ');
    sink.write(prefix);
    if (spec.zero)
        pad(sink, missing, '0');
    sink.write(body);
    if (spec.left)
        pad(sink, missing, ' ');
}

// string_view::find would call memchr, which a kernel does not have.
[[nodiscard]] constexpr std::size_t find_char(std::string_view text, char wanted)
{
    std::size_t at{0};
    while (at < text.size() && text[at] != wanted)
        ++at;
    return at;
}

inline void print_args(Sink& sink, std::string_view format, std::span<FormatArg const> args)
{
    std::size_t next_arg{0};
    while (!format.empty()) {
        std::size_t const brace = find_char(format, '{');
        sink.write({format.data(), brace});
        if (brace == format.size())
            return;
        format.remove_prefix(brace + 1);
        if (format.starts_with('{')) {
            sink.write("{");
            format.remove_prefix(1);
            continue;
        }
        std::size_t const close = find_char(format, '}');
        if (close == format.size())
            return;
        std::string_view spec{format.data(), close};
        format.remove_prefix(close + 1);
        if (spec.starts_with(':'))
            spec.remove_prefix(1);
        if (next_arg < args.size())
            write_arg(sink, args[next_arg++], parse_spec(spec));
        else
            sink.write("{?}");
    }
}

} // namespace detail

template <typename... Args>
void print(Sink& sink, std::string_view format, Args const&... args)
{
    if constexpr (sizeof...(Args) == 0) {
        detail::print_args(sink, format, {});
    } else {
        FormatArg const list[]{FormatArg{args}...};
        detail::print_args(sink, format, list);
    }
}

} // namespace hv
