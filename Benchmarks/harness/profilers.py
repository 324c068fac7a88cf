"""The configurations: nothing attached, probes that do nothing, the naive probes, drip. Each attaches to a running process, and
detaches from it, leaving it running."""

import collections
import contextlib
import glob
import json
import os
import re
import signal

from harness.processes import BenchError, Process, output_of

ATTACH_SECONDS = 60
DETACH_SECONDS = 120


def allocator_library(pid):
    """The file that provides malloc to a process."""
    paths = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) == 6:
                paths.append(fields[5].strip())
    for pattern in (r"/libjemalloc\.so", r"/libtcmalloc", r"/libmimalloc", r"/libc[.-][^/]*so"):
        for path in paths:
            if re.search(pattern, path):
                return path
    raise BenchError(f"process {pid} maps no allocator that is known here")


def map_memory(pid):
    """Bytes of kernel memory behind the BPF maps that a process holds."""
    maps = {}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with contextlib.suppress(OSError):
            with open(path, encoding="utf-8") as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line)
            if "map_id" in fields and "memlock" in fields:
                maps[fields["map_id"].strip()] = int(fields["memlock"])
    return sum(maps.values())


class Attachment:
    """A profiler at work."""

    def __init__(self, process, attach_seconds):
        self.process = process
        self.attach_seconds = attach_seconds
        self.map_bytes = map_memory(process.pid) if process else 0
        self.detach_seconds = None
        self.outcome = None


class Bare:
    name = "bare"

    @contextlib.contextmanager
    def attached(self, _pid):
        yield Attachment(None, 0.0)


class Naive:
    name = "naive"

    def __init__(self, directory):
        self._program = os.path.join(directory, "naive")

    @contextlib.contextmanager
    def attached(self, pid):
        process = Process([self._program, str(pid), allocator_library(pid)])
        try:
            at, _ = process.expect("out", r"^READY", ATTACH_SECONDS)
            attachment = Attachment(process, at - process.started)
            yield attachment
            attachment.detach_seconds = process.stop(timeout=DETACH_SECONDS)
            attachment.outcome = next((line for line in process.lines["out"] if line.startswith("DONE")), None)
            if not attachment.outcome:
                raise BenchError(f"naive ended without its totals: {process.errors}")
        finally:
            process.kill()

    @staticmethod
    def counts(outcome):
        """What it says was outstanding: see Drip.counts."""
        numbers = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", outcome)}
        return {"exact": set(numbers.values()), "objects": [numbers["objects"]]}


class Empty:
    """Programs that do nothing where drip probes malloc and free: what no profiler by traps can go below."""

    name = "empty"

    def __init__(self, directory, drip):
        self._program = os.path.join(directory, "empty")
        self._drip = drip

    def _offsets(self, pid, library):
        """The sites that drip's doctor names, as offsets in the file."""
        said = output_of([self._drip, "doctor", "-p", str(pid)], timeout=60)
        inner = re.search(r"one trap: malloc: (.*)", said)
        free = re.search(r"probe: (?:[\w, ]*\b)?free\b[\w, ]*\+0x([0-9a-f]+) ", said)
        if not inner or not free:
            raise BenchError("drip's doctor names no site inside of malloc, or none of free")
        within = [int(text, 16) for text in re.findall(r"\+0x([0-9a-f]+) ", inner[1])]
        addresses = {}
        for line in output_of(["readelf", "-W", "--dyn-syms", library], timeout=60).splitlines():
            fields = line.split()
            if len(fields) >= 8 and fields[7].split("@")[0] in ("malloc", "free"):
                addresses[fields[7].split("@")[0]] = int(fields[1], 16)
        offset = None
        for line in output_of(["readelf", "-W", "-l", library], timeout=60).splitlines():
            fields = line.split()
            if fields[:1] == ["LOAD"] and "E" in "".join(fields[6:-1]):
                offset = int(fields[1], 16) - int(fields[2], 16)
        return [offset + addresses["malloc"] + site for site in within] + [
            offset + addresses["free"] + int(free[1], 16)
        ]

    @contextlib.contextmanager
    def attached(self, pid):
        library = allocator_library(pid)
        sites = [str(offset) for offset in self._offsets(pid, library)]
        process = Process([self._program, str(pid), library] + sites)
        try:
            at, _ = process.expect("out", r"^READY", ATTACH_SECONDS)
            attachment = Attachment(process, at - process.started)
            yield attachment
            attachment.detach_seconds = process.stop(timeout=DETACH_SECONDS)
        finally:
            process.kill()


class Drip:
    name = "drip"

    def __init__(self, program, directory):
        self.program = program
        self._directory = directory
        try:
            version = output_of([program, "--version"], timeout=60).strip().splitlines()
        except BenchError:
            version = []
        self.version = version[0] if version else "unknown version"
        try:
            described = output_of([program, "help", "dump"], timeout=60)
        except BenchError:
            described = ""
        self.backend = "never attached"
        self._losses = collections.Counter()
        self._verbose = ["-v"] if re.search(r"^\s*-v\b", described, re.MULTILINE) else []

    def start(self, arguments, output=None):
        """Runs drip and waits until its probes are in place."""
        process = Process([self.program] + arguments + self._verbose, output=output)
        try:
            at, match = process.expect("err", r"^drip: attached", ATTACH_SECONDS)
        except BaseException:
            process.kill()
            raise
        said = re.search(r" by (.+)$", match.string)
        self.backend = said[1] if said else "not said"
        return process, at - process.started

    @contextlib.contextmanager
    def attached(self, pid):
        path = os.path.join(self._directory, "drip-dump.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        process, seconds = self.start(
            ["dump", "-p", str(pid), "--duration", "3600", "--format", "json", "-o", path]
        )
        try:
            attachment = Attachment(process, seconds)
            yield attachment
            if not process.alive:
                raise BenchError(f"drip ended while it was measured ({process.exit_code}): {process.errors}")
            attachment.detach_seconds = process.stop(signal.SIGINT, timeout=DETACH_SECONDS)
            attachment.outcome = self._report(path, process)
            self._note_losses(attachment.outcome)
        finally:
            process.kill()

    @staticmethod
    def _report(path, process):
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError) as error:
            raise BenchError(
                f"drip ({process.exit_code}) left no JSON report: {error}: {process.errors}"
            ) from error

    def lost(self):
        """What all its reports say of losses, added up."""
        named = [f"{name} {count:,}" for name, count in sorted(self._losses.items())]
        return ", ".join(named) or "none"

    def _note_losses(self, value):
        """Adds the numbers under any "losses" in a report."""
        if isinstance(value, list):
            for element in value:
                self._note_losses(element)
        if not isinstance(value, dict):
            return
        for key, element in value.items():
            if key != "losses":
                self._note_losses(element)
                continue
            if isinstance(element, list):  # of {a name, a number}
                pairs = [
                    (next((text for text in entry.values() if isinstance(text, str)), "?"), number)
                    for entry in element if isinstance(entry, dict)
                    for number in entry.values()
                ]
            else:
                pairs = element.items() if isinstance(element, dict) else []
            self._losses.update(
                {name: number for name, number in pairs if type(number) is int and number}
            )

    @staticmethod
    def own_detach_milliseconds(process):
        """What drip itself says that the detach took, if it does."""
        for line in process.lines["err"]:
            match = re.search(r"detached in ([0-9.]+) ms", line)
            if match:
                return float(match[1])
        return None

    @staticmethod
    def counts(outcome):
        """The numbers in a report, without knowing its form: all of them, and those that by their names count
        objects."""
        exact, objects = set(), []

        def collect(name, value):
            if isinstance(value, dict):
                for key, element in value.items():
                    collect(key, element)
            elif isinstance(value, list):
                for element in value:
                    collect(name, element)
            elif isinstance(value, (int, float)) or isinstance(value, str) and value.isdigit():
                exact.add(int(value))
                if re.search(r"count|objects|allocs", name, re.IGNORECASE):
                    objects.append(int(value))

        collect("", outcome)
        return {"exact": exact, "objects": objects}
