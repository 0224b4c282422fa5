"""What the networks here give: `python check_networks.py NAMES --data DIR`, or `all`; see train_networks.py for the data.

Weights are read from the ONNX files. In two dimensions log Z is a sum over a grid, in f64, which is exact to the digits printed.
For the others it is annealed importance sampling from the Gaussian factor, 256 chains, one Langevin step a rung, and the way back
from chains that began at test rows and went on for as many steps as there are rungs. Likelihoods are of noisy test rows.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import onnx.reference
import torch
from train_networks import HERE, NETWORKS, PLANE, Rows, langevin, mnist

CHAINS = 256


def network(name, shape):
    energy, model = NETWORKS[name](), onnx.load(HERE / f"{name}.onnx")
    tensors = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer}
    folded = [t.flatten() for key, t in tensors.items() if key.startswith("val_") and t.shape[1:] == (1, 1)]
    state = {key.removeprefix("energy."): t for key, t in tensors.items()}
    for key, value in energy.state_dict().items():
        if key not in state and key.startswith("net."):  # a group norm's, which the exporter gave another shape and name
            state[key] = folded.pop(0)
        state.setdefault(key, value)  # a centre of 0 or a scale of 1 is not in the graph
    energy.load_state_dict({key: state[key] for key in energy.state_dict()})
    energy.requires_grad_(False)
    x = torch.randn(3, *shape)
    found = torch.tensor(onnx.reference.ReferenceEvaluator(model).run(None, {"x": x.numpy()})[0])
    torch.testing.assert_close(-torch.logsumexp(found, 1) if energy.logits else found, energy(x), rtol=1e-5, atol=1e-4)
    return energy


def on_grid(energy, side, half=16.0):
    middles = half * ((2 * torch.arange(side).double() + 1) / side - 1)
    points = torch.cartesian_prod(middles, middles)
    parts = torch.stack([torch.logsumexp(-energy(part), 0) for part in points.split(50_000)])
    return torch.logsumexp(parts, 0).item() + 2 * math.log(2 * half / side)


def annealed(energy, x, size, rungs, back):
    """log of the mean weight of a walk from the Gaussian factor to the energy, or back, and its standard error."""
    log_weights = torch.zeros(len(x), dtype=torch.float64)
    betas = torch.linspace(0, 1, rungs + 1).double() ** 1.5
    betas = (betas.flip(0) if back else betas).tolist()
    for start, to in zip(betas, betas[1:]):
        log_weights += (start - to) * (energy(x) - energy.confinement(x)).double()
        x, _ = langevin(energy, x, 1, size * (2 - to), to)
    square = CHAINS * (torch.softmax(log_weights, 0) ** 2).sum().item()
    return (torch.logsumexp(log_weights, 0) - math.log(CHAINS)).item(), math.sqrt(max(0, square - 1) / CHAINS)


def check(name, energy, test, size, rungs):
    begin = time.perf_counter()
    torch.manual_seed(3)
    shape = test.shape[1:]
    log_z0 = energy.scale.expand(shape).log().sum().item() + 0.5 * test[0].numel() * math.log(2 * math.pi)
    up = annealed(energy, energy.centre + energy.scale * torch.randn(CHAINS, *shape), size, rungs, False)
    x, accepted = langevin(energy, test[torch.randperm(len(test))[:CHAINS]], rungs, size)
    down = annealed(energy, x, size, rungs, True)
    likelihood = -energy(test).mean().item() - log_z0 - up[0]
    gaussian = -energy.confinement(test).mean().item() - log_z0
    line = {"model": name, "rungs": rungs, "seconds": round(time.perf_counter() - begin), "accepted": round(accepted, 3)}
    line |= {"up": f"{log_z0 + up[0]:.2f} ± {up[1]:.2f}", "down": f"{log_z0 - down[0]:.2f} ± {down[1]:.2f}"}
    line |= {"energy_of_samples": round(energy(x).mean().item(), 2), "energy_of_test": round(energy(test).mean().item(), 2)}
    line |= {"test_log_likelihood": round(likelihood, 2), "gaussian_log_likelihood": round(gaussian, 2)}
    print(json.dumps(line, ensure_ascii=False), flush=True)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("names", nargs="+", choices=[*NETWORKS, "all"])
parser.add_argument("--data", type=Path, default=Path("data"))
chosen = parser.parse_args()
torch.set_num_threads(1)
for name in NETWORKS if "all" in chosen.names else chosen.names:
    energy = network(name, (2,) if name in PLANE else (1, 28, 28) if name == "mnist-conv" else (64,))
    if name in PLANE:
        energy = energy.double()
        coarse, fine = on_grid(energy, 1600), on_grid(energy, 2000)
        likelihood = -energy(torch.from_numpy(np.load(HERE / f"{name}-test.npy")).double()).mean().item() - fine
        line = {"model": name, "log_z": round(fine, 8), "finer_grid": f"{fine - coarse:+.1e}"}
        print(json.dumps(line | {"test_log_likelihood": round(likelihood, 4)}), flush=True)
    elif name == "mnist-conv":
        torch.manual_seed(2)
        images = mnist(chosen.data, "t10k")[:2000]
        check(name, energy, Rows(images).noisy(images), 0.02, 1000)
    else:
        check(name, energy, torch.from_numpy(np.load(HERE / "digits-64-test.npy")), 0.08, 2000)
