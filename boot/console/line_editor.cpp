#include "boot/console/line_editor.hpp"

#include <cstring>

namespace hv::console {
namespace {

constexpr std::string_view bell{"\a"};

constexpr char ctrl(char letter) { return static_cast<char>(letter - '@'); }
constexpr char escape_byte = '\x1b';
constexpr char rubout = '\x7f';

constexpr bool is_printable(char c) { return c >= ' ' && c <= '~'; }

} // namespace

LineEditor::Event LineEditor::feed(char byte, Sink& echo)
{
    if (finished_) {
        finished_ = false;
        size_ = cursor_ = 0;
    }
    bool const ends_return{after_return_ && byte == '\n'};
    after_return_ = byte == '\r';
    if (ends_return)
        return Event::none;
    if (escape_ != Escape::none) {
        escape(byte, echo);
        return Event::none;
    }
    if (!is_printable(byte))
        return control(byte, echo);
    insert({&byte, 1}, echo);
    return Event::none;
}

// Those that have keys of their own, too.
std::optional<LineEditor::Key> LineEditor::key_of_control(char byte)
{
    switch (byte) {
    case ctrl('A'):
        return Key::home;
    case ctrl('E'):
        return Key::end;
    case ctrl('B'):
        return Key::left;
    case ctrl('F'):
        return Key::right;
    case ctrl('P'):
        return Key::up;
    case ctrl('N'):
        return Key::down;
    default:
        return std::nullopt;
    }
}

LineEditor::Event LineEditor::control(char byte, Sink& echo)
{
    if (std::optional<Key> const key = key_of_control(byte)) {
        press(*key, echo);
        return Event::none;
    }
    switch (byte) {
    case '\r':
    case '\n':
        move_to(size_, echo);
        echo.write("\n");
        remember();
        finished_ = true;
        return Event::line;
    case ctrl('C'):
        echo.write("^C\n");
        size_ = cursor_ = back_ = 0;
        return Event::dropped;
    case ctrl('D'):
        if (size_ == 0)
            return Event::end_of_input;
        press(Key::erase, echo);
        return Event::none;
    case ctrl('H'):
    case rubout:
        if (cursor_ > 0)
            cut(cursor_ - 1, cursor_, echo);
        else
            echo.write(bell);
        return Event::none;
    case ctrl('U'):
        cut(0, cursor_, echo);
        return Event::none;
    case ctrl('K'):
        cut(cursor_, size_, echo);
        return Event::none;
    case ctrl('W'):
        cut(word_start(), cursor_, echo);
        return Event::none;
    case ctrl('L'):
        echo.write("\x1b[H\x1b[2J");
        show(echo);
        return Event::none;
    case '\t':
        complete(echo);
        return Event::none;
    case escape_byte:
        escape_ = Escape::begun;
        return Event::none;
    default:
        echo.write(bell);
        return Event::none;
    }
}

// ESC [ parameter final, or ESC O final. Anything else ends the sequence and means nothing.
void LineEditor::escape(char byte, Sink& echo)
{
    if (escape_ == Escape::begun && (byte == '[' || byte == 'O')) {
        escape_ = Escape::sequence;
        parameter_ = 0;
        return;
    }
    if (escape_ == Escape::sequence && byte >= '0' && byte <= '9') {
        parameter_ = (parameter_ * 10 + static_cast<unsigned>(byte - '0')) % 1000;
        return;
    }
    if (escape_ == Escape::sequence && byte == ';')
        return;
    std::optional<Key> const key{escape_ == Escape::sequence ? key_of(byte, parameter_) : std::nullopt};
    escape_ = Escape::none;
    if (key)
        press(*key, echo);
    else
        echo.write(bell);
}

std::optional<LineEditor::Key> LineEditor::key_of(char final, unsigned parameter)
{
    switch (final) {
    case 'A':
        return Key::up;
    case 'B':
        return Key::down;
    case 'C':
        return Key::right;
    case 'D':
        return Key::left;
    case 'H':
        return Key::home;
    case 'F':
        return Key::end;
    case '~':
        break;
    default:
        return std::nullopt;
    }
    if (parameter == 3)
        return Key::erase;
    if (parameter == 1 || parameter == 7)
        return Key::home;
    return parameter == 4 || parameter == 8 ? std::optional{Key::end} : std::nullopt;
}

void LineEditor::press(Key key, Sink& echo)
{
    bool possible{true};
    switch (key) {
    case Key::left:
        possible = cursor_ > 0;
        if (possible)
            move_to(cursor_ - 1, echo);
        break;
    case Key::right:
        possible = cursor_ < size_;
        if (possible)
            move_to(cursor_ + 1, echo);
        break;
    case Key::home:
        move_to(0, echo);
        break;
    case Key::end:
        move_to(size_, echo);
        break;
    case Key::erase:
        possible = cursor_ < size_;
        if (possible)
            cut(cursor_, cursor_ + 1, echo);
        break;
    case Key::up:
        possible = back_ < kept_;
        if (possible)
            recall(back_ + 1, echo);
        break;
    case Key::down:
        possible = back_ > 0;
        if (possible)
            recall(back_ - 1, echo);
        break;
    }
    if (!possible)
        echo.write(bell);
}

void LineEditor::insert(std::string_view text, Sink& echo)
{
    if (size_ + text.size() > longest)
        return echo.write(bell);
    bool const at_end{cursor_ == size_ && window_start() == 0 && size_ + text.size() < window_size()};
    std::memmove(text_.data() + cursor_ + text.size(), text_.data() + cursor_, size_ - cursor_);
    std::memcpy(text_.data() + cursor_, text.data(), text.size());
    size_ += text.size();
    cursor_ += text.size();
    if (at_end)
        return echo.write(text);
    show(echo);
}

void LineEditor::cut(std::size_t from, std::size_t to, Sink& echo)
{
    std::memmove(text_.data() + from, text_.data() + to, size_ - to);
    size_ -= to - from;
    cursor_ = from;
    show(echo);
}

void LineEditor::move_to(std::size_t place, Sink& echo)
{
    if (place == cursor_)
        return;
    cursor_ = place;
    show(echo);
}

// Of the word before the cursor, blanks behind it included.
std::size_t LineEditor::word_start() const
{
    std::size_t start{cursor_};
    while (start > 0 && text_[start - 1] == ' ')
        --start;
    while (start > 0 && text_[start - 1] != ' ')
        --start;
    return start;
}

// The first character that is shown: the cursor must stay in the row.
std::size_t LineEditor::window_start() const { return cursor_ < window_size() ? 0 : cursor_ - window_size() + 1; }

void LineEditor::show(Sink& echo) const
{
    std::size_t const first{window_start()};
    std::size_t const rest{size_ - first};
    std::size_t const shown{rest < window_size() ? rest : window_size()};
    hide(echo);
    echo.write(prompt_);
    echo.write({text_.data() + first, shown});
    if (std::size_t const back{first + shown - cursor_}; back > 0)
        print(echo, "\x1b[{}D", back);
}

// One candidate: it is taken, with a blank behind. Several: what they begin with in common, or a list of them.
void LineEditor::complete(Sink& echo)
{
    std::size_t start{cursor_};
    while (start > 0 && text_[start - 1] != ' ')
        --start;
    std::string_view const before{text_.data(), start};
    std::string_view const word{text_.data() + start, cursor_ - start};
    std::string_view common;
    unsigned found{0};
    for (unsigned i = 0; completer_ != nullptr; ++i) {
        std::optional<std::string_view> const candidate{completer_->candidate(before, i)};
        if (!candidate)
            break;
        if (!candidate->starts_with(word))
            continue;
        if (found++ == 0)
            common = *candidate;
        while (!candidate->starts_with(common))
            common.remove_suffix(1);
    }
    if (found == 0)
        return echo.write(bell);
    if (common.size() > word.size())
        insert({common.data() + word.size(), common.size() - word.size()}, echo);
    else if (found > 1)
        list_candidates(before, word, echo);
    if (found == 1)
        insert(" ", echo);
}

void LineEditor::list_candidates(std::string_view before, std::string_view word, Sink& echo)
{
    echo.write("\n");
    for (unsigned i = 0;; ++i) {
        std::optional<std::string_view> const candidate{completer_->candidate(before, i)};
        if (!candidate)
            break;
        if (candidate->starts_with(word))
            print(echo, "{}  ", *candidate);
    }
    echo.write("\n");
    show(echo);
}

// Not what is empty, and not the same line twice in a row.
void LineEditor::remember()
{
    back_ = 0;
    std::size_t const last{(next_ + remembered - 1) % remembered};
    if (size_ == 0 || (kept_ > 0 && line() == std::string_view{history_[last].data(), sizes_[last]}))
        return;
    history_[next_] = text_;
    sizes_[next_] = static_cast<std::uint16_t>(size_);
    next_ = (next_ + 1) % remembered;
    kept_ += kept_ < remembered ? 1 : 0;
}

void LineEditor::recall(std::size_t back, Sink& echo)
{
    if (back_ == 0) {
        draft_ = text_;
        draft_size_ = size_;
    }
    back_ = back;
    if (back == 0) {
        load(draft_, draft_size_);
    } else {
        std::size_t const place{(next_ + remembered - back) % remembered};
        load(history_[place], sizes_[place]);
    }
    show(echo);
}

void LineEditor::load(Line const& from, std::size_t size)
{
    text_ = from;
    size_ = cursor_ = size;
}

} // namespace hv::console
