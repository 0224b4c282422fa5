"""Harmonic oscillators, and what pymbar says of them: python make.py (NumPy 2.4.6, pymbar 4.0.3).

State k is u_k(x) = K_k (x - O_k)^2 / 2, so log Z_k - log Z_0 = log(K_0 / K_k) / 2. One state has no samples.
"""

import numpy as np
import pymbar

rng = np.random.default_rng(20261125)
springs = np.array([1.0, 2.0, 4.0, 8.0, 3.0, 1.5])
centres = np.array([0.0, 0.5, 1.0, 1.5, 1.2, 2.5])
counts = np.array([60, 90, 40, 0, 70, 50])
x = np.concatenate([c + rng.standard_normal(n) / np.sqrt(k) for k, c, n in zip(springs, centres, counts)])
u_kn = 0.5 * springs[:, None] * (x - centres[:, None]) ** 2 + np.linspace(0, 40, 6)[:, None]
mbar = pymbar.MBAR(u_kn, counts, relative_tolerance=1e-14, solver_protocol="robust")
free = mbar.compute_free_energy_differences(compute_uncertainty=True)
overlap = mbar.compute_overlap()
first, second = slice(0, 60), slice(60, 150)
forward, reverse = (u_kn[1] - u_kn[0])[first], (u_kn[0] - u_kn[1])[second]
bar = pymbar.bar(forward, reverse, relative_tolerance=1e-14, uncertainty_method="BAR")
np.savez(
    "oscillators.npz",
    u_kn=u_kn,
    N_k=counts,
    Delta_f=free["Delta_f"],
    dDelta_f=free["dDelta_f"],
    overlap=overlap["matrix"],
    effective=mbar.compute_effective_sample_number(),
    bar=np.array([bar["Delta_f"], bar["dDelta_f"]]),
)
print(free["Delta_f"][0], free["dDelta_f"][0], bar)
