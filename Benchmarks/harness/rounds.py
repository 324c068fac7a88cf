"""Paired rounds: every configuration once in each round, in random order, on the same live process."""

import statistics
import sys


class Case:
    """One workload under all configurations: a list of rounds, each {configuration: figure}."""

    def __init__(self, name, title, unit, note=""):
        self.name, self.title, self.unit, self.note = name, title, unit, note
        self.rounds = []

    def record(self, round_number, configuration, figure):
        while len(self.rounds) <= round_number:
            self.rounds.append({})
        self.rounds[round_number][configuration] = figure

    def figures(self, configuration):
        return [entry[configuration] for entry in self.rounds if configuration in entry]

    def added(self, configuration):
        """What a configuration adds to the bare figure of the same round."""
        return [
            entry[configuration] - entry["bare"]
            for entry in self.rounds
            if configuration in entry and "bare" in entry
        ]

    def times_bare(self, configuration):
        return [
            entry[configuration] / entry["bare"]
            for entry in self.rounds
            if configuration in entry and entry.get("bare")
        ]

    def ratios(self, configuration, baseline):
        """The whole figure over the baseline's, round by round."""
        return [
            entry[configuration] / entry[baseline]
            for entry in self.rounds
            if configuration in entry and entry.get(baseline)
        ]

    def added_ratios(self, configuration="drip", baseline="naive"):
        """Added cost over the baseline's added cost, round by round; rounds in which the baseline adds
        nothing that could be told from noise say nothing."""
        ratios = []
        for entry in self.rounds:
            if {"bare", configuration, baseline} <= entry.keys():
                base = entry[baseline] - entry["bare"]
                if base > 0:
                    ratios.append((entry[configuration] - entry["bare"]) / base)
        return ratios

    @property
    def told_apart(self):
        """Whether the baseline's added cost is clear of the noise: above it in every round, and beyond the
        spread of the bare figures."""
        bare, added = self.figures("bare"), self.added("naive")
        return bool(added) and min(added) > 0 and statistics.median(added) > max(bare) - min(bare)

    def as_json(self):
        return {"name": self.name, "title": self.title, "unit": self.unit, "rounds": self.rounds}


class Summary:
    def __init__(self, values):
        self.count = len(values)
        self.median, self.least, self.most = statistics.median(values), min(values), max(values)
        if self.count > 1:
            self.lower, _, self.upper = statistics.quantiles(values, n=4, method="inclusive")
        else:
            self.lower = self.upper = self.median


def run(configurations, rounds, chance, pid, measure, title):
    """Calls measure(round, configuration's name) with each configuration attached to the process."""
    for number in range(rounds):
        order = chance.sample(configurations, len(configurations))
        for configuration in order:
            progress(f"{title}: round {number + 1} of {rounds}: {configuration.name}")
            with configuration.attached(pid):
                measure(number, configuration.name)


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)
