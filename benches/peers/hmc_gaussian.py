"""Hamiltonian Monte Carlo on a correlated Gaussian of 100 dimensions, 10 leapfrog steps a trajectory: gradients per second.

log f(x) = -x.P.x / 2, P dense. A trajectory draws momenta, does 10 leapfrog steps, of which each takes one gradient (one product
with P for all chains), and accepts or rejects. Step sizes vary by up to a fifth from trajectory to trajectory: with a fixed length
a mode whose half period it is goes from x to -x and back for ever, and x.P.x is then visibly wrong.
"""

import common

chosen = common.arguments(__doc__, common.EAGER, dim=100, chains=256, leapfrog=10, trajectories=0, dtype=("float32", "float64"))

import numpy as np

DIM, STEPS, EPSILON = chosen.dim, chosen.leapfrog, 0.16
DTYPE = np.dtype(chosen.dtype)


def precision():
    """The inverse of the covariance 0.8^|i - j|."""
    i = np.arange(DIM)
    return np.linalg.inv(0.8 ** np.abs(i[:, None] - i)).astype(DTYPE)


def numpy_chains(P, chains, trajectories):
    rng = np.random.Generator(np.random.SFC64(chosen.seed))
    x, gradient = np.zeros((chains, DIM), DTYPE), np.zeros((chains, DIM), DTYPE)
    y, g, p, scratch = (np.empty((chains, DIM), DTYPE) for _ in range(4))

    def energy(state, gradient):
        return np.einsum("ij,ij->i", state, gradient)

    def kick(epsilon):
        np.multiply(g, DTYPE.type(epsilon), out=scratch)
        np.subtract(p, scratch, out=p)

    def run():
        nonlocal x, gradient, y, g
        accepted, squares = 0, 0
        for _ in range(trajectories):
            epsilon = EPSILON * rng.uniform(0.8, 1.2)
            rng.standard_normal(dtype=DTYPE, out=p)
            before = energy(x, gradient) + energy(p, p)
            np.copyto(y, x)
            np.copyto(g, gradient)
            kick(epsilon / 2)
            for step in range(STEPS):
                np.multiply(p, DTYPE.type(epsilon), out=scratch)
                np.add(y, scratch, out=y)
                np.matmul(y, P, out=g)
                kick(epsilon if step < STEPS - 1 else epsilon / 2)
            change = 0.5 * (before - energy(y, g) - energy(p, p))
            accept = -rng.standard_exponential(chains) < change
            x[accept], gradient[accept] = y[accept], g[accept]
            accepted += accept.mean()
            squares = squares + energy(x, gradient)
        return accepted / trajectories, squares / trajectories

    return run


def torch_chains(P, chains, trajectories):
    torch = common.use_torch(chosen.threads)
    torch.manual_seed(chosen.seed)
    P = torch.from_numpy(P)
    x, gradient = torch.zeros(chains, DIM, dtype=P.dtype), torch.zeros(chains, DIM, dtype=P.dtype)

    def energy(state, gradient):
        return (state * gradient).sum(1)

    rng = np.random.default_rng(chosen.seed)

    def trajectory(x, gradient, epsilon):
        p = torch.randn_like(x)
        before = energy(x, gradient) + energy(p, p)
        y = x.clone()
        p.sub_(gradient, alpha=epsilon / 2)
        for step in range(STEPS):
            y.add_(p, alpha=epsilon)
            g = y @ P
            p.sub_(g, alpha=epsilon if step < STEPS - 1 else epsilon / 2)
        change = 0.5 * (before - energy(y, g) - energy(p, p))
        accept = (torch.log(torch.rand_like(change)) < change)[:, None]
        return torch.where(accept, y, x), torch.where(accept, g, gradient), accept.to(x.dtype).mean()

    def run():
        nonlocal x, gradient
        accepted, squares = 0, 0
        for _ in range(trajectories):
            x, gradient, rate = trajectory(x, gradient, EPSILON * rng.uniform(0.8, 1.2))
            accepted += rate
            squares = squares + energy(x, gradient)
        return float(accepted) / trajectories, squares.numpy() / trajectories

    return run


def jax_chains(P, chains, trajectories):
    jax = common.use_jax(double=DTYPE == np.float64)
    jnp = jax.numpy

    def energy(state, gradient):
        return (state * gradient).sum(1)

    @jax.jit
    def sample(key, P, x, gradient):
        def trajectory(state, key):
            x, gradient = state
            one, two, three = jax.random.split(key, 3)
            epsilon = EPSILON * jax.random.uniform(three, (), x.dtype, 0.8, 1.2)

            def leapfrog(_, state):
                y, p, g = state
                p = p - epsilon / 2 * g
                y = y + epsilon * p
                g = y @ P
                return y, p - epsilon / 2 * g, g

            p = jax.random.normal(one, x.shape, x.dtype)
            y, q, g = jax.lax.fori_loop(0, STEPS, leapfrog, (x, p, gradient))
            change = 0.5 * (energy(x, gradient) + energy(p, p) - energy(y, g) - energy(q, q))
            accept = (-jax.random.exponential(two, change.shape, x.dtype) < change)[:, None]
            x, gradient = jnp.where(accept, y, x), jnp.where(accept, g, gradient)
            return (x, gradient), (accept.mean(), energy(x, gradient))

        (x, gradient), (rates, squares) = jax.lax.scan(trajectory, (x, gradient), jax.random.split(key, trajectories))
        return x, gradient, rates.mean(), squares.mean(0)

    keys = iter(jax.random.split(jax.random.key(chosen.seed), 1000))
    P = jnp.asarray(P)
    x = gradient = jnp.zeros((chains, DIM), P.dtype)

    def run():
        nonlocal x, gradient
        x, gradient, rate, squares = sample(next(keys), P, x, gradient)
        return float(rate), np.asarray(squares)

    return run


build = {"numpy": numpy_chains, "torch": torch_chains, "jax": jax_chains}[chosen.library]
trajectories = 100 if chosen.check else chosen.trajectories or max(2, 100_000 // chosen.chains // STEPS)
run = build(precision(), chosen.chains, trajectories)
if chosen.check:
    run()  # to equilibrium
    rate, squares = run()
    print(f"acceptance {rate:.3f}")
    # x.P.x is chi-squared; chains are independent, so their means give the error.
    common.verdict(
        f"hmc_gaussian {chosen.library} {chosen.dtype}", squares.mean(), DIM, squares.std(ddof=1) / np.sqrt(len(squares))
    )
else:
    rate, _ = run()
    gradients = chosen.chains * trajectories * STEPS
    common.report(
        "hmc_gaussian", chosen, run, gradients, "gradients", shape=str(DIM), chains=chosen.chains,
        leapfrog=STEPS, trajectories=trajectories, dtype=chosen.dtype, acceptance=round(rate, 3),
    )  # fmt: skip
