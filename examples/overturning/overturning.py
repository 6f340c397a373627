"""The Atlantic overturning in five boxes (Cimatoribus et al. 2014), and the end of sinking in the north.

Time is in years, salinity in g/kg, depth in m; transports are in m^3/s and called in Sv = 10^6 m^3/s.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from scipy.optimize import root

import pytams

YEAR = 365 * 86400.0
V, V_N, V_S = 3e17, 3e15, 9e15  # volumes of the basin, and of the boxes n and s
A_T, A_TS = 1e14, 0.5 * 1e7 * 1e6  # a metre of pycnocline is so much water in the boxes t and ts
S_0 = 35.0
ETA, ALPHA, BETA = 3e4, 2e-4, 8e-4  # hydraulic constant; expansion by heat, contraction by salt
COOLING = 5.0  # of the box n against ts, in K
EKMAN = 0.1 * 3e7 / (1027.5 * 1e-4)  # transports: by wind,
EDDIES = 1700.0 * 1e7 / 1e6  # by eddies, of a metre,
UPWELLING = 1e-5 * 1e14  # by diffusion, times depth,
GYRE_N, GYRE_S = 5e6, 1e7  # and by the gyres
E_S = 0.17e6  # fresh water that the air takes from the tropics to each side
LEVEL = ALPHA * COOLING / BETA
"""Where ts is saltier than n by so much, nothing sinks any more."""


def drift(x: Any, t: Any, p: Any) -> Any:
    """Budgets of salt and water."""
    s_t, s_ts, s_n, s_ns, depth = x[0], x[1], x[2], x[3], x[4]
    v_ns, v_t, v_ts = V_N + V_S, A_T * depth, A_TS * depth
    s_s = (v_ns * s_ns - V_N * s_n) / V_S
    s_d = (V * S_0 - v_t * s_t - v_ts * s_ts - v_ns * s_ns) / (V - v_t - v_ts - v_ns)
    q_n = ETA * BETA * depth * depth * max(LEVEL + s_n - s_ts, 0.0)  # what sinks
    q_e, q_u = EDDIES * depth, UPWELLING / depth
    q_s = EKMAN - q_e
    deepens = (q_u + q_s - q_n) / (A_T + A_TS)
    north, south = max(q_s, 0.0), min(q_s, 0.0)
    from_ts = north * s_ts + south * s_t
    into_t = from_ts + q_u * s_d - q_n * s_t + GYRE_S * (s_ts - s_t) + GYRE_N * (s_n - s_t) + 2.0 * E_S * S_0
    into_ts = EKMAN * s_s - q_e * s_ts - from_ts + GYRE_S * (s_t - s_ts)
    into_n = (q_n + GYRE_N) * (s_t - s_n) - (E_S + p.e_a) * S_0
    into_s = north * s_d + south * s_s + q_e * s_ts - EKMAN * s_s - (E_S - p.e_a) * S_0
    return (
        YEAR * (into_t - A_T * deepens * s_t) / v_t,
        YEAR * (into_ts - A_TS * deepens * s_ts) / v_ts,
        YEAR * into_n / V_N,
        YEAR * (into_n + into_s) / v_ns,
        YEAR * deepens,
    )


def diffusion(x: Any, t: Any, p: Any) -> Any:
    """Rain that is now in the north, now in the south: n and s together do not see it."""
    return 0.0, 0.0, p.kick, 0.0, 0.0


def score(x: Any, t: Any, p: Any) -> Any:
    """Give 0 in the state of today, and 1 where nothing sinks."""
    return 1.0 - (LEVEL + x[2] - x[1]) / p.today


class Overturning(pytams.SDE):
    """Salinity of the boxes t, ts, n, of n and s together, and the depth of the pycnocline.

    Parameters
    ----------
    fresh_water
        E_A, in Sv: what the air takes from the box s to the box n.
    noise
        Of E_A, as a share of it: E_A (1 + noise dW/dt), with W in units of a hundred years.
    """

    title = "Atlantic overturning in five boxes"
    units = dict.fromkeys(("S_t", "S_ts", "S_n", "S_ns"), "g/kg") | {"time": "yr", "D": "m"}
    state_names = ("S_t", "S_ts", "S_n", "S_ns", "D")

    def __init__(self, fresh_water: float = 0.3, noise: float = 0.05) -> None:
        e_a = 1e6 * fresh_water
        start = self.steady(fresh_water)
        kick = noise * e_a * S_0 / V_N * math.sqrt(100.0) * YEAR
        super().__init__(
            *(drift, diffusion, score), initial=start, e_a=e_a, kick=kick, today=LEVEL + start[2] - start[1]
        )

    @staticmethod
    def steady(fresh_water: float) -> Any:
        """Find the steady state of today; there is none beyond 0.35 Sv."""
        forcing = SimpleNamespace(e_a=1e6 * fresh_water)

        def change(x: Any) -> Any:
            return drift(x, 0.0, forcing)

        found = root(change, (35.6, 35.3, 34.7, 35.1, 950.0))
        if not found.success:
            raise ValueError(f"no steady state in which water sinks, at {fresh_water} Sv")
        return found.x
