#!/usr/bin/env python3
"""nv shrink on historical faults: a random scenario in which patched and sound code differ becomes a small test.

usage: tests/museum/shrink.py [-k PATTERN] [--keep DIR] [BUILD_DIR]

For each patch of SHOWN: nv is built with it, and the first of random_scenario()'s scenarios in which it decides differently from the sound one is
shrunk. The test that comes out has to hold for the sound program and not for the patched one. Prints a line a patch, with what is left; the last one counts
those with at most 3 VMs and 20 events (docs/shrinking.md says what an event is). --keep DIR: leave the tests there. Exit status 1 if a test is
none, or if fewer than three quarters are that small."""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/mutants"))
from tree import Broken, Tree

MUSEUM = ROOT / "tests/museum"
MOST_VMS, MOST_EVENTS, SEEDS = 3, 20, 200
# Faults that a simulation of random VMs can show, and under which policy.
SHOWN = dict.fromkeys([
    "001-debit-by-sampling", "003-always-the-first-idle", "004-all-idlers-woken", "007-credit-forgotten", "008-weight-by-domain",
    "009-sockets-are-all-the-same", "014-pick-leaves-affinity", "015-probes-turn-the-rotor", "022-every-wake-preempts", "024-start-counts-as-idle",
    "025-waker-shakes-both", "026-remainders-lost", "030-busy-start-ties", "031-ignorant-of-nodes", "033-pinning-lost-in-a-suspend",
    "034-preference-outside-the-pool", "039-credits-of-the-default-slice", "043-idle-outside-the-pool", "048-credits-of-who-has-left",
    "057-any-idler-will-do", "079-all-ticks-on-one-pcpu", "089-kicked-by-the-wrong-mask", "095-nanoseconds-for-microseconds"], "credit") | dict.fromkeys([
    "063-two-ask-the-same-idler", "065-the-lowest-is-robbed-first", "091-the-second-waits-for-the-first", "098-sampled-theft"], "numacredit")


def random_workload(dice):
    kind = dice.random()
    if kind < 0.3:
        return {"kind": "hog"}
    if kind < 0.7:
        return {"kind": "burst", "run_ns": [50_000 * dice.randint(1, 20), 3_000_000], "block_ns": [50_000 * dice.randint(1, 20), 5_000_000]}
    if kind < 0.85:
        return {"kind": "periodic", "period_ns": dice.randint(1, 20) * 1_000_000, "run_ns": dice.randint(1, 20) * 40_000, "phase_ns": dice.randint(0, 1_000_000)}
    return {"kind": "gridsleep", "grid_ns": 10_000_000, "guard_ns": dice.randint(1, 20) * 100_000}


def random_vm(dice, number, nodes, pcpus):
    vcpus = []
    for _ in range(dice.randint(1, 4)):
        vcpu = {"initial_cpu": dice.randrange(pcpus), "workload": random_workload(dice)}
        for mask in ("hard_affinity", "soft_affinity"):
            if dice.random() < 0.2:
                vcpu[mask] = sorted(dice.sample(range(pcpus), dice.randint(1, pcpus)))
        vcpus.append(vcpu)
    vm = {"id": number, "weight": dice.choice([1, 64, 256, 256, 512, 2048]), "cap": dice.choice([0, 0, 0, dice.randint(5, 100 * len(vcpus))]), "vcpus": vcpus}
    if dice.random() < 0.3:
        vm["start_ns"] = dice.randint(0, 60_000_000)
    if dice.random() < 0.4:
        vm["node_affinity"] = sorted(dice.sample(range(nodes), dice.randint(1, nodes)))
    return vm


def random_changes(dice, vms, pcpus):
    changes, at = [], 20_000_000
    for _ in range(dice.choice([0, 0, 3, 6])):
        at += dice.randint(1, 15) * 1_000_000
        if pcpus > 2 and dice.random() < 0.5:
            subject, do, undo = {"cpu": dice.randrange(pcpus)}, dice.choice(["pcpu_offline", "pcpu_suspend"]), "pcpu_online"
        else:
            subject, do, undo = {"domain": dice.choice(vms)["id"]}, "pause", "unpause"
        changes += [{"at_ns": at, "do": do} | subject, {"at_ns": at + 5_000_000, "do": undo} | subject]
        at += 6_000_000
    return changes


def random_scenario(seed):
    dice = random.Random(seed)
    nodes, on_each = dice.choice([1, 2, 2, 4]), dice.choice([1, 2, 4])
    threads = 2 if dice.random() < 0.4 and on_each % 2 == 0 else 1
    pcpus = nodes * on_each
    vms = [random_vm(dice, number, nodes, pcpus) for number in range(1, dice.randint(4, 10))]
    return {"schema": "credit-scenario/2", "name": f"random-{seed}", "seed": seed, "duration_ns": 400_000_000,
            "sched": {"tslice_ms": dice.choice([30, 30, 10, 2]), "ratelimit_us": dice.choice([1000, 1000, 0, 2000])},
            "machine": {"ipi_ns": dice.choice([0, 0, 20_000]), "timer_late_ns": dice.choice([0, 0, 50_000]),
                        "cpus": [{"cpu": i, "node": i // on_each, "socket": i // on_each, "core": i // threads} for i in range(pcpus)]},
            "domains": vms, "changes": random_changes(dice, vms, pcpus)}


def call(*words, timeout=600):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=timeout)


class Shrinks:
    def __init__(self, build, folder, keep):
        # Not museum.py's tree: that may run at the same time.
        self.sound, self.tree, self.folder, self.keep = build / "nv", Tree(build / "shrink", build, ["host"]), folder, keep
        self.known = {}

    def decisions(self, program, policy, file):
        try:
            result = call(program, "sim", "--decisions", "--policy", policy, file, timeout=20)
        except subprocess.TimeoutExpired:
            return "hangs", ""
        return result.returncode, result.stdout

    def first_difference(self, program, policy):
        """A scenario that shows it."""
        for seed in range(1, SEEDS + 1):
            file = self.folder / f"random-{seed}.json"
            if not file.exists():
                file.write_text(json.dumps(random_scenario(seed)))
            if (policy, seed) not in self.known:
                self.known[policy, seed] = self.decisions(self.sound, policy, file)
            if self.known[policy, seed][0] == 0 and self.decisions(program, policy, file) != self.known[policy, seed]:
                return file
        raise Broken(f"no random scenario up to seed {SEEDS} shows it")

    def judge(self, patch, policy):
        """Whether it is small, and a line."""
        since, test = time.time(), (self.keep or self.folder) / f"{patch.stem}.json"
        try:
            self.tree.apply(patch, self.tree.folder)
            program = self.tree.make("nv")
            file = self.first_difference(program, policy)
            begun = time.monotonic()
            result = call(self.sound, "shrink", file, "--policy", policy, "--program", program, "--against", self.sound, "--name", patch.stem, "--test", test)
            if result.returncode != 0:
                raise Broken(result.stderr.strip())
            if (held := call(self.sound, "shrink", "--check", test)).returncode != 0:
                raise Broken(f"its test does not hold for sound code: {held.stdout}{held.stderr}")
            if call(program, "shrink", "--check", test).returncode in (0, 2):
                raise Broken("its test holds for the patched code")
        finally:
            self.tree.restore(re.findall(r"^\+\+\+ b/(\S+)$", patch.read_text(), re.M), since)
        vms = int(re.search(r"VMs +\d+ -> (\d+)", result.stdout)[1])
        events, runs = (int(re.search(rf"^ +(\d+) {what}", result.stdout, re.M)[1]) for what in ("events", "runs"))
        failure = result.stdout.splitlines()[0].split(": ", 1)[1]
        return vms <= MOST_VMS and events <= MOST_EVENTS, f"{vms} VMs, {events:3} events, of {file.stem:<9} in {runs:5} runs, {time.monotonic() - begun:5.1f} s: {failure}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default=ROOT / "build", type=pathlib.Path)
    parser.add_argument("-k", default="", metavar="PATTERN", help="only patches whose name contains it")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="leave the tests there")
    arguments = parser.parse_args()
    small = broken = 0
    chosen = {name: policy for name, policy in SHOWN.items() if arguments.k in name}
    with tempfile.TemporaryDirectory() as folder:
        shrinks = Shrinks(arguments.build.resolve(), pathlib.Path(folder), arguments.keep and arguments.keep.resolve())
        for name, policy in chosen.items():
            try:
                is_small, line = shrinks.judge(MUSEUM / f"{name}.patch", policy)
                small += is_small
            except Broken as reason:
                is_small, line = False, f"BROKEN: {reason}"
                broken += 1
            print(f"{'small' if is_small else 'large'} {name:<34} {line}", flush=True)
    print(f"{small} of {len(chosen)} have at most {MOST_VMS} VMs and {MOST_EVENTS} events")
    return int(broken > 0 or 4 * small < 3 * len(chosen))


sys.exit(main())
