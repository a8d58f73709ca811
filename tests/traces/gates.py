"""What Xen's own xenalyze makes of our traces, and what nv trace makes of them: for scripts/run-tests.

Each gate takes the Tests of run-tests (its nv(), run() and build) and a fail(text) that raises, and returns how many things it
found right. The states of vCPUs are computed here once more, from the bytes of the trace, by nothing but the format."""
import array
import json
import pathlib
import re
import tempfile

NOISE = re.compile(r"^(Using VMX|scan_for_new_pcpu: Activating|process_cpu_change: Activating|Creating (vcpu|domain)|"
                   r"init_pcpus: through|First schedule for|read_record: read returned zero|deactivate_pcpu:|"
                   r"Setting max_active_pcpu)")
CPU_CHANGE, LOST, CONTINUE, IDLE = 0x2001F003, 0x1F001, 0x21002, 0x7FFF
RUNNING, RUNNABLE, BLOCKED, OFFLINE = range(4)
STATES = ("running", "runnable", "blocked", "offline")


def records(file):
    """(stamp, place, pCPU, event, words) of every record, in the order of time."""
    words = array.array("I", file.read_bytes())
    found, at = [], 0
    while at < len(words):
        assert words[at] == CPU_CHANGE, f"no window at byte {4 * at}"
        pcpu, end = words[at + 1], at + 3 + words[at + 2] // 4
        at += 3
        while at < end:
            assert words[at] >> 31, f"a record of ours without a stamp at byte {4 * at}"
            body, count = at + 3, words[at] >> 28 & 7
            found.append((words[at + 1] | words[at + 2] << 32, at, pcpu, words[at] & 0x0FFFFFFF, words[body:body + count]))
            at = body + count
    return sorted(found)


def times(found):
    """By (domain, vCPU): ns in each state from the first run on, the periods, and when the last state began."""
    seen = {}
    for stamp, _, _, event, words in found:
        if event != CONTINUE and event & ~0x330 != 0x21001:
            continue
        # To xenalyze a continuation ends a period and begins the next.
        vcpu, new = (words[0] >> 16, words[0] & 0xFFFF), RUNNING if event == CONTINUE else event >> 4 & 3
        state = seen.get(vcpu)
        if state is None:
            if new == RUNNING:
                seen[vcpu] = {"state": new, "since": stamp, "ns": [0] * 4, "count": [0] * 4}
            continue
        state["ns"][state["state"]] += stamp - state["since"]
        state["count"][state["state"]] += 1
        state.update(state=new, since=stamp)
    return seen


def xenalyze(tests, fail, file, *options):
    result = tests.run("xenalyze", "--cpu-hz", "1G", *options, file)
    strange = [line for line in result.stderr.decode().splitlines() if not NOISE.match(line)]
    if result.returncode != 0 or strange:
        fail(f"xenalyze {' '.join(options)} on {file.parent.name}: status {result.returncode}, {strange[:3]}")
    return result.stdout.decode()


def xenalyze_times(text):
    """By (domain, vCPU) and state: (count, mean) of its summary."""
    found, domain, vcpu = {}, None, None
    for line in text.splitlines():
        if m := re.match(r"\|-- Domain (\d+) --\|", line):
            domain, vcpu = int(m[1]), None
        elif m := re.match(r"-- v(\d+) --", line):
            vcpu = int(m[1])
        elif vcpu is not None and (m := re.match(r"\s+(running|runnable|blocked|offline): +(\d+) +[\d.]+s +(\d+)", line)):
            found.setdefault((domain, vcpu), {})[m[1]] = (int(m[2]), int(m[3]))
    return found


def same_times(fail, name, text, found):
    """Xenalyze prints a rounded mean: its sum is off by less than a tick for each period."""
    ours, theirs = times(found), xenalyze_times(text)
    checked = 0
    for vcpu, truth in ours.items():
        if vcpu[0] == IDLE:
            continue
        for state in (RUNNING, RUNNABLE, BLOCKED):
            count, mean = theirs.get(vcpu, {}).get(STATES[state], (0, 0))
            if count != truth["count"][state] or not 0 <= truth["ns"][state] - count * mean < max(count, 1):
                fail(f"{name}: d{vcpu[0]}v{vcpu[1]} {STATES[state]}: xenalyze {count} x {mean} ns, the trace {truth['count'][state]} "
                     f"times, {truth['ns'][state]} ns")
            checked += 1
    if checked == 0:
        fail(f"{name}: the trace has no vCPU")
    return checked


def all_times(found):
    """By (domain, vCPU): ns in each state from its first change on, and how often it entered each."""
    seen = {}
    for stamp, _, _, event, words in found:
        if event & ~0x330 != 0x21001:
            continue
        vcpu = seen.setdefault((words[0] >> 16, words[0] & 0xFFFF), {"state": OFFLINE, "since": stamp, "ns": [0] * 4, "count": [0] * 4})
        vcpu["ns"][vcpu["state"]] += stamp - vcpu["since"]
        vcpu.update(state=event >> 4 & 3, since=stamp)
        vcpu["count"][vcpu["state"]] += 1
    return seen


def same_counters(fail, folder, found):
    """What metrics.json and, of a booted run, the scheduler's own counters say (in ns, on the host's channel)."""
    ours = all_times(found)
    figures = json.loads((folder / "metrics.json").read_text())
    channel = (folder / "debugcon.txt").read_text() if (folder / "debugcon.txt").exists() else None
    counted = {(int(m[1]), int(m[2])): [int(m[3]), int(m[4]), int(m[5])] for m in
               re.finditer(r"^runstate d(\d+)v(\d+) running=(\d+) runnable=(\d+) blocked=(\d+) offline=\d+$", channel or "", re.M)}
    checked = 0
    for domain in figures["domains"]:
        for index, row in enumerate(domain["vcpus"]):
            vcpu = ours[domain["id"], index]
            name = f"{folder.name}: d{domain['id']}v{index}"
            # The window ends with the scenario, the trace a little later, when all pCPUs have stopped.
            measured = row["cpu_pct"] / 100 * figures["sim_seconds"] * 1e9
            if abs(vcpu["ns"][RUNNING] - measured) > 1e-6 * figures["sim_seconds"] * 1e9 + 50_000:
                fail(f"{name} ran {vcpu['ns'][RUNNING]} ns, metrics.json says {measured:.0f}")
            checked += 1
            if channel is None:
                continue
            # The two changes of a switch are stamped a nanosecond apart and counted as one.
            for state in (RUNNING, RUNNABLE, BLOCKED):
                kernel = counted.get((domain["id"], index), [None] * 3)[state]
                slack = vcpu["count"][state] + 1
                if kernel is None or abs(vcpu["ns"][state] - kernel) > slack:
                    fail(f"{name} {STATES[state]}: {vcpu['ns'][state]} ns in {vcpu['count'][state]} periods, the kernel's counter says {kernel}")
                checked += 1
    return checked


def make(tests, fail, home, name, out, *settings, options=()):
    """A run of a scenario in the booted kernel or the simulator; its folder. `options` are the kernel's."""
    file = pathlib.Path(__file__).resolve().parent.parent / "scenarios" / f"{name}.json"
    settings = [word for s in settings for word in ("--set", s)]
    if options:
        settings += ["--append", " ".join(options)]
    if home == "kernel":
        result = tests.nv("--kernel", tests.build / "numavisor.elf", *settings, file, out=out)
    else:
        result = tests.run(tests.build / "nv", "sim", "--out", out, *settings, file)
    if result.returncode != 0:
        fail(f"{home}, {name}: nv ended with {result.returncode}: {result.stderr.decode(errors='replace')[-300:]}")
    return next(pathlib.Path(out).glob(f"{name}-*"))


def clean(tests, fail, home, name):
    """A whole trace: the rules, xenalyze's times, the kernel's counters, nv's own figures."""
    with tempfile.TemporaryDirectory() as out:
        folder = make(tests, fail, home, name, out)
        trace = folder / "trace.xentrace"
        check = tests.run(tests.build / "nv", "trace", "check", trace)
        if check.returncode != 0:
            fail(f"{home}, {name}: {check.stdout.decode()[:300]}")
        found = records(trace)
        right = same_times(fail, f"{home}, {name}", xenalyze(tests, fail, trace, "--summary", "--report-pcpu"), found)
        right += same_counters(fail, folder, found)
        lines = [line for line in xenalyze(tests, fail, trace, "-a").splitlines() if line.strip()]
        bad = [line for line in lines if re.search(r"Strange|FATAL|WARNING|skew", line)]
        if bad or len(lines) < len(found):
            fail(f"{home}, {name}: xenalyze -a has {len(lines)} lines for {len(found)} records, {bad[:2]}")
        return right + 2 + own_figures(tests, fail, folder)


def own_figures(tests, fail, folder):
    """nv trace summary of what the run left, without any option, has the run's figures to the last digit."""
    result = tests.run(tests.build / "nv", "trace", "summary", "--json", folder / "trace.xentrace")
    if result.returncode != 0 or result.stderr:
        fail(f"{folder.name}: nv trace summary: status {result.returncode}, {result.stderr.decode()[:300]}")
    if json.loads(result.stdout)["run"] != json.loads((folder / "metrics.json").read_text()):
        fail(f"{folder.name}: nv trace summary's figures of the run are not those of metrics.json")
    return 1


def lossy(tests, fail, home, name):
    """Rings of 4 KiB: xenalyze is as content, and every lost record is told."""
    with tempfile.TemporaryDirectory() as out:
        folder = make(tests, fail, home, name, out, "trace.ring_kib=4")
        trace = folder / "trace.xentrace"
        told = sum(words[0] for _, _, _, event, words in records(trace) if event == LOST)
        counted = json.loads((folder / "metrics.json").read_text())["lost_records"]
        text = xenalyze(tests, fail, trace, "--summary", "--report-pcpu")
        if "lost:" not in text:
            fail(f"{home}, {name}: xenalyze saw no loss")
        seen = sum(int(n) for n in re.findall(r"lost_records count (\d+)", xenalyze(tests, fail, trace, "-a")))
        if not told == counted == seen or told < 100:
            fail(f"{home}, {name}: lost are {told} by the trace, {counted} by the kernel, {seen} by xenalyze")
        check = tests.run(tests.build / "nv", "trace", "check", trace)
        if check.returncode != 0:
            fail(f"{home}, {name}: {check.stdout.decode()[:300]}")
    return 4 + (flight(tests, fail, name) if home == "kernel" else 0)


def flight(tests, fail, name):
    """A flight recorder's rings of 4 KiB keep the end: the rules hold, xenalyze is content, all pCPUs begin together."""
    with tempfile.TemporaryDirectory() as out:
        folder = make(tests, fail, "kernel", name, out, "trace.ring_kib=4", options=["trace_mode=flight"])
        trace = folder / "trace.xentrace"
        found = records(trace)
        if json.loads((folder / "metrics.json").read_text())["lost_records"] < 100 or len(found) < 100:
            fail(f"flight, {name}: {len(found)} records, and the rings were not full")
        first = {}
        for stamp, _, pcpu, event, words in found:
            first.setdefault(pcpu, (stamp, event))
        if len({stamp for stamp, _ in first.values()}) != 1 or any(event != 0x21101 for _, event in first.values()):
            fail(f"flight, {name}: the pCPUs begin with {first}")
        right = same_times(fail, f"flight, {name}", xenalyze(tests, fail, trace, "--summary", "--report-pcpu"), found)
        check = tests.run(tests.build / "nv", "trace", "check", trace)
        if check.returncode != 0:
            fail(f"flight, {name}: {check.stdout.decode()[:300]}")
        return right + 3


def cost(tests, fail):
    """nv trace summary: 5 million records per CPU-second at least (three times that is usual) and 200 MB at most, at any size."""
    source = pathlib.Path(__file__).resolve().parent / "pp-soft.xentrace.xz"
    script = ("import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
              "print(u.ru_utime + u.ru_stime, u.ru_maxrss, file=sys.stderr); sys.exit(r.returncode)")
    with tempfile.TemporaryDirectory() as folder:
        for shape in (("--mib", "120"), ("--mib", "40", "--pcpus", "64")):
            file = pathlib.Path(folder) / "long.xentrace"
            made = tests.run(pathlib.Path(__file__).resolve().parent / "repeat", *shape, source, file)
            if made.returncode != 0:
                fail(f"tests/traces/repeat: {made.stderr.decode()[-300:]}")
            best = None
            for _ in range(3):
                result = tests.run("python3", "-c", script, tests.build / "nv", "trace", "summary", "--json", "--cpu-hz", "1G", file)
                seconds, kib = (float(n) for n in result.stderr.split()[-2:])
                best = seconds if best is None else min(best, seconds)
            count = json.loads(result.stdout)["records"]
            if result.returncode != 0 or kib * 1024 > 200e6 or count < 5e6 * best:
                fail(f"nv trace summary on {' '.join(shape)}: status {result.returncode}, {count} records in {best:.2f} s of CPU time, "
                     f"{kib / 1024:.0f} MiB")
    return 2
