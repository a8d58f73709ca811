// What the parsers of commands share: options by their short and long name, values in a range, and errors that name the
// word and the fix. Pure, no locks. Floor: boot/console.
#pragma once

#include "boot/console/command.hpp"
#include "boot/console/words.hpp"

namespace hv::console {

using Parsed = Result<Command, CommandError>;

// The arguments of one command, taken one after the other. The first error stays; what is taken after it is empty.
class Arguments {
public:
    explicit Arguments(Words& words) : words_{words} {}

    [[nodiscard]] bool at_end() const { return failed_ || words_.at_end(); }
    // Whether the next word is this option; takes it then.
    [[nodiscard]] bool option(std::string_view short_name, std::string_view long_name)
    {
        if (at_end() || (words_.peek() != short_name && words_.peek() != long_name))
            return false;
        static_cast<void>(words_.take());
        return true;
    }
    // The next word, which must be there.
    [[nodiscard]] std::string_view word(std::string_view fix)
    {
        if (at_end()) {
            wrong({}, fix);
            return {};
        }
        return *words_.take();
    }
    // The next word, which must not look like an option.
    [[nodiscard]] std::string_view name(std::string_view fix)
    {
        if (!at_end() && words_.peek().starts_with('-')) {
            wrong(words_.peek(), fix);
            return {};
        }
        return word(fix);
    }
    // The next word, a number from `low` to `high`.
    [[nodiscard]] std::optional<std::uint32_t> number(std::uint32_t low, std::uint32_t high, std::string_view fix)
    {
        std::string_view const text{word(fix)};
        std::optional<std::uint64_t> const value{number_of(text)};
        if (!failed_ && (!value || *value < low || *value > high))
            wrong(text, fix);
        return failed_ ? std::nullopt : std::optional{static_cast<std::uint32_t>(*value)};
    }

    void wrong(std::string_view word, std::string_view fix)
    {
        if (failed_)
            return;
        failed_ = true;
        error_ = {.command = {}, .word = word, .fix = fix};
    }
    // For the end of a parser: the command, unless something was wrong or is left over.
    [[nodiscard]] Parsed finish(Command const& command, std::string_view fix)
    {
        if (!failed_ && !words_.at_end())
            wrong(words_.peek(), fix);
        if (failed_)
            return fail(error_);
        return command;
    }

private:
    Words& words_;
    CommandError error_{};
    bool failed_{false};
};

} // namespace hv::console
