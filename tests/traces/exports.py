"""What other people's tools make of our exports: for scripts/run-tests.

Each gate takes the Tests of run-tests (its run() and build) and a fail(text) that raises, and returns how many things it found
right. What an export must say is taken from the independently computed figures of tests/traces, and from `nv trace dump`."""
import collections
import json
import lzma
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
SCALAR, MESSAGE = re.compile(r"\s*(\w+): (.*)"), re.compile(r"\s*(\w+) {")


def real_trace(folder, name):
    """A trace of a real Xen host, unpacked into the folder with its facts beside it, and its figures."""
    trace = pathlib.Path(folder) / f"{name}.xentrace"
    trace.write_bytes(lzma.decompress((HERE / f"{name}.xentrace.xz").read_bytes()))
    (trace.parent / f"{name}.facts.json").write_bytes((HERE / f"{name}.facts.json").read_bytes())
    return trace, json.loads((HERE / f"{name}.metrics.json").read_text())


def simulated_trace(tests, fail, folder, ring_kib):
    """A short trace of the simulator with all of our own events."""
    trace = pathlib.Path(folder) / "simulated.xentrace"
    result = tests.run(tests.build / "nv", "sim", "--trace", trace, "--set", "duration_ns=300000000", "--set", "warmup_ns=0", "--set", f"trace.ring_kib={ring_kib}",
                       HERE.parent / "scenarios/two-nodes-nodeaff.json")
    if result.returncode != 0:
        fail(f"nv sim: {result.stderr[-300:]}")
    return trace


def export(tests, fail, kind, trace, out):
    result = tests.run(tests.build / "nv", "trace", kind, trace, "-o", out)
    if result.returncode != 0 or result.stdout or result.stderr:
        fail(f"nv trace {kind}: status {result.returncode}: {(result.stdout + result.stderr)[-300:]}")


def dumped(tests, trace):
    """(pCPU, event, words of text) of each record, by nv trace dump."""
    text = tests.run(tests.build / "nv", "trace", "dump", trace).stdout.decode()
    return [(int(parts[2]), parts[3], parts[4:]) for line in text.splitlines() if (parts := line.split())]


# ------------------------------------------------------------------------------------------------------------------ Perfetto


def packets(tests, fail, file):
    """As protoc decodes them: dictionaries of lists."""
    with open(file, "rb") as stream:
        result = tests.run("protoc", "--decode=perfetto.protos.Trace", f"--proto_path={HERE}", "perfetto.proto", stdin=stream)
    if result.returncode != 0:
        fail(f"protoc: {result.stderr[-300:]}")
    stack = [{}]
    for line in result.stdout.decode().splitlines():
        if m := MESSAGE.match(line):
            inner = {}
            stack[-1].setdefault(m[1], []).append(inner)
            stack.append(inner)
        elif m := SCALAR.match(line):
            value = m[2]
            stack[-1].setdefault(m[1], []).append(json.loads(value) if value[0] in '"-0123456789' else value)
        else:
            stack.pop()
        # protoc shows what the schema does not know by its number.
        if m and m[1].isdigit():
            fail(f"{file.name}: field {m[1]} is not in the schema: {line}")
    return stack[0]["packet"]


class PerfettoChecker:
    """Holds a file to the rules of the scheduler view; `fail` at the first that is broken."""

    def __init__(self, fail, found):
        self.fail = fail
        self.switches, self.wakings = [], []
        self.names, self.descriptions, self.parents, self.counters = {}, {}, {}, collections.defaultdict(list)
        self.slices, self.begun, self.ended = [], {}, {}
        self.running, self.last, self.open, self.track_last = {}, {}, {}, {}
        for packet in found:
            self.packet(packet)
        if set(self.begun) != set(self.ended):
            fail(f"{len(set(self.begun) ^ set(self.ended))} flows have one end")
        for flow, when in self.begun.items():
            if when > self.ended[flow]:
                fail(f"flow {flow} ends before it begins")
        for track, pieces in self.open.items():
            if pieces:
                fail(f"track {track}: a slice is never closed")

    def packet(self, packet):
        if packet["trusted_packet_sequence_id"] != [1]:
            self.fail("a packet without its sequence")
        for tree in packet.get("process_tree", []):
            self.names.update({t["tid"][0]: t["name"][0] for t in tree.get("threads", [])})
        for track in packet.get("track_descriptor", []):
            self.descriptions[track["uuid"][0]] = track
            self.parents[track["uuid"][0]] = track.get("parent_uuid", [0])[0]
        for bundle in packet.get("ftrace_events", []):
            self.bundle(bundle)
        for event in packet.get("track_event", []):
            self.event(packet["timestamp"][0], event)

    def bundle(self, bundle):
        cpu = bundle["cpu"][0]
        for event in bundle["event"]:
            when = event["timestamp"][0]
            if when < self.last.get(cpu, 0):
                self.fail(f"pCPU {cpu}: time goes back at {when}")
            self.last[cpu] = when
            current = self.running.get(cpu, 0)
            if event["pid"][0] != current:
                self.fail(f"pCPU {cpu} at {when}: thread {event['pid'][0]} acts while {current} runs")
            for switch in event.get("sched_switch", []):
                if switch["prev_pid"][0] != current:
                    self.fail(f"pCPU {cpu} at {when}: {switch['prev_pid'][0]} leaves, {current} ran")
                self.running[cpu] = switch["next_pid"][0]
                self.switches.append((when, cpu, current, switch["next_pid"][0], switch["prev_state"][0]))
            for waking in event.get("sched_waking", []):
                self.wakings.append((when, cpu, waking["pid"][0]))

    def event(self, when, event):
        track, kind = event["track_uuid"][0], event["type"][0]
        if track not in self.descriptions:
            self.fail(f"an event on track {track}, which is not described before")
        if when < self.track_last.get(track, 0):
            self.fail(f"track {track}: time goes back at {when}")
        self.track_last[track] = when
        if kind == "TYPE_SLICE_BEGIN":
            self.open.setdefault(track, []).append((when, event["name"][0], event.get("categories", [""])[0]))
        elif kind == "TYPE_SLICE_END":
            if not self.open.get(track):
                self.fail(f"track {track} at {when}: no slice to end")
            self.slices.append((track, when, *self.open[track].pop()))
        elif kind == "TYPE_COUNTER":
            self.counters[track].append(event["counter_value"][0])
        for flows, field in ((self.begun, "flow_ids"), (self.ended, "terminating_flow_ids")):
            for flow in event.get(field, []):
                if flow in flows:
                    self.fail(f"flow {flow} has two of its ends")
                flows[flow] = when

    def named(self, name):
        return [uuid for uuid, track in self.descriptions.items() if track.get("name") == [name]]

    def run_times(self):
        """ns by vCPU, out of the switches."""
        since, total = {}, collections.Counter()
        for when, cpu, before, after, _ in self.switches:
            if before:
                total[self.names[before]] += when - since[cpu]
            since[cpu] = when
        return total


def perfetto_real(tests, fail, folder, name):
    """A real host's trace: the figures that were computed independently come out of the scheduler view."""
    trace, figures = real_trace(folder, name)
    out = trace.with_suffix(".pftrace")
    export(tests, fail, "perfetto", trace, out)
    seen = PerfettoChecker(fail, packets(tests, fail, out))
    checked = 6  # what the checker itself found right
    end = max(seen.last.values())
    times = seen.run_times()
    for cpu, tid in seen.running.items():  # runs that the trace does not end
        times[seen.names.get(tid)] += end - max(w for w, c, *_ in seen.switches if c == cpu)
    for vcpu, wanted in figures["per_vcpu"].items():
        found = 100 * times[vcpu] / 1e9 / figures["duration_s"]
        if abs(found - wanted["run_pct"]) > 0.051:
            fail(f"{name}: {vcpu} runs {found:.2f} % of the time, wanted {wanted['run_pct']}")
        runs = [(end - begin, category) for _, end, begin, slice_name, category in seen.slices if slice_name == vcpu]
        home = sum(t for t, c in runs if c == "home") / max(1, sum(t for t, _ in runs))
        if wanted["home"] is not None and wanted["run_pct"] >= 1 and abs(home - wanted["home"]) > 0.01:
            fail(f"{name}: {vcpu} is at home {home:.3f} of its time, wanted {wanted['home']}")
        checked += 2
    wakes = sum(event in ("blocked_to_runnable", "offline_to_runnable") for _, event, _ in dumped(tests, trace))
    if len(seen.wakings) != wakes or len(seen.begun) != wakes:
        fail(f"{name}: {len(seen.wakings)} wake-ups with {len(seen.begun)} arrows, wanted {wakes}")
    nodes = [seen.named(f"node {n}") for n in (0, 1)]
    if any(seen.parents[seen.named(f"pCPU {c}")[0]] != nodes[c // 4][0] for c in range(8)):
        fail(f"{name}: pCPUs are not under their nodes")
    if min(seen.counters[seen.named("vCPUs that wait")[0]]) < 0:
        fail(f"{name}: fewer than no vCPU waits")
    return checked + 3


def perfetto_simulated(tests, fail, folder):
    """Ours: every credit, priority and queue length of the trace is a sample of its counter; losses are told."""
    trace = simulated_trace(tests, fail, folder, 1024)
    out = trace.with_suffix(".pftrace")
    export(tests, fail, "perfetto", trace, out)
    seen = PerfettoChecker(fail, packets(tests, fail, out))
    told = dumped(tests, trace)
    for name, event, value in (("credit", "numavisor:credit", 1), ("priority", "numavisor:prio", 2), ("queue", "numavisor:run_queue", 2)):
        wanted = collections.defaultdict(list)
        for _, this, words in told:
            if this == event and not words[0].startswith("idle"):
                wanted[words[1] if event.endswith("queue") else words[0]].append(int(words[value]))
        found = {}
        for uuid in seen.named(name):
            parent = seen.descriptions[seen.parents[uuid]]
            found[parent["thread"][0]["thread_name"][0] if "thread" in parent else parent["name"][0].split()[1]] = seen.counters[uuid]
        if not wanted or found != wanted:
            fail(f"{name}: {len(found)} tracks with {sum(map(len, found.values()))} samples, wanted {len(wanted)} with {sum(map(len, wanted.values()))}")
    return 9


def perfetto_lossy(tests, fail, folder):
    """A trace with losses: the rules hold, and every LOST record is a slice with its count."""
    trace = simulated_trace(tests, fail, folder, 4)
    out = trace.with_suffix(".pftrace")
    export(tests, fail, "perfetto", trace, out)
    seen = PerfettoChecker(fail, packets(tests, fail, out))
    wanted = sorted(f"{words[0]} records lost" for _, event, words in dumped(tests, trace) if event == "lost_records")
    found = sorted(name for *_, name, category in seen.slices if category == "loss")
    if not wanted or found != wanted:
        fail(f"{len(found)} losses are shown, {len(wanted)} are in the trace")
    return 7


# ----------------------------------------------------------------------------------------------------------------------- CTF


def babeltrace(tests, fail, folder):
    """What babeltrace2 prints of a folder: (ns, pCPU, event, fields) of each event, and its warnings."""
    result = tests.run("babeltrace2", "--clock-seconds", "--no-delta", folder)
    if result.returncode != 0:
        fail(f"babeltrace2: status {result.returncode}: {result.stderr[-300:]}")
    found, last = [], 0
    for line in result.stdout.decode().splitlines():
        m = re.match(r"\[(\d+)\.(\d{9})\] numavisor (\w+): \{ cpu_id = (\d+) \}(?:, \{ (.*) \})?$", line)
        if not m:
            fail(f"babeltrace2 printed: {line}")
        when = int(m[1]) * 10**9 + int(m[2])
        if when < last:
            fail(f"time goes back at {when}")
        last = when
        found.append((when, int(m[4]), m[3], dict(f.split(" = ") for f in (m[5] or "").split(", ") if f)))
    return found, result.stderr.decode()


def ctf_real(tests, fail, folder, name):
    """A real host's trace: run times are the independently computed ones, every other event is there with its words."""
    trace, figures = real_trace(folder, name)
    out = trace.with_suffix(".ctf")
    export(tests, fail, "ctf", trace, out)
    found, said = babeltrace(tests, fail, out)
    if said:
        fail(f"babeltrace2 says: {said[:300]}")
    running, since, total = {}, {}, collections.Counter()
    for when, cpu, event, fields in found:
        if event != "sched_switch":
            continue
        before, after = fields["prev_comm"].strip('"'), fields["next_comm"].strip('"')
        if before != running.get(cpu, f"swapper/{cpu}"):
            fail(f"pCPU {cpu} at {when}: {before} leaves, {running.get(cpu)} ran")
        total[before] += when - since.get(cpu, when)
        running[cpu], since[cpu] = after, when
    for cpu, vcpu in running.items():
        total[vcpu] += found[-1][0] - since[cpu]
    for vcpu, wanted in figures["per_vcpu"].items():
        share = 100 * total[vcpu] / 1e9 / figures["duration_s"]
        if abs(share - wanted["run_pct"]) > 0.051:
            fail(f"{name}: {vcpu} runs {share:.2f} % of the time, wanted {wanted['run_pct']}")
    told = collections.Counter(e for _, e, _ in dumped(tests, trace) if "_to_" not in e and e not in ("continue_running", "sched_switch", "lost_records"))
    events = collections.Counter(e for _, _, e, _ in found if e not in ("sched_switch", "sched_waking"))
    if events != collections.Counter({e.replace(":", "_"): n for e, n in told.items()}):
        fail(f"{name}: events {events}, wanted {told}")
    return len(figures["per_vcpu"]) + 3


def ctf_lossy(tests, fail, folder):
    """Every lost record is one of the events that babeltrace2 says were discarded."""
    trace = simulated_trace(tests, fail, folder, 4)
    out = trace.with_suffix(".ctf")
    export(tests, fail, "ctf", trace, out)
    _, said = babeltrace(tests, fail, out)
    wanted = sum(int(words[0]) for _, event, words in dumped(tests, trace) if event == "lost_records")
    found = sum(int(n) for n in re.findall(r"discarded (\d+) event", said))
    if not wanted or found != wanted:
        fail(f"{found} events were discarded, {wanted} records are lost: {said[:300]}")
    return 1


# ---------------------------------------------------------------------------------------------------------------------- cost


def cost(tests, fail, folder):
    """Every export, and the replay: 5 million records per CPU-second at least and 200 MB at most."""
    short, _ = real_trace(folder, "pp-soft")
    trace = short.with_name("long.xentrace")
    tests.run(HERE / "repeat", "--mib", 60, short, trace)
    trace.with_suffix(".facts.json").write_bytes(short.with_suffix(".facts.json").read_bytes())
    script = ("import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
              "print(u.ru_utime + u.ru_stime, u.ru_maxrss, file=sys.stderr); sys.exit(r.returncode)")
    summary = tests.run(tests.build / "nv", "trace", "summary", "--json", trace)
    count = json.loads(summary.stdout)["records"]
    for kind in ("perfetto", "ctf", "html", "replay"):
        best = None
        for attempt in range(2):
            result = tests.run("python3", "-c", script, tests.build / "nv", "trace", kind, trace, "-o", f"{folder}/{kind}{attempt}")
            seconds, kib = (float(n) for n in result.stderr.split()[-2:])
            best = seconds if best is None else min(best, seconds)
        if result.returncode != 0 or kib * 1024 > 200e6 or count < 5e6 * best:
            fail(f"nv trace {kind}: status {result.returncode}, {count} records in {best:.2f} s of CPU time, {kib / 1024:.0f} MiB")
    return 4
