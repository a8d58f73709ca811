#!/usr/bin/env python3
"""Show that the tests of nv's answers about traces (diff, why, follow) and of its exports (perfetto, html) notice what is wrong.

usage: tests/mutants/traces.py [-k PATTERN] [BUILD_DIR]

Each mutant is one small change of tools/nv. Its file is compiled and linked with the other objects of BUILD_DIR/unit-host
(default build), which must be built, and the tests must fail. Prints a line a mutant; exit status 1 if one survives, 4 if one
does not compile or the tests fail without any."""
import argparse
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from judge import ROOT, judge, run, says

FLAGS = ["-std=c++20", "-I.", "-Iarch/host/include", "-pthread", "-DHV_DEBUG", "-O1", "-w"]
TESTS = "TraceDiff*:TraceWhy*:TraceFollow*:TraceTimeline*:Perfetto*:TracePage*"
DIFF, FIGURES, WHY, FOLLOW = (f"tools/nv/trace_{name}.cpp" for name in ("diff", "diff_figures", "why", "follow"))
TIMELINE, PERFETTO, PAGE = "tools/nv/trace_timeline.cpp", "tools/nv/perfetto.cpp", "tools/nv/page.cpp"
MUTANTS = [
    ("the words in the comparison of two records", DIFF, "return std::ranges::equal(a.words(), b.words());", "return true;"),
    ("the earlier one of two divergences", DIFF, "if (first_ && first_->ns <= ns)", "if (first_)"),
    ("records that are early in the comparison of times", DIFF, "if (std::abs(by) > tolerance_ns_)", "if (by > tolerance_ns_)"),
    ("the tracer's own records that are no difference", DIFF, "return !is_of_the_tracer(record.event) &&", "return"),
    ("samples that are longer in an effect size", FIGURES, " - static_cast<double>(mine.end() - high);", ";"),
    ("the degree of freedom of a standard deviation", FIGURES, "static_cast<double>(changes.size() - 1)", "static_cast<double>(changes.size())"),
    ("dom0 that is no guest", FIGURES, "&& mine.domain != 0)", ")"),
    ("hard affinity", WHY, "return !hard || std::ranges::binary_search(*hard, pcpu);", "return true;"),
    ("equal priorities", WHY, "if (*mine == *holder->priority)", "if (false)"),
    ("the end of a rate limit", WHY, "if (is(record, Event::schedule))\n            is_limited_ = false;", ""),
    ("a move while it waits", WHY, "if (vcpu.pcpu && vcpu.pcpu != waits_for_)\n        hold(*vcpu.pcpu);", ""),
    ("idle time up to the wait's end", WHY, "for (auto const& [pcpu, since] : idle_since_)\n        wait_->idle[pcpu].total += now - since;", ""),
    ("who wakes beside whom", WHY, "wait_->woken_on = vcpu.woken_on;", ""),
    ("the longer one of two waits", WHY, "record.stamp - *since_ >= longest_)", "longest_ == 0)"),
    ("the part of a pass that may still come", FOLLOW, "return is_last ? at : pass;", "return at;"),
    ("stamps of records that have none", FOLLOW, "record->stamp = last;", ";"),
    ("the time in which a pCPU's window may be late", FOLLOW, "newest < held_back_ ? 0 : newest - held_back_;", "newest;"),
    ("what was before the last look", FOLLOW, "percent(fresh.home - old.home, fresh.placed - old.placed)", "percent(fresh.home, fresh.placed)"),
    ("the clock that never goes back", TIMELINE, "now_ = std::max(now_, std::min(record.stamp, first_ + most_ticks));",
     "now_ = std::min(record.stamp, first_ + most_ticks);"),
    ("nobody who is known after a loss", TIMELINE, "std::exchange(occupants_[step.pcpu], nobody)", "occupants_[step.pcpu]"),
    ("the end of a slice", PERFETTO, "out_.end(when, uuid_of(pcpu, runs_track));\n    there.running", ";\n    there.running"),
    ("the end of the last slice", PERFETTO, "if (pcpus_[pcpu].has_slice)", "if (false)"),
    ("the end of a flow", PERFETTO, 'out_.instant(step.when, vcpu.uuid, "resumed", Flow::ends, flow);', ";"),
    ("the state in which a vCPU leaves", PERFETTO, "from.tid == 0 ? 0 : linux_state(timeline_.vcpus()[there.running].state);", "0;"),
    ("home told from away", PERFETTO, '? "home" : "away"', '? "away" : "home"'),
    ("the step since the number before", PAGE, "    last_ = when;\n    if (bytes_", "    if (bytes_"),
    ("the vCPUs that do not run where the page begins", PAGE, "put_head(when, changes);\n        put(i);\n        put(static_cast<std::uint64_t>(vcpu.state));", ";"),
    ("tags that are hidden from the script's end", PAGE, "c == '<' ? \"\\\\u003c\" : std::string{c};", "std::string{c};"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build", type=pathlib.Path)
    parser.add_argument("-k", default="", metavar="PATTERN", help="only mutants whose description contains it")
    arguments = parser.parse_args()
    objects = arguments.build.resolve() / "unit"
    # What is left of sources that are gone is no part of the program.
    parts = {source: file for file in objects.rglob("*.o") if (ROOT / (source := str(file.relative_to(objects))[:-2])).is_file()}

    def pass_with(replaced, program):
        files = [replaced.get(source, file) for source, file in parts.items()]
        if not says(run("g++", "-pthread", *files, "-lgtest", "-lgtest_main", "-lfmt", "-lz", "-o", program)):
            return None
        try:
            return run(program, "--gtest_brief=1", "--gtest_fail_fast", f"--gtest_filter={TESTS}", timeout=300).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)

        def tests_pass(name, text):
            (work / "mutant.cpp").write_text(text)
            made = work / "mutant.o"
            return pass_with({name: made}, work / "unit") if says(run("g++", *FLAGS, "-c", work / "mutant.cpp", "-o", made)) else None

        if not parts or pass_with({}, work / "unit") is not True:
            print(f"mutants: the tests fail even without one, or `make O={arguments.build} {arguments.build}/unit-host` was not run", file=sys.stderr)
            return 4
        return judge(MUTANTS, arguments.k, tests_pass)


sys.exit(main())
