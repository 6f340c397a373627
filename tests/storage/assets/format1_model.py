"""The model of the run directory beside it, which was written before the house was rebuilt. Not to be edited."""

import numpy as np

import pytams


class Well(pytams.Model):
    """dx = (x - x^3) dt + sqrt(2 epsilon) dW from -1."""

    vectorized = True
    noise_shape = ()

    def __init__(self, epsilon=0.05):
        self.epsilon = epsilon

    def initial_state(self, rng):
        return np.array(-1.0)

    def step(self, state, noise, t, dt):
        return state + (state - state * state * state) * dt + np.sqrt(2 * self.epsilon * dt) * noise

    def score(self, state, t):
        return state
