"""Annealed importance sampling of a Bernoulli RBM by the path of Salakhutdinov & Murray (2008), doi:10.1145/1390156.1390266.

log f_beta(v) = (1 - beta) b0.v + beta b.v + sum_j softplus(beta a_j), a = c + vW. A chain-step adds log f_to - log f_from of two
neighbouring rungs to the log-weight and does one step of block Gibbs, v -> h -> v. a does not depend on beta, so it serves both
densities and the Gibbs step: two matrix products a step in all of these. A bit is 1 with probability sigmoid(x) if
u (1 + exp(-x)) < 1, which needs no division. With t = |a|, softplus(to a) - softplus(from a) is
(to - from) max(a, 0) + log((1 + exp(-to t)) / (1 + exp(-from t))), which needs one logarithm.
"""

import common

chosen = common.arguments(__doc__, shape="784x500", chains=256, rungs=0)

import numpy as np

VISIBLE, HIDDEN = (16, 10) if chosen.check else map(int, chosen.shape.split("x"))


def machine():
    """W, b, c and b0, f32: those of lnz's benches/rbm.rs, or in a check random ones."""
    if chosen.check:
        rng = np.random.default_rng(7)
        shapes = [(VISIBLE, HIDDEN), VISIBLE, HIDDEN, VISIBLE]
        return [(0.7 * rng.standard_normal(shape)).astype(np.float32) for shape in shapes]
    i, j = np.arange(VISIBLE)[:, None], np.arange(HIDDEN)
    weights = (0.1 * np.sin(i * 31 + j * 17)).astype(np.float32)
    return weights, np.zeros(VISIBLE, np.float32), np.zeros(HIDDEN, np.float32), np.zeros(VISIBLE, np.float32)


def numpy_annealing(W, b, c, b0, betas, chains):
    rng = np.random.Generator(np.random.SFC64(chosen.seed))
    W_transposed = np.ascontiguousarray(W.T)
    v, u_visible, x = (np.empty((chains, VISIBLE), np.float32) for _ in range(3))
    h, u_hidden, a, upper, lower = (np.empty((chains, HIDDEN), np.float32) for _ in range(5))

    def softplus_difference(start, to):
        np.abs(a, out=upper)
        np.multiply(upper, np.float32(-start), out=lower)
        np.multiply(upper, np.float32(-to), out=upper)
        for tail in (upper, lower):
            np.exp(tail, out=tail)
            np.add(tail, 1, out=tail)
        np.divide(upper, lower, out=upper)
        np.log(upper, out=upper)
        np.maximum(a, 0, out=lower)
        np.multiply(lower, np.float32(to - start), out=lower)
        return np.add(upper, lower, out=upper).sum(axis=1)

    def draw(out, u, x, beta):
        np.multiply(x, np.float32(-beta), out=x)
        np.exp(x, out=x)
        np.add(x, 1, out=x)
        rng.random(dtype=np.float32, out=u)
        np.multiply(u, x, out=u)
        np.less(u, 1, out=out)

    def run():
        np.copyto(x, b0)
        with np.errstate(over="ignore"):  # exp(-x) = inf is a bit that is 0 for certain
            draw(v, u_visible, x, 1)
            log_weights = np.zeros(chains)
            for start, to in zip(betas[:-1], betas[1:]):
                np.matmul(v, W, out=a)
                np.add(a, c, out=a)
                log_weights += (to - start) * (v @ (b - b0))
                log_weights += softplus_difference(start, to)
                draw(h, u_hidden, a, to)
                np.matmul(h, W_transposed, out=x)
                np.multiply(x, np.float32(to), out=x)
                np.add(x, ((1 - to) * b0 + to * b).astype(np.float32), out=x)
                draw(v, u_visible, x, 1)
        return log_weights

    return run


def torch_annealing(W, b, c, b0, betas, chains):
    torch = common.use_torch(chosen.threads)
    torch.manual_seed(chosen.seed)
    W, b, c, b0 = map(torch.from_numpy, (W, b, c, b0))
    W_transposed = W.T.contiguous()

    def draw(x):
        return (torch.rand_like(x) < torch.sigmoid(x)).float()

    def step(v, log_weights, start, to):
        a = torch.addmm(c, v, W)
        size = a.abs().neg_()
        tails = (to * size).exp_().add_(1).div_((start * size).exp_().add_(1)).log_()
        difference = tails.add_(a.clamp_min(0).mul_(to - start)).sum(1) + (to - start) * (v @ (b - b0))
        h = draw(to * a)
        return draw(torch.lerp(b0, b, to) + to * (h @ W_transposed)), log_weights + difference.double()

    if chosen.library == "torch.compile":
        step = torch.compile(step, dynamic=False)
    rungs = torch.tensor(betas, dtype=torch.float32)

    def run():
        v, log_weights = draw(b0.expand(chains, -1)), torch.zeros(chains, dtype=torch.float64)
        for start, to in zip(rungs[:-1], rungs[1:]):
            v, log_weights = step(v, log_weights, start, to)
        return log_weights.numpy()

    return run


def jax_annealing(W, b, c, b0, betas, chains):
    jax = common.use_jax()
    jnp = jax.numpy
    rungs = jnp.asarray(betas, jnp.float32)

    def draw(key, x):
        return (jax.random.uniform(key, x.shape) * (1 + jnp.exp(-x)) < 1).astype(jnp.float32)

    @jax.jit
    def anneal(key, W, b, c, b0):
        W_transposed = W.T

        def step(state, ends):
            (v, log_weights, lost, key), (start, to) = state, ends
            key, key_hidden, key_visible = jax.random.split(key, 3)
            a = v @ W + c
            size = jnp.abs(a)
            tails = jnp.log((1 + jnp.exp(-to * size)) / (1 + jnp.exp(-start * size)))
            difference = (tails + (to - start) * jnp.maximum(a, 0)).sum(1) + (to - start) * (v @ (b - b0))
            h = draw(key_hidden, to * a)
            v = draw(key_visible, (1 - to) * b0 + to * (b + h @ W_transposed))
            # Kahan's sum: f64 is all or nothing in JAX.
            term = difference - lost
            total = log_weights + term
            return (v, total, (total - log_weights) - term, key), None

        key, first = jax.random.split(key)
        state = draw(first, jnp.broadcast_to(b0, (chains, VISIBLE))), jnp.zeros(chains), jnp.zeros(chains), key
        return jax.lax.scan(step, state, (rungs[:-1], rungs[1:]))[0][1]

    keys = iter(jax.random.split(jax.random.key(chosen.seed), 1000))
    W, b, c, b0 = map(jnp.asarray, (W, b, c, b0))
    return lambda: np.asarray(anneal(next(keys), W, b, c, b0), np.float64)


def exact_log_z(W, b, c, b0):
    bits = (np.arange(2**HIDDEN)[:, None] >> np.arange(HIDDEN) & 1).astype(np.float64)
    return np.logaddexp.reduce(bits @ c + np.logaddexp(0, b + bits @ W.T.astype(np.float64)).sum(1))


build = {"numpy": numpy_annealing, "jax": jax_annealing}.get(chosen.library, torch_annealing)
if chosen.check:
    parameters = machine()
    run = build(*parameters, np.linspace(0, 1, 201), 4096)
    reference = np.logaddexp(0, parameters[3].astype(np.float64)).sum() + HIDDEN * np.log(2)
    common.exact_check(f"rbm_annealing {chosen.library}", run(), reference, exact_log_z(*parameters))
else:
    # A tenth of a second where the two products run at 100 GFlop/s.
    rungs = chosen.rungs or max(2, int(1e10 / (4 * VISIBLE * HIDDEN * chosen.chains)))
    run = build(*machine(), np.linspace(0, 1, rungs + 1), chosen.chains)
    shape = f"{VISIBLE}x{HIDDEN}"
    common.report(
        "rbm_annealing", chosen, run, chosen.chains * rungs, "chain-steps", shape=shape, chains=chosen.chains, rungs=rungs
    )
