#include "boot/console/line_editor.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace hv::console {
namespace {

using Event = LineEditor::Event;

class Words3 final : public Completer {
public:
    [[nodiscard]] std::optional<std::string_view> candidate(std::string_view before, unsigned index) const override
    {
        static std::vector<std::string_view> const commands{"vcpu-list", "vcpu-pin", "list"}, domains{"vm1", "web"};
        auto const& words = before.empty() ? commands : domains;
        return index < words.size() ? std::optional{words[index]} : std::nullopt;
    }
};

// What a terminal of 80 columns shows in its row, and where its cursor stands.
class Screen final : public Sink {
public:
    void write(std::string_view text) override
    {
        for (char const c : text)
            put(c);
    }
    std::string row;
    std::size_t cursor{0};
    unsigned bells{0};
    unsigned lines{0};

private:
    void put(char c)
    {
        if (!escape_.empty()) {
            escape_ += c;
            if (c != '[' && (c < '0' || c > '9'))
                run();
        } else if (c == '\x1b') {
            escape_ = c;
        } else if (c == '\r') {
            cursor = 0;
        } else if (c == '\n') {
            row.clear();
            cursor = 0;
            ++lines;
        } else if (c == '\a') {
            ++bells;
        } else {
            row.resize(std::max(row.size(), cursor + 1), ' ');
            row[cursor++] = c;
        }
    }
    void run()
    {
        if (escape_.back() == 'K')
            row.resize(cursor);
        else if (escape_.back() == 'D')
            cursor -= std::stoul(escape_.substr(2));
        escape_.clear();
    }
    std::string escape_;
};

class LineEditorTest : public ::testing::Test {
protected:
    Words3 words;
    LineEditor editor{"> ", &words};
    Screen screen;

    // The event of the last byte.
    Event type(std::string_view bytes)
    {
        Event last{};
        for (char const c : bytes)
            last = editor.feed(c, screen);
        return last;
    }
    std::string entered(std::string_view bytes)
    {
        EXPECT_EQ(type(bytes), Event::none);
        EXPECT_EQ(type("\r"), Event::line);
        return std::string{editor.line()};
    }
};

TEST_F(LineEditorTest, WhatIsTypedComesBackAndIsTheLine)
{
    editor.show(screen);
    EXPECT_EQ(screen.row, "> ");
    EXPECT_EQ(type("list -n"), Event::none);
    EXPECT_EQ(screen.row, "> list -n");
    EXPECT_EQ(type("\r"), Event::line);
    EXPECT_EQ(editor.line(), "list -n");
    EXPECT_EQ(screen.lines, 1u);
}

TEST_F(LineEditorTest, ALineFeedBehindAReturnIsNoSecondLine)
{
    EXPECT_EQ(type("a\r"), Event::line);
    EXPECT_EQ(type("\n"), Event::none);
    EXPECT_EQ(type("\n"), Event::line);
    EXPECT_EQ(editor.line(), "");
}

TEST_F(LineEditorTest, KeysEditWithinTheLine)
{
    EXPECT_EQ(entered("lst\x1b[D\x1b[Di"), "list");
    EXPECT_EQ(entered("abc\x7f\x08x"), "ax");
    EXPECT_EQ(entered("bc\x01"
                      "a\x05"
                      "d"),
              "abcd");
    EXPECT_EQ(entered("bc\x1b[Ha\x1b[Fd"), "abcd");
    EXPECT_EQ(entered("xab\x1b[1~\x1b[3~"), "ab");
    EXPECT_EQ(entered("one two\x17three"), "one three");
    EXPECT_EQ(entered("one two\x02\x02\x0b"), "one t");
    EXPECT_EQ(entered("one two\x02\x02\x15"), "wo");
    EXPECT_EQ(screen.bells, 0u);
}

TEST_F(LineEditorTest, WhatIsNotPossibleRingsTheBell)
{
    static_cast<void>(type("\x7f\x1b[A\x1b[B\x1b[C\x1b[D\x1b[3~\x1b[Z\x1bx\x80"));
    EXPECT_EQ(screen.bells, 9u);
    EXPECT_EQ(editor.line(), "");
}

TEST_F(LineEditorTest, HistoryGoesBackAndReturnsToWhatWasBeingTyped)
{
    static_cast<void>(type("first\rsecond\rsecond\r\rdraft"));
    static_cast<void>(type("\x1b[A"));
    EXPECT_EQ(screen.row, "> second");
    static_cast<void>(type("\x1b[A"));
    EXPECT_EQ(screen.row, "> first");
    static_cast<void>(type("\x1b[A"));
    EXPECT_EQ(screen.bells, 1u);
    static_cast<void>(type("\x1b[B\x1b[B"));
    EXPECT_EQ(screen.row, "> draft");
    EXPECT_EQ(entered("\x10\x10!"), "first!");
}

TEST_F(LineEditorTest, HistoryKeepsTheLastLines)
{
    for (unsigned i = 0; i < LineEditor::remembered + 5; ++i)
        static_cast<void>(type(std::to_string(i) + "\r"));
    for (unsigned i = 0; i < LineEditor::remembered; ++i)
        static_cast<void>(type("\x10"));
    EXPECT_EQ(screen.bells, 0u);
    EXPECT_EQ(screen.row, "> 5");
    static_cast<void>(type("\x10"));
    EXPECT_EQ(screen.bells, 1u);
}

TEST_F(LineEditorTest, TabCompletesAWordOrListsWhatItMayBe)
{
    EXPECT_EQ(entered("li\t-n"), "list -n");
    EXPECT_EQ(entered("v\tl\tv\t"), "vcpu-list vm1 ");
    static_cast<void>(type("vcpu-\t"));
    EXPECT_EQ(screen.row, "> vcpu-");
    EXPECT_EQ(screen.bells, 0u);
    static_cast<void>(type("x\t"));
    EXPECT_EQ(screen.bells, 1u);
}

TEST_F(LineEditorTest, ALongLineShowsThePartAroundTheCursor)
{
    std::string const text(200, 'x');
    static_cast<void>(type(text + "END"));
    EXPECT_LT(screen.row.size(), LineEditor::columns);
    EXPECT_TRUE(screen.row.ends_with("END"));
    static_cast<void>(type("\x01"));
    EXPECT_EQ(screen.cursor, 2u);
    EXPECT_LT(screen.row.size(), LineEditor::columns);
    EXPECT_EQ(entered(""), text + "END");
}

TEST_F(LineEditorTest, ALineThatIsTooLongTakesNoMore)
{
    std::string const text(LineEditor::longest, 'y');
    static_cast<void>(type(text));
    EXPECT_EQ(screen.bells, 0u);
    static_cast<void>(type("z"));
    EXPECT_EQ(screen.bells, 1u);
    EXPECT_EQ(entered(""), text);
}

TEST_F(LineEditorTest, ControlCDropsTheLineAndControlDEndsTheInputOnlyWhereItIsEmpty)
{
    EXPECT_EQ(type("abc\x03"), Event::dropped);
    EXPECT_EQ(entered("x"), "x");
    EXPECT_EQ(type("ab\x01\x04"), Event::none);
    EXPECT_EQ(entered(""), "b");
    EXPECT_EQ(type("\x04"), Event::end_of_input);
}

// Whatever is typed, the row shows the prompt and the part of the line around the cursor.
TEST_F(LineEditorTest, TheScreenAgreesWithTheLineAfterAnyKeys)
{
    static constexpr std::string_view keys[]{"a",
                                             "b",
                                             " ",
                                             "\x7f",
                                             "\x1b[D",
                                             "\x1b[C",
                                             "\x01",
                                             "\x05",
                                             "\x17",
                                             "\x0b",
                                             "\x10",
                                             "\x0e",
                                             "xxxxxxxxxxxxxxxxxxxxxxxxx",
                                             "\r",
                                             "\x03",
                                             "\x04"};
    std::mt19937 random{4711}; // NOLINT(cert-msc51-cpp): the same each time.
    editor.show(screen);
    for (unsigned i = 0; i < 20'000; ++i) {
        Event const event{type(keys[random() % std::size(keys)])};
        if (event == Event::line)
            editor.clear();
        if (event != Event::none)
            editor.show(screen);
        ASSERT_TRUE(screen.row.starts_with("> "));
        ASSERT_LT(screen.row.size(), LineEditor::columns);
        ASSERT_NE(editor.line().find(screen.row.substr(2)), std::string_view::npos) << i;
        if (editor.line().size() < 70) {
            ASSERT_EQ(screen.row.substr(2), editor.line()) << i;
        }
    }
}

} // namespace
} // namespace hv::console
