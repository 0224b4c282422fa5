"""Trains the networks of this folder: `python train_networks.py all`, or some of them.

It takes torch, onnx, onnxscript and safetensors. `--data DIR` holds `digits/digits_x.npy` and `digits/digits_y.npy` (as
scikit-learn has them) and `mnist/` (the four gzipped files).
Energies in two dimensions are fitted by maximum likelihood proper, as a sum over a grid gives log Z; the others by persistent
chains of Langevin steps with Metropolis' correction, so that what training samples is the density of the energy itself. Every
graph has a Gaussian factor, so every energy is normalisable without bounds. Seeds are fixed; one thread.
"""

import argparse
import gzip
import json
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).resolve().parent
NOISE = 0.3  # of the pixels, which go from -1 to 1


class Energy(nn.Module):
    """net(x) + |(x - centre) / scale|^2 / 2; with logits, -logsumexp(net(x)) in place of net(x)."""

    def __init__(self, net, centre=0.0, scale=1.0, logits=False):
        super().__init__()
        self.net, self.logits = net, logits
        self.register_buffer("centre", torch.as_tensor(centre, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def confinement(self, x):
        return 0.5 * (((x - self.centre) / self.scale) ** 2).flatten(1).sum(1)

    def forward(self, x):
        out = self.net(x)
        return self.confinement(x) + (-torch.logsumexp(out, 1) if self.logits else out.squeeze(1))


class Logits(nn.Module):
    """-|x|^2 / 2 goes to every logit: the classifier stays the same, and sum exp(logits) becomes a density."""

    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def forward(self, x):
        return self.energy.net(x) - self.energy.confinement(x).unsqueeze(1)


def perceptron(*widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def convolutions(centre=torch.zeros(1, 28, 28), scale=torch.ones(1, 28, 28)):
    layers = [nn.Conv2d(1, 16, 3, 2, 1), nn.GroupNorm(4, 16), nn.SiLU()]
    layers += [nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.SiLU()]
    layers += [nn.Conv2d(32, 32, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(512, 64), nn.SiLU(), nn.Linear(64, 1)]
    return Energy(nn.Sequential(*layers), centre, scale)


def save(name, module, shape):
    module = module.eval()
    path, example = HERE / f"{name}.onnx", torch.zeros(2, *shape)
    output = "logits" if isinstance(module, Logits) else "energy"
    axes = ({0: torch.export.Dim("batch")},)
    options = dict(input_names=["x"], output_names=[output], opset_version=18, dynamic_shapes=axes)
    torch.onnx.export(module, (example,), path, **options, dynamo=True, external_data=False, verbose=False)
    model = onnx.load(path)
    graph = model.graph
    for item in [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        del item.metadata_props[:]  # traces of where the code was
    onnx.save(model, path)


def two_moons(n):
    angle, upper = math.pi * torch.rand(n), torch.rand(n) < 0.5
    x = torch.where(upper, torch.cos(angle), 1 - torch.cos(angle))
    y = torch.where(upper, torch.sin(angle), 0.5 - torch.sin(angle))
    return 1.5 * (torch.stack([x - 0.5, y - 0.25], 1) + 0.1 * torch.randn(n, 2))


def pinwheel(n, arms=5):
    along, across = 0.3 * torch.randn(n) + 1, 0.1 * torch.randn(n)
    angle = 2 * math.pi / arms * torch.randint(arms, (n,)) + 0.25 * torch.exp(along)
    return 2 * torch.stack([along * angle.cos() - across * angle.sin(), along * angle.sin() + across * angle.cos()], 1)


def eight_gaussians(n):
    angle = math.pi / 4 * torch.randint(8, (n,))
    return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * torch.randn(n, 2)


def plane(name, draw, steps=4000, batch=512):
    torch.manual_seed(1)
    energy = NETWORKS[name]()
    middles = 4.5 * ((2 * torch.arange(96) + 1) / 96 - 1)
    points, cell = torch.cartesian_prod(middles, middles), 2 * math.log(9 / 96)
    optimizer = torch.optim.Adam(energy.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        moved = points + (torch.rand(2) - 0.5) * 9 / 96
        loss = energy(draw(batch)).mean() + torch.logsumexp(-energy(moved), 0) + cell
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.manual_seed(2)
    train, test = draw(2000), draw(2000)
    np.save(HERE / f"{name}-test.npy", test.numpy())
    if name == "two-moons":
        np.save(HERE / f"{name}-train.npy", train.numpy())
        save_file(energy.net.state_dict(), HERE / f"{name}-perceptron.safetensors")
    save(name, energy, (2,))
    return {"last_loss": loss.item()}


def langevin(energy, x, steps, size, beta=1.0):
    """Langevin steps with Metropolis' correction on (1 - beta) confinement + beta energy; states and the share accepted."""
    scale = energy.scale  # steps in units of the Gaussian factor

    def at(x):
        x = x.detach().requires_grad_()
        e = beta * energy(x) + (1 - beta) * energy.confinement(x) if beta < 1 else energy(x)
        return e.detach(), torch.autograd.grad(e.sum(), x)[0] * scale

    def log_proposal(step, gradient):
        return -((step / scale + size * gradient) ** 2).flatten(1).sum(1) / (4 * size)

    (e, gradient), accepted = at(x), 0.0
    for _ in range(steps):
        y = x + scale * (math.sqrt(2 * size) * torch.randn_like(x) - size * gradient)
        e_y, gradient_y = at(y)
        accept = torch.rand(len(x)).log() < e - e_y + log_proposal(x - y, gradient_y) - log_proposal(y - x, gradient)
        where = accept.view(-1, *[1] * (x.dim() - 1))
        x, gradient, e = torch.where(where, y, x), torch.where(where, gradient_y, gradient), torch.where(accept, e_y, e)
        accepted += accept.float().mean().item() / steps
    return x, accepted


def persistent(energy, data, *, steps, chains=256, moves=10, rate=1e-3, size=0.05, fresh=0.005):
    """Fits `energy` to rows from `data`; `fresh` of the chains begin anew at each step. The average of late weights is kept."""

    def begin(n):
        return energy.centre + energy.scale * torch.randn(n, *data.shape)

    x = begin(chains)
    optimizer = torch.optim.AdamW(energy.parameters(), rate, betas=(0.5, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(1, (k + 1) / 100) * min(1, 2 * (1 - k / steps)))
    average = torch.optim.swa_utils.AveragedModel(energy, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    for _ in range(steps):
        anew = torch.rand(chains) < fresh
        x[anew] = begin(int(anew.sum()))
        x, accepted = langevin(energy, x, moves, size)
        size *= math.exp(0.05 * (accepted - 0.7))
        rows, classes = data(chains)
        loss = energy(rows).mean() - energy(x).mean()
        if energy.logits:
            loss = loss + nn.functional.cross_entropy(energy.net(rows), classes)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(energy.parameters(), 10)
        optimizer.step()
        schedule.step()
        average.update_parameters(energy)
    energy.load_state_dict(average.module.state_dict())
    return {"parameters": sum(p.numel() for p in energy.parameters()), "accepted": accepted, "step": size}


class Rows:
    """Draws rows with noise: of clean ones, in pixels from -1 to 1, or standardised."""

    def __init__(self, clean, labels=None, centre=0.0, scale=1.0):
        self.clean, self.centre, self.scale, self.shape = clean, centre, scale, clean.shape[1:]
        self.labels = torch.zeros(len(clean), dtype=torch.long) if labels is None else labels

    def noisy(self, clean):
        return (clean + NOISE * torch.randn_like(clean) - self.centre) / self.scale

    def __call__(self, n):
        pick = torch.randint(len(self.clean), (n,))
        return self.noisy(self.clean[pick]), self.labels[pick]


def digits(name, data):
    x = torch.from_numpy(np.load(data / "digits/digits_x.npy")).float() / 8 - 1
    y = torch.from_numpy(np.load(data / "digits/digits_y.npy")).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1400], order[1400:]
    centre, scale = x[train].mean(0), (x[train].var(0) + NOISE**2).sqrt()
    torch.manual_seed(2)
    rows = Rows(x[train], y[train], centre, scale)
    noisy = rows.noisy(x[test])
    for part, tensor in [("train", rows.noisy(x[train])), ("test", noisy), ("scale", torch.stack([centre, scale]))]:
        np.save(HERE / f"digits-64-{part}.npy", tensor.numpy())
    torch.manual_seed(1)
    energy = NETWORKS[name]()
    facts = persistent(energy, rows, steps=4000)
    if energy.logits:
        facts["test_accuracy"] = (energy.net(noisy).argmax(1) == y[test]).float().mean().item()
    save(name, Logits(energy) if energy.logits else energy, (64,))
    return facts


def mnist(data, part):
    pixels = gzip.decompress((data / f"mnist/{part}-images-idx3-ubyte.gz").read_bytes())
    return torch.from_numpy(np.frombuffer(pixels, np.uint8, offset=16).copy()).view(-1, 1, 28, 28) / 127.5 - 1


def mnist_conv(name, data):
    images = mnist(data, "train")
    rows = Rows(images)
    torch.manual_seed(1)
    energy = NETWORKS[name](images.mean(0), (images.var(0) + NOISE**2).sqrt())
    facts = persistent(energy, rows, steps=1200, chains=128, size=0.02)
    save(name, energy, (1, 28, 28))
    return facts


PLANE = {"two-moons": two_moons, "pinwheel": pinwheel, "eight-gaussians": eight_gaussians}
NETWORKS = dict.fromkeys(PLANE, lambda: Energy(perceptron(2, 64, 64, 1), scale=2.0)) | {
    "digits-64": lambda: Energy(perceptron(64, 128, 128, 1)),
    "digits-jem": lambda: Energy(perceptron(64, 128, 128, 10), logits=True),
    "mnist-conv": convolutions,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*NETWORKS, "all"])
    parser.add_argument("--data", type=Path, default=Path("data"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name in NETWORKS if "all" in chosen.names else chosen.names:
        begin = time.perf_counter()
        facts = {"model": name}
        if name in PLANE:
            facts |= plane(name, PLANE[name])
        else:
            facts |= (mnist_conv if name == "mnist-conv" else digits)(name, chosen.data)
        facts |= {"seconds": time.perf_counter() - begin, "torch": torch.__version__, "onnx": onnx.__version__}
        facts = {key: round(value, 4) if isinstance(value, float) else value for key, value in facts.items()}
        print(json.dumps(facts), flush=True)
