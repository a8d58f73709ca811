#!/usr/bin/env python3
"""Run the commands of docs/tutorial.md and compare what they print with what the page shows.

usage: tutorial.py [--nv NV] [--write]

Each block marked `console` has one command and what it prints; the block marked `patch` is saved under the name that the page gives
it. Names of commits are not compared. --write puts what is printed now onto the page."""
import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/tutorial.md"
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nv", type=pathlib.Path, default=ROOT / "build/nv")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        patch = pathlib.Path(folder) / re.search(r"Save this as `(.*?)`", page)[1]
        patch.write_text(re.search(r"```patch\n(.*?)```\n", page, re.S)[1])
        now = BLOCK.sub(lambda m: f"```console\n$ {m[1]}\n{without_commits(printed(m[1], arguments.nv.resolve(), patch))}```\n", page)
    if arguments.write:
        PAGE.write_text(now)
    elif now != page:
        sys.exit("docs/tutorial.md shows something else; tests/ab/tutorial.py --write puts it right:\n" +
                 "".join(difflib.unified_diff(page.splitlines(True), now.splitlines(True), "the page", "now", n=0))[:1500])
    print(f"{len(BLOCK.findall(page))} commands")
    return 0


sys.exit(main())
