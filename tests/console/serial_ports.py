"""A session at the console of a booted machine, over both serial ports: every command with good and bad arguments, the
layouts of tests/console/layouts.txt, and steering that takes effect while the machine is busy."""
import json
import os
import pathlib
import re
import selectors
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
PROMPT = b"\r\x1b[Knv> "
LIMIT = 60

# What is refused, each in one line that begins so.
BAD = {"help nothing": "help: 'nothing': no such command", "info -x": "info: '-x': takes -n", "list vm99": "'vm99': no such VM",
       "list -x": "list: '-x': takes", "vcpu-list 99": "'99': no such VM", "vcpu-pin vm1 0": "vcpu-pin: usage:", "vcpu-pin vm1 9 all": "vcpu-pin: '9': vm1 has",
       "vcpu-pin vm1 0 1x": "vcpu-pin: hard affinity: '1x': expected", "vcpu-pin vm1 0 ^0": "vcpu-pin: vm1 vCPU 0: hard affinity '^0' has no pCPU",
       "sched-credit -w 5": "sched-credit: '-w': needs the VM", "sched-credit -d vm1 -c 201": "sched-credit: '201': vm1 has 2",
       "sched-credit -s -t 0": "sched-credit: '0': a time slice", "node-affinity vm1 ^0": "node-affinity: '^0': leaves no node", "create vcpus=0": "create: 'vcpus=0': vcpus is 1", "create name=vm1": "create: name=vm1: there is", "create workload=x": "create: 'x': workloads:", "destroy vm99": "'vm99': no such VM",
       "pause vm99": "'vm99': no such VM", "pause": "pause: takes a VM's", "unpause vm1": "unpause: vm1 is not paused", "top -d 0": "top: '0': -d is",
       "trace foo": "trace: 'foo': give off", "trace last 0": "trace: '0': last takes", "dmesg x": "dmesg: 'x': one word", "debug-keys": "debug-keys: needs keys",
       "debug-keys z": "debug-keys: 'z': no such key", "quit now": "quit: 'now': one word", "shutdown 1": "shutdown: '1': one word", "foo": "'foo': no such command",
       "list \"vm1": "a quote is never closed"}
# What says something in JSON, and what each row must have.
ROWS = {"help": {"command", "summary"}, "info": {"host", "nr_cpus", "free_memory"}, "list": {"name", "id", "memory_mib", "time_ns", "node_pages"},
        "vcpu-list": {"name", "vcpu", "cpu", "hard", "soft"}, "sched-credit -d vm1": {"name", "weight", "cap"}, "node-affinity": {"name", "mode", "nodes"},
        "top": {"name", "run_ns", "wait_ns", "home_ns"}, "dmesg": {"text"}, "debug-keys h": {"key", "description"}, "vcpu-pin vm1 0 all": {"hard", "soft"}}


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


def masked(line):
    """Numbers with the blanks before them, and letters of states, by as many letters: what is left is the layout."""
    line = re.sub(r"(?<=\s)[r-][b-][p-](?:[s-][c-][d-])?(?=\s)", lambda m: "S" * len(m[0]), line)
    return re.sub(r"[ ]*(?<![a-z])-?[0-9][0-9.]*", lambda m: "N" * len(m[0]), line).rstrip()


class Session:
    def __init__(self, nv, kernel, out, scenario, *arguments):
        self.process = subprocess.Popen([str(a) for a in (nv, "run", "--console", "--kernel", kernel, "--out", out, *arguments, scenario)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out = pathlib.Path(out)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.seen = b""

    def read_until(self, condition, what):
        deadline = time.monotonic() + LIMIT
        while not condition(self.seen):
            expect(time.monotonic() < deadline, f"no {what} within {LIMIT} s; last seen: {self.seen[-300:]!r}")
            if self.selector.select(1):
                came = os.read(self.process.stdout.fileno(), 65536)
                expect(came, f"the session ended before {what}: {self.seen[-300:]!r}")
                self.seen += came

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_prompt(self):
        self.read_until(lambda seen: seen.endswith(PROMPT), "prompt")

    def type(self, line):
        """The lines that a command answers."""
        self.seen = b""
        self.send(line.encode() + b"\r")
        self.read_until(lambda seen: b"\n" in seen and seen.endswith(PROMPT), f"answer to '{line}'")
        lines = self.seen.decode().replace("\r\n", "\n").split("\n")[1:-1]
        return [line for line in lines if not re.match(r"(\r\x1b\[K)?\[ *\d+\.\d+\] ", line)]

    def connect(self):
        path = next(self.out.glob("*-console/control.sock"))
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(LIMIT)
        folder = os.open(path.parent, os.O_RDONLY)  # the path itself may be too long for a socket
        self.control.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        self.lines = self.control.makefile("rb")

    def request(self, line):
        """The rows that a command answers on the second port, and whether it was good."""
        self.control.sendall(line.encode() + b"\n")
        rows = []
        while "end" not in (row := json.loads(self.lines.readline())):
            rows.append(row)
        return rows, row["ok"]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def wait_for(session, command, condition, what):
    """Asks until the rows are as they should be: a busy host takes its time, the pCPUs themselves microseconds."""
    deadline = time.monotonic() + LIMIT
    while not condition(rows := session.request(command)[0]):
        expect(time.monotonic() < deadline, f"{what}: {rows}")
    return rows


def check_layouts(session):
    """Golden texts: blocks of '$ command' and what it answers, masked; '...' stands for any number of lines."""
    for block in ("\n" + (HERE / "layouts.txt").read_text()).split("\n$ ")[1:]:
        command, *wanted = block.strip("\n").split("\n")
        found = [masked(line) for line in session.type(command)]
        pattern = "\n".join(r"(?:.*\n)*?.*" if line == "..." else re.escape(line).replace(r"\#", "N+") for line in wanted)
        expect(re.fullmatch(pattern, "\n".join(found)), f"{command}: wanted\n" + "\n".join(wanted) + "\nfound\n" + "\n".join(found))


def check_bad_arguments(session):
    for command, wanted in BAD.items():
        lines = session.type(command)
        expect(len(lines) == 1 and lines[0].startswith(f"error: {wanted}"), f"'{command}' answers {lines}")
        rows, ok = session.request(command)
        expect(not ok and len(rows) == 1 and rows[0]["error"].startswith(wanted), f"'{command}' answers {rows}")


def check_json(session):
    for command, keys in ROWS.items():
        rows, ok = session.request(command)
        expect(ok and rows and keys <= rows[0].keys(), f"'{command}' answers {ok}, {rows[:1]}")
    rows, ok = session.request("x" * 2000)
    expect(not ok and "at most" in rows[0]["error"], f"too long a request: {rows}")


def check_steering(session):
    expect(session.type("vcpu-pin vm5 all node:1 all") == [], "vcpu-pin says something")
    wait_for(session, "vcpu-list vm5", lambda rows: all(r["hard"] == "4-7" and r["cpu"] >= 4 for r in rows), "vm5 is pinned to node 1")
    session.type("sched-credit -d vm6 -w 512 -c 20")
    before = session.request("vcpu-list vm6")[0]
    time.sleep(1)
    after = session.request("vcpu-list vm6")[0]
    span = sum(after[0][k] - before[0][k] for k in ("running_ns", "runnable_ns", "blocked_ns", "offline_ns"))
    ran = sum(a["running_ns"] - b["running_ns"] for a, b in zip(after, before, strict=True))
    expect(ran < 0.35 * span, f"a VM of two hogs, capped at 20 %, used {100 * ran / span:.0f} % of a pCPU")
    expect(session.request("sched-credit -d vm6")[0][0]["weight"] == 512, "the weight is not what it was set to")
    session.type("sched-credit -s -t 5 -r 500")
    expect("tslice=5ms ratelimit=500us" in session.type("sched-credit -s")[0], "the parameters are not what they were set to")
    session.type("node-affinity vm1 1")
    expect(session.request("node-affinity vm1")[0][0] == {"name": "vm1", "id": 1, "mode": "explicit", "nodes": "1"}, "node-affinity")


def check_pause(session):
    session.type("pause vm5")
    before = wait_for(session, "vcpu-list vm5", lambda rows: not any(r["running"] for r in rows), "a paused VM goes on running")
    expect(session.request("list vm5")[0][0]["paused"], "a paused VM is not listed as paused")
    expect(session.type("pause vm5") == ["error: pause: vm5 is paused; unpause lets it go on"], "vm5 was paused twice")
    time.sleep(0.2)
    after, _ = session.request("vcpu-list vm5")
    expect([v["running_ns"] for v in before] == [v["running_ns"] for v in after], f"a paused VM ran: {before} {after}")
    session.type("unpause vm5")
    wait_for(session, "vcpu-list vm5", lambda rows: all(r["running_ns"] > a["running_ns"] for r, a in zip(rows, after, strict=True)),
             "a VM that goes on does not run")


def check_life(session):
    """VMs come and go; what they had comes back, and their names are free again."""
    free = session.request("info")[0][0]["free_memory"]
    for _ in range(3):
        rows, ok = session.request("create name=extra vcpus=2 memory=16 cpus=node:1 workload=burst:run=1ms-2ms:block=1ms")
        expect(ok, f"create answers {rows}")
        wait_for(session, "vcpu-list extra", lambda rows: len(rows) == 2 and all(r["running_ns"] > 0 and r["cpu"] >= 4 for r in rows), "a new VM does not run")
        expect(session.request("list extra")[0][0]["node_pages"][1] >= 4096, "a new VM has no memory where it was asked for")
        expect(session.type("destroy extra") == [], "destroy says something")
        expect(session.type("list extra") == ["error: 'extra': no such VM; list shows those that there are"], "a destroyed VM is listed")
    left = session.request("info")[0][0]["free_memory"]
    expect(abs(free - left) <= 2, f"three VMs came and went, and {free} MiB free became {left}")


def check_editing(session):
    """A message while a line is being typed leaves the line as it is; history and completion work on the port."""
    session.seen = b""
    session.send(b"vcpu-l")
    session.read_until(lambda seen: b"the scenario is over" in seen and seen.endswith(PROMPT + b"vcpu-l"), "line that outlives a message")
    session.send(b"\t -x\x7f\x7fvm1\r")
    session.read_until(lambda seen: seen.count(b"vm1  ") >= 2 and seen.endswith(PROMPT), "answer to a completed line")
    session.seen = b""
    session.send(b"\x1b[A\r")
    session.read_until(lambda seen: seen.count(b"vm1  ") >= 2 and seen.endswith(PROMPT), "answer to a recalled line")


def check_top(session):
    session.seen = b""
    session.send(b"top -d 1 -v\r")
    session.read_until(lambda seen: seen.count(b"\x1b[H\x1b[2J") >= 2 and seen.rstrip().count(b"HOME(%)") >= 2, "second look of top")
    session.send(b"q")
    session.wait_prompt()
    lines = session.type("top --once -v")
    expect(len(lines) == 2 + 6 + 12, f"top --once -v shows {len(lines)} lines")


def check_commands(session):
    """Every command is in the tests above."""
    tested = {line.split()[0] for line in (*BAD, *ROWS)}
    names = {row["command"] for row in session.request("help")[0]}
    expect(names <= tested, f"not tested: {sorted(names - tested)}")
    for name in sorted(names):
        expect(len(session.type(f"help {name}")) >= 2, f"help {name} says too little")


def run(nv, kernel, out, scenario):
    """The number of checks that passed."""
    checks = (check_editing, check_layouts, check_bad_arguments, check_json, check_steering, check_pause, check_life, check_top, check_commands)
    session = Session(nv, kernel, out, scenario, "--timeout", 120, "--set", "warmup_ns=0", "--set", "duration_ns=1500000000")
    try:
        session.wait_prompt()
        session.connect()
        for check in checks:
            check(session)
        session.send(b"quit\r")
        errors = session.process.communicate(timeout=LIMIT)[1]
        expect(session.process.returncode == 0, f"quit ended it with {session.process.returncode}: {errors[-300:]}")
        figures = json.loads(next(session.out.glob("*-console/metrics.json")).read_text())
        expect(figures["lost_records"] == 0, "the session's trace lost records")
    finally:
        session.close()
    return len(checks) + 1
