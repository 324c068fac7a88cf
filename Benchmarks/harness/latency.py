"""How long an attach and a detach take, from outside: command start to "attached", and the request to end to
the end of the process."""

import os

from harness.processes import Process
from harness.profilers import Drip
from harness.rounds import progress

NAMES = ["latency"]


def measure(bench, _names):
    program = Process(bench.placement.measured([os.path.join(bench.directory, "pair")]))
    results = {}
    try:
        program.ask("pair 1000 64 2")
        profilers = [each for each in bench.configurations if each.name != "bare"]
        for number in range(bench.latency_runs):
            progress(f"latency: run {number + 1} of {bench.latency_runs}")
            for profiler in bench.chance.sample(profilers, len(profilers)):
                with profiler.attached(program.pid) as attachment:
                    program.ask("pair 1000 64 2")
                entry = results.setdefault(profiler.name, {"attach": [], "detach": [], "own": [], "maps": 0})
                entry["attach"].append(attachment.attach_seconds * 1000)
                entry["detach"].append(attachment.detach_seconds * 1000)
                entry["maps"] = attachment.map_bytes
                own = Drip.own_detach_milliseconds(attachment.process)
                if own is not None:
                    entry["own"].append(own)
    finally:
        program.kill()
    return results
