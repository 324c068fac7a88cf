"""Child processes that cannot be left behind: every one is registered, stopped at the end, and killed by the
kernel should this process die first."""

import ctypes
import os
import re
import select
import signal
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_running = []


class BenchError(Exception):
    """A benchmark cannot go on; the text says why."""


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _without_prefixes(command):
    while command[0] in ("chrt", "taskset"):  # each with one option and its value
        command = command[3:]
    return command


class Process:
    """A child whose output is read line by line, without threads."""

    def __init__(self, command, environment=None, output=None):
        """Output: a path that takes standard output, for programs that print much."""
        self.name = os.path.basename(_without_prefixes(command)[0])
        self.lines = {"out": [], "err": []}
        self._partial = {"out": b"", "err": b""}
        target = open(output, "wb") if output else subprocess.PIPE
        self.started = time.perf_counter()
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=target,
                stderr=subprocess.PIPE,
                env={**os.environ, **(environment or {})},
                bufsize=0,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise BenchError(f"{command[0]} cannot be started: {error}") from error
        finally:
            if output:
                target.close()
        self.pid = self._child.pid
        self._ended = os.pidfd_open(self.pid)
        self._streams = {self._child.stderr.fileno(): "err"}
        if not output:
            self._streams[self._child.stdout.fileno()] = "out"
        _running.append(self)

    @property
    def alive(self):
        return self._child.poll() is None

    @property
    def errors(self):
        """The end of what it said on standard error."""
        return "\n".join(self.lines["err"][-15:]) or "(nothing on standard error)"

    def send(self, line):
        try:
            self._child.stdin.write(line.encode() + b"\n")
        except OSError as error:
            raise BenchError(f"{self.name} ended: {self.errors}") from error

    def expect(self, stream, pattern, timeout):
        """Waits for a line on "out" or "err" that the pattern is found in: (when it was read, the match).
        Lines before it are passed over; lines are looked at once."""
        deadline = time.perf_counter() + timeout
        while True:
            while self._pending(stream):
                match = re.search(pattern, self._next(stream))
                if match:
                    return time.perf_counter(), match
            if not self._read(deadline - time.perf_counter()):
                state = "ended" if not self.alive else f"said no '{pattern}' within {timeout:g} s"
                raise BenchError(f"{self.name} {state}: {self.errors}")

    def ask(self, line, timeout=120):
        """One line in, one line out."""
        self.send(line)
        return self.expect("out", "", timeout)[1].string

    def stop(self, how=None, timeout=60):
        """Ends it (how: a signal; without one, by closing its input) and returns the seconds it took. A
        child that does not end in time is killed, and that is an error."""
        start = time.perf_counter()
        if how is not None and self.alive:
            self._child.send_signal(how)
        self._child.stdin.close()
        while self.alive:
            left = timeout - (time.perf_counter() - start)
            if left <= 0:
                self.kill()
                raise BenchError(f"{self.name} did not end within {timeout:g} s: {self.errors}")
            self._read(left)
        seconds = time.perf_counter() - start
        while self._read(0):
            pass
        self._close()
        return seconds

    def kill(self):
        if self.alive:
            self._child.kill()
        self._child.wait()
        self._close()

    @property
    def exit_code(self):
        return self._child.returncode

    def _pending(self, stream):
        return self._position(stream) < len(self.lines[stream])

    def _position(self, stream):
        return getattr(self, f"_seen_{stream}", 0)

    def _next(self, stream):
        position = self._position(stream)
        setattr(self, f"_seen_{stream}", position + 1)
        return self.lines[stream][position]

    def _read(self, timeout):
        """Takes in what there is, waiting at most so long; false when time is up or all has ended."""
        if timeout < 0:
            return False
        descriptors = list(self._streams) + ([self._ended] if self.alive else [])
        if not descriptors:
            return False
        ready, _, _ = select.select(descriptors, [], [], timeout)
        for descriptor in ready:
            if descriptor != self._ended:
                self._take(descriptor)
        return bool(ready)

    def _take(self, descriptor):
        stream = self._streams[descriptor]
        data = os.read(descriptor, 65536)
        if not data:
            del self._streams[descriptor]
        *whole, self._partial[stream] = (self._partial[stream] + data).split(b"\n")
        if not data and self._partial[stream]:
            whole.append(self._partial[stream])
            self._partial[stream] = b""
        self.lines[stream] += [line.decode(errors="replace") for line in whole]

    def _close(self):
        if self not in _running:
            return
        _running.remove(self)
        os.close(self._ended)
        self._streams.clear()
        for file in (self._child.stdin, self._child.stdout, self._child.stderr):
            if file:
                file.close()


def stop_all():
    """Ends whatever still runs, the youngest first."""
    for process in reversed(_running[:]):
        try:
            process.stop(signal.SIGINT, timeout=10)
        except (BenchError, OSError):
            process.kill()


def output_of(command, timeout=600):
    """The standard output of a command that must succeed."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
            preexec_fn=_die_with_parent,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise BenchError(f"{command[0]} failed ({done.returncode}): {(done.stderr or done.stdout)[-2000:].strip()}")
    return done.stdout
