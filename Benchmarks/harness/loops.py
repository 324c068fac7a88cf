"""The loops of workloads/pair.c: cost per call."""

import os
import statistics
import time

from harness import profilers, rounds
from harness.checks import check
from harness.processes import Process

CASES = [
    ("pair-2", "malloc(64) + free, 2 calls deep", "ns a pair", "pair {n} 64 2"),
    ("pair-13", "malloc(64) + free, 13 calls deep", "ns a pair", "pair {n} 64 13"),
    ("pair-29", "malloc(64) + free, 29 calls deep", "ns a pair", "pair {n} 64 29"),
    ("pair-61", "malloc(64) + free, 61 calls deep", "ns a pair", "pair {n} 64 61"),
    ("places-61", "the same 61 calls deep, at the slowest of 256 places in a page", "ns a pair", "places {n} 64 61"),
    ("rand-100k", "malloc(16–527) + free of a random one of 100,000 live", "ns a pair", "rand {n} 100000"),
    ("calloc-2", "calloc(64) + free, 2 calls deep", "ns a pair", "calloc {n} 64 2"),
    ("realloc-2", "realloc between 64 and 65 bytes, 2 calls deep", "ns a call", "realloc {n} 64 2"),
    ("large-2", "malloc(4000) + free, 2 calls deep", "ns a pair", "pair {n} 4000 2"),
]
NAMES = [case[0] for case in CASES]
SAMPLES = 3
KEPT, KEPT_SIZE = 4321, 77


def measure(bench, names):
    """The figure of a round is the median of three samples, each of about bench.sample_seconds."""
    program = Process(bench.placement.measured([os.path.join(bench.directory, "pair")]))
    chosen = [spec for spec in CASES if spec[0] in names]
    cases = {spec[0]: rounds.Case(*spec[:3]) for spec in chosen}
    counts = {}

    def ask(command, n):
        return float(program.ask(command.format(n=n)))

    def count(name, command, configuration):
        """How many calls fill a sample, found out once."""
        key = name, configuration
        if key not in counts:
            ask(command, 1000)
            cost = max(ask(command, 5000), 0.5)
            counts[key] = int(min(max(bench.sample_seconds * 1e9 / cost, 5000), 20_000_000))
        return counts[key]

    def one_round(number, configuration):
        # drip compares its first calls with entry and return before it trusts what is inside of malloc.
        for _ in range(20):
            ask("pair {n} 64 2", 2000)
            time.sleep(0.03)
        for name, _, _, command in bench.chance.sample(chosen, len(chosen)):
            n = count(name, command, configuration)
            samples = [ask(command, n) for _ in range(SAMPLES)]
            cases[name].record(number, configuration, statistics.median(samples))
        drop()

    def keep():
        program.ask(f"keep {KEPT} {KEPT_SIZE} 5")

    def drop():
        program.ask("drop")

    try:
        # The array that holds the blocks is grown before anything is attached.
        keep()
        drop()
        check(bench, "the loops", program.pid, keep, drop, KEPT, KEPT_SIZE)
        configurations = list(bench.configurations)
        if bench.drip:
            configurations.append(profilers.Empty(bench.directory, bench.drip.program))
        rounds.run(configurations, bench.rounds, bench.chance, program.pid, one_round, "loops")
    finally:
        program.kill()
    return list(cases.values())
