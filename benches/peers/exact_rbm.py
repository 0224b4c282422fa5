"""Exact log Z of the shipped 784x20 RBM: the sum over its 2^20 hidden configurations, in float64.

log Z = log sum_h exp(c.h + sum_i softplus(b_i + (W h)_i)). A block is all configurations that share their 13 high bits; 128 x 784
numbers of f64 stay in the cache. `--method products`, the usual one: W h of a block as a matrix product, then softplus.
`--method sums`: W h is the sum of what the high and the low bits give, so a block costs an addition and a softplus an element.
`--method factors`: also 1 + exp(x + y) = 1 + exp(x) exp(y), and products of eight such factors share a logarithm; that is only
right where no such product overflows, which is checked.
"""

import common

chosen = common.arguments(__doc__, common.EAGER, method=("products", "sums", "factors"))

import numpy as np
from safetensors.numpy import load_file

LOG_Z = 150.855858091  # by lnz's enumeration in Gray-code order

tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(common.MODELS / "mnist-rbm-20.safetensors").items()}
W, b, c = tensors["W"], tensors["b"], tensors["c"]
VISIBLE, HIDDEN = W.shape
LOW = 7


def configurations(bits):
    return (np.arange(2**bits)[:, None] >> np.arange(bits) & 1).astype(np.float64)


low_bits, high_bits = configurations(LOW), configurations(HIDDEN - LOW)
low, high = low_bits @ W.T[:LOW], b + high_bits @ W.T[LOW:]
low_bias, high_bias = low_bits @ c[:LOW], high_bits @ c[LOW:]
GROUP = 8


def numpy_log_z():
    x, tail = np.empty_like(low), np.empty_like(low)
    totals = np.empty((len(high), len(low)))
    hidden = np.empty((len(low), HIDDEN))
    hidden[:, :LOW] = low_bits
    exp_low, exp_high = np.exp(low), np.exp(high)
    largest = np.maximum(low.max(0) + high.max(0), 0)
    if chosen.method == "factors" and largest.reshape(-1, GROUP).sum(1).max() > 690:
        raise SystemExit("a product of factors may overflow")
    for k in range(len(high)):
        if chosen.method == "factors":
            np.multiply(exp_low, exp_high[k], out=x)
            np.add(x, 1, out=x)
            grouped = x.reshape(len(x), GROUP, -1)
            product = tail[:, : VISIBLE // GROUP]
            np.multiply(grouped[:, 0], grouped[:, 1], out=product)
            for factor in range(2, GROUP):
                np.multiply(product, grouped[:, factor], out=product)
            np.log(product, out=product)
            product.sum(1, out=totals[k])
        else:
            if chosen.method == "products":
                hidden[:, LOW:] = high_bits[k]
                np.matmul(hidden, W.T, out=x)
                np.add(x, b, out=x)
            else:
                np.add(low, high[k], out=x)
            np.abs(x, out=tail)
            np.negative(tail, out=tail)
            np.exp(tail, out=tail)
            np.add(tail, 1, out=tail)
            np.log(tail, out=tail)
            np.maximum(x, 0, out=x)
            np.add(x, tail, out=x)
            x.sum(1, out=totals[k])
    totals += low_bias + high_bias[:, None]
    return totals.max() + np.log(np.exp(totals - totals.max()).sum())


def torch_log_z():
    torch = common.use_torch(chosen.threads)
    lo, hi, lo_bias, hi_bias, lo_bits, hi_bits, weights, bias = map(
        torch.from_numpy, (low, high, low_bias, high_bias, low_bits, high_bits, np.ascontiguousarray(W.T), b)
    )

    def sums(k):
        return torch.nn.functional.softplus(lo + hi[k]).sum(1) + lo_bias + hi_bias[k]

    def products(k):
        hidden = torch.cat([lo_bits, hi_bits[k].expand(len(lo), -1)], 1)
        return torch.nn.functional.softplus(torch.addmm(bias, hidden, weights)).sum(1) + lo_bias + hi_bias[k]

    def factors(k):
        return (1 + exp_lo * exp_hi[k]).view(len(lo), GROUP, -1).prod(1).log_().sum(1) + lo_bias + hi_bias[k]

    exp_lo, exp_hi = lo.exp(), hi.exp()
    block = {"sums": sums, "products": products, "factors": factors}[chosen.method]
    return lambda: torch.stack([block(k) for k in range(len(hi))]).logsumexp((0, 1)).item()


def jax_log_z():
    jax = common.use_jax(double=True)
    jnp = jax.numpy

    @jax.jit
    def log_z(low, high, low_bias, high_bias, low_bits, high_bits, W, b):
        exp_low = jnp.exp(low)

        def block(row):
            high, high_bias, bits = row
            if chosen.method == "factors":
                factors = 1 + exp_low * jnp.exp(high)
                return jnp.log(factors.reshape(len(low), GROUP, -1).prod(1)).sum(1) + low_bias + high_bias
            if chosen.method == "products":
                x = jnp.concatenate([low_bits, jnp.broadcast_to(bits, (len(low), HIDDEN - LOW))], 1) @ W.T + b
            else:
                x = low + high
            return (jnp.maximum(x, 0) + jnp.log(1 + jnp.exp(-jnp.abs(x)))).sum(1) + low_bias + high_bias

        return jax.nn.logsumexp(jax.lax.map(block, (high, high_bias, high_bits)))

    arrays = [jnp.asarray(a) for a in (low, high, low_bias, high_bias, low_bits, high_bits, W, b)]
    return lambda: float(log_z(*arrays))


run = {"numpy": lambda: numpy_log_z, "torch": torch_log_z, "jax": jax_log_z}[chosen.library]()
if chosen.check:
    common.verdict(f"exact_rbm {chosen.library} {chosen.method}", run(), LOG_Z, 1e-9)
else:
    shape = f"{VISIBLE}x{HIDDEN}"
    common.report("exact_rbm", chosen, run, 2**HIDDEN / 1e6, "million configurations", shape=shape, method=chosen.method)
