"""What drip itself uses while it watches: CPU and memory of `drip top` at one refresh a second."""

import os
import signal
import time

from harness.processes import BenchError, Process
from harness.profilers import map_memory
from harness.rounds import progress

NAMES = ["polling"]
LIVE = [1_000, 1_000_000]
SITES = 32


def measure(bench, _names):
    drip = next((each for each in bench.configurations if each.name == "drip"), None)
    if not drip:
        return []
    return [_watch(bench, drip, live) for live in LIVE]


def _watch(bench, drip, live):
    progress(f"polling: {live} live allocations, {bench.polling_seconds:g} s")
    program = Process(bench.placement.measured([os.path.join(bench.directory, "pair")]))
    screen = os.path.join(bench.directory, f"drip-top-{live}.txt")
    watcher = None
    try:
        program.ask("drop")  # it has started once it answers
        refreshes = int(bench.polling_seconds + 120)
        watcher, _ = drip.start(["top", "-p", str(program.pid), "1", str(refreshes)], output=screen)
        program.ask(f"spread {live} 64 {SITES}", timeout=300)
        time.sleep(3)  # the first views of the new state, with symbols to resolve, are not the steady state
        cpu, start = _cpu_seconds(watcher.pid), time.perf_counter()
        time.sleep(bench.polling_seconds)
        if not watcher.alive:
            raise BenchError(f"drip top ended ({watcher.exit_code}): {watcher.errors}")
        cpu, seconds = _cpu_seconds(watcher.pid) - cpu, time.perf_counter() - start
        result = {
            "live": live,
            "seconds": seconds,
            "cpu_percent": 100 * cpu / seconds,
            "map_bytes": map_memory(watcher.pid),
            **_memory(watcher.pid),
        }
        watcher.stop(signal.SIGINT)
        result["screen"] = _end_of(screen)
        return result
    finally:
        program.kill()
        if watcher:
            watcher.kill()


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid):
    wanted = {"VmRSS", "RssAnon", "RssFile", "RssShmem", "VmHWM"}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file)
    return {name: int(lines[name].split()[0]) * 1024 for name in wanted if name in lines}


def _end_of(path):
    """The last of what it showed, kept with the raw results so that it can be judged what it saw."""
    with open(path, "rb") as file:
        return file.read()[-4000:].decode(errors="replace")
