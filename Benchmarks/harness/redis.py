"""redis-server under redis-benchmark, over loopback."""

import contextlib
import csv
import os
import shutil
import socket
import tempfile
import time

from harness import rounds
from harness.checks import check
from harness.processes import BenchError, Process, output_of

TESTS = ["SET", "GET", "LPUSH", "HSET"]
PIPELINES = [1, 16]
NAMES = [f"redis-p{pipeline}" for pipeline in PIPELINES]
CLIENTS = 20
KEYS = 3000


def measure(bench, names):
    """Microseconds a request (the inverse of the rate that the clients see). The number of requests is chosen for each
    configuration so that a test lasts about bench.redis_seconds; the keys are flushed in between."""
    for program in ("redis-server", "redis-benchmark"):
        if not shutil.which(program):
            raise BenchError(f"{program} is not installed")
    pipelines = [pipeline for pipeline in PIPELINES if f"redis-p{pipeline}" in names]
    cases = {
        (pipeline, test): rounds.Case(
            f"redis-p{pipeline}-{test.lower()}", f"redis {test}, {pipeline} in a pipeline", "µs a request"
        )
        for pipeline in pipelines
        for test in TESTS
    }
    counts = {}
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as directory, server(bench, directory) as running:
        pid, port = running

        def one_round(number, configuration):
            for pipeline in bench.chance.sample(pipelines, len(pipelines)):
                key = pipeline, configuration
                if key not in counts:
                    slowest = min(rates(port, pipeline, 2000).values())
                    counts[key] = int(min(max(slowest * bench.redis_seconds, 4000), 400_000))
                command(port, "FLUSHALL")
                for test, rate in rates(port, pipeline, counts[key]).items():
                    cases[pipeline, test].record(number, configuration, 1e6 / rate)

        check(bench, "redis", pid, lambda: _fill(port), lambda: command(port, "FLUSHALL"), KEYS)
        rounds.run(bench.configurations, bench.rounds, bench.chance, pid, one_round, "redis")
    return list(cases.values())


@contextlib.contextmanager
def server(bench, directory, environment=None):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = Process(
        bench.placement.measured(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", directory]
            + ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        ),
        environment=environment,
        output=os.path.join(directory, "log"),
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                if command(port, "PING").startswith("+PONG"):
                    break
            if time.monotonic() > deadline or not process.alive:
                raise BenchError(f"redis-server does not answer: {process.errors}")
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.kill()


def command(port, text):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text.encode() + b"\r\n")
        return connection.recv(4096).decode()


def _fill(port):
    """Sets so many keys, each of which the server has to allocate."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"".join(b"SET key:%d %d\r\n" % (i, i) for i in range(KEYS)))
        answer = b""
        while answer.count(b"+OK") < KEYS:
            data = connection.recv(65536)
            if not data:
                raise BenchError("redis-server closed the connection")
            answer += data


def rates(port, pipeline, count):
    """{test: requests a second}"""
    output = output_of(
        ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", ",".join(TESTS).lower(), "--csv"]
        + ["-P", str(pipeline), "-n", str(count), "-c", str(CLIENTS)]
    )
    found = {}
    for row in csv.reader(output.splitlines()):
        if len(row) > 1 and row[0] in TESTS:
            found[row[0]] = float(row[1])
    if set(found) != set(TESTS) or min(found.values()) <= 0:
        raise BenchError(f"redis-benchmark's answer is not understood: {output[:500]}")
    return found
