"""The engine of ``docs/extending.md`` works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pytams.core.ports import Engine
from pytams.core.segments import Problem
from pytams.engine.contract import EngineContract

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def skeleton() -> Any:
    [code] = [
        block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "class MyEngine:" in block
    ]
    names: dict[str, Any] = {}
    exec(code.rpartition("\n\n\n")[0], names)  # all but the study
    return names["MyEngine"]


class TestSkeleton(EngineContract):
    def make_engine(self, problem: Problem) -> Engine:
        engine: Engine = skeleton()(problem)
        return engine
