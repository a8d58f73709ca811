#include "tools/nv/qemu.hpp"

#include "tests/unit/nv/sample_scenario.hpp"
#include "tools/nv/errors.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace hv::nv {
namespace {

using test::with;

std::string command(Scenario const& scenario, QemuOptions const& options = {})
{
    return " " +
           shell_line(qemu_command(scenario, options, std::vector<std::string>(scenario.machine.node_count(), "/m"),
                                   "f.json")) +
           " ";
}

std::string refusal(std::string const& text)
{
    try {
        static_cast<void>(command(parse_scenario(text, "f.json")));
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ExitCode::bad_input);
        return error.what();
    }
    return "";
}

void expect_parts(std::string const& line, std::initializer_list<std::string_view> parts)
{
    for (std::string_view const part : parts)
        EXPECT_NE(line.find(" " + std::string{part} + " "), std::string::npos) << part << " is not in\n" << line;
}

TEST(QemuCommand, GivesTheGuestTheScenariosMachine)
{
    std::string const line = command(parse_scenario(test::full_scenario, "f.json"));
    expect_parts(line, {"-M q35", "-m 576M", "-smp 4,sockets=2,cores=1,threads=2",
                        "-object memory-backend-file,id=ram0,size=64M,mem-path=/m,share=on",
                        "-object memory-backend-file,id=ram2,size=512M,mem-path=/m,share=on",
                        "-numa node,nodeid=0,memdev=ram0", "-numa node,nodeid=1", "-numa node,nodeid=2,memdev=ram2",
                        "-numa cpu,node-id=0,socket-id=0,core-id=0,thread-id=1",
                        "-numa cpu,node-id=1,socket-id=1,core-id=0,thread-id=0", "-numa dist,src=0,dst=1,val=20",
                        "-numa dist,src=1,dst=0,val=21", "-numa dist,src=2,dst=1,val=16"});
    EXPECT_EQ(line.find("ram1"), std::string::npos) << "node 1 has no memory";
    EXPECT_EQ(line.find("src=1,dst=1"), std::string::npos);
}

TEST(QemuCommand, LetsThreadsTakeTurnsWhereRunsAreToBeRepeated)
{
    Scenario const s = parse_scenario(test::small_scenario, "f.json");
    EXPECT_TRUE(command(s, {.take_turns = true}).starts_with(" env LD_PRELOAD=./take_turns.so qemu-system-x86_64 "));
    EXPECT_EQ(command(s, {.live = true, .take_turns = true}).find("LD_PRELOAD"), std::string::npos);
    EXPECT_EQ(command(s).find("LD_PRELOAD"), std::string::npos);
}

TEST(QemuCommand, IsDeterministicUnlessLive)
{
    Scenario const s = parse_scenario(test::small_scenario, "f.json");
    expect_parts(command(s),
                 {"-accel tcg", "-icount shift=0,sleep=off", "-rtc base=2020-01-01,clock=vm", "-append khz=1000000",
                  "-device isa-debug-exit,iobase=0xf4,iosize=0x04", "-initrd scenario.img", "-kernel kernel.elf"});
    std::string const live = command(s, {.live = true});
    expect_parts(live, {"-accel tcg,thread=multi"});
    EXPECT_EQ(live.find("icount"), std::string::npos);
    EXPECT_EQ(live.find("khz"), std::string::npos) << "a live guest measures its clock";
}

TEST(QemuCommand, PassesTheKernelItsOptions)
{
    Scenario const s = parse_scenario(test::small_scenario, "f.json");
    expect_parts(command(s, {.selftest = true, .append = "quiet"}), {"-append 'khz=1000000 selftest quiet'"});
    expect_parts(command(s, {.selftest = true, .selftest_pattern = "a b"}), {"-append 'khz=1000000 selftest=\"a b\"'"});
    EXPECT_EQ(command(s, {.machine_only = true}).find("initrd"), std::string::npos);
}

TEST(QemuCommand, FirmwareWithoutNumaGetsNoNumaOption)
{
    std::string const line = command(load_scenario("tests/scenarios/boot-no-srat.json"));
    expect_parts(line, {"-M q35,memory-backend=ram0", "-smp 4,sockets=2,cores=2,threads=1"});
    EXPECT_EQ(line.find("-numa"), std::string::npos);
}

TEST(QemuCommand, RefusesMachinesThatQemuWouldNumberOtherwise)
{
    using test::small_scenario;
    EXPECT_EQ(refusal(std::string{small_scenario}), "");
    EXPECT_NE(
        refusal(with(with(small_scenario, "\"socket\": 0", "\"socket\": 1"), "\"node\": 1, \"socket\": 1",
                     "\"node\": 1, \"socket\": 0"))
            .find("f.json: $.machine.cpus[0]: socket 1 core 0, but QEMU numbers pCPUs so that this is socket 0 core 0"),
        std::string::npos);
    std::string const three =
        with(small_scenario, "\"core\": 1}", "\"core\": 1}, {\"cpu\": 2, \"node\": 1, \"socket\": 1, \"core\": 1}");
    EXPECT_NE(refusal(three).find("3 pCPUs on 2 cores of 2 sockets are not the same number in each"), std::string::npos)
        << refusal(three);
}

TEST(ShellLine, QuotesWhatAShellWouldSplit) { EXPECT_EQ(shell_line({"a", "b c", "d'e", ""}), "a 'b c' 'd'\\''e' ''"); }

} // namespace
} // namespace hv::nv
