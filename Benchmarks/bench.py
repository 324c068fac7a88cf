#!/usr/bin/env python3
"""Measures what drip costs a program, against nothing and against the naive probes. See docs/benchmarks.md."""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback

from harness import (
    kernel, latency, loops, machine, polling, profilers, redis, report, rounds, sampler, scripts, symbols, walks,
)
from harness.processes import BenchError, output_of, stop_all

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = {
    "loops": loops, "scripts": scripts, "redis": redis, "walks": walks, "polling": polling, "latency": latency,
    "symbols": symbols, "sampler": sampler, "kernel": kernel,
}


class Bench:
    """What every group of measurements is told."""

    def __init__(self, options):
        quick = options.quick
        self.root = ROOT
        self.directory = os.path.join(ROOT, "build", "bench")
        self.rounds = options.rounds or (3 if quick else 7)
        self.sample_seconds = 0.05 if quick else 0.15
        self.redis_seconds = 0.2 if quick else 0.5
        self.polling_seconds = 10 if quick else 30
        self.latency_runs = 3 if quick else 10
        self.seed = options.seed if options.seed is not None else int(time.time())
        self.chance = random.Random(self.seed)
        self.placement = machine.Placement()
        self.configurations = [profilers.Bare(), profilers.Naive(self.directory)]
        self.warnings = []
        self.drip = None
        if options.drip:
            self.drip = profilers.Drip(options.drip, self.directory)
            self.configurations.append(self.drip)


def names():
    return [name for module in GROUPS.values() for name in module.NAMES]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    drip = parser.add_mutually_exclusive_group(required=True)
    drip.add_argument("--drip", metavar="PATH", help="the drip to measure")
    drip.add_argument("--no-drip", action="store_true", help="only nothing against the naive probes")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: for a first look")
    parser.add_argument("--rounds", type=int, help="rounds (7; with --quick 3)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", default=[],
        help="only this measurement or group (may be repeated): " + ", ".join([*GROUPS, *names()]),
    )
    parser.add_argument(
        "--output", metavar="FILE",
        help="the document to put the results in, between its markers (docs/benchmarks.md after a full run with "
        "drip; otherwise none)",
    )
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date to write in the results")
    parser.add_argument("--seed", type=int, help="of the order of things")
    options = parser.parse_args(arguments)
    unknown = set(options.only) - set(names()) - set(GROUPS)
    if unknown:
        parser.error("unknown: " + ", ".join(sorted(unknown)))
    if options.rounds is not None and not 1 <= options.rounds <= 1000:
        parser.error("--rounds: between 1 and 1000")
    if options.drip and not shutil.which(os.path.abspath(options.drip)):
        parser.error(f"there is no program {options.drip}: build drip first, or measure without it (--no-drip)")
    for name in ("drip", "output"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    return options


def measure(bench, options):
    """Everything asked for; a group that fails is told of and the others go on."""
    results = {
        "cases": {}, "walks": [], "polling": [], "latency": {}, "symbols": {}, "sampler": {}, "kernel": {},
        "warnings": bench.warnings, "failures": [],
    }
    for group, module in GROUPS.items():
        chosen = [
            name for name in module.NAMES
            if not options.only or name in options.only or group in options.only
        ]
        if not chosen:
            continue
        try:
            measured = module.measure(bench, chosen)
        except BenchError as error:
            failure = f"{group} was not measured: {error}"
        except (OSError, ValueError, LookupError, ArithmeticError):
            failure = f"{group} was not measured: {traceback.format_exc(limit=-3)}"
        else:
            if group in ("walks", "polling", "latency", "symbols", "sampler", "kernel"):
                results[group] = measured
            else:
                results["cases"][group] = measured
            continue
        finally:
            stop_all()
        rounds.progress(failure)
        results["failures"].append(failure)
        results["warnings"].append(failure.splitlines()[0])
    return results


def save(bench, results, path):
    raw = dict(results, seed=bench.seed, finished=time.time())
    raw["cases"] = {group: [case.as_json() for case in cases] for group, cases in results["cases"].items()}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(raw, file, indent=1)


def main(arguments):
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.chdir(ROOT)
    output_of(["make", "-s", "-f", os.path.join("Benchmarks", "build.mk")])
    bench = Bench(options)
    bench.placement.stay_off()
    try:
        results = measure(bench, options)
    finally:
        stop_all()
    results["facts"] = machine.facts(options.date) + [
        ("drip", bench.drip.version if bench.drip else "not measured"),
        ("placement", str(bench.placement)),
        ("attached by", bench.drip.backend if bench.drip else "–"),
        ("events that drip says it lost", bench.drip.lost() if bench.drip else "–"),
        ("rounds", f"{bench.rounds}, order by seed {bench.seed}" + (", quick" if options.quick else "")),
    ]
    text = report.markdown(results)
    print(text)
    save(bench, results, os.path.join(bench.directory, "results.json"))
    full = bench.drip and not options.quick and not options.only and not results["failures"]
    output = options.output or (os.path.join("docs", "benchmarks.md") if full else None)
    if output:
        report.write(output, text)
        rounds.progress(f"results are in {output}")
    return 1 if results["failures"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
