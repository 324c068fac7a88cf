#!/usr/bin/env python3
"""Verdicts on real programs in real time: healthy servers under load, and programs that leak.

    sudo Benchmarks/live/live.py --drip build/drip --minutes 30 --output docs/detection-live.md

Healthy: redis-server, nginx, PostgreSQL with pgbench, a Python service; each is watched from before its load begins
(`cold`) and again by a second drip that comes when it has worked for a third of the time (`mid-run`). No `leak` may be
told, and `likely` at most once in all.

Leaking: five redis-servers that each forget one kind of block (forgetful.so), a Python service whose C extension forgets
references, an SQLite host that forgets to finalize statements; half of the time each. The leak must stand first. What is
forgotten by the SQLite host is still in a list of the library's, so no search can prove it lost and statistics alone speak:
it is watched a second time, for two thirds of the time, for `likely` takes 18 minutes of them.

Nothing is judged but what the report says at the end. All run at once, beside whatever else the machine does.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORKLOADS = os.path.join(HERE, "..", "..", "Tests", "Workloads", "bin")
LEVELS = ["leak", "likely", "watch", "warming up", "bounded", "steady"]
# A rule of forgetful.so: below which function which share of the frees is left out; and where such blocks come from.
REDIS_LEAKS = [
    ("setKey=0.02", "SET over a value forgets it, 1 in 50"),
    ("hashTypeSet=0.05", "HSET over a field forgets it, 1 in 20"),
    ("popGenericCommand=0.05", "RPOP forgets, 1 in 20"),
    ("spopCommand=0.1", "SPOP forgets, 1 in 10"),
    ("activeExpireCycle=0.2", "an expired key is forgotten, 1 in 5"),
]


class Children:
    """All processes, so that none is left behind."""

    def __init__(self):
        self.all = []

    def start(self, words, **options):
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, **{"stdout": subprocess.DEVNULL,
                                 "stderr": subprocess.DEVNULL, **options})
        self.all.append(child)
        return child

    def stop(self):
        for child in reversed(self.all):
            if child.poll() is None:
                child.terminate()
        for child in self.all:
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


class Case:
    def __init__(self, name, pids, what, is_leaking, load=None):
        self.name, self.pids, self.what, self.is_leaking, self.load = name, pids, what, is_leaking, load
        # Whether something still leads to what is forgotten.
        self.is_held = False


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for_port(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def traffic(children, kind, port, rate):
    return lambda: children.start([sys.executable, f"{HERE}/traffic.py", kind, str(port), str(rate)])


def redis(children, folder, rule, what, rate=300):
    port = free_port()
    environment = dict(os.environ)
    if rule:
        environment |= {
            "LD_PRELOAD": os.path.join(WORKLOADS, "forgetful.so"), "FORGETFUL": rule,
            "FORGETFUL_TRUTH": f"{folder}/truth-{port}"}
    server = children.start(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder,
         "--hash-max-listpack-entries", "0", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"],
        env=environment)
    wait_for_port(port)
    name = f"redis-server, {rule}" if rule else "redis-server"
    case = Case(name, [server.pid], what, bool(rule), traffic(children, "redis", port, rate))
    case.truth = f"{folder}/truth-{port}" if rule else None
    return case


def nginx(children, folder):
    port = free_port()
    with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
        file.write(f"""worker_processes 1; daemon off; user root; pid {folder}/nginx.pid; error_log stderr;
            events {{ worker_connections 256; }}
            http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
              fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
              server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }} }}""")
    server = children.start(["nginx", "-c", f"{folder}/nginx.conf"])
    wait_for_port(port)
    worker = int(open(f"/proc/{server.pid}/task/{server.pid}/children", encoding="ascii").read().split()[0])
    return Case("nginx", [worker], "keep-alive connections of 1 to 100 requests", False,
                traffic(children, "nginx", port, 150))


def postgres(children, folder):
    home = sorted(os.listdir("/usr/lib/postgresql"))[-1]
    programs = f"/usr/lib/postgresql/{home}/bin"
    port, data = free_port(), f"{folder}/postgres"
    os.mkdir(data)
    shutil.chown(data, "postgres")
    os.chmod(folder, 0o755)
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run(user + [f"{programs}/initdb", "-D", data, "-A", "trust"], **quiet)
    children.start(
        user + [f"{programs}/postgres", "-D", data, "-p", str(port), "-k", data, "-c", "listen_addresses=127.0.0.1"],
        cwd="/")
    wait_for_port(port)
    time.sleep(2)
    bench = ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres"]
    subprocess.run(bench[:1] + ["-i", "-s", "2"] + bench[1:], **quiet)
    children.start(bench[:1] + ["-c", "2", "-T", "100000", "-R", "40"] + bench[1:])
    time.sleep(2)
    pids = [int(pid) for pid in subprocess.run(
        ["pgrep", "-f", "postgres: postgres postgres"], stdout=subprocess.PIPE, check=True).stdout.split()]
    return Case("PostgreSQL, two backends", pids[:2], "pgbench, 40 transactions a second", False)


def python(children, folder, leak):
    environment = {**os.environ, "PYTHONMALLOC": "malloc"}
    words = [sys.executable, f"{HERE}/service.py"]
    if leak:
        subprocess.run(
            ["gcc", "-O1", "-g", "-shared", "-fPIC", f"-I{sysconfig.get_paths()['include']}", f"{HERE}/forget.c",
             "-o", f"{folder}/forget.so"], check=True)
        environment["PYTHONPATH"] = folder
        words.append("leak")
    server = children.start(words, env=environment)
    if leak:
        return Case("python3, forget.c", [server.pid], "a C extension forgets a reference, 1 in 20 calls", True)
    return Case("python3", [server.pid], "bounded caches and sessions", False)


def sqlite(children, folder):
    subprocess.run(["gcc", "-O1", "-g", f"{HERE}/statements.c", "-o", f"{folder}/statements", "-lsqlite3"], check=True)
    server = children.start([f"{folder}/statements"])
    case = Case("SQLite host, statements.c", [server.pid], "one statement in 50 is not finalized", True)
    case.is_held = True
    return case


def watch(children, drip, folder, case, minutes, when, options):
    path = f"{folder}/report-{len(children.all)}.json"
    words = [drip, "dump", "--duration", f"{minutes * 60:.0f}s", "--format", "json", "-n", "1000", "-o", path] + options
    for pid in case.pids:
        words += ["-p", str(pid)]
    errors = open(path + ".err", "w", encoding="ascii")
    return {"case": case, "when": when, "minutes": minutes, "path": path,
            "process": children.start(words, stderr=errors)}


def result(one):
    one["process"].wait()
    with open(one["path"], encoding="utf-8") as file:
        report = json.load(file)
    judged = [site for site in report["sites"] if site.get("verdict")]
    judged.sort(key=lambda site: (LEVELS.index(site["verdict"]["level"]),
                                  -(site["verdict"]["bytes_per_second_low"] or 0)))
    return report, judged


def place(site):
    def name(frame):
        line = f":{os.path.basename(frame['file'])}:{frame['line']}" if frame["file"] else ""
        nowhere = f"{os.path.basename(frame['module'] or '')}+{frame['offset']:#x}"
        return (frame["function"] or nowhere) + line
    frames = site["frames"]
    # As far as the first source line, which is the program's own, if that is not too far.
    last = next((number for number, frame in enumerate(frames) if frame["line"]), 0)
    return " < ".join(name(frame) for frame in frames[:min(max(last + 1, 6), 16)])


def plain(text):
    return re.sub(r"\s+", " ", text).replace("|", "/")


def truth(case):
    """Objects and bytes that were forgotten, if the library tells."""
    if not getattr(case, "truth", None):
        return ""
    words = open(case.truth, encoding="ascii").read().split()
    return f"{int(words[2]):,} blocks, {int(words[3]) / 1024:,.0f} KiB forgotten since the start"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drip", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", choices=["healthy", "leaking"])
    parser.add_argument("--output", default="/dev/stdout")
    options = parser.parse_args()
    drip = os.path.abspath(options.drip)
    children = Children()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        try:
            lines = run(children, drip, folder, options)
        finally:
            children.stop()
    with open(options.output, "w", encoding="utf-8") as file:
        file.write("\n".join([*introduction(options.minutes), *lines]) + "\n")


def introduction(minutes):
    """What a reader of the file must know."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        names = re.findall(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    machine = (f"Linux {os.uname().release}, {len(names)} × {names[0] if names else os.uname().machine}, load average "
               f"{os.getloadavg()[2]:.0f} at the end")
    return [
        "# Verdicts on real programs in real time", "",
        f"Written by `make evaluate-live` ({machine}), which tells how it is done: healthy servers under load for "
        f"{minutes:.0f} minutes, each watched from its start (`cold`) and by a second drip that comes in mid-run, and "
        "programs that leak in a known way. All run at once. `--confirm` looks at the end whether anything still leads "
        "to the suspects' objects. No call site of a healthy server may be called `leak`; a leak must stand first. What the "
        "SQLite host forgets is still in a list of the library's: no search can prove it lost, and by statistics alone "
        "`likely` takes 18 minutes; until then it is `watch`, the first in the list.", "",
    ]


def run(children, drip, folder, options):
    healthy, leaking, watches = [], [], []
    if options.only != "leaking":
        healthy = [redis(children, folder, None, "a cache, queues, sessions, rankings; 64 MB with eviction"),
                   nginx(children, folder), postgres(children, folder), python(children, folder, False)]
    if options.only != "healthy":
        leaking = [redis(children, folder, rule, what) for rule, what in REDIS_LEAKS]
        leaking += [python(children, folder, True), sqlite(children, folder)]
    for case in healthy:
        watches.append(watch(children, drip, folder, case, options.minutes, "cold", []))
    time.sleep(3)
    for case in healthy + leaking:
        if case.load:
            case.load()
    # What leaks is met in the middle of its work.
    time.sleep(20)
    for case in leaking:
        for share in [1 / 2, 2 / 3] if case.is_held else [1 / 2]:
            watches.append(watch(children, drip, folder, case, options.minutes * share, "mid-run", ["--confirm"]))
    time.sleep(options.minutes * 60 / 3)
    for case in healthy:
        watches.append(watch(children, drip, folder, case, options.minutes * 2 / 3 - 1, "mid-run", []))
    return document([(one, *result(one)) for one in watches], options)


def document(results, options):
    lines = ["| program | watched | sites | leak | likely | gravest verdict | where |", "|---|---|---|---|---|---|---|"]
    for one, report, judged in results:
        counts = [sum(site["verdict"]["level"] == level for site in judged) for level in LEVELS]
        first = judged[0] if judged else None
        lines.append(
            f"| {one['case'].name} | {one['minutes']:.0f} min, {one['when']} | {len(report['sites'])} | {counts[0]} | "
            f"{counts[1]} | {plain(first['verdict']['level'] + ': ' + first['verdict']['sentence']) if first else ''} | "
            f"{plain(place(first)) if first else ''} |")
    lines += ["", "Truth of the leaking ones, from the preloaded library or the source:", ""]
    told = []
    for one, report, _ in results:
        # Once, however often it was watched.
        if one["case"].is_leaking and one["case"] not in told:
            told.append(one["case"])
            lines.append(f"- {one['case'].name}: {one['case'].what}. {truth(one['case'])}; events lost: "
                         f"{report['losses']['total']}")
    return lines


if __name__ == "__main__":
    main()
