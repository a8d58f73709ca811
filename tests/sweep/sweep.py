#!/usr/bin/env python3
"""A sweep that is killed again and again gives the bytes of one that was left alone, and so do its commands in any order.

usage: sweep.py [--nv NV] [--runs N] [--seed N]

Every process of the sweep is killed with SIGKILL at random times, results are torn, emptied and replaced by others meanwhile, until a call
ends by itself. Then the files have to be those of an undisturbed sweep, byte by byte. The same for the lines of --jobs-file, shuffled and
called from elsewhere, with the results spread over two folders. One line says what was done; exit status 1 if anything differs."""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCENARIOS = ["decisions/weights-4cpu", "decisions/uneven-4cpu-6hog", "decisions/caps-mixed-4cpu", "figures/wakelat-1cpu-light-hogw256", "decisions/booststeal-1cpu-3hog"]


def expect(condition, text):
    if not condition:
        sys.exit(f"tests/sweep: {text}")


def write_grid(file, runs):
    policies = ["credit", {"policy": "numacredit", "set": {"patience_us": [0, 500], "tslice_ms": [10, 30]}}]
    points = len(SCENARIOS) * 5 * 2
    file.write_text(json.dumps({"schema": "numavisor-sweep/1", "name": "killed", "scenarios": [f"{ROOT}/tests/golden/{s}.json" for s in SCENARIOS],
                                "parameters": {"warmup_ns": [0], "duration_ns": [60_000_000], "$.domains[0].start_ns": [0], "sched.ratelimit_us": [0, 1000]},
                                "policies": policies, "seeds": max(1, runs // points)}))
    return points * max(1, runs // points)


def files_of(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir()) if f.name != "lock"}


def call(*words, **options):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **options)


def damage(dice, folder):
    """What a full disk, a copy that was cut short or a wrong name leave."""
    files = [f for f in sorted(folder.glob("*.json")) if f.name != "sweep.json"]
    if len(files) < 4:
        return 0
    torn, empty, foreign, other = dice.sample(files, 4)
    torn.write_bytes(torn.read_bytes()[:dice.randrange(torn.stat().st_size)])
    empty.write_bytes(b"")
    foreign.write_text('{"this": "is something else"}\n')
    other.write_bytes(dice.choice([f for f in files if f not in (torn, empty, foreign, other)] or [torn]).read_bytes())
    return 4


def killed(nv, grid, folder, dice, expected_s, runs):
    """How often it was killed, and how many runs were made by the calls that were not."""
    kills = damaged = 0
    while True:
        child = subprocess.Popen([nv, "sweep", grid, "--out", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            out, err = child.communicate(timeout=dice.uniform(0.02, 0.05 + expected_s * (kills + 1) / 12) if kills < 12 else None)
        except subprocess.TimeoutExpired:
            # The sweep or one of its processes.
            others = subprocess.run(["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True, check=False).stdout.split()
            with contextlib.suppress(ProcessLookupError):  # It ended meanwhile.
                os.kill(int(dice.choice(others)) if others and dice.random() < 0.3 else child.pid, signal.SIGKILL)
            child.communicate()
            kills += 1
            if kills % 3 == 0:
                damaged += damage(dice, folder)
            continue
        if child.returncode == 0:
            made = int(re.search(r"(\d+) made now", out)[1])
            return kills, damaged, made
        expect(kills > 0 and "goes on" in err, f"ended with {child.returncode}: {err}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nv", type=pathlib.Path, default=ROOT / "build/nv")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice, nv = random.Random(arguments.seed), arguments.nv.resolve()
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        grid = place / "grid.json"
        runs = write_grid(grid, arguments.runs)
        started = time.monotonic()
        whole = call(nv, "sweep", grid, "--out", place / "whole")
        alone_s = time.monotonic() - started
        expect(whole.returncode == 0 and f"{runs} made now, 0 without" in whole.stdout, f"undisturbed: {whole.stdout}{whole.stderr}")
        wanted = files_of(place / "whole")
        expect(len(wanted) == runs + 1, f"{len(wanted)} files of {runs} runs")
        again = call(nv, "sweep", grid, "--out", place / "whole")
        expect("0 made now" in again.stdout and files_of(place / "whole") == wanted, f"a second call: {again.stdout}{again.stderr}")

        kills, damaged, made = killed(nv, grid, place / "killed", dice, alone_s, runs)
        expect(files_of(place / "killed") == wanted, f"after {kills} kills the files differ")
        expect(kills > 0 and made < runs, f"{kills} kills, {made} of {runs} runs made by the last call: nothing was interrupted")

        call(nv, "sweep", grid, "--out", place / "spread", "--jobs-file", place / "jobs", "--per-line", str(max(1, runs // 16)))
        lines = (place / "jobs").read_text().splitlines()
        dice.shuffle(lines)
        for i, line in enumerate(lines):
            other = line.replace(str(place / "spread"), str(place / "spread-2")) if i % 2 else line
            result = call(*shlex.split(other), cwd="/")
            expect(result.returncode == 0, f"{other}: {result.stderr}")
        expect(files_of(place / "spread") | files_of(place / "spread-2") == wanted, "the commands' files differ")
        print(f"{runs} runs, {alone_s:.1f} s undisturbed; killed {kills} times and {damaged} files damaged, {made} runs left for the last call: the same bytes; "
              f"{len(lines)} commands in two folders: the same bytes")


main()
