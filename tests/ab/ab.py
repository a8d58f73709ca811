#!/usr/bin/env python3
"""Try nv ab on changes whose effect is known (cases.py).

usage: ab.py [--nv NV] [-k PATTERN] [--quick] [KIND...]

KIND: noop, regressions, neutral, sabotage (default: all). --quick: only the cases of cases.QUICK, on a part of the suite. A line for each case; the last one counts; exit status 1 if nv ab said
something else than it should of one. Run it in a clone; changes are made to HEAD."""
import argparse
import difflib
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases

LIMIT_S = 10  # from the end of the build to the end of nv, when a change does not work


def patch_of(case):
    """The case's edits as a patch for HEAD."""
    after, before = {}, {}
    for name, old, new in case.edits:
        if name not in after:
            before[name] = after[name] = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        if after[name].count(old) != 1:
            sys.exit(f"tests/ab/cases.py: {case.name}: {name} has its text {after[name].count(old)} times, not once: {old}")
        after[name] = after[name].replace(old, new.replace("@@", old))
    return "".join(line if line.endswith("\n") else line + "\n" for name in after
                   for line in difflib.unified_diff(before[name].splitlines(True), after[name].splitlines(True), f"a/{name}", f"b/{name}"))


class Runner:
    def __init__(self, nv, options):
        self.nv, self.options, self.folder = nv.resolve(), options, tempfile.TemporaryDirectory()

    def ab(self, case, *options):
        change = case.change
        if case.edits:
            file = pathlib.Path(self.folder.name) / f"{re.sub('[^a-z0-9]+', '-', case.name.lower())}.patch"
            file.write_text(patch_of(case))
            change = file
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        result = subprocess.run([self.nv, "ab", case.base, change, *(case.options or self.options), *options], cwd=ROOT, capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, timeout=1800)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall, self.ended = time.monotonic() - started, time.time()
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return result

    def report(self, case):
        """Exit status and rows."""
        result = self.ab(case, "--json")
        if result.returncode not in (0, 1):
            return result.returncode, [], result.stderr.strip()
        report = json.loads(result.stdout)
        return result.returncode, report["rows"], f"{report['worse']} worse, {report['better']} better, {report['by_chance']} by chance"

    def noop(self, case):
        status, rows, said = self.report(case)
        differ = [r for r in rows if r["difference"] != 0]
        return status == 0 and rows and not differ, said

    def neutral(self, case):
        status, rows, said = self.report(case)
        return status == 0 and rows, said + "".join(f"; {r['verdict']} {r['scenario']} {r['figure']} {r['base']:g} {r['change']:g}"
                                                    for r in rows if r["verdict"] == "worse")

    def regression(self, case):
        status, rows, said = self.report(case)
        worse = [(r, abs(size_of(r))) for r in rows if r["verdict"] == "worse"]
        meant = [(r, size) for r, size in worse if r["figure"] == case.figure and 2 <= size <= 30]
        shown = [f"{r['scenario']} {r['figure']} {size:.1f} %" for r, size in (meant or worse)[:4]]
        return status == 1 and bool(meant), f"{said}; {', '.join(shown)}"

    def sabotage(self, case):
        result = self.ab(case)
        binary = self.nv.parent / "ab/change/build" / ("numavisor.elf" if "--kernel" in case.options else "nv")
        took = self.ended - binary.stat().st_mtime if "compile" not in case.says else 0
        if took > LIMIT_S and os.getloadavg()[0] > os.cpu_count():
            took = min(took, self.cpu / os.cpu_count())  # Others had the CPUs; this counts the build, too.
        good = result.returncode == case.status and re.search(case.says, result.stderr) and took <= LIMIT_S
        return good, f"status {result.returncode}, {took:.1f} s after the build: {result.stderr.strip()[-300:]}"


def size_of(row):
    """Percent of the base; an error of a share is in percent already."""
    return row["difference"] if row["figure"] == "share_error" else 100 * row["difference"] / row["base"] if row["base"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=[], metavar="KIND")
    parser.add_argument("--nv", type=pathlib.Path, default=ROOT / "build/nv")
    parser.add_argument("-k", default="", metavar="PATTERN", help="only cases whose name contains it")
    parser.add_argument("--quick", action="store_true", help="a few cases, on a part of the suite")
    arguments = parser.parse_args()
    runner = Runner(arguments.nv, cases.QUICK_OPTIONS if arguments.quick else [])
    kinds = {"noop": (cases.NEUTRAL[:1], runner.noop), "regressions": (cases.REGRESSIONS, runner.regression),
             "neutral": (cases.NEUTRAL, runner.neutral), "sabotage": (cases.SABOTAGE, runner.sabotage)}
    if unknown := set(arguments.kinds) - kinds.keys():
        parser.error(f"there is no kind {unknown.pop()}; there are {', '.join(kinds)}")
    passed = failed = 0
    for kind in arguments.kinds or kinds:
        for case in (c for c in kinds[kind][0] if arguments.k in c.name and (not arguments.quick or c.name in cases.QUICK)):
            good, said = kinds[kind][1](case)
            passed, failed = passed + bool(good), failed + (not good)
            print(f"{'ok' if good else 'FAILED':6} {kind}: {case.name} ({runner.wall:.1f} s, {runner.cpu:.1f} CPU-s): {said}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed != 0 or passed == 0


sys.exit(main())
