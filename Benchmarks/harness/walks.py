"""What a stack costs in BPF, by the kernel's own clock around each run of a program (bpf_stats_enabled): all that an
allocation's program does, walk, site, table and counters. Once with stacks of which none is remembered, once with
one stack over and over."""

import contextlib
import glob
import re
import statistics
import time

from harness.processes import BenchError, Process
from harness.rounds import progress

NAMES = ["walks"]
# Frames of the stack, and at most so many ns.
LIMITS = {10: 600, 20: 1000, 64: 2000}
CALLS = 20_000
SWITCH = "/proc/sys/kernel/bpf_stats_enabled"


def measure(bench, _names):
    if not bench.drip:
        return []
    program = Process(bench.placement.measured([f"{bench.directory}/pair"]))
    results = {(frames, way): [] for frames in LIMITS for way in ("new", "same")}
    try:
        with _statistics():
            for number in range(bench.rounds):
                progress(f"walks: round {number + 1} of {bench.rounds}")
                with bench.drip.attached(program.pid) as attachment:
                    _settle(program)
                    for frames, way in bench.chance.sample(sorted(results), len(results)):
                        command = "wide" if way == "new" else "pair"
                        depth = _depth(command, frames)
                        # The sites are there afterwards: the first object of each costs more.
                        program.ask(f"{command} 40000 64 {depth}")
                        before = _runs(attachment.process.pid)
                        program.ask(f"{command} {CALLS} 64 {depth}")
                        results[frames, way].append(_cost(before, _runs(attachment.process.pid)))
                _check_frames(attachment.outcome)
    finally:
        program.kill()
    return [
        {"frames": frames, "limit": limit, "new": results[frames, "new"], "same": results[frames, "same"]}
        for frames, limit in LIMITS.items()
    ]


def _depth(command, frames):
    """Below main, which has three callers and one callee or two: see workloads/pair.c."""
    return frames - (7 if command == "wide" else 8)


def _check_frames(report):
    """That stacks of these depths were there, and that they were whole."""
    lengths = {len(site["frames"]) for site in report["sites"] if site["allocs"] > 0 and
               site["stack_end"] == "complete"}
    missing = [frames for frames in LIMITS if frames not in lengths]
    if missing:
        raise BenchError(f"no whole stacks of {missing} frames were seen, but of {sorted(lengths)}")


def _settle(program):
    """drip compares its first calls with entry and return before it trusts what is inside of malloc."""
    for _ in range(20):
        program.ask("pair 2000 64 2")
        time.sleep(0.03)


@contextlib.contextmanager
def _statistics():
    with open(SWITCH, encoding="ascii") as file:
        before = file.read()
    try:
        _write("1")
        yield
    finally:
        _write(before)


def _write(text):
    with open(SWITCH, "w", encoding="ascii") as file:
        file.write(text)


def _runs(pid):
    """(ns, runs) by program that a process holds."""
    runs = {}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with contextlib.suppress(OSError):
            with open(path, encoding="ascii") as file:
                fields = dict(re.findall(r"^(\w+):\s*(\S+)$", file.read(), re.MULTILINE))
            if "run_time_ns" in fields:
                runs[fields["prog_id"]] = (int(fields["run_time_ns"]), int(fields["run_cnt"]))
    return runs


def _cost(before, after):
    """ns a run of the dearest program that ran for each call: the allocation's; the other one is free's."""
    costs = []
    for program, (nanoseconds, count) in after.items():
        old = before.get(program, (0, 0))
        if count - old[1] >= CALLS * 0.9:
            costs.append((nanoseconds - old[0]) / (count - old[1]))
    if len(costs) != 2:
        raise BenchError(f"{len(costs)} programs ran for each call, and not an allocation's and a free's")
    return max(costs)


def median(entry, way):
    return statistics.median(entry[way])
