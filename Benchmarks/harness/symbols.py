"""How long it takes to name addresses of a large C++ program, and with how much memory; with full debug information
and stripped. A fresh reader for every run: nothing is kept from one to the next."""

import os

from harness.processes import BenchError, Process, output_of
from harness.rounds import progress

NAMES = ["symbols"]
ADDRESSES = 10_000


def measure(bench, _names):
    progress("symbols: building the large program")
    output_of(["make", "-s", "-f", os.path.join("Benchmarks", "build.mk"), "bench-symbols"])
    results = {}
    for name in ("large", "large-stripped"):
        path = os.path.join(bench.directory, name)
        program = Process([path])
        try:
            program.expect("out", "^ready$", 60)
            for number in range(bench.rounds):
                progress(f"symbols: {name}, run {number + 1} of {bench.rounds}")
                entry = results.setdefault(name, {"file_bytes": os.path.getsize(path), "runs": []})
                entry["runs"].append(_name(bench, program.pid))
        finally:
            program.kill()
    return results


def _name(bench, pid):
    text = output_of([os.path.join(bench.directory, "symbol-bench"), str(pid), str(ADDRESSES)])
    fields = dict(line.split(" ", 1) for line in text.splitlines())
    if int(fields["addresses"]) != ADDRESSES:
        raise BenchError(f"{fields['addresses']} distinct addresses instead of {ADDRESSES}")
    return {name: float(fields[name]) for name in
            ("named", "with_line", "frames", "first_name_seconds", "seconds", "peak_rss_kib", "anonymous_kib")}
