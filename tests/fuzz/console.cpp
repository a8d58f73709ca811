#include "arch/generic/assert.hpp"
#include "boot/console/command.hpp"
#include "boot/console/line_editor.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace {

using namespace hv::console;

class CommandNames final : public Completer {
public:
    [[nodiscard]] std::optional<std::string_view> candidate(std::string_view, unsigned index) const override
    {
        return index < commands().size() ? std::optional{commands()[index].name} : std::nullopt;
    }
};

class Discard final : public hv::Sink {
public:
    void write(std::string_view) override {}
};

void parse(std::string_view line)
{
    auto const parsed = parse_command(line);
    if (parsed)
        return;
    std::array<char, 2048> buffer{};
    hv::BufferSink sink{buffer};
    describe(parsed.error(), sink);
    HV_ASSERT(!sink.text().empty() && !sink.truncated());
    HV_ASSERT(std::ranges::find(sink.text(), '\n') == sink.text().end());
}

} // namespace

// Keys, as a terminal sends them: the line stays printable and within its length, and parses or is refused in one line.
HV_FUZZ_TARGET(console)
{
    CommandNames const names;
    LineEditor editor{"nv> ", &names};
    Discard echo;
    for (std::uint8_t const byte : input) {
        LineEditor::Event const event{editor.feed(static_cast<char>(byte), echo)};
        HV_ASSERT(editor.line().size() <= LineEditor::longest);
        HV_ASSERT(std::ranges::all_of(editor.line(), [](char c) { return c >= ' ' && c <= '~'; }));
        if (event == LineEditor::Event::line)
            parse(editor.line());
    }
    parse(editor.line());
}
