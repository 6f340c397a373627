"""The tables of a ledger: three as documented, and our own beside them."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """A base class for the tables."""


class Trajectory(Base):
    """A table storing the active trajectories."""

    __tablename__ = "trajectories"
    id: Mapped[int] = mapped_column(primary_key=True)
    traj_file: Mapped[str]
    t_metadata: Mapped[str]
    status: Mapped[str]


class ArchivedTrajectory(Base):
    """A table storing the archived trajectories."""

    __tablename__ = "archived_trajectories"
    id: Mapped[int] = mapped_column(primary_key=True)
    t_metadata: Mapped[str]
    traj_file: Mapped[str]


class SplittingIterations(Base):
    """A table storing the splitting iterations."""

    __tablename__ = "splitting_iterations"
    id: Mapped[int] = mapped_column(primary_key=True)
    split_id: Mapped[int]
    bias: Mapped[int]
    weight: Mapped[str]
    discarded_traj_ids: Mapped[str]
    ancestor_traj_ids: Mapped[str]
    min_vals: Mapped[str]
    min_max: Mapped[str]
    status: Mapped[str]


class TrajectoryLock(Base):
    """Who holds a locked trajectory, and when the holder was last heard of."""

    __tablename__ = "trajectory_locks"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    heartbeat: Mapped[float]


class RunLock(Base):
    """Who drives the run of this ledger, and when the driver was last heard of: at most one row."""

    __tablename__ = "run_lock"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    heartbeat: Mapped[float]


class DiscardedTrajectory(Base):
    """What a run needs of the trajectories that were discarded and not archived."""

    __tablename__ = "discarded_trajectories"
    id: Mapped[int] = mapped_column(primary_key=True)
    t_metadata: Mapped[str]


class SegmentFile(Base):
    """The files that this ledger's trajectories are in, and what is in them."""

    __tablename__ = "segment_files"
    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]


class StoredState(Base):
    """The states of this run that are in files of their own, and where in its segments they are."""

    __tablename__ = "stored_states"
    slot: Mapped[int] = mapped_column(primary_key=True)
    branch: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    score: Mapped[float | None]
    sha256: Mapped[str]
    size: Mapped[int]
    kind: Mapped[str]


class LedgerInfo(Base):
    """What this ledger is: its schema version, and the settings of its run."""

    __tablename__ = "ledger_info"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


valid_statuses = ["locked", "idle", "completed"]
LOCKED, IDLE, COMPLETED = valid_statuses

SCHEMA_VERSION = 1
