"""The machine: what it is, and where on it things run."""

import os
import platform
import shutil
import subprocess


class Placement:
    """The measured program has one CPU to itself as far as that can be had: pinned to the last CPU, and in a
    real-time class where that is permitted; everything else goes to the other CPUs."""

    def __init__(self):
        cpus = sorted(os.sched_getaffinity(0))
        self.measured_cpu = cpus[-1]
        self.other_cpus = cpus[:-1] or cpus
        self.realtime = self._permitted(["chrt", "-f", "10", "true"])
        self.pinned = self._permitted(["taskset", "-c", str(self.measured_cpu), "true"])

    @staticmethod
    def _permitted(command):
        if not shutil.which(command[0]):
            return False
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def measured(self, command):
        """The command line that runs a program to be measured."""
        realtime = ["chrt", "-f", "10"] if self.realtime else []
        pinned = ["taskset", "-c", str(self.measured_cpu)] if self.pinned else []
        return realtime + pinned + command

    def stay_off(self):
        """Keeps this process, and with it every other child, off the measured CPU."""
        os.sched_setaffinity(0, self.other_cpus)

    def __str__(self):
        pinned = f"pinned to CPU {self.measured_cpu}" if self.pinned else "not pinned (no taskset)"
        realtime = "SCHED_FIFO 10" if self.realtime else "ordinary scheduling (SCHED_FIFO not permitted)"
        return f"measured programs {pinned}, {realtime}; profilers and load generators on CPU " + ", ".join(
            map(str, self.other_cpus)
        )


def facts(date):
    """(name, value) pairs for the head of a report."""
    return [
        ("date", date),
        ("kernel", platform.release()),
        ("CPU", f"{_cpu_model()}, {os.cpu_count()} CPUs"),
        ("virtualised", _virtualised()),
        ("C library", " ".join(platform.libc_ver())),
        ("load average", " ".join(f"{load:.1f}" for load in os.getloadavg()) + " (when this was written)"),
    ]


def _cpuinfo(field):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def _cpu_model():
    family, model = _cpuinfo("cpu family"), _cpuinfo("model")
    exact = f" (family {family}, model {model})" if family else ""
    return (_cpuinfo("model name") or platform.machine()) + exact


def _virtualised():
    if "hypervisor" not in _cpuinfo("flags").split():
        return "no sign of it"
    kind = ""
    if shutil.which("systemd-detect-virt"):
        done = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, text=True, check=False)
        kind = done.stdout.strip()
    named = f" ({kind})" if kind and kind != "none" else ""
    return f"yes{named}; a trap costs more in a virtual machine than on bare metal"
