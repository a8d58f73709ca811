// A line of text being typed: bytes of a terminal in, echo and complete lines out.
//
// Keys: printable ASCII; backspace, delete; left, right, home, end, or ^B ^F ^A ^E; ^U and ^K cut to the start and the
// end, ^W a word; up, down, or ^P ^N walk the history; tab completes the word before the cursor; ^L clears the screen;
// ^C drops the line; ^D on an empty line is the end of the input. A line is shown in one row of 80 columns, of which a
// long line shows the part around the cursor. What does not fit, or means nothing, rings the bell.
//
// hide() and show() let others write in between. Locking: none; its user's. Floor: boot/console.
#pragma once

#include "arch/generic/format.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::console {

// Says which words may stand somewhere.
class Completer {
public:
    // The `index`-th word that may follow `before`, which is empty or ends with a blank; nothing: there are no more.
    [[nodiscard]] virtual std::optional<std::string_view> candidate(std::string_view before, unsigned index) const = 0;

protected:
    constexpr Completer() = default;
    constexpr ~Completer() = default;
    Completer(Completer const&) = default;
    Completer& operator=(Completer const&) = default;
};

class LineEditor {
public:
    static constexpr std::size_t longest = 512;
    static constexpr unsigned columns = 80;
    static constexpr std::size_t remembered = 32;

    enum class Event : std::uint8_t { none, line, dropped, end_of_input };

    // `completer` may be null. Both live as long as the editor.
    constexpr LineEditor(std::string_view prompt, Completer const* completer) : prompt_{prompt}, completer_{completer}
    {
    }

    // `line`: the line is complete, line() has it until the next byte comes.
    [[nodiscard]] Event feed(char byte, Sink& echo);
    [[nodiscard]] std::string_view line() const { return {text_.data(), size_}; }

    // An empty line, as after one was taken.
    void clear() { size_ = cursor_ = 0; }
    // Writes prompt and line, the cursor where it belongs; takes them away again.
    void show(Sink& echo) const;
    static void hide(Sink& echo) { echo.write("\r\x1b[K"); }

private:
    enum class Key : std::uint8_t { left, right, up, down, home, end, erase };
    enum class Escape : std::uint8_t { none, begun, sequence };
    using Line = std::array<char, longest>;

    [[nodiscard]] Event control(char byte, Sink& echo);
    void escape(char byte, Sink& echo);
    void press(Key key, Sink& echo);
    [[nodiscard]] static std::optional<Key> key_of_control(char byte);
    [[nodiscard]] static std::optional<Key> key_of(char final, unsigned parameter);

    void insert(std::string_view text, Sink& echo);
    // Takes [from, to) out; the cursor ends at `from`.
    void cut(std::size_t from, std::size_t to, Sink& echo);
    void move_to(std::size_t place, Sink& echo);
    [[nodiscard]] std::size_t word_start() const;
    [[nodiscard]] std::size_t window_start() const;
    [[nodiscard]] std::size_t window_size() const { return columns - 1 - prompt_.size(); }
    void complete(Sink& echo);
    void list_candidates(std::string_view before, std::string_view word, Sink& echo);

    void remember();
    // `back` lines ago; 0: what was being typed before the walk began.
    void recall(std::size_t back, Sink& echo);
    void load(Line const& from, std::size_t size);

    std::string_view prompt_;
    Completer const* completer_;
    Line text_{};
    std::size_t size_{0}, cursor_{0};
    bool finished_{false};     // the line was given out: the next byte begins a new one
    bool after_return_{false}; // a line feed right behind belongs to it
    Escape escape_{Escape::none};
    unsigned parameter_{0};                  // of an escape sequence
    std::array<Line, remembered> history_{}; // a ring
    std::array<std::uint16_t, remembered> sizes_{};
    std::size_t kept_{0}, next_{0}, back_{0};
    Line draft_{};
    std::size_t draft_size_{0};
};

} // namespace hv::console
