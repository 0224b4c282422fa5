"""MBAR by pymbar: log Z of all states with their asymptotic uncertainties, from energies in memory.

Oscillators u_k(x) = K_k (x - O_k)^2 / 2 with K from 1 to 9 and O from 0 to 4 along the states, as in `benches/mbar.rs`.
`--library jax` lets pymbar use JAX, which it does by itself where JAX is installed; `numpy` keeps it from that.
"""

import os

import common

chosen = common.arguments(__doc__, ("numpy", "jax"), states=50, samples=2000)
if chosen.library == "numpy":
    os.environ["PYMBAR_DISABLE_JAX"] = "TRUE"

import importlib.metadata

import numpy as np
import pymbar

along = np.arange(chosen.states) / (chosen.states - 1)
springs, centres = 9.0**along, 4 * along
rng = np.random.default_rng(chosen.seed)
draws = np.concatenate([c + rng.standard_normal(chosen.samples) / np.sqrt(k) for k, c in zip(springs, centres)])
u_kn = 0.5 * springs[:, None] * (draws - centres[:, None]) ** 2
N_k = np.full(chosen.states, chosen.samples)


def run():
    mbar = pymbar.MBAR(u_kn, N_k)
    found = mbar.compute_free_energy_differences(compute_uncertainty=True)
    return found["Delta_f"][0, -1], found["dDelta_f"][0, -1]


if chosen.check:
    value, error = run()
    common.verdict(f"mbar {chosen.library}", value, 0.5 * np.log(9), 4.5 * error)
else:
    shape = f"{chosen.states}x{chosen.samples}"
    common.report("mbar", chosen, run, 1, "solutions", shape=shape, pymbar=importlib.metadata.version("pymbar"))
