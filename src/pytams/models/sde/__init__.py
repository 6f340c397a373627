"""Stochastic differential equations from plain functions, compiled or not."""
