"""pCPUs and memory that are plugged into a running machine, through QEMU's own monitor: they come into use, whatever is
running, and what cannot be used is told."""
import json
import os
import socket

from serial_ports import LIMIT, Session, expect, wait_for


class Monitor:
    """QEMU's monitor: requests and answers of QMP."""

    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        directory = os.open(folder, os.O_RDONLY)  # the path itself may be too long for a socket
        self.socket.connect(f"/proc/self/fd/{directory}/monitor.sock")
        os.close(directory)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "event" in (answer := json.loads(self.lines.readline())):
            pass
        expect("return" in answer, f"QEMU refuses {command} {arguments}: {answer}")
        return answer["return"]

    def plug_pcpu(self, name, place):
        self.ask("device_add", driver=place["type"], id=name, **place["props"])

    def plug_memory(self, name, node, mib):
        self.ask("object-add", **{"qom-type": "memory-backend-ram", "id": f"ram-{name}", "size": mib << 20})
        self.ask("device_add", driver="pc-dimm", id=name, memdev=f"ram-{name}", node=node)


def nodes(session):
    return [row for row in session.request("info -n")[0] if "memfree" in row]


def check_pcpus(session, monitor):
    """The last place and the first one of 8: pCPUs 15 and 8. Whoever is pinned there runs there."""
    free = [place for place in monitor.ask("query-hotpluggable-cpus") if "qom-path" not in place]
    expect(len(free) == 8, f"there is room for {len(free)} pCPUs")
    free.sort(key=lambda place: (place["props"]["socket-id"], place["props"]["core-id"]))
    session.seen = b""
    monitor.plug_pcpu("late", free[-1])
    monitor.plug_pcpu("early", free[0])
    wait_for(session, "info", lambda rows: rows[0]["nr_cpus"] == 10, "plugged pCPUs do not come")
    session.read_until(lambda seen: b"pCPU 15 has been plugged in, on node 1" in seen and b"pCPU 8 has been plugged in, on node 0" in seen, "word of pCPUs 8 and 15")
    for pcpu in (15, 8):
        rows, ok = session.request(f"vcpu-pin vm5 all {pcpu} all")
        expect(ok, f"vcpu-pin answers {rows}")
        before = wait_for(session, "vcpu-list vm5", lambda rows: all(r["cpu"] == pcpu for r in rows), f"vm5 does not move to pCPU {pcpu}")
        wait_for(session, "vcpu-list vm5", lambda rows: all(r["running_ns"] > b["running_ns"] for r, b in zip(rows, before, strict=True)), f"vm5 does not run on pCPU {pcpu}")
    return free[1]


def check_memory(session, monitor):
    """More than there was: a VM is built of it, and it comes back. Its tables take less than a hundredth."""
    before = nodes(session)
    monitor.plug_memory("first", 1, 256)
    monitor.plug_memory("second", 0, 128)
    wait_for(session, "info -n", lambda rows: [row["present"] for row in rows if "memfree" in row] == [before[0]["present"] + 128, before[1]["present"] + 256], "plugged memory does not come")
    grown = nodes(session)
    for node, more in ((0, 128), (1, 256)):
        came = grown[node]["memfree"] - before[node]["memfree"]
        expect(0.98 * more <= came <= more, f"{more} MiB were plugged into node {node}, {came} of them can be used")
    size = before[1]["memfree"] + 200
    for _ in range(2):
        rows, ok = session.request(f"create name=extra vcpus=1 memory={size} cpus=15 workload=hog")
        expect(ok, f"create answers {rows}")
        expect(session.request("list extra")[0][0]["node_pages"][1] >= 256 * size, "the VM's memory is not where it was wanted")
        wait_for(session, "vcpu-list extra", lambda rows: rows[0]["running_ns"] > 0 and rows[0]["cpu"] == 15, "the VM does not run")
        rows, ok = session.request("destroy extra")
        expect(ok, f"destroy answers {rows}")
    left = nodes(session)
    expect(all(abs(a["memfree"] - b["memfree"]) <= 2 for a, b in zip(grown, left, strict=True)), f"VMs came and went, and {grown} became {left}")


def check_refusals(session, monitor, place):
    """Nothing can be unplugged, and that is said; what comes afterwards is used all the same."""
    session.seen = b""
    monitor.ask("device_del", id="early")
    session.read_until(lambda seen: b"warning: a pCPU shall be unplugged" in seen, "warning")
    monitor.plug_pcpu("third", place)
    wait_for(session, "info", lambda rows: rows[0]["nr_cpus"] == 11, "a pCPU that is plugged in later does not come")


def run(nv, kernel, out, scenario):
    """The number of checks that passed."""
    session = Session(nv, kernel, out, scenario, "--room", "--timeout", 120, "--set", "warmup_ns=0", "--set", "duration_ns=1500000000")
    try:
        session.wait_prompt()
        session.connect()
        monitor = Monitor(next(session.out.glob("*-console")))
        next_place = check_pcpus(session, monitor)
        check_memory(session, monitor)
        check_refusals(session, monitor, next_place)
        session.send(b"quit\r")
        errors = session.process.communicate(timeout=LIMIT)[1]
        fits = b"contradicts" not in errors or b"contradicts itself 0 times" in errors  # it also names the VM that came and went
        expect(session.process.returncode == 0 and fits, f"quit ended it with {session.process.returncode}: {errors[-300:]}")
    finally:
        session.close()
    return 4
