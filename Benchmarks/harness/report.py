"""Results as Markdown, and their place in a document."""

import math

from harness import kernel
from harness.processes import BenchError
from harness.rounds import Summary

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
GROUP_TITLES = {
    "loops": "Allocation loops",
    "scripts": "Python",
    "redis": "redis",
}


def markdown(results):
    parts = ["### Conditions", _table(["", ""], results["facts"])]
    for warning in results["warnings"]:
        parts.append(f"**Note:** {warning}")
    for group, title in GROUP_TITLES.items():
        if results["cases"].get(group):
            parts += [f"### {title}", *_comparison(results["cases"][group], group == "redis")]
    if results["walks"]:
        parts += ["### What a stack costs in BPF", _walks(results["walks"])]
    if results["polling"]:
        parts += ["### Watching: `drip top`, one refresh a second", _polling(results["polling"])]
    if results["latency"]:
        parts += ["### Attach and detach", _latency(results["latency"])]
    if results["symbols"]:
        parts += ["### Names of 10,000 addresses", _symbols(results["symbols"])]
    if results["sampler"]:
        parts += ["### The sampler in the process", *_sampler(results["sampler"])]
    if results["kernel"]:
        parts += ["### The kernel's own allocations", *_kernel(results["kernel"])]
    return "\n\n".join(parts) + "\n"


def write(path, text):
    """Puts the text between the markers of the document."""
    try:
        with open(path, encoding="utf-8") as file:
            document = file.read()
    except FileNotFoundError:
        document = f"{BEGIN}\n{END}\n"
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{path} lacks the markers {BEGIN} and {END}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


def _comparison(cases, with_rates):
    """Two tables: what drip and the naive probes add, and the figures behind that."""
    compared, figures = [], []
    for case in cases:
        compared.append(_compared(case))
        for configuration in ("bare", "empty", "naive", "drip"):
            values = case.figures(configuration)
            if values:
                row = _figures(case, configuration, Summary(values))
                figures.append(row + ([_number(1e6 / Summary(values).median)] if with_rates else []))
    head = ["workload", "unit", "naive adds", "drip adds", "drip / naive: median", "spread over rounds"]
    if any(case.figures("empty") for case in cases):
        head.append("drip / empty programs")
    detail = ["workload", "configuration", "median", "min", "quartiles", "× bare", "rounds"]
    notes = [f"{case.title}: {case.note}." for case in cases if case.note]
    return [
        _table(head, compared),
        _table(detail + (["requests/s"] if with_rates else []), figures),
        *notes,
    ]


def _compared(case):
    row = [case.title, case.unit]
    for configuration in ("naive", "drip"):
        added = case.added(configuration)
        row.append(_number(Summary(added).median) if added else "–")
    ratios = case.added_ratios()
    floor = case.ratios("drip", "empty")
    floors = [_ratio(Summary(floor).median)] if floor else []
    if not ratios:
        return row + ["–", "–"] + floors
    if not case.told_apart:
        return row + ["within noise", "–"] + floors
    spread = Summary(ratios)
    return row + [_ratio(spread.median), f"{_ratio(spread.least)} .. {_ratio(spread.most)}"] + floors


def _figures(case, configuration, summary):
    return [
        case.title,
        configuration,
        _number(summary.median),
        _number(summary.least),
        f"{_number(summary.lower)} .. {_number(summary.upper)}",
        _ratio(Summary(case.times_bare(configuration)).median) if case.times_bare(configuration) else "–",
        str(summary.count),
    ]


def _polling(results):
    rows = []
    for entry in results:
        memory = [entry.get(name, 0) for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")]
        rows.append(
            [f"{entry['live']:,}", f"{entry['cpu_percent']:.2f} %", f"{entry['seconds']:.0f} s"]
            + [_mebibytes(value) for value in memory + [entry["map_bytes"]]]
        )
    head = ["live allocations", "CPU, of one core", "watched", "RSS", "RssAnon", "RssFile", "RssShmem"]
    return _table(head + ["kernel memory of its maps"], rows)


def _walks(results):
    rows = []
    for entry in results:
        for way, title in (("new", "another stack each time"), ("same", "one stack, remembered")):
            summary = Summary(entry[way])
            rows.append([
                str(entry["frames"]), title, f"{summary.median:.0f}", f"{summary.least:.0f}",
                f"{summary.lower:.0f} .. {summary.upper:.0f}", str(entry["limit"]), str(summary.count),
            ])
    head = ["frames", "stacks", "ns of BPF for an allocation: median", "min", "quartiles", "limit", "rounds"]
    return _table(head, rows)


def _latency(results):
    rows = []
    for name, entry in results.items():
        measured = [("command start to attached", "attach"), ("asked to end, to the end of the process", "detach")]
        if entry["own"]:
            measured.append(("detach, as it says itself", "own"))
        for what, key in measured:
            summary = Summary(entry[key])
            rows.append(
                [name, what, f"{summary.median:.0f}", f"{summary.least:.0f}"]
                + [f"{summary.lower:.0f} .. {summary.upper:.0f}", f"{summary.most:.0f}", str(summary.count)]
            )
    table = _table(["", "milliseconds", "median", "min", "quartiles", "max", "runs"], rows)
    maps = ", ".join(f"{name} {_mebibytes(entry['maps'])}" for name, entry in results.items())
    return f"{table}\n\nKernel memory of the maps, for a small target: {maps}."


def _symbols(results):
    rows = []
    for name, entry in results.items():
        runs = entry["runs"]
        whole = Summary([run["seconds"] for run in runs])
        first = Summary([run["first_name_seconds"] for run in runs])
        rows.append([
            name, _mebibytes(entry["file_bytes"]), f"{runs[0]['named']:,.0f}", f"{runs[0]['with_line']:,.0f}",
            f"{runs[0]['frames']:,.0f}", f"{first.median:.3f} s", f"{whole.median:.2f} s", f"{whole.most:.2f} s",
            _mebibytes(1024 * max(run["peak_rss_kib"] for run in runs)),
            _mebibytes(1024 * max(run["anonymous_kib"] for run in runs)), str(len(runs)),
        ])
    head = ["program", "file", "named", "with a line", "frames, inlined ones too", "first name", "all: median",
            "all: max", "peak RSS", "RssAnon", "runs"]
    return _table(head, rows)


def _sampler(results):
    """What each configuration adds to the null interposer, round by round; then redis, as ratios."""
    rows = []
    for loop, entries in results["loops"].items():
        for name in entries[0]:
            summary = Summary([entry[name] for entry in entries])
            added = Summary([entry[name] - entry["null"] for entry in entries])
            rows.append([
                loop, name, _number(summary.median), _number(summary.least),
                f"{added.median:+.2f}", f"{added.lower:+.2f} .. {added.upper:+.2f}", str(summary.count),
            ])
    head = ["loop", "preloaded", "ns a pair: median", "min", "against null: median", "quartiles", "rounds"]
    yield _table(head, rows)
    rows = []
    for what, title in (("request", "time a request"), ("cpu", "server CPU a request")):
        for name in results["redis"][0] if results["redis"] else ():
            figure = Summary([entry[name][what] for entry in results["redis"]])
            ratios = [entry[name][what] / entry["bare"][what] for entry in results["redis"]]
            ratio = Summary(ratios)
            low, high = _median_interval(ratios)
            rows.append([
                title, name, _number(figure.median), f"{100 * (ratio.median - 1):+.2f} %",
                f"{100 * (low - 1):+.2f} .. {100 * (high - 1):+.2f} %", str(ratio.count),
            ])
    if rows:
        yield _table(["redis, 16 in a pipeline", "preloaded", "µs: median", "against bare: median",
                      "95 % interval of the median", "rounds"], rows)


def _kernel(results):
    rows = [
        [kernel.WAYS[way], f"{entry['added']:,.0f}", f"{entry['first']:,.0f}",
         f"{results['limit']:,}" if way == "rawtp" else "–", str(entry["lost"])]
        for way, entry in results["ways"].items()
    ]
    head = ["attached", "instructions added to a pair", "the first time", "limit", "events lost"]
    yield _table(head, rows)
    yield (f"{results['pairs']:,} times kmalloc and kfree in a row, in Linux {results['release']} in a guest that counts "
           f"instructions; alone a pair takes {results['bare']:,.0f}.")


def _median_interval(values):
    """The order statistics that the median lies between with at least 95 %: a binomial count of signs."""
    values, count = sorted(values), len(values)
    below, outside = 0, 0.0
    for hits in range(count // 2):
        outside += 2 * math.comb(count, hits) / 2**count
        if outside > 0.05:
            break
        below = hits
    return values[below], values[count - 1 - below]


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _number(value):
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _ratio(value):
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _mebibytes(value):
    return f"{value / (1 << 20):.1f} MiB"
