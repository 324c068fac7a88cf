"""What libdrip-sampler.so costs the program that it is preloaded into, against a library that only passes on and
against nothing: allocation loops, and redis-server under redis-benchmark. Nobody listens, or drip does."""

import contextlib
import os

from harness import redis
from harness.processes import BenchError, Process, output_of
from harness.rounds import progress

NAMES = ["sampler-loops", "sampler-redis"]
# Commands of Benchmarks/workloads/pair.c.
LOOPS = {
    "one block": ("pair", "64 1"),
    "random ones of 1,000 live blocks": ("rand", "1000"),
    "random ones of 100,000 live blocks": ("rand", "100000"),
}
PAIRS = 2_000_000


def measure(bench, names):
    """{"loops": {loop: [{configuration: ns a pair}]}, "redis": [{configuration: µs a request}]}"""
    output_of(["make", "-s", "sampler"])
    output_of(["make", "-s", "-f", os.path.join("Benchmarks", "build.mk"), "bench-sampler"])
    results = {"loops": {}, "redis": []}
    if "sampler-loops" in names:
        _loops(bench, results["loops"])
    if "sampler-redis" in names:
        _redis(bench, results["redis"])
    return results


def _environments(bench):
    sampler = os.path.join(bench.root, "build", "libdrip-sampler.so")
    null = os.path.join(bench.directory, "null_interposer.so")
    found = {"bare": {}, "null": {"LD_PRELOAD": null}, "sampler": {"LD_PRELOAD": sampler}}
    if bench.drip:
        found["sampler + drip"] = {"LD_PRELOAD": sampler}
    return found


@contextlib.contextmanager
def _listening(bench, configuration, pid):
    if not configuration.endswith("drip"):
        yield
        return
    with bench.drip.attached(pid):
        yield


def _loops(bench, results):
    """A fresh process for every figure: which addresses and pages it gets is part of the noise."""
    environments = _environments(bench)
    for number in range(bench.rounds * 3):
        progress(f"sampler: loops, round {number + 1} of {bench.rounds * 3}")
        for name in bench.chance.sample(list(environments), len(environments)):
            program = Process(
                bench.placement.measured([os.path.join(bench.directory, "pair")]), environment=environments[name])
            try:
                for loop, (command, arguments) in LOOPS.items():
                    line = f"{command} {PAIRS} {arguments}"
                    program.ask(line)
                    with _listening(bench, name, program.pid):
                        # The least of three: what is above it is the machine's.
                        figure = min(float(program.ask(line)) for _ in range(3))
                    _entry(results.setdefault(loop, []), number)[name] = figure
                    program.ask("drop")
            finally:
                program.kill()


def _redis(bench, results):
    """Servers side by side, asked in turns in random order; the mean over the kinds of requests."""
    environments = _environments(bench)
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, environment in environments.items():
            directory = os.path.join(bench.directory, "redis-" + name.replace(" + ", "-"))
            os.makedirs(directory, exist_ok=True)
            servers[name] = stack.enter_context(redis.server(bench, directory, environment))
        for number in range(bench.rounds * 3):
            progress(f"sampler: redis, round {number + 1} of {bench.rounds * 3}")
            for name in bench.chance.sample(list(servers), len(servers)):
                pid, port = servers[name]
                with _listening(bench, name, pid):
                    redis.command(port, "FLUSHALL")
                    before = _cpu(pid)
                    rates = redis.rates(port, 16, 200_000)
                    cpu = _cpu(pid) - before
                if cpu <= 0:
                    raise BenchError("redis-server took no time")
                _entry(results, number)[name] = {
                    "request": sum(1e6 / rate for rate in rates.values()) / len(rates),
                    "cpu": 1e6 * cpu / (200_000 * len(rates)),
                }


def _cpu(pid):
    """Seconds of CPU that a process's main thread has used."""
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0]) / 1e9


def _entry(rounds, number):
    while len(rounds) <= number:
        rounds.append({})
    return rounds[number]
