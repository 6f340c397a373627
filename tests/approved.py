"""Text that somebody has read and approved, in files: what differs from it fails.

After a change that is meant, ``PYTAMS_APPROVE=1 pytest tests/analysis`` writes the files; read what git says of them.
"""

from __future__ import annotations

import os
from pathlib import Path


def check(path: Path, text: str) -> None:
    """Compare a text with the approved one."""
    if os.environ.get("PYTAMS_APPROVE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"it is not what was approved: {path}"
