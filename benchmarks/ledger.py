"""Ledger operations per second, beside the same transactions by hand: `python benchmarks/ledger.py`.

By hand is Python's `sqlite3` with the same statements and the same durability (WAL, NORMAL), and nothing that makes
sure of anything; the ORM is a SQLAlchemy session for each call on a default engine. All work on one disk in turn,
five times; medians, and their ratio. With a PostgreSQL server at hand (Debian's `postgresql`), that too.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from time import perf_counter

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pytams.sqldb import Base, SplittingIterations, SQLFile, Trajectory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import binaries, server

N = 1000
BULK = 1000


def per_second(call: Callable[[int], object], n: int = N) -> float:
    """Time n calls."""
    start = perf_counter()
    for i in range(n):
        call(i)
    return n / (perf_counter() - start)


def plain(folder: Path) -> dict[str, float]:
    """Time a session per call."""
    engine = create_engine(f"sqlite:///{folder}/plain.db")
    Base.metadata.create_all(engine)

    def add(_: int) -> None:
        with Session(engine) as session:
            session.add(Trajectory(traj_file="file", t_metadata="{}", status="idle"))
            session.commit()

    def set_status(old: str, new: str) -> Callable[[int], None]:
        def change(i: int) -> None:
            with Session(engine) as session:
                row = session.get_one(Trajectory, i + 1)
                assert row.status == old
                row.status = new
                session.commit()

        return change

    def fetch(i: int) -> None:
        with Session(engine) as session:
            assert session.get_one(Trajectory, i + 1).traj_file

    def split(i: int) -> None:
        with Session(engine) as session:
            session.add(
                SplittingIterations(
                    split_id=i,
                    bias=1,
                    weight="0.5",
                    discarded_traj_ids="[1]",
                    ancestor_traj_ids="[2]",
                    min_vals="[0.5]",
                    min_max="[0.5, 1.0]",
                    status="locked",
                )
            )
            session.commit()

    speeds = {
        "add": per_second(add),
        "lock": per_second(set_status("idle", "locked")),
        "complete": per_second(set_status("locked", "completed")),
        "fetch": per_second(fetch),
        "iteration row": per_second(split),
    }
    speeds[f"bulk add, {BULK} rows"] = speeds["add"]
    engine.dispose()
    return speeds


def by_hand(folder: Path) -> dict[str, float]:
    """Time `sqlite3`, with the tables of a ledger."""
    with closing(sqlite3.connect(f"{folder}/by_hand.db", isolation_level=None)) as connection:
        execute = connection.execute
        with closing(sqlite3.connect(f"{folder}/ours.db")) as made:
            for (statement,) in made.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
                execute(statement)
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=NORMAL")

        def add(_: int) -> None:
            execute("BEGIN IMMEDIATE")
            [last] = execute("SELECT coalesce(max(id), 0) FROM trajectories").fetchone()
            execute("INSERT INTO trajectories VALUES (?, ?, ?, ?)", (last + 1, "file", "{}", "idle"))
            execute("COMMIT")

        def change(old: str, new: str, lock: str, *values: object) -> Callable[[int], None]:
            def call(i: int) -> None:
                execute("BEGIN IMMEDIATE")
                here = "UPDATE trajectories SET status = ? WHERE id = ? AND status = ?"
                assert execute(here, (new, i + 1, old)).rowcount == 1
                execute(lock, (i + 1, *values))
                execute("COMMIT")

            return call

        def fetch(i: int) -> None:
            assert execute("SELECT traj_file FROM trajectories WHERE id = ?", (i + 1,)).fetchone()

        def split(i: int) -> None:
            values = (0.5, [1], [2], [0.5], [0.5, 1.0])
            execute("BEGIN IMMEDIATE")
            execute(
                "INSERT INTO splitting_iterations "
                "VALUES ((SELECT coalesce(max(id), 0) FROM splitting_iterations) + 1,"
                " ?, ?, ?, ?, ?, ?, ?, ?)",
                (i, 1, *map(json.dumps, values), "locked"),
            )
            execute("COMMIT")

        def add_many(_: int) -> None:
            execute("BEGIN IMMEDIATE")
            [last] = execute("SELECT coalesce(max(id), 0) FROM trajectories").fetchone()
            rows = [(last + i, "file", "{}", "idle") for i in range(1, BULK + 1)]
            connection.executemany("INSERT INTO trajectories VALUES (?, ?, ?, ?)", rows)
            execute("COMMIT")

        now = "(julianday('now') - 2440587.5) * 86400.0"
        return {
            "add": per_second(add),
            "lock": per_second(
                change("idle", "locked", f"INSERT INTO trajectory_locks VALUES (?, ?, {now})", "somebody")
            ),
            "complete": per_second(change("locked", "completed", "DELETE FROM trajectory_locks WHERE id = ?")),
            "fetch": per_second(fetch),
            "iteration row": per_second(split),
            f"bulk add, {BULK} rows": BULK * per_second(add_many, 10),
        }


def ours(location: str) -> dict[str, float]:
    """Time the ledger."""
    with SQLFile(location) as ledger:
        return {
            "add": per_second(lambda _: ledger.add_trajectory("file", "{}")),
            "lock": per_second(ledger.lock_trajectory),
            "complete": per_second(ledger.mark_trajectory_as_completed),
            "fetch": per_second(ledger.fetch_trajectory),
            "iteration row": per_second(lambda i: ledger.add_splitting_data(i, 1, 0.5, [1], [2], [0.5], [0.5, 1.0])),
            f"bulk add, {BULK} rows": BULK
            * per_second(lambda _: ledger.add_trajectories([("file", "{}")] * BULK), 10),
        }


def main() -> None:
    with ExitStack() as stack:
        url = stack.enter_context(server()) if binaries() else None
        columns: dict[str, list[dict[str, float]]] = {"ORM": [], "by hand": [], "SQLite": [], "PostgreSQL": []}
        for i in range(5):
            with tempfile.TemporaryDirectory(dir=".") as name:
                folder = Path(name)
                columns["ORM"].append(plain(folder))
                columns["SQLite"].append(ours(str(folder / "ours.db")))
                columns["by hand"].append(by_hand(folder))
            if url:
                columns["PostgreSQL"].append(ours(f"{url}&schema=run{i}"))
        print(f"{'rows a second':<22}" + "".join(f"{name:>12}" for name in columns) + f"{'SQLite/by hand':>16}")
        for operation in columns["ORM"][0]:
            speeds = [median(s[operation] for s in column) if column else 0.0 for column in columns.values()]
            print(f"{operation:<22}" + "".join(f"{v:>12,.0f}" for v in speeds) + f"{speeds[2] / speeds[1]:>16.2f}")


if __name__ == "__main__":
    main()
