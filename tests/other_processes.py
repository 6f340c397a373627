"""What other processes print: whether something is the same in each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def printed(code: str) -> set[str]:
    """Run code that may import the tests of models, in two processes that hash texts differently."""
    tests = Path(__file__).parent
    path = f"import sys; sys.path[:0] = {[str(tests), str(tests / 'models')]!r}\n"
    return {
        subprocess.run(
            [sys.executable, "-c", path + code],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
