#!/usr/bin/env python3
"""Writes this folder's scenarios: what tests/bars/numacredit.py needs beyond the reference scenarios in tests/golden.

usage: generate.py [FOLDER]

overload-*: more VMs want a node than it has room for. caps-10-percent-*: a small cap. displaced-*: pushed off its node
once, then short bursts on an idle machine. doublewake-*: two that last ran on one pCPU wake together. heldout-*: the
families again, with other seeds, sizes and ratios and with late timers; nothing was tuned with them."""
import json
import pathlib
import sys

MS = 1_000_000
HOG = {"kind": "hog"}
MIXED = {"kind": "burst", "run_ns": [1 * MS, 5 * MS], "block_ns": [1 * MS, 3 * MS]}
DOM0 = {"kind": "burst", "run_ns": [50_000, 150_000], "block_ns": [20 * MS, 60 * MS]}


def machine(nodes, pcpus, late=0):
    """`nodes` of `pcpus` each."""
    cpus = [{"cpu": c, "node": c // pcpus, "socket": c // pcpus, "core": c} for c in range(nodes * pcpus)]
    return {"timer_late_ns": late, "cpus": cpus}


def domain(id_, vcpus, group="guest", start=100 * MS, home=None, **other):
    """`vcpus`: (initial pCPU, workload) each. `home`: the node where it would rather run."""
    nodes = None if home is None else [home]
    return {"id": id_, "group": group, "start_ns": start, "node_affinity": nodes, "preferred_nodes": nodes, **other,
            "vcpus": [{"initial_cpu": cpu, "workload": work} for cpu, work in vcpus]}


def scenario(name, description, machine_, domains, seed=1, warmup=3000 * MS, duration=30000 * MS):
    return {"schema": "credit-scenario/2", "name": name, "description": description, "seed": seed, "warmup_ns": warmup,
            "duration_ns": duration, "machine": machine_, "domains": domains}


def homes(name, counts, pcpus, work, late=0, seed=1):
    """counts[n] VMs of two vCPUs each at home on node n; dom0 has a vCPU on each pCPU."""
    all_ = len(counts) * pcpus
    domains, id_ = [domain(0, [(c, DOM0) for c in range(all_)], "dom0", 50 * MS)], 1
    for node, count in enumerate(counts):
        for i in range(count):
            at = [node * pcpus + (2 * i + v) % pcpus for v in (0, 1)]
            domains.append(domain(id_, [(c, work) for c in at], start=(100 + 7 * (id_ - 1)) * MS, home=node))
            id_ += 1
    what = ":".join(map(str, counts))
    return scenario(name, f"VMs of two vCPUs at home {what} on nodes of {pcpus} pCPUs", machine(len(counts), pcpus, late), domains, seed)


def plain(name, description, pcpus, domains, late=0, seed=1, **other):
    """domains: (group, vCPUs, weight, cap, workload) each, on one node."""
    made, at = [], 0
    for i, (group, count, weight, cap, work) in enumerate(domains):
        made.append(domain(i + 1, [((at + v) % pcpus, work) for v in range(count)], group, (100 + 7 * i) * MS, weight=weight, cap=cap))
        at += count
    return scenario(name, description, machine(1, pcpus, late), made, seed, **other)


def displaced(name, run, period, pcpus=4, late=0, seed=1):
    """Node 0 is full for 100 ms, in which the VM that is at home there has to go to node 1. The window opens after its first burst since."""
    full = [{"initial_cpu": c, "hard_affinity": [c], "workload": {"kind": "recorded", "steps": [f"r{100 * MS}", "w"]}} for c in range(pcpus)]
    domains = [{"id": 1, "group": "full", "start_ns": 0, "vcpus": full},
               domain(2, [(0, {"kind": "periodic", "period_ns": period, "run_ns": run, "phase_ns": 0})], start=20 * MS, home=0)]
    return scenario(name, f"displaced once, then {run // 1000} us every {period // 1000} us", machine(2, pcpus, late), domains, seed,
                    warmup=101 * MS + period, duration=10000 * MS)


def doublewake(name, nodes, pcpus, home=None, late=0):
    """All pCPUs but the first are full for 100 ms, so that both run there; then one event wakes both."""
    all_ = nodes * pcpus
    wakes = {"kind": "recorded", "steps": [f"r{100 * MS}", f"s{50 * MS}", "r1000", "n2.0", "n2.1", f"r{1000 * MS}", "w"]}
    full = [{"initial_cpu": c, "hard_affinity": [c], "workload": {"kind": "recorded", "steps": [f"r{100 * MS}", "w"]} if c < all_ - 1 else wakes}
            for c in range(1, all_)]
    both = {"kind": "recorded", "steps": [f"r{MS}", "w", f"r{1000 * MS}", "w"]}
    domains = [{"id": 1, "group": "full", "start_ns": 0, "vcpus": full}, domain(2, [(0, both), (0, both)], "woken", start=20 * MS, home=home)]
    return scenario(name, f"two that last ran on one idle pCPU of {all_} wake together", machine(nodes, pcpus, late), domains,
                    warmup=120 * MS, duration=500 * MS)


def all_scenarios():
    yield homes("overload-6-4-cpu", [6, 4], 8, HOG)
    yield homes("overload-8-2-cpu", [8, 2], 8, HOG)
    ten = ("cap10", 1, 256, 10, HOG)
    yield plain("caps-10-percent-1cpu", "one pCPU: a cap of 10 % and a hog", 1, [ten, ("hog", 1, 256, 0, HOG)])
    yield plain("caps-10-percent-alone-4cpu", "4 pCPUs: three caps of 10 % and nothing else", 4, [ten, ten, ten])
    yield plain("caps-10-percent-contended-4cpu", "4 pCPUs: two caps of 10 % and six hogs", 4, [ten, ten, ("hog", 6, 256, 0, HOG)])
    for run, period in ((100, 1000), (100, 1130), (300, 3170), (1000, 10000), (1000, 4700), (2000, 7310)):
        yield displaced(f"displaced-{run}us-per-{period}us", run * 1000, period * 1000)
    yield doublewake("doublewake-4cpu", 1, 4)
    yield doublewake("doublewake-2x4cpu-home", 2, 4, home=0)

    late = 50_000
    yield homes("heldout-overload-7-3-cpu", [7, 3], 8, HOG, late, seed=11)
    yield homes("heldout-overload-5-1-2-cpu", [5, 1, 2], 4, HOG, late, seed=12)
    yield homes("heldout-overload-2-2-2-2-cpu", [2, 2, 2, 2], 2, HOG, seed=13)
    yield homes("heldout-nodeaff-6dom-mixed", [3, 3], 8, MIXED, late, seed=14)
    yield homes("heldout-nodeaff-4nodes-mixed", [2, 2, 2, 2], 4, MIXED, late, seed=15)
    three = [(f"w{w}", 1, w, 0, HOG) for w in (100, 300, 700)]
    yield plain("heldout-weights-1cpu", "weights 100, 300, 700", 1, three, late, seed=16)
    yield plain("heldout-weights-2cpu", "weights 128, 256, 512, 640, two vCPUs each", 2, [(f"w{w}", 2, w, 0, HOG) for w in (128, 256, 512, 640)], late, seed=17)
    yield plain("heldout-weights-8cpu", "weights 100, 200, 400, eight vCPUs each", 8, [(f"w{w}", 8, w, 0, HOG) for w in (100, 200, 400)], late, seed=18)
    thief = {"kind": "gridsleep", "grid_ns": 10 * MS, "guard_ns": 700_000}
    yield plain("heldout-booststeal-1cpu-4hog", "a thief that sleeps across ticks, four hogs", 1,
                [("thief", 1, 256, 0, thief)] + [("hog", 1, 256, 0, HOG)] * 4, late, seed=19)
    yield plain("heldout-booststeal-4cpu-4thief", "four thieves, eight hogs, 4 pCPUs", 4,
                [("thief", 1, 256, 0, thief)] * 4 + [("hog", 8, 256, 0, HOG)], late, seed=20)
    light = {"kind": "periodic", "period_ns": 7 * MS, "run_ns": 300_000, "phase_ns": MS}
    yield plain("heldout-wakelat-2cpu-light", "a light waker among four hogs, 2 pCPUs", 2, [("waker", 1, 256, 0, light), ("hog", 4, 256, 0, HOG)], late, seed=21)
    yield plain("heldout-caps-2cpu", "caps of 15, 35 and 40 % and two hogs, 2 pCPUs", 2,
                [(f"cap{c}", 1, 256, c, HOG) for c in (15, 35, 40)] + [("hog", 2, 256, 0, HOG)], late, seed=22)
    yield plain("heldout-overstarve-1cpu-6x1500us", "six that want 1.5 ms of 10 ms, a hog", 1,
                [("light", 1, 256, 0, {"kind": "periodic", "period_ns": 10 * MS, "run_ns": 1500_000, "phase_ns": i * MS}) for i in range(6)]
                + [("hog", 1, 256, 0, HOG)], late, seed=23)
    yield displaced("heldout-displaced-250us-per-1700us", 250_000, 1_700_000, pcpus=2, late=late, seed=24)
    yield displaced("heldout-displaced-1500us-per-6100us", 1_500_000, 6_100_000, pcpus=8, late=late, seed=25)
    yield doublewake("heldout-doublewake-16cpu", 2, 8, late=late)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    for one in all_scenarios():
        (folder / f"{one['name']}.json").write_text(compact(one) + "\n")


def compact(one):
    def lines(items, indent):
        return "[\n" + ",\n".join(" " * indent + json.dumps(i) for i in items) + "]"
    head = {k: v for k, v in one.items() if k not in ("machine", "domains")}
    text = json.dumps(head)[:-1]
    made = {k: v for k, v in one["machine"].items() if k != "cpus"}
    text += ', "machine": ' + json.dumps(made)[:-1] + ', "cpus": ' + lines(one["machine"]["cpus"], 2) + "},\n"
    return text + '"domains": ' + lines(one["domains"], 2) + "}"


if __name__ == "__main__":
    main()
