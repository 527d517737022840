"""Outcomes of checks in the XML that CI systems read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from deploy_endpoint import files


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: how long it took, and why it failed if it did."""

    name: str
    seconds: float
    failure: str | None


def write(path: Path, suite: str, outcomes: Sequence[Outcome]) -> None:
    """Write a test suite in JUnit's form. Raises UsageError if the file cannot be written."""
    failures = sum(1 for each in outcomes if each.failure is not None)
    root = ET.Element(
        "testsuite",
        name=suite,
        tests=str(len(outcomes)),
        failures=str(failures),
        errors="0",
        skipped="0",
        time=f"{sum(each.seconds for each in outcomes):.3f}",
    )
    for each in outcomes:
        case = ET.SubElement(
            root, "testcase", classname=suite, name=each.name, time=f"{each.seconds:.3f}"
        )
        if each.failure is not None:
            ET.SubElement(case, "failure", message=each.failure).text = each.failure
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", xml_declaration=False)
    files.write(path, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')
