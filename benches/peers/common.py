"""What every script here shares: the command line, thread counts, timing, and the one JSON line."""

import argparse
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"
LIBRARIES = {"numpy": "numpy", "torch": "torch", "torch.compile": "torch", "jax": "jax"}
EAGER = ("numpy", "torch", "jax")


def arguments(description, libraries=tuple(LIBRARIES), **options):
    """Parses the command line and sets thread counts; call it before NumPy, PyTorch or JAX is imported."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--library", choices=libraries, default=libraries[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many is reported")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="compare with a known value instead of measuring")
    for name, default in options.items():
        choices = default if isinstance(default, (tuple, list)) else None
        default = choices[0] if choices else default
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), choices=choices, default=default)
    chosen = parser.parse_args()
    set_threads(chosen.threads)
    return chosen


def set_threads(threads):
    """Has effect only before NumPy, PyTorch or JAX is imported."""
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]:
        os.environ[name] = str(threads)
    os.environ["NPROC"] = str(threads)  # the size of XLA's thread pools on a CPU


def use_torch(threads):
    """PyTorch, with so many threads and without gradients for good."""
    import torch

    torch.set_num_threads(threads)
    torch.inference_mode().__enter__()
    return torch


def use_jax(double=False):
    """JAX on the CPU, with its default generator, threefry, which is three times as fast there as "rbg".

    The form of it that shards over devices makes half as many numbers a second, and there is one device.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_threefry_partitionable", False)
    jax.config.update("jax_enable_x64", double)
    return jax


def best_time(run, rounds):
    """Seconds of the first call, which compiles; the least seconds of the later ones, of the wall and of the processor."""
    wall, processor = [], []
    for _ in range(rounds + 1):
        begin = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begin[0])
        processor.append(time.process_time() - begin[1])
    return wall[0], min(wall[1:]), min(processor[1:])


def report(work, chosen, run, amount, unit, **fields):
    """Times `run`, which does `amount` of `unit`, and prints the JSON line."""
    first, best, processor = best_time(run, chosen.rounds)
    line = {"work": work, "library": chosen.library, "version": importlib.metadata.version(LIBRARIES[chosen.library])}
    line |= fields
    line |= {
        "threads": chosen.threads,
        "rounds": chosen.rounds,
        "first_seconds": float(f"{first:.4g}"),
        "seconds": float(f"{best:.4g}"),
        "processor_seconds": float(f"{processor:.4g}"),
        "rate": float(f"{amount / best:.4g}"),
        "unit": unit + " per second",
        "machine": machine(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    if chosen.library == "numpy":
        line["blas"] = blas()
    print(json.dumps(line), flush=True)


def exact_check(name, log_weights, reference, expected):
    """Checks log Z = reference + log mean exp(log_weights)."""
    import numpy as np

    weights = np.exp(log_weights - log_weights.max())
    log_z = reference + log_weights.max() + np.log(weights.mean())
    verdict(name, log_z, expected, weights.std(ddof=1) / weights.mean() / np.sqrt(len(weights)))


def verdict(name, found, expected, std_err):
    """Prints a comparison and ends with status 1 if it is off by more than 4.5 standard errors."""
    z = (found - expected) / std_err
    print(f"{name}: {found:.6f} ± {std_err:.6f}, should be {expected:.6f}, z = {z:+.2f}", flush=True)
    if not abs(z) < 4.5:
        raise SystemExit(f"{name} is wrong")


def machine():
    """The processor's name, number of cores, and widest vector instructions."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        for row in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = row.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = next((f" {wide}" for wide in ["avx512f", "avx2"] if wide in value.split()), "")
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores{flags}"


def blas():
    """The BLAS that NumPy loaded, and the kernels it picked."""
    import threadpoolctl

    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            return f"{library['internal_api']} {library['version']} {library.get('architecture', '')}".strip()
    return None
