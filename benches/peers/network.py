"""Energies of a batch and their gradients by the inputs, in PyTorch: what a step of Langevin or Hamiltonian sampling costs.

Parameters need no gradient here, so autograd goes back to the inputs only. `--export DIR` also writes the networks there as ONNX, for
`lnz` to time the same weights; with `--check` each is compared with onnxruntime (which has to be installed), gradients with differences
of energies. One JSON line a case and number of threads: milliseconds of one call, the best of the rounds.
"""

import argparse
import copy
import json
import os
import time
from pathlib import Path

import common

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--cases", nargs="+", help="names, of those that a run prints")
parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
parser.add_argument("--rounds", type=int, default=10, help="the best of so many is reported; a round takes a fifth of a second")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--export", type=Path, help="a folder for CASE.onnx")
parser.add_argument("--check", action="store_true", help="compare instead of measuring")
chosen = parser.parse_args()
common.set_threads(max(chosen.threads))

import torch
from torch import nn


def perceptron(inputs, width):
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))


def convolutions():
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU()]
    layers += [nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.SiLU()]
    layers += [nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(32 * 7 * 7, 1)]
    return nn.Sequential(*layers)


CASES = {  # how to make it, a row, the batch
    "2-128-128-1": (lambda: perceptron(2, 128), (2,), 4096),
    "784-512-512-1": (lambda: perceptron(784, 512), (784,), 256),
    "conv-28x28": (convolutions, (1, 28, 28), 64),
}


def call(net, x):
    energies = net(x)
    return energies.detach(), torch.autograd.grad(energies.sum(), x)[0]


def best_ms(net, x, rounds):
    """The least milliseconds of one call, over rounds of as many as fit into a fifth of a second."""
    begin = time.perf_counter()
    for _ in range(3):
        call(net, x)
    calls = max(1, int(0.2 * 3 / (time.perf_counter() - begin)))
    _, seconds, _ = common.best_time(lambda: [call(net, x) for _ in range(calls)], rounds)
    return 1000 * seconds / calls


def export(net, shape, path):
    axes = {"x": {0: "batch"}, "energy": {0: "batch"}}
    options = dict(input_names=["x"], output_names=["energy"], dynamic_axes=axes, opset_version=17, dynamo=False)
    torch.onnx.export(net, (torch.zeros(2, *shape),), str(path), **options)


def check(name, net, x):
    energies, gradients = call(net, x)
    with torch.no_grad():
        step = torch.randn_like(x).double() / 1000
        double = copy.deepcopy(net).double()
        differences = (double(x + step) - double(x - step)).reshape(-1) / 2
    along = (gradients * step).flatten(1).sum(1)
    common.verdict(f"gradient of {name}, relative error", ((along - differences).norm() / differences.norm()).item(), 0, 1e-4)
    if chosen.export:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(chosen.export / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, {"x": x.detach().numpy()})[0])
        common.verdict(f"ONNX of {name}, largest error", (found - energies).abs().max().item(), 0, 1e-5)


for name in chosen.cases or CASES:
    make, shape, batch = CASES[name]
    torch.manual_seed(chosen.seed)
    net = make().eval().requires_grad_(False)
    x = torch.randn(batch, *shape).requires_grad_()
    if chosen.export:
        chosen.export.mkdir(parents=True, exist_ok=True)
        export(net, shape, chosen.export / f"{name}.onnx")
    if chosen.check:
        check(name, net, x)
        continue
    for threads in chosen.threads:
        torch.set_num_threads(threads)
        ms = best_ms(net, x, chosen.rounds)
        line = {
            "work": "network",
            "library": "torch",
            "version": torch.__version__,
            "case": name,
            "batch": batch,
            "threads": threads,
        }
        line |= {"rounds": chosen.rounds, "ms": round(ms, 4), "load": round(os.getloadavg()[0], 1)}
        print(json.dumps(line), flush=True)
