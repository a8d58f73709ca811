#!/usr/bin/env python3
"""The scheduler with a lock or an order left out: the explorer must notice each.

usage: tests/explorer/mutants.py [-k PATTERN] [--preemptions N | --apply] [BUILD_DIR]

Every tests/explorer/mutants/NAME.patch is applied to a copy of the tree below BUILD_DIR/explorer-mutants, the explorer is compiled with it and
run with more and more preemptions, two at most (--preemptions), until it finds something. Prints a line a patch, with what was found. --apply only tries whether all patches apply. Exit status 1 if a mutant survives,
4 if a patch does not apply or compile."""
import argparse
import pathlib
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/mutants"))
from tree import Broken, Tree


def explore(program, most):
    """What was found, or nothing, and the CPU time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = None
    for preemptions in range(most + 1):
        result = subprocess.run([program, "--first", "--preemptions", str(preemptions)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if result.returncode == 1:
            found = next(line for line in result.stdout.splitlines() if line.startswith("FOUND ")).removeprefix("FOUND ")
            break
        if result.returncode != 0:
            raise Broken(f"explorer ended with {result.returncode}: {(result.stdout + result.stderr)[-200:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found, preemptions, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def try_all(patches):
    try:
        for patch in patches:
            Tree.apply(patch, check=True)
    except Broken as broken:
        print(f"mutants: {broken}", file=sys.stderr)
        return 4
    print(f"{len(patches)} apply")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build", type=pathlib.Path)
    parser.add_argument("-k", default="", metavar="PATTERN", help="only patches whose name contains it")
    parser.add_argument("--preemptions", type=int, default=2, metavar="N", help="at most so many")
    parser.add_argument("--apply", action="store_true", help="only try whether all apply")
    arguments = parser.parse_args()
    patches = [p for p in sorted((ROOT / "tests/explorer/mutants").glob("*.patch")) if arguments.k in p.name]
    if not patches:
        parser.error(f"-k {arguments.k}: no patch has that in its name")
    if arguments.apply:
        return try_all(patches)
    counts = {"found": 0, "SURVIVES": 0, "broken": 0}
    try:
        tree = Tree(arguments.build / "explorer-mutants", arguments.build, ["explorer-build"])
    except Broken as broken:
        print(f"mutants: {broken}", file=sys.stderr)
        return 4
    for patch in patches:
        since, text = time.time(), patch.read_text()
        try:
            tree.apply(patch, tree.folder)
            found, preemptions, seconds = explore(tree.make("explorer"), arguments.preemptions)
            verdict, said = ("found", f"{preemptions} preemptions, {found}") if found else ("SURVIVES", text.splitlines()[0])
        except Broken as broken:
            verdict, said, seconds = "broken", str(broken), 0.0
        finally:
            tree.restore([line.removeprefix("+++ b/") for line in text.splitlines() if line.startswith("+++ b/")], since)
        counts[verdict] += 1
        print(f"{verdict:8} {patch.stem:<26} {seconds:6.1f} CPU-s  {said}", flush=True)
    print(f"{counts['found']} found, {counts['SURVIVES']} survived, {counts['broken']} broken")
    return 4 if counts["broken"] else int(counts["SURVIVES"] > 0)


sys.exit(main())
