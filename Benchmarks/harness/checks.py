"""Before anything is timed, each profiler is shown a known number of live blocks, and must report them. One that
counts nothing, or watches the wrong library, would be the fastest of all."""

from harness.processes import BenchError


def check(bench, what, pid, allocate, release, objects, size=None):
    """Allocate leaves so many objects behind; with a size, exactly so many of exactly that size. What is not
    reported is noted among the bench's warnings."""
    for configuration in bench.configurations:
        if configuration.name == "bare":
            continue
        try:
            with configuration.attached(pid) as attachment:
                allocate()
            release()
        except BenchError as error:
            raise BenchError(f"the check before the measurement of {what}: {error}") from error
        counts = configuration.counts(attachment.outcome)
        if size is None:
            told = max(counts["objects"], default=0) >= objects
        else:
            told = {objects, objects * size} <= counts["exact"]
        if not told:
            exactly = f" of {size} bytes" if size is not None else ""
            bench.warnings.append(
                f"{configuration.name} was shown {objects} live blocks{exactly} in {what}, and its report does "
                "not have them: its figures for it may be those of a profiler that misses events."
            )
