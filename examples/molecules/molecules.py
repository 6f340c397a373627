"""Molecules as simulators: Langevin dynamics by OpenMM (`pip install openmm`), of anything with a score.

A particle in a double well, and united-atom butane, whose torsion turns once in some 15 ns at 150 K. Units are
OpenMM's: nm, ps, g/mol, kJ/mol, K.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, ClassVar

import numpy as np
import openmm as mm
from openmm import unit

import pytams

BOLTZMANN = 0.00831446261815324  # kJ/mol/K


class Molecule(pytams.Simulator):
    """Langevin dynamics of one system. A subclass gives its masses, first positions, forces and scores.

    Parameters
    ----------
    temperature
        In K.
    friction
        In 1/ps.
    time_step
        Of the integrator, in ps; a step of the study makes several.
    platform
        Where OpenMM computes: ``"Reference"`` is the fastest for so few particles.
    """

    seeding = "branch"  # the generator's state is in the checkpoint; to seed it, OpenMM has to begin anew

    lock = RLock()
    holder: ClassVar[Molecule | None] = None
    """On the Reference platform all contexts of a process share one generator: this one's."""

    masses: tuple[float, ...]
    first: tuple[tuple[float, float, float], ...]
    live: Any
    kept: bytes
    """What it was at when another took the generator; empty if none has."""

    def __init__(self, temperature: float, friction: float, time_step: float, platform: str = "Reference") -> None:
        self.temperature, self.friction, self.time_step, self.platform = temperature, friction, time_step, platform

    @abstractmethod
    def forces(self, copies: int) -> list[Any]:
        """Give OpenMM's forces on so many copies, one after another, that know nothing of each other."""

    @abstractmethod
    def scores(self, positions: Any) -> Any:
        """Score copies: (copies, particles, 3) -> (copies,)."""

    def context(self, copies: int, seed: int) -> Any:
        """Make what OpenMM computes with."""
        system = mm.System()
        for mass in self.masses * copies:
            system.addParticle(mass)
        for force in self.forces(copies):
            system.addForce(force)
        integrator = mm.LangevinMiddleIntegrator(self.temperature, self.friction, self.time_step)
        integrator.setRandomNumberSeed(seed)
        options = {"Threads": "1"} if self.platform == "CPU" else {}
        return mm.Context(system, integrator, mm.Platform.getPlatformByName(self.platform), options)

    def begin(self, context: Any, rng: np.random.Generator, copies: int) -> None:
        """Set the first positions, and velocities from Maxwell's law."""
        widths = np.sqrt(BOLTZMANN * self.temperature / np.tile(self.masses, copies))
        context.setPositions(np.tile(self.first, (copies, 1)))
        context.setVelocities(widths[:, None] * rng.standard_normal((len(widths), 3)))
        context.setTime(0.0)
        context.setStepCount(0)

    # --- what pytams asks ---------------------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[Any]:
        """Have the generator, and let who had it take note of it."""
        with Molecule.lock:
            if Molecule.holder is not self:
                if Molecule.holder is not None:
                    Molecule.holder.kept = Molecule.holder.live.createCheckpoint()
                if self.kept:
                    self.live.loadCheckpoint(self.kept)
                Molecule.holder = self
            yield self.live

    def open(self, place: Any) -> None:
        self.kept = b""
        with Molecule.lock:
            if Molecule.holder is not None:
                Molecule.holder.kept = Molecule.holder.live.createCheckpoint()
                Molecule.holder = None
            self.live = self.context(1, 1)

    def start(self, rng: np.random.Generator) -> None:
        with self.held() as live:
            self.begin(live, rng, 1)

    def branch(self, seed: int) -> None:
        # The integrator takes its seed where a context is made, or reinitialised, and `reinitialize(True)` would load
        # the old generator again. A seed has 31 bits, and 0 stands for one that OpenMM draws. Until a number has been
        # drawn, a checkpoint has no generator in it: so a step is made, and undone.
        with self.held() as live:
            integrator = live.getIntegrator()
            state = live.getState(positions=True, velocities=True)
            integrator.setRandomNumberSeed(1 + seed % (2**31 - 1))
            live.reinitialize()
            live.setState(state)
            integrator.step(1)
            live.setState(state)

    def step(self, seed: int | None, t: float, dt: float) -> None:
        with self.held() as live:
            live.getIntegrator().step(round(dt / self.time_step))

    def score(self) -> float:
        return float(self.scores(_positions(self.live))[0])

    def save(self) -> Any:
        with self.held() as live:
            return live.createCheckpoint()  # positions, velocities, time, and the generator

    def load(self, state: Any) -> None:
        with self.held() as live:
            live.loadCheckpoint(state)

    def close(self) -> None:
        with Molecule.lock:
            if Molecule.holder is self:
                Molecule.holder = None
        del self.live


def _positions(context: Any) -> Any:
    """Give positions as (1, particles, 3), in nm."""
    return context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)[None]


class DoubleWell(Molecule):
    """A particle of 1 g/mol in U = 4 h (x^4/4 - x^2/2 + (y^2 + z^2)/2), from x = -1 nm; its score is x.

    Parameters
    ----------
    barrier
        h, in kJ/mol.
    platform
        See `Molecule`.
    """

    masses = (1.0,)
    first = ((-1.0, 0.0, 0.0),)

    def __init__(self, barrier: float = 15.0, platform: str = "Reference") -> None:
        super().__init__(temperature=300.0, friction=40.0, time_step=0.01, platform=platform)
        self.barrier = barrier

    def forces(self, copies: int) -> list[Any]:
        force = mm.CustomExternalForce("4*h*(x^4/4 - x^2/2 + (y^2 + z^2)/2)")
        force.addGlobalParameter("h", self.barrier)
        for i in range(copies):
            force.addParticle(i, [])
        return [force]

    def scores(self, positions: Any) -> Any:
        return positions[:, 0, 0]


class Butane(Molecule):
    """CH3-CH2-CH2-CH3 as four particles; its score is how far the torsion has turned from trans, in degrees.

    Angles and torsion are those of the TraPPE force field (Martin and Siepmann 1998), with springs for bonds. Gauche
    is at about 115 degrees from trans, behind a barrier of 1,660 K.

    Parameters
    ----------
    temperature
        In K.
    platform
        See `Molecule`.
    """

    masses = (15.035, 14.027, 14.027, 15.035)
    first = ((0.0, 0.0, 0.0), (0.1277, 0.0861, 0.0), (0.2554, 0.0, 0.0), (0.3831, 0.0861, 0.0))
    torsion = "c1*(1 + cos(theta)) + c2*(1 - cos(2*theta)) + c3*(1 + cos(3*theta))"
    coefficients = (355.03, -68.19, 791.32)  # c1, c2, c3, in K

    def __init__(self, temperature: float = 150.0, platform: str = "Reference") -> None:
        super().__init__(temperature, friction=1.0, time_step=0.002, platform=platform)

    def forces(self, copies: int) -> list[Any]:
        bonds, angles, torsions = mm.HarmonicBondForce(), mm.HarmonicAngleForce(), mm.CustomTorsionForce(self.torsion)
        for i, c in enumerate(self.coefficients):
            torsions.addGlobalParameter(f"c{i + 1}", BOLTZMANN * c)
        for i in range(0, 4 * copies, 4):
            for j in (i, i + 1, i + 2):
                bonds.addBond(j, j + 1, 0.154, 200_000.0)
            for j in (i, i + 1):
                angles.addAngle(j, j + 1, j + 2, np.radians(112.0), BOLTZMANN * 62_500.0)
            torsions.addTorsion(i, i + 1, i + 2, i + 3, [])
        return [bonds, angles, torsions]

    def scores(self, positions: Any) -> Any:
        bonds = positions[:, 1:] - positions[:, :-1]
        (aa, ab, ac), (_, bb, bc), (_, _, cc) = np.moveaxis(bonds @ np.swapaxes(bonds, 1, 2), 0, 2)
        cosine = (ab * bc - ac * bb) / np.sqrt((aa * bb - ab * ab) * (bb * cc - bc * bc))
        return 180.0 - np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def direct(model: Molecule, *, end_time: float, step_size: float, copies: int, seed: int) -> Any:
    """Give the largest score of each of so many copies in one system, looked at as often as a study."""
    context = model.context(copies, seed)
    model.begin(context, np.random.default_rng(seed), copies)
    best = np.full(copies, -np.inf)
    for i in range(round(end_time / step_size) + 1):
        context.getIntegrator().step(round(step_size / model.time_step) if i else 0)
        best = np.maximum(best, model.scores(_positions(context).reshape(copies, -1, 3)))
    return best
