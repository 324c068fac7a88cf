"""Instructions that a watched kmalloc and kfree take, in a guest on whose processor an instruction takes a nanosecond
(qemu's icount): the same figure on every run, whatever else the machine does."""

import os
import shutil

from harness.processes import BenchError, output_of
from harness.rounds import progress

NAMES = ["kernel-pairs"]
SERIES = ["6.1"]
STEPS = ["bare", "rawtp, callers alone", "rawtp, stacks", "kprobe, callers alone", "fentry, stacks"]


def measure(bench, _names):
    if not bench.drip:
        return {}
    results = {}
    guest = os.path.join(bench.root, "build", "guest")
    for series in SERIES:
        progress(f"kernel: a guest of {series}")
        output_of(["make", "-s", f"guest-{series}"])
        kernel = os.path.join(guest, "kernels", series)
        if not os.path.exists(os.path.join(kernel, "complete")):
            raise BenchError(f"kernel {series} cannot be had here")
        out = os.path.join(bench.directory, "kernel-" + series)
        # The guest runs the script of this name.
        checks = os.path.join(bench.directory, "checks")
        shutil.copyfile(os.path.join(bench.root, "Benchmarks", "workloads", "kernel_pairs.sh"), checks)
        tools = os.path.join(guest, "tools")
        output_of(
            ["env", "DRIP_GUEST_COUNTS=1", os.path.join(bench.root, "Tests", "Guest", "guest"),
             os.path.join(kernel, "vmlinuz"), out, "900", checks, os.path.join(tools, "drip"),
             os.path.join(tools, "hostport"), os.path.join(kernel, "module", "dripleak.ko")], timeout=960)
        with open(os.path.join(out, "files", "release"), encoding="utf-8") as file:
            release = file.read().strip()
        results[release] = {name: _pair(os.path.join(out, "files", f"pairs-{number}")) for number, name in enumerate(STEPS)}
    return results


def _pair(path):
    """Nanoseconds, and so instructions, of one pair."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words and words[0] == "PAIRS":
                return int(words[2]) / int(words[1])
    raise BenchError(f"{path} tells of no pairs")
