"""Annealing of a dense Boltzmann machine, d = 100: sequential single-site Gibbs, beta from 0 to 1, with the energy each sweep.

E(s) = -h.s - s.J.s / 2, s in {-1, +1}^d. Site i becomes +1 with probability sigmoid(2 beta f_i), f = h + J s. States are
(d + 1, chains), the last row 1, so that one product of a row of (J, h) with them gives a field of all chains: that is cheaper here
than to keep d fields up to date at each flip. The thresholds logit(u) / 2 of a whole sweep are drawn at once.
"""

import common

chosen = common.arguments(__doc__, common.EAGER, dim=100, chains=64, sweeps=0)

import numpy as np

DIM = 12 if chosen.check else chosen.dim


def machine():
    """(J, h) as (d, d + 1), f32: couplings of a spin glass above its transition."""
    rng = np.random.default_rng(7)
    J = np.triu(rng.standard_normal((DIM, DIM)) / np.sqrt(DIM) / 2, 1)
    return np.hstack([J + J.T, 0.1 * rng.standard_normal((DIM, 1))]).astype(np.float32)


def numpy_annealing(couplings, betas, chains):
    rng = np.random.default_rng(chosen.seed)
    s = np.ones((DIM + 1, chains), np.float32)
    u, other = (np.empty((DIM, chains), np.float32) for _ in range(2))
    field = np.empty(chains, np.float32)
    rows, states, thresholds = list(couplings), list(s), list(u)
    halved = couplings.copy()
    halved[:, :DIM] /= 2

    def run():
        log_weights, minus_energy = np.zeros(chains), None
        for k, beta in enumerate(betas):
            if k > 0:
                log_weights += (beta - betas[k - 1]) * minus_energy
            rng.random(dtype=np.float32, out=u)
            if k == 0:
                np.copyto(s[:DIM], np.where(u < 0.5, 1, -1))
            else:
                # 1e-30 keeps the logarithm of 0 finite: such a threshold is below every field.
                np.subtract(1, u, out=other)
                np.add(u, np.float32(1e-30), out=u)
                np.divide(u, other, out=u)
                np.log(u, out=u)
                np.divide(u, np.float32(2 * beta), out=u)
                for row, state, threshold in zip(rows, states, thresholds):
                    np.dot(row, s, out=field)
                    np.subtract(field, threshold, out=field)
                    np.copysign(1, field, out=state)
            np.matmul(halved, s, out=other)
            minus_energy = np.einsum("ij,ij->j", other, s[:DIM])
        return log_weights

    return run


def torch_annealing(couplings, betas, chains):
    torch = common.use_torch(chosen.threads)
    torch.manual_seed(chosen.seed)
    couplings = torch.from_numpy(couplings)
    halved = torch.cat([couplings[:, :DIM] / 2, couplings[:, DIM:]], 1)
    one = torch.ones(chains)
    s, field = torch.ones(DIM + 1, chains), torch.empty(chains)
    transposed, rows, states = s.T, couplings.unbind(), s.unbind()

    def run():
        log_weights, minus_energy = torch.zeros(chains, dtype=torch.float64), None
        for k, beta in enumerate(betas):
            if k > 0:
                log_weights += (beta - betas[k - 1]) * minus_energy
            u = torch.rand(DIM, chains)
            if k == 0:
                s[:DIM] = (u < 0.5) * 2.0 - 1
            else:
                thresholds = torch.logit(u, eps=1e-9).div_(2 * beta).unbind()
                for i in range(DIM):
                    torch.addmv(thresholds[i], transposed, rows[i], beta=-1, out=field)
                    torch.copysign(one, field, out=states[i])
            minus_energy = (halved @ s * s[:DIM]).sum(0)
        return log_weights.numpy()

    return run


def jax_annealing(couplings, betas, chains):
    jax = common.use_jax()
    jnp = jax.numpy

    @jax.jit
    def anneal(key, couplings, betas):
        halved = jnp.concatenate([couplings[:, :DIM] / 2, couplings[:, DIM:]], 1)

        def energies(s):
            return (halved @ s * s[:DIM]).sum(0)

        def sweep(state, beta):
            s, key = state
            key, part = jax.random.split(key)
            thresholds = jax.random.logistic(part, (DIM, chains)) / (2 * beta)

            def site(s, site):
                i, row, threshold = site
                return s.at[i].set(jnp.where(row @ s > threshold, 1.0, -1.0)), None

            s, _ = jax.lax.scan(site, s, (jnp.arange(DIM), couplings, thresholds))
            return (s, key), energies(s)

        key, part = jax.random.split(key)
        s = jnp.concatenate([jax.random.rademacher(part, (DIM, chains), jnp.float32), jnp.ones((1, chains))])
        _, later = jax.lax.scan(sweep, (s, key), betas[1:])
        return jnp.concatenate([energies(s)[None], later])

    keys = iter(jax.random.split(jax.random.key(chosen.seed), 1000))
    couplings, rungs = jnp.asarray(couplings), jnp.asarray(betas, jnp.float32)
    return lambda: np.diff(betas) @ np.asarray(anneal(next(keys), couplings, rungs), np.float64)[:-1]


def exact_log_z(couplings):
    s = 1.0 - 2 * (np.arange(2**DIM)[:, None] >> np.arange(DIM) & 1)
    J, h = couplings[:, :DIM].astype(np.float64), couplings[:, DIM].astype(np.float64)
    return np.logaddexp.reduce(s @ h + 0.5 * ((s @ J) * s).sum(1))


build = {"numpy": numpy_annealing, "torch": torch_annealing, "jax": jax_annealing}[chosen.library]
if chosen.check:
    couplings = machine()
    run = build(couplings, np.linspace(0, 1, 31), 4096)
    common.exact_check(f"boltzmann {chosen.library}", run(), DIM * np.log(2), exact_log_z(couplings))
else:
    sweeps = chosen.sweeps or max(2, int(2e6 / (DIM * chosen.chains)))
    run = build(machine(), np.linspace(0, 1, sweeps + 1), chosen.chains)
    updates = DIM * chosen.chains * sweeps / 1e6
    common.report(
        "boltzmann", chosen, run, updates, "million site updates", shape=str(DIM), chains=chosen.chains, sweeps=sweeps
    )
