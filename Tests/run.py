#!/usr/bin/env python3
"""run.py SWIFT [OPTION...]: `SWIFT test` with the options, and what failed told by name at the end.

A test that drives real programs shares the machine with them. One of these that fails is run a second time, alone: if it
passes then, the run passes, and the test is named as unstable, with what it said the first time. Pure tests have no
second try.
"""
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

LIVE = ("LiveTests.", "GuestTests.", "SamplerTests.")
MOST = 3  # more failures than this are no accident


def run(command, options, results):
    """The exit status, and by test that failed its messages; None if the run did not come to its end."""
    status = subprocess.run([*command, *options, "--xunit-output", results]).returncode
    written = re.sub(r"\.xml$", "-swift-testing.xml", results)
    if not os.path.exists(written):
        return status, None
    failed = {}
    for case in xml.parse(written).iter("testcase"):
        if messages := [failure.get("message", "") for failure in case.iter("failure")]:
            failed[f"{case.get('classname')}/{case.get('name')}"] = messages
    return status, failed


def show(title, failed):
    for name, messages in failed.items():
        print(f"{title}: {name}")
        for message in messages:
            print(f"    {message}")
    sys.stdout.flush()


def main():
    command = [sys.argv[1], "test"]
    options = sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        status, failed = run(command, options, f"{folder}/first.xml")
        if status == 0:
            return 0
        if failed is None:
            print("the tests did not come to their end")
            return status
        if not failed or len(failed) > MOST or not all(name.startswith(LIVE) for name in failed):
            show("FAILED", failed)
            return status
        show("failed at first, run again alone", failed)
        pattern = "^(" + "|".join(re.escape(name).replace("/", r"\/") for name in failed) + ")"
        status, again = run(command, [*options, "--skip-build", "--filter", pattern], f"{folder}/second.xml")
        if status == 0 and again is not None:
            show("UNSTABLE, passed when run alone", failed)
            return 0
        show("FAILED twice", failed if again is None else again)
        return status or 1


sys.exit(main())
