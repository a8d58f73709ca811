#include "boot/console/command.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace hv::console {
namespace {

// The parsed command, which must be of that kind.
template <typename T>
T as(std::string_view line)
{
    auto const parsed = parse_command(line);
    EXPECT_TRUE(parsed.ok() && parsed->has_value()) << line;
    if (!parsed || !*parsed || !std::holds_alternative<T>(**parsed)) {
        ADD_FAILURE() << line << " is another command";
        return {};
    }
    return std::get<T>(**parsed);
}

std::string complaint(std::string_view line)
{
    auto const parsed = parse_command(line);
    if (parsed)
        return "";
    std::array<char, 1024> buffer{};
    BufferSink sink{buffer};
    describe(parsed.error(), sink);
    return std::string{sink.text()};
}

TEST(Command, NothingTypedIsNothingToDo)
{
    for (char const* const line : {"", "   ", "\t"}) {
        auto const parsed = parse_command(line);
        ASSERT_TRUE(parsed);
        EXPECT_FALSE(parsed->has_value());
    }
}

TEST(Command, EveryCommandHasAUniqueNameAndHelp)
{
    for (CommandSpec const& spec : commands()) {
        EXPECT_FALSE(spec.summary.empty());
        EXPECT_EQ(find_command(spec.name), &spec);
        EXPECT_EQ(as<Help>("help " + std::string{spec.name}).command, spec.name);
    }
}

TEST(Command, OptionsHaveShortAndLongNamesInAnyOrder)
{
    EXPECT_TRUE(as<Info>("info --numa").nodes);
    EXPECT_FALSE(as<Info>("xl info").nodes);
    List const list{as<List>("list -v vm1 --numa")};
    EXPECT_TRUE(list.nodes && list.verbose);
    EXPECT_EQ(list.domain, "vm1");
    EXPECT_EQ(as<VcpuList>("vcpu-list \"a name\"").domain, "a name");
}

TEST(Command, AnErrorNamesTheCommandTheWordAndTheFix)
{
    EXPECT_EQ(complaint("foo"), "'foo': no such command; help lists those that there are");
    EXPECT_EQ(complaint("xl"), "'xl': no such command; help lists those that there are");
    EXPECT_EQ(complaint("help foo"), "help: 'foo': no such command; help alone lists those that there are");
    EXPECT_EQ(complaint("info -x"), "info: '-x': takes -n and nothing else");
    EXPECT_EQ(complaint("list -x"), "list: '-x': takes -n, -v and a VM's name or number");
    EXPECT_EQ(complaint("list a b"), "list: 'b': one word too many; the command ends before it");
    EXPECT_EQ(complaint("quit now"), "quit: 'now': one word too many; the command ends before it");
    EXPECT_EQ(complaint("debug-keys"), "debug-keys: needs keys; debug-keys h lists them");
    EXPECT_EQ(complaint("list \"vm"), "a quote is never closed; close it with \"");
    EXPECT_EQ(complaint("a a a a a a a a a a a a a a a a a a a a a a a a a"),
              "more than 24 words; no command takes so many");
}

} // namespace
} // namespace hv::console
