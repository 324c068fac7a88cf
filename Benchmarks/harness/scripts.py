"""A Python program (workloads/churn.py), with its own small-object allocator and with malloc."""

import os
import statistics
import sys
import time

from harness import rounds
from harness.checks import check
from harness.processes import Process

CASES = {
    "python-malloc": ("Python, json/dict/list churn, PYTHONMALLOC=malloc", "malloc", 0.02),
    "python-default": ("Python, json/dict/list churn, its own allocator", "default", 0.1),
}
NAMES = list(CASES)
KEPT = 3000


def measure(bench, names):
    return [_one(bench, name) for name in NAMES if name in names]


def _one(bench, name):
    """CPU milliseconds of the same work in every configuration. The number of turns is fixed before anything
    is attached; short runs are repeated, and their median taken."""
    title, allocator, seconds = CASES[name]
    script = os.path.join(bench.root, "Benchmarks", "workloads", "churn.py")
    program = Process(bench.placement.measured([sys.executable, script]), {"PYTHONMALLOC": allocator})

    def ask(turns):
        return int(program.ask(f"run {turns}", timeout=600).split()[0]) / 1e6

    try:
        program.ask("drop")
        check(bench, name, program.pid, lambda: program.ask(f"keep {KEPT}"), lambda: program.ask("drop"), KEPT)
        ask(10)
        turns = max(1, round(seconds * 1000 / (ask(20) / 20)))
        case = rounds.Case(name, title, "ms of CPU", f"{turns} turns, Python {sys.version.split()[0]}")

        def one_round(number, configuration):
            samples, start = [], time.perf_counter()
            while not samples or (len(samples) < 5 and time.perf_counter() - start < 5 * seconds):
                samples.append(ask(turns))
            case.record(number, configuration, statistics.median(samples))

        rounds.run(bench.configurations, bench.rounds, bench.chance, program.pid, one_round, name)
        return case
    finally:
        program.kill()
