"""What drip adds to a kmalloc and its kfree, in instructions: in a guest with one processor, whose clock qemu drives by
the instructions that it emulates (-icount). Nothing else on the machine can disturb that, and two runs agree."""

import json
import os
import subprocess

from harness.processes import BenchError, output_of
from harness.rounds import progress

NAMES = ["kernel"]
SERIES = "6.1"
# Instructions that the first phase with raw tracepoints may add.
LIMIT = 1400
# What is attached, as the guest's script names it: the words for it.
WAYS = {
    "rawtp": "raw tracepoints, callers alone (the first phase)",
    "rawtp-stacks": "raw tracepoints, every stack",
    "fentry-stacks": "fentry and fexit, every stack",
    "kprobe": "kprobes, callers alone",
}
SECONDS = 900


def measure(bench, _names):
    """{"release", "bare": instructions a pair, "pairs", "ways": {way: {"added", "again", "lost"}}, "limit"}"""
    if not bench.drip:
        return {}
    progress(f"kernel: kernel {SERIES} in a guest that counts instructions")
    output_of(["make", "-s", f"guest-{SERIES}"], timeout=1800)
    kernel = os.path.join("build", "guest", "kernels", SERIES)
    if not os.path.exists(os.path.join(kernel, "complete")):
        raise BenchError(f"kernel {SERIES} cannot be had: {_text(os.path.join(kernel, 'missing'))}")
    out = os.path.join(bench.directory, "guest")
    files = _run(bench, kernel, out)
    pairs, bare = _figures(files, "bare")
    _, after = _figures(files, "bare-again")
    if abs(after[1] - bare[1]) > 0.02 * bare[1]:
        raise BenchError(f"the guest's kernel itself took {bare[1]:.0f} instructions a pair, and {after[1]:.0f} later")
    ways = {}
    for way in WAYS:
        _, (first, second) = _figures(files, way)
        ways[way] = {"added": second - bare[1], "first": first - bare[1], "lost": _lost(files, way, pairs)}
    if ways["rawtp"]["added"] > LIMIT:
        bench.warnings.append(f"the first phase adds {ways['rawtp']['added']:.0f} instructions a pair, more than {LIMIT}")
    return {"release": _text(os.path.join(files, "release")).strip(), "bare": bare[1], "pairs": pairs, "ways": ways,
            "limit": LIMIT}


def _run(bench, kernel, out):
    tools = [os.path.join("build", "guest", "tools", name) for name in ("drip", "hostport")]
    command = [
        os.path.join("Tests", "Guest", "guest"), os.path.join(kernel, "vmlinuz"), out, str(SECONDS),
        os.path.join("Benchmarks", "guest", "checks"), *tools, os.path.join(kernel, "module", "dripleak.ko"),
    ]
    # Emulated instructions, whatever DRIP_GUEST_ACCEL says.
    done = subprocess.run(
        command, cwd=bench.root, env={**os.environ, "DRIP_GUEST_ACCEL": "icount"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )
    if done.returncode:
        raise BenchError(f"the guest ended with {done.returncode}: {done.stderr.strip()}")
    return os.path.join(out, "files")


def _figures(files, name):
    """(pairs, [instructions a pair, first and second time])"""
    lines = [line.split() for line in _text(os.path.join(files, name)).splitlines()]
    if len(lines) != 2 or any(len(line) != 2 for line in lines):
        raise BenchError(f"the guest left no figures of {name}")
    return int(lines[0][0]), [int(nanoseconds) / int(pairs) for pairs, nanoseconds in lines]


def _lost(files, way, pairs):
    """Events that drip says it lost; that it saw the pairs at all is checked, for what hears nothing costs nothing."""
    half = json.loads(_text(os.path.join(files, way + ".json")))["kernel"]
    seen = sum(site["frees"] for site in half["sites"]
               if any("drip_bench" in (frame["function"] or "") for frame in site["frames"]))
    if seen != 2 * pairs:
        raise BenchError(f"drip ({way}) saw {seen} of {2 * pairs} pairs")
    return half["losses"]["total"]


def _text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise BenchError(str(error)) from error
