"""log Z of a Bernoulli RBM by the classic recipe of Salakhutdinov & Murray (2008), doi:10.1145/1390156.1390266.

100 chains from the base-rate model through 14,500 intermediate distributions: 500 beta spaced uniformly from 0 to 0.5, 4,000 to 0.9,
10,000 to 1. log Z is reference + log mean exp(log-weights); its error is the usual one of the mean of the weights, put through the
logarithm, and the usual interval is log(mean -+ 3 sigma). One JSON line a seed. NumPy, f32 products, f64 log-weights.
"""

import argparse
import importlib.metadata
import json
import os
import time

import common

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default=str(common.MODELS / "mnist-rbm-500.safetensors"))
parser.add_argument("--seeds", type=int, nargs="+", default=[1])
parser.add_argument("--chains", type=int, default=100)
parser.add_argument("--threads", type=int, default=1)
chosen = parser.parse_args()
common.set_threads(chosen.threads)

import numpy as np
from safetensors.numpy import load_file

BETAS = np.concatenate(
    [np.linspace(0, 0.5, 500, endpoint=False), np.linspace(0.5, 0.9, 4000, endpoint=False), np.linspace(0.9, 1, 10_000)]
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def annealed_log_weights(W, b, c, b0, betas, chains, rng):
    W_transposed = np.ascontiguousarray(W.T)

    def draw(x):
        return (rng.random(x.shape, dtype=np.float32) < sigmoid(x)).astype(np.float32)

    def softplus_sum(x):
        return (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))).sum(1, dtype=np.float64)

    log_weights = np.zeros(chains)
    v = draw(np.broadcast_to(b0, (chains, len(b0))))
    for start, to in zip(betas[:-1].astype(np.float32), betas[1:].astype(np.float32)):
        a = v @ W + c
        log_weights += float(to - start) * (v @ (b - b0)) + softplus_sum(to * a) - softplus_sum(start * a)
        h = draw(to * a)
        v = draw((1 - to) * b0 + to * (b + h @ W_transposed))
    return log_weights


tensors = load_file(chosen.model)
W, b, c = tensors["W"], tensors["b"], tensors["c"]
rates = np.clip(tensors["base_rates"].astype(np.float64), 1e-3, 1 - 1e-3)
b0 = np.log(rates / (1 - rates))
log_z_reference = np.logaddexp(0, b0).sum() + len(c) * np.log(2)

with np.errstate(over="ignore"):  # sigmoid(-100) = 1 / inf
    for seed in chosen.seeds:
        begin = time.perf_counter(), time.process_time()
        log_weights = annealed_log_weights(W, b, c, b0.astype(np.float32), BETAS, chosen.chains, np.random.default_rng(seed))
        weights = np.exp(log_weights - log_weights.max())
        log_z = log_z_reference + log_weights.max() + np.log(weights.mean())
        relative = weights.std(ddof=1) / weights.mean() / np.sqrt(len(weights))
        line = {
            "work": "classic_ais",
            "library": "numpy",
            "version": importlib.metadata.version("numpy"),
            "shape": "x".join(map(str, W.shape)),
            "chains": chosen.chains,
            "rungs": len(BETAS),
            "threads": chosen.threads,
            "seed": seed,
            "log_z": round(log_z, 4),
            "std_err": round(relative, 4),
            "three_sigma": [round(log_z + np.log(1 - 3 * relative), 4) if 3 * relative < 1 else None,
                            round(log_z + np.log(1 + 3 * relative), 4)],
            "effective_sample_size": round(weights.sum() ** 2 / (weights**2).sum(), 1),
            "seconds": round(time.perf_counter() - begin[0], 2),
            "processor_seconds": round(time.process_time() - begin[1], 2),
            "machine": common.machine(),
            "load": round(os.getloadavg()[0], 2),
        }  # fmt: skip
        print(json.dumps(line), flush=True)
