#!/usr/bin/env python3
"""Run the commands of a page of docs/ and compare what they print with what the page shows.

usage: tutorial.py [--nv NV] [--write] [-k PATTERN] [PAGE...]

PAGE: docs/tutorial.md (default), docs/upstream-patch.md. Each block marked `console` has one command and what it prints; the block
marked `patch` is saved under the name that the page gives it. Names of commits are not compared. --write puts what is printed now
onto the page. -k: only commands that have this in them."""
import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"```console\n\$ (.*)\n((?:.*\n)*?)```\n")


def without_commits(text):
    return re.sub(r"\((?:[0-9a-f]{7,40})\)", "(COMMIT)", text)


def printed(command, nv, patch):
    """What the command prints with `nv` for build/nv and the page's patch for the one that it names."""
    words = [str(nv) if w == "build/nv" else str(patch) if w == patch.name else w for w in command.split()]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)
    if result.returncode not in (0, 1) or result.stderr:
        sys.exit(f"{command}: status {result.returncode}: {result.stderr.strip()[-400:]}")
    said = result.stdout.replace(str(nv.parent) + "/", "build/")
    return "".join(line.rstrip() + "\n" for line in said.splitlines())


def check(page, nv, pattern, write):
    """How many commands it ran; says and exits if one prints something else."""
    shown, ran = page.read_text(), 0
    with tempfile.TemporaryDirectory() as folder:
        patch = pathlib.Path(folder) / re.search(r"Save this as `(.*?)`", shown)[1]
        patch.write_text(re.search(r"```patch\n(.*?)```\n", shown, re.S)[1])

        def block_now(block):
            nonlocal ran
            if pattern not in block[1]:
                return block[0]
            ran += 1
            return f"```console\n$ {block[1]}\n{without_commits(printed(block[1], nv, patch))}```\n"

        now = BLOCK.sub(block_now, shown)
    name = page.resolve().relative_to(ROOT)
    if write:
        page.write_text(now)
    elif now != shown:
        sys.exit(f"{name} shows something else; tests/ab/tutorial.py --write {name} puts it right:\n" +
                 "".join(difflib.unified_diff(shown.splitlines(True), now.splitlines(True), "the page", "now", n=0))[:1500])
    return ran


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=pathlib.Path, metavar="PAGE", default=[ROOT / "docs/tutorial.md"])
    parser.add_argument("--nv", type=pathlib.Path, default=ROOT / "build/nv")
    parser.add_argument("-k", default="", metavar="PATTERN", help="only commands that contain it")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    print(f"{sum(check(page, arguments.nv.resolve(), arguments.k, arguments.write) for page in arguments.pages)} commands")
    return 0


sys.exit(main())
