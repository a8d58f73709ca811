#!/usr/bin/env python3
"""Bring historical faults back, one by one, and show that the suite notices each.

usage: tests/museum/museum.py [-k PATTERN] [--quick | --apply | --table] [--again] [BUILD_DIR]

Every tests/museum/NUMBER-NAME.patch is a fault that Xen's scheduler once had, made in our code; its head says what went wrong and
which check of the suite will notice (docs/museum.md). First those checks are run on the code as it is, and must pass. Then each patch is
applied to a copy of the tree below BUILD_DIR/museum (default build/museum), what it touches is compiled, and its check must fail, within 5
seconds of CPU time. Prints a line a patch; what was found is kept until sources or patch change. --apply only tries whether all
patches apply and are in docs/museum.md; --quick does that and a few of them in full; --table prints the table of docs/museum.md. Exit status 1 if a fault survives or a check
takes too long, 4 if a patch does not apply or compile or a check fails without any."""
import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/mutants"))
from tree import Broken, Tree, sources

MUSEUM = ROOT / "tests/museum"
LIMIT_S = 5.0
HANG_S = 12  # of CPU time: it does not get on
FIELDS = ("Upstream", "Went wrong", "Seen as", "Shown by", "Caught by", "Says")
# What --quick does in full: one file each, and checks that take a moment.
QUICK = ("063-two-ask-the-same-idler", "098-sampled-theft")


class Patch:
    def __init__(self, path):
        self.path, self.name, self.text = path, path.stem, path.read_text()
        head, _, body = self.text.partition("diff --git ")
        self.fields = {}
        for line in head.splitlines():
            if match := re.match(rf"({'|'.join(FIELDS)}): (.*)", line):
                key, self.fields[match[1]] = match[1], match[2]
            elif line.strip():
                self.fields[key] += " " + line.strip()
        if missing := set(FIELDS) - {"Says"} - self.fields.keys():
            raise Broken(f"{path.name}: its head has no '{sorted(missing)[0]}:'")
        self.files = re.findall(r"^\+\+\+ b/(\S+)$", body, re.M)
        if not re.fullmatch(r"\d{3}-[a-z0-9-]+", self.name) or not self.files:
            raise Broken(f"{path.name}: is not NUMBER-NAME.patch with three digits, or changes no file")
        self.number, self.check, self.says = int(self.name[:3]), Check(self.fields["Caught by"], path.name), self.fields.get("Says", "")


class Check:
    """A part of the suite, as a patch's head names it: a program and what of it is run."""

    def __init__(self, text, where):
        self.text = text
        self.kind, _, self.name = text.partition(" ")
        flavours = {"unit": "asan", "conformance": "asan", "golden": "asan", "bars": "host", "storm": "tsan"}
        if self.kind not in flavours or not self.name:
            raise Broken(f"{where}: 'Caught by: {text}': known are {', '.join(f'{k} NAME' for k in flavours)}")
        self.flavour = flavours[self.kind]
        self.program = {"asan": "unit-sched", "host": "nv", "tsan": "stress-tsan"}[self.flavour]

    def filter(self):
        if self.kind == "conformance":
            return f"Conformance/EveryPolicy.KeepsTheInvariantsOnRandomMachines/{self.name}"
        if self.kind == "golden":
            return f"Golden/Decisions.EqualUpstreams/{self.name.replace('-', '_')}"
        return self.name

    def command(self, program):
        if self.kind == "bars":
            return [ROOT / "tests/bars/numacredit.py", "--nv", program, "-k", self.name]
        return [program, "--gtest_brief=1", "--gtest_fail_fast", f"--gtest_filter={self.filter()}"]


def run(check, program, hang_s=resource.RLIM_INFINITY):
    """Whether it passes, what it says, and the CPU time that it takes, at most `hang_s` of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (hang_s, hang_s))
    environment = os.environ | {"NV_ROOT": str(ROOT), "NV_SHRINK": "0", "NV_STORM_SECONDS": "2", "TSAN_OPTIONS": "halt_on_error=1"}
    result = subprocess.run([str(word) for word in check.command(program)], cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, env=environment, preexec_fn=limit)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = (result.stdout + result.stderr).decode(errors="replace")
    if re.search(r"^Note: Google Test filter.*\n(?!.*\[ RUN)", said) and "0 tests from 0 test suites" in said:
        raise Broken(f"{check.text}: there is no such test")
    return result.returncode == 0, said, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def gist(said):
    """What the check has to say, in one line."""
    for pattern in (r"seed \d+: (.*)", r"(assertion failed: .*)", r"SUMMARY: (\S+: \S+)", r"^MISSED (.*)", r"(storm: waited in vain .*)",
                    r"Failure\nExpected equality of these values:\n((?:  .*\n)+)", r"Failure\n(.*(?:\n  Actual: .*)?)"):
        if match := re.search(pattern, said, re.M):
            return re.sub(r"\s+", " ", re.sub(r"0x[0-9a-f]{6,}", "another", match[1])).strip()[:160]
    return (said.strip().splitlines() or ["says nothing and is ended"])[-1][:160]


class Museum:
    def __init__(self, build, pattern, again):
        self.build, self.work = build.resolve(), build.resolve() / "museum"
        self.patches = sorted((Patch(p) for p in MUSEUM.glob("*.patch")), key=lambda p: p.name)
        self.work.mkdir(parents=True, exist_ok=True)
        self.lock = (self.work / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Broken(f"{self.work}: another museum.py is at work there; wait for it, or take another build folder") from None
        self.chosen = [p for p in self.patches if pattern in p.name]
        self.kept_file = self.work / "kept.json"
        self.kept = json.loads(self.kept_file.read_text()) if self.kept_file.exists() and not again else {}
        self.key = hashlib.sha256(b"".join(str(n).encode() + (ROOT / n).read_bytes() for n in sources() if MUSEUM.name not in n.parts)).hexdigest()[:16]
        self.trees, self.counts = {}, {"caught": 0, "SURVIVES": 0, "slow": 0, "broken": 0}

    def say(self, text):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def apply_all(self):
        for patch in self.patches:
            Tree.apply(patch.path, check=True)

    def keep(self, name, value):
        self.kept[name] = value
        part = self.kept_file.with_suffix(".part")
        part.write_text(json.dumps(self.kept))
        part.rename(self.kept_file)

    def tree(self, check):
        if check.flavour not in self.trees:
            self.say(f"taking along what is built ({check.flavour}) ...")
            self.trees[check.flavour] = Tree(self.work / check.flavour, self.build, [check.flavour])
        return self.trees[check.flavour]

    def without_any(self):
        """Each check on the code as it is; how many, and their CPU time."""
        total, checks = 0.0, {patch.check.text: patch.check for patch in self.chosen}
        for program in {self.build / check.program for check in checks.values()}:
            if not program.exists():
                raise Broken(f"{program}: is not there; make museum builds it")
        for at, (text, check) in enumerate(checks.items()):
            name = f"{self.key} without {text}"
            if name not in self.kept:
                self.say(f"[{at + 1}/{len(checks)}] without any patch: {text} ...")
                good, said, seconds = run(check, self.build / check.program)
                if not good:
                    raise Broken(f"{text} fails without any patch: {gist(said)}")
                self.keep(name, seconds)
            total += self.kept[name]
        self.say("")
        return len(checks), total

    def judge(self, patch):
        """Verdict, CPU seconds, what the check said."""
        name = f"{self.key} {hashlib.sha256(patch.text.encode()).hexdigest()}"
        if name in self.kept:
            return self.kept[name]
        tree, since = self.tree(patch.check), time.time()
        try:
            tree.apply(patch.path, tree.folder)
            good, said, seconds = run(patch.check, tree.make(patch.check.program), HANG_S)
        except Broken as broken:
            return "broken", 0.0, str(broken)
        finally:
            tree.restore(patch.files, since)
        verdict = "SURVIVES" if good or patch.says not in said else "slow" if seconds > LIMIT_S else "caught"
        self.keep(name, (verdict, seconds, gist(said) if not good else "passes"))
        return self.kept[name]

    def go(self, patches):
        for at, patch in enumerate(patches):
            self.say(f"[{at + 1}/{len(patches)}] {patch.name} ...")
            verdict, seconds, said = self.judge(patch)
            self.say("")
            self.counts[verdict] += 1
            print(f"{verdict:8} {patch.name:<44} {seconds:5.2f} CPU-s  {patch.check.text}: {said}", flush=True)


def row(patch):
    """Its row in docs/museum.md, but for the last column."""
    where = ", ".join(sorted({str(pathlib.PurePath(f).parent) for f in patch.files}))
    says = f": \"{patch.says}\"" if patch.says else ""
    return (f"| {patch.number} | {patch.fields['Upstream']} | {patch.fields['Went wrong']} | {patch.fields['Seen as']} | {patch.fields['Shown by']} | "
            f"{where} | `{patch.check.text}`{says} |")


def table(museum):
    print("| # | upstream | went wrong | a user saw | shown by | in | caught by | CPU-s |\n|---|---|---|---|---|---|---|---|")
    for patch in museum.patches:
        verdict, seconds, _ = museum.judge(patch)
        print(f"{row(patch)} {seconds:.1f} |" + ("" if verdict == "caught" else f" {verdict}"))


def expect_rows(patches):
    page = (ROOT / "docs/museum.md").read_text()
    for patch in patches:
        if row(patch) not in page:
            raise Broken(f"docs/museum.md: has no row for {patch.path.name}; take the table that tests/museum/museum.py --table prints")
    if len(re.findall(r"^\| \d+ \|", page, re.M)) != len(patches):
        raise Broken("docs/museum.md: has rows of patches that are gone; take the table that tests/museum/museum.py --table prints")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build", type=pathlib.Path)
    parser.add_argument("-k", default="", metavar="PATTERN", help="only patches whose name contains it")
    parser.add_argument("--quick", action="store_true", help="try whether all apply, and a few in full")
    parser.add_argument("--apply", action="store_true", help="only try whether all apply")
    parser.add_argument("--table", action="store_true", help="print the table of docs/museum.md")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    arguments = parser.parse_args()
    try:
        museum = Museum(arguments.build, arguments.k, arguments.again)
        museum.apply_all()
        if arguments.apply or arguments.quick:
            expect_rows(museum.patches)
        if arguments.apply:
            print(f"{len(museum.patches)} apply")
            return 0
        if arguments.quick:
            museum.chosen = [p for p in museum.patches if p.name in QUICK]
        if not museum.chosen:
            parser.error(f"-k {arguments.k}: no patch has that in its name")
        if arguments.table:
            return table(museum)
        checks, seconds = museum.without_any()
        museum.go(museum.chosen)
    except Broken as broken:
        print(f"museum: {broken}", file=sys.stderr)
        return 4
    c = museum.counts
    print(f"{len(museum.patches)} apply; {c['caught']} caught, {c['SURVIVES']} survived, {c['slow']} caught too slowly, {c['broken']} broken; "
          f"{checks} checks pass without any, in {seconds:.1f} CPU-s")
    return 4 if c["broken"] else int(c["SURVIVES"] + c["slow"] > 0)


sys.exit(main())
