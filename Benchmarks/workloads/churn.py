"""JSON, dict and list churn, driven from standard input; one line of answer for each command:

    run N    makes N turns, the same work in each      → the CPU nanoseconds and the wall nanoseconds they took
    keep N   keeps N blocks that are malloc's under any of Python's allocators      → N
    drop     lets go of them                                                        → 0

Ends at the end of input."""

import json
import random
import sys
import time


def document(seed):
    chance = random.Random(seed)
    return {
        "id": seed,
        "name": "item %d" % seed,
        "tags": ["tag%d" % chance.randrange(1000) for _ in range(6)],
        "values": [chance.random() for _ in range(8)],
        "nested": {"key%d" % i: {"a": i, "b": str(i)} for i in range(4)},
    }


TEXTS = [json.dumps(document(seed)) for seed in range(16)]


def turn(number):
    total = 0
    parsed = [json.loads(text) for text in TEXTS]
    by_name = {entry["name"]: entry for entry in parsed}
    for entry in by_name.values():
        entry["tags"] = sorted(entry["tags"]) + ["turn%d" % number]
        entry["copy"] = list(entry["values"]) * 2
    total += sum(len(json.dumps(entry)) for entry in parsed)
    index = {}
    for i in range(200):
        index.setdefault("k%d" % (i % 50), []).append((i, str(i)))
    return total + len(index)


def run(turns):
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    for number in range(turns):
        turn(number)
    return time.process_time_ns() - cpu, time.perf_counter_ns() - wall


def main():
    kept = []
    for line in sys.stdin:
        match line.split():
            case ["run", turns]:
                print(*run(int(turns)), flush=True)
            case ["keep", count]:
                kept += [bytes(1000) for _ in range(int(count))]
                print(len(kept), flush=True)
            case ["drop"]:
                kept.clear()
                print(0, flush=True)
            case _:
                sys.exit("churn.py: unknown command: %r" % line)


main()
