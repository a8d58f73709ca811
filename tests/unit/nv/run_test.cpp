// The runner against programs that behave as QEMU and a kernel would: pass, fail, hang, talk nonsense.
#include "tools/nv/run.hpp"

#include "tests/unit/nv/sample_scenario.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/ktap.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/table.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

namespace hv::nv {
namespace {

namespace fs = std::filesystem;

// A folder with a scenario, an empty kernel and a shell script in the place of QEMU.
class Bench {
public:
    explicit Bench(std::string const& script)
    {
        folder_ =
            fs::path{::testing::TempDir()} /
            fmt::format("nv-run-{}-{}", ::getpid(), ::testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::remove_all(folder_);
        fs::create_directories(folder_);
        write_text(folder_ / "s.json", test::small_scenario);
        write_text(folder_ / "kernel", "not a kernel");
        write_text(folder_ / "qemu", "#!/bin/sh\n" + script + "\n");
        ::chmod((folder_ / "qemu").c_str(), 0755);
        options.scenarios = {folder_ / "s.json"};
        options.kernel = folder_ / "kernel";
        options.out = folder_ / "out";
        options.qemu.program = (folder_ / "qemu").string();
        options.qemu.machine_only = true; // No figures are expected, unless a test says so.
    }
    ~Bench() { fs::remove_all(folder_); }
    Bench(Bench const&) = delete;
    Bench& operator=(Bench const&) = delete;

    // What became of it, what it said on stdout and on stderr.
    ExitCode run()
    {
        ::testing::internal::CaptureStdout();
        ::testing::internal::CaptureStderr();
        ExitCode code{ExitCode::own_failure};
        try {
            code = run_scenarios(options);
        } catch (Error const& error) {
            code = error.code();
            fmt::print(stderr, "nv: {}\n", error.what());
        }
        out = ::testing::internal::GetCapturedStdout();
        err = ::testing::internal::GetCapturedStderr();
        return code;
    }
    [[nodiscard]] std::string left(std::string_view file) const
    {
        return read_text(folder_ / "out/small-credit-1" / file);
    }

    RunOptions options;
    std::string out, err;

private:
    fs::path folder_;
};

TEST(Run, OnlyStatus33IsAPass)
{
    struct Case {
        int status;
        ExitCode code;
        std::string_view says;
    };
    for (Case const& c :
         {Case{33, ExitCode::good, ""}, Case{35, ExitCode::failed, "self-tests failed"},
          Case{37, ExitCode::failed, "the kernel panicked; last lines: one | two"},
          Case{39, ExitCode::bad_input, "the kernel refused to start: two"},
          Case{0, ExitCode::failed, "a triple fault or a power-off"}, Case{1, ExitCode::failed, "unexpected status 1"},
          Case{85, ExitCode::failed, "unexpected status 85"}}) {
        Bench bench{fmt::format("echo one; echo two; exit {}", c.status)};
        EXPECT_EQ(bench.run(), c.code) << c.status << bench.err;
        EXPECT_EQ(bench.out, "== small-credit-1\none\ntwo\n");
        EXPECT_NE(bench.err.find(c.says), std::string::npos) << bench.err;
        EXPECT_EQ(bench.err.empty(), c.status == 33) << bench.err;
        EXPECT_EQ(bench.left("console.txt"), "one\ntwo\n");
    }
}

TEST(Run, AComplaintOfQemuItselfIsOurFailure)
{
    Bench bench{"echo 'qemu: -foo: invalid option' >&2; exit 1"};
    EXPECT_EQ(bench.run(), ExitCode::own_failure);
    EXPECT_NE(bench.err.find("-foo: invalid option"), std::string::npos);
}

TEST(Run, AHangIsReportedWithTheLastLines)
{
    Bench bench{"echo up; echo going; sleep 60"};
    bench.options.silence_limit = std::chrono::milliseconds{300};
    EXPECT_EQ(bench.run(), ExitCode::timed_out);
    EXPECT_EQ(bench.err, "nv: small-credit-1: no sign of life for 0.3 s; last lines: up | going\n");
}

TEST(Run, TheHostChannelIsASignOfLife)
{
    Bench bench{"for i in 1 2 3 4 5 6; do sleep 0.2; echo x >> debugcon.txt; done; exit 33"};
    bench.options.silence_limit = std::chrono::milliseconds{600};
    EXPECT_EQ(bench.run(), ExitCode::good) << bench.err;
}

TEST(Run, ATalkativeHangEndsAtTheTotalLimit)
{
    Bench bench{"while true; do echo x; sleep 0.05; done"};
    bench.options.silence_limit = std::chrono::milliseconds{5'000};
    bench.options.total_limit = std::chrono::milliseconds{400};
    EXPECT_EQ(bench.run(), ExitCode::timed_out);
    EXPECT_NE(bench.err.find("not done after 0.4 s"), std::string::npos);
}

TEST(Run, SelfTestsThatWereNotReportedAreNoPass)
{
    struct Case {
        std::string_view console, says;
    };
    for (Case const& c : {Case{"echo garbage", "no KTAP report"},
                          Case{"printf 'KTAP version 1\\n1..2\\nok 1 - a\\n'", "1 of 2 self-tests reported"},
                          Case{"printf 'KTAP version 1\\n1..1\\nnot ok 1 - b\\n'", "failed self-tests: b"},
                          Case{"printf 'KTAP version 1\\n1..0\\n'", "no self-test has such a name"}}) {
        Bench bench{fmt::format("{}; exit 33", c.console)};
        bench.options.qemu.selftest = true;
        EXPECT_EQ(bench.run(), ExitCode::failed);
        EXPECT_NE(bench.err.find(c.says), std::string::npos) << bench.err;
    }
    Bench good{"printf 'KTAP version 1\\n1..2\\nok 1 - a\\nok 2 - b # SKIP no\\n'; exit 33"};
    good.options.qemu.selftest = true;
    EXPECT_EQ(good.run(), ExitCode::good) << good.err;
}

TEST(Run, APassWithoutATraceIsNoPassWhenFiguresAreWanted)
{
    Bench bench{"exit 33"};
    bench.options.qemu.machine_only = false;
    EXPECT_EQ(bench.run(), ExitCode::failed);
    EXPECT_NE(bench.err.find("left no trace to measure"), std::string::npos);
    bench.options.overrides.settings = {"trace.mask=0"};
    EXPECT_EQ(bench.run(), ExitCode::good) << "without a trace nobody can want figures";
}

TEST(Run, StartsQemuWhereItSaysAndOnOneCpu)
{
    Bench bench{"test -e kernel.elf && test -s scenario.img && nproc; exit 33"};
    EXPECT_EQ(bench.run(), ExitCode::good);
    EXPECT_EQ(bench.out, "== small-credit-1\n1\n");
    EXPECT_NE(bench.left("command.txt").find("taskset -c"), std::string::npos);
}

TEST(Run, SaysWhatIsMissing)
{
    Bench bench{"exit 33"};
    bench.options.qemu.program = "/no/such/qemu";
    EXPECT_EQ(bench.run(), ExitCode::own_failure);
    EXPECT_NE(bench.err.find("/no/such/qemu is not installed: apt-get install qemu-system-x86"), std::string::npos);
    bench.options.kernel = "/no/kernel";
    EXPECT_EQ(bench.run(), ExitCode::bad_input);
    EXPECT_NE(bench.err.find("/no/kernel: no kernel there; build it with `make kernel`"), std::string::npos);
}

TEST(Run, RefusesTwoRunsOfOneName)
{
    Bench bench{"exit 33"};
    bench.options.scenarios.push_back(bench.options.scenarios.front());
    EXPECT_EQ(bench.run(), ExitCode::bad_input);
    EXPECT_NE(bench.err.find("their results would overwrite each other"), std::string::npos);
}

TEST(Run, AnInterruptedRunLeavesNoQemuBehind)
{
    Bench bench{"echo $$; exec sleep 60"};
    fs::path const pid_file = bench.options.out / "small-credit-1/console.txt";
    pid_t const child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        ::close(STDOUT_FILENO);
        ::close(STDERR_FILENO);
        ::alarm(20);
        ::_exit(static_cast<int>(run_scenarios(bench.options)));
    }
    ::usleep(500'000);
    ::kill(child, SIGTERM);
    int status{0};
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    pid_t const qemu = std::stoi(read_text(pid_file));
    EXPECT_NE(::kill(qemu, 0), 0) << "the child is still there";
}

TEST(Process, DiesWithItsParent)
{
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t const child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        static_cast<void>(run_process({.words = {"sh", "-c", "echo $$; exec sleep 60"}, .folder = "/tmp"},
                                      [&](std::string_view line) {
                                          [[maybe_unused]] ssize_t const n = ::write(ends[1], line.data(), line.size());
                                          ::raise(SIGKILL);
                                      }));
        ::_exit(0);
    }
    ::close(ends[1]);
    char text[32]{};
    ASSERT_GT(::read(ends[0], text, sizeof text - 1), 0);
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    pid_t const grandchild = std::stoi(text);
    bool gone{false};
    for (int i = 0; i < 100 && !gone; ++i, ::usleep(20'000)) {
        std::error_code error;
        bool const exists = fs::exists(fmt::format("/proc/{}", grandchild), error);
        gone = !exists || read_text(fmt::format("/proc/{}/stat", grandchild)).find(") Z ") != std::string::npos;
    }
    EXPECT_TRUE(gone);
}

TEST(Ktap, CountsTopLevelResultsOfTheReportOnly)
{
    KtapReport const r = parse_ktap("ok 1 - before\nKTAP version 1\r\n1..3\n  ok 1 - inner\nok 1 - a\r\nok 2 b # SKIP "
                                    "x\n[ 0.1] log\nnot ok 3 - c d # why\nok\nokay 4\n");
    EXPECT_TRUE(r.complete());
    EXPECT_EQ(r.passed, 2u);
    EXPECT_EQ(r.failures, (std::vector<std::string>{"c d # why"}));
}

TEST(Table, HasARowARunAndComparesWithTheFirst)
{
    Metrics first;
    first.guests.sums.in_state[0] = 2'000'000'000;
    first.guests.sums.placeable = 2'000'000'000;
    first.guests.sums.home = 1'010'000'000;
    first.guests.sums.migrations = 30;
    first.guests.sums.cross_node = 10;
    first.guests.wake = Latency::of({1'000, 2'500'000});
    Metrics second = first;
    second.guests.sums.in_state[0] = 2'100'000'000;
    second.guests.sums.placeable = 0;
    TableRow const rows[]{{"no affinity", first, 0}, {"NUMA-aware", second, 7}};
    std::string const text = comparison_table(rows);
    EXPECT_NE(text.find("no affinity     50.5 %     2.000   100.0 %       1.0    2500.0        20        10\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("NUMA-aware *         -     2.100   105.0 %"), std::string::npos) << text;
    EXPECT_NE(text.find("* NUMA-aware: the trace lost 7 records"), std::string::npos) << text;
}

} // namespace
} // namespace hv::nv
