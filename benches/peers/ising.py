"""Annealing of the Ising model on a periodic square: chequerboard heat bath from beta = 0 to 0.44, with the energy each sweep.

Each colour of the chequerboard is an array (side, side / 2, chains) of spins -1, +1 in int8; column k of row i is site 2k + i mod 2
of the row for one colour, 2k + 1 - i mod 2 for the other. A spin whose neighbours sum to n becomes +1 with probability
p(n) = sigmoid(2 beta n). n has five values, so the number x of thresholds p(-4), ..., p(4) above a uniform number decides:
+1 if n + 2x >= 6. That is several times as fast as looking p(n) up. Uniform numbers are 32 random bits.
"""

import common

chosen = common.arguments(__doc__, common.EAGER, side=64, chains=64, sweeps=0)

import numpy as np

SIDE = 4 if chosen.check else chosen.side


def thresholds(beta):
    return 1 / (1 + np.exp(-2 * beta * np.arange(-4, 5, 2)))


def numpy_annealing(betas, chains):
    rng = np.random.default_rng(chosen.seed)
    colours = [np.empty((SIDE, SIDE // 2, chains), np.int8) for _ in range(2)]
    sums, product = np.empty_like(colours[0]), np.empty_like(colours[0])
    strip = max(1, 2**17 // (SIDE // 2 * chains))  # rows whose random numbers stay in the cache
    rows = [slice(i, min(i + strip, SIDE)) for i in range(0, SIDE, strip)]
    below, count = (np.empty((strip, SIDE // 2, chains), np.int8) for _ in range(2))

    def add_neighbours(other, parity):
        np.add(other[:-2], other[2:], out=sums[1:-1])
        np.add(other[-1], other[1], out=sums[0])
        np.add(other[-2], other[0], out=sums[-1])
        np.add(sums, other, out=sums)
        before, after = sums[parity::2], sums[1 - parity :: 2]
        before[:, 1:] += other[parity::2, :-1]
        before[:, 0] += other[parity::2, -1]
        after[:, :-1] += other[1 - parity :: 2, 1:]
        after[:, -1] += other[1 - parity :: 2, 0]

    def update(spins, limits):
        for part in rows:
            shape = spins[part].shape
            bits = rng.integers(0, 2**64, size=int(np.prod(shape)) // 2, dtype=np.uint64).view(np.uint32).reshape(shape)
            x, less = count[: shape[0]], below[: shape[0]].view(bool)
            np.less(bits, limits[0], out=x.view(bool))
            for limit in limits[1:]:
                np.less(bits, limit, out=less)
                np.add(x, less.view(np.int8), out=x)
            np.add(x, x, out=x)
            np.add(x, sums[part], out=x)
            np.greater_equal(x, 6, out=less)
            np.add(less.view(np.int8), less.view(np.int8), out=x)
            np.subtract(x, 1, out=spins[part])

    def aligned_bonds():
        """Sum of s s' over bonds; sixteen summands of at most 4 fit into an int8."""
        np.multiply(colours[1], sums, out=product)
        return product.reshape(-1, min(16, SIDE), chains).sum(1, dtype=np.int8).sum(0, dtype=np.int32)

    def run():
        log_weights = np.zeros(chains)
        bonds = None
        for k, beta in enumerate(betas):
            if k > 0:
                log_weights += (beta - betas[k - 1]) * bonds
            limits = [np.uint32(min(p * 2**32, 2**32 - 1)) for p in thresholds(beta)]
            for colour in range(2):
                sums[:] = 0
                if k > 0 or colour == 1:  # at beta = 0 what the neighbours are does not matter
                    add_neighbours(colours[1 - colour], colour)
                update(colours[colour], limits)
            bonds = aligned_bonds()
        return log_weights

    return run


def torch_annealing(betas, chains):
    torch = common.use_torch(chosen.threads)
    torch.manual_seed(chosen.seed)
    shape = (SIDE, SIDE // 2, chains)

    def random_words():
        # One 64-bit number costs less than two of 32 bits.
        return torch.empty(shape[0], shape[1], chains // 2, dtype=torch.int64).random_(-(2**63), None).view(torch.int32)

    def neighbours(other, parity):
        sums = other.roll(1, 0).add_(other.roll(-1, 0)).add_(other)
        sums[parity::2] += other[parity::2].roll(1, 1)
        sums[1 - parity :: 2] += other[1 - parity :: 2].roll(-1, 1)
        return sums

    def sweep(first, second, limits):
        for parity in range(2):
            sums = neighbours(second if parity == 0 else first, parity)
            words = random_words()
            count = sum((words < limit).view(torch.int8) for limit in limits.unbind())
            spins = 2 * (sums + 2 * count >= 6).view(torch.int8) - 1
            first, second = (spins, second) if parity == 0 else (first, spins)
        return first, second, (second * sums).sum((0, 1), dtype=torch.int32)

    tables = [torch.tensor(np.minimum(thresholds(b) * 2**32 - 2**31, 2**31 - 1).astype(np.int32)) for b in betas]

    def run():
        first, second = (torch.ones(shape, dtype=torch.int8) for _ in range(2))
        log_weights, bonds = torch.zeros(chains, dtype=torch.float64), None
        for k, beta in enumerate(betas):
            if k > 0:
                log_weights += (beta - betas[k - 1]) * bonds
            first, second, bonds = sweep(first, second, tables[k])
        return log_weights.numpy()

    return run


def jax_annealing(betas, chains):
    jax = common.use_jax()
    jnp = jax.numpy
    shape = (SIDE, SIDE // 2, chains)
    odd_row = (jnp.arange(SIDE) % 2 == 1)[:, None, None]

    @jax.jit
    def anneal(key, tables):
        # Half a sweep to a loop's body: in one body XLA would compute the first colour, with its random numbers, anew for each
        # neighbour that reads it.
        def half(state, inputs):
            spins, other = state
            key, limits, parity = inputs
            before, after = jnp.roll(other, 1, 1), jnp.roll(other, -1, 1)
            sums = jnp.roll(other, 1, 0) + jnp.roll(other, -1, 0) + other + jnp.where(odd_row ^ parity, after, before)
            words = jax.random.bits(key, shape, jnp.uint32)
            count = sum((words < limits[m]).astype(jnp.int8) for m in range(5))
            spins = 2 * (sums + 2 * count >= 6).astype(jnp.int8) - 1
            # Sixteen summands of at most 4 fit into an int8.
            bonds = (spins * sums).reshape(-1, min(16, SIDE), chains).sum(1, dtype=jnp.int8)
            return (other, spins), bonds.sum(0, dtype=jnp.int32)

        inputs = jax.random.split(key, 2 * len(tables)), jnp.repeat(tables, 2, axis=0), jnp.arange(2 * len(tables)) % 2 == 1
        start = jnp.ones(shape, jnp.int8)
        return jax.lax.scan(half, (start, start), inputs)[1][1::2]

    keys = iter(jax.random.split(jax.random.key(chosen.seed), 1000))
    tables = jnp.asarray([np.minimum(thresholds(b) * 2**32, 2**32 - 1).astype(np.uint32) for b in betas])
    return lambda: np.diff(betas) @ np.asarray(anneal(next(keys), tables), np.float64)[:-1]


def exact_log_z(beta):
    spins = 1 - 2 * (np.arange(2**16)[:, None] >> np.arange(16) & 1).reshape(-1, 4, 4)
    bonds = (spins * (np.roll(spins, 1, 1) + np.roll(spins, 1, 2))).sum((1, 2))
    return np.logaddexp.reduce(beta * bonds)


build = {"numpy": numpy_annealing, "torch": torch_annealing, "jax": jax_annealing}[chosen.library]
if chosen.check:
    run = build(np.linspace(0, 0.4, 101), 4096)
    common.exact_check(f"ising {chosen.library}", run(), 16 * np.log(2), exact_log_z(0.4))
else:
    sweeps = chosen.sweeps or max(2, int(3e7 / (SIDE**2 * chosen.chains)))
    run = build(np.linspace(0, 0.44, sweeps), chosen.chains)
    updates = SIDE**2 * chosen.chains * sweeps / 1e6
    common.report(
        "ising", chosen, run, updates, "million spin updates", shape=f"{SIDE}x{SIDE}", chains=chosen.chains, sweeps=sweeps
    )
