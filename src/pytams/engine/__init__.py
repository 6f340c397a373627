"""Engines advance segments. They know no levels, no weights, no files."""

from pytams.engine.base import Engine
from pytams.engine.inprocess import InProcess

__all__ = ["Engine", "InProcess"]
