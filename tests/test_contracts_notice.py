"""The suites for users' own implementations notice what is broken: see `tests/broken`."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

BROKEN = Path(__file__).parent / "broken"


@pytest.mark.slow
@pytest.mark.parametrize(
    "port", ["engines", "ledgers", "sources", "steppers", pytest.param("journals", marks=pytest.mark.slow)]
)
def test_what_is_broken_fails_its_suite_and_what_is_sound_passes(tmp_path: Path, port: str) -> None:
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run([*command, BROKEN / f"{port}.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    failures: dict[str, int] = defaultdict(int)
    for case in ElementTree.parse(report).iter("testcase"):
        assert case.find("error") is None, "a suite is broken, not what it is about"
        failures[case.attrib["classname"].rpartition(".Test")[2]] += case.find("failure") is not None
    assert [name for name, n in failures.items() if not n] == ["Sound"]
    assert len(failures) > 5
