"""Writes the networks here and what they give, by PyTorch, in `expected.json`.

Run as `python make.py` in this folder, with torch, onnx, onnxscript, onnxruntime, numpy and safetensors. Three ways make a file: the
older exporter of PyTorch (`legacy`, torch.onnx.export with dynamo=False), the newer one (`dynamo`), and nodes written out as text for
what neither exports (`onnx.helper`). Energies and gradients are those of a copy of the same weights in f64, also for networks in f32;
numbers in the rows are odd multiples of 1/128, so f32 holds them, none is zero and no two of a row are equal. onnxruntime, or
onnx's own evaluator, has to agree with the energies. `bad/` holds files to refuse, and `bad/expected.json` why each is one.
"""

import copy
import json
import logging
import pathlib
import warnings

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
HERE = pathlib.Path(__file__).resolve().parent
DTYPES = {"f32": (torch.float32, "float"), "f64": (torch.float64, "double")}
expected = []


def rows_like(shape, count=4, span=1.5):
    """Rows of a network's input: a shuffle of equally spaced numbers in (-span, span)."""
    size = int(np.prod(shape))
    steps = max(size, int(span * 64))
    odd = 2 * np.arange(-steps, steps) + 1
    rng = np.random.default_rng(size)
    return torch.tensor(np.stack([rng.permutation(odd)[:size] for _ in range(count)]) / 128).reshape(count, *shape)


def record(name, exporter, opset, dtype, shape, function, parameters=(), logits=False, tolerance=None, **also):
    """Appends what `function`, in f64, gives for some rows, after a comparison with onnxruntime."""
    path = HERE / f"{name}.onnx"
    rows = rows_like(shape, span=also.pop("span", 1.5)).requires_grad_()
    output = function(rows)
    energies = -torch.logsumexp(output, 1) if logits else output.reshape(-1)
    assert energies.shape == (4,), (name, output.shape)
    gradients = torch.autograd.grad(energies.sum(), [rows, *dict(parameters).values()])
    assert all(torch.isfinite(gradient).all() for gradient in gradients), name

    model = onnx.load(path)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:  # as are some operators in f64
        session = onnx.reference.ReferenceEvaluator(model)
    given = rows.detach().to(DTYPES[dtype][0]).numpy()
    for count in [4, 1]:
        found = session.run(None, {model.graph.input[0].name: given[:count]})[0]
        assert found.dtype == given.dtype, (name, found.dtype)
        assert found.shape in [(count,), (count, 1)] or logits, (name, found.shape)
        wanted = output.detach().numpy().reshape(4, -1)[:count]
        off = np.abs(found.reshape(count, -1) - wanted).max() / max(1, np.abs(wanted).max())
        assert off < (2e-6 if dtype == "f32" else 1e-6), (name, off)  # onnxruntime's Erf, for one, is only good to 1e-7

    def flat(tensor):
        return tensor.detach().reshape(-1).tolist()

    entry = {"name": name, "exporter": exporter, "opset": opset, "dtype": dtype, "row_shape": list(shape)}
    entry |= also
    entry["output"] = "logits" if logits else "energy"
    entry["operators"] = sorted({node.op_type for node in model.graph.node})
    # Attributes are f32 also in a graph of f64, and so are the numbers of a formula after the newer exporter.
    usual = 1e-5 if dtype == "f32" else 1e-6 if exporter == "dynamo" else 1e-11
    entry["tolerance"] = tolerance or usual  # of a difference over max(1, |value|)
    entry["rows"] = [flat(row) for row in rows]
    if logits:
        entry["logits"] = [flat(row) for row in output]
    entry["energies"] = flat(energies)  # of logits, -logsumexp
    entry["input_gradients"] = [flat(row) for row in gradients[0]]
    if parameters:
        names = {tensor.name for tensor in model.graph.initializer}
        assert names >= set(dict(parameters)), (name, names)
        entry["parameter_gradients"] = {key: flat(g) for key, g in zip(dict(parameters), gradients[1:])}
    expected.append(entry)


def export(name, module, shape, *exports, gradients=False, logits=False, dtype="f32", **also):
    """One file for each of the exports, which are written "legacy 13" or "dynamo 18"."""
    module = module.eval().to(DTYPES[dtype][0])
    example = rows_like(shape, 2).to(DTYPES[dtype][0])
    double = copy.deepcopy(module).double()
    for one in exports:
        exporter, opset = one.split()
        label = name if len(exports) == 1 else f"{name}-{exporter}-{opset}"
        options = dict(input_names=["x"], output_names=["energy"], opset_version=int(opset), external_data=False)
        if exporter == "legacy":
            options |= dict(dynamo=False, dynamic_axes={"x": {0: "batch"}, "energy": {0: "batch"}})
        else:
            options |= dict(dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)
        torch.onnx.export(copy.deepcopy(module), (example,), str(HERE / f"{label}.onnx"), **options)
        if exporter == "dynamo":
            without_notes(HERE / f"{label}.onnx")
        written = onnx.load(HERE / f"{label}.onnx").opset_import[0].version
        assert written == int(opset), (label, written)
        parameters = dict(double.named_parameters()) if gradients else {}
        record(label, exporter, int(opset), dtype, shape, double, parameters, logits, **also)


def without_notes(path):
    """Takes away the traces with paths and lines that the newer exporter leaves at each node."""
    model = onnx.load(path, load_external_data=False)
    for item in [
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
        model.graph,
        model,
    ]:
        del item.metadata_props[:]
    onnx.save(model, path)


def write(name, opset, shape, text, weights=None, function=None, dtype="f32", output="batch", gradients=False, **also):
    """A file from nodes as text. `weights` gives shapes, or the values themselves as arrays."""
    kind = DTYPES[dtype][1]
    ir = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}[opset]
    sizes = ", ".join(map(str, ("batch", *shape)))
    head = f'<ir_version: {ir}, opset_import: ["": {opset}]> g ({kind}[{sizes}] x) => ({kind}[{output}] energy)'
    model = onnx.parser.parse_model(f"{head} {{ {text} }}")
    rng = np.random.default_rng(len(name))
    tensors = {}
    for key, value in (weights or {}).items():
        if isinstance(value, tuple):
            value = (2 * rng.integers(-64, 64, value) + 1) / 128
        value = np.asarray(value)
        if value.dtype == np.float64 and dtype == "f32":
            value = value.astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, key))
        if value.dtype.kind == "f":
            tensors[key] = torch.tensor(value.astype(np.float64)).requires_grad_(gradients)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / f"{name}.onnx")
    record(name, "onnx.helper", opset, dtype, shape, lambda x: function(x, **tensors), tensors if gradients else (), **also)


def seeded(make, seed=1):
    torch.manual_seed(seed)
    return make()


def perceptron(activation, width=6, inputs=3):
    """Layers of PyTorch's usual initialisation, with weights twice as large so that activations bend."""
    layers = [nn.Linear(inputs, width), activation(), nn.Linear(width, width), activation(), nn.Linear(width, 1)]
    net = seeded(lambda: nn.Sequential(*[copy.deepcopy(layer) for layer in layers]))
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
                layer.weight *= 2
    return net


# 1. Perceptrons and other networks of rows, as PyTorch exports them.


class Confined(nn.Module):
    """A network of (batch, d) with a quadratic term, which makes it normalisable."""

    def __init__(self, net, kappa=0.5):
        super().__init__()
        self.net, self.kappa = net, kappa

    def forward(self, x):
        return self.net(x).squeeze(-1) + 0.5 * self.kappa * (x**2).sum(1)


class Residual(nn.Module):
    def __init__(self, inputs=3, width=8, blocks=2):
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(2 * width, width, bias=False) for _ in range(blocks))
        self.drop = nn.Dropout(0.1)
        self.leave = nn.Linear(width, 1)

    def forward(self, x):
        h = self.enter(x)
        for norm, up, down in zip(self.norms, self.up, self.down):
            h = h + self.drop(down(F.silu(up(norm(h)))))
        return self.leave(h).view(-1)


def trained_norm(norm):
    """A batch norm with statistics and an affine map that are not the initial ones."""
    for tensor, low, high in [
        (norm.running_mean, -0.5, 0.5),
        (norm.running_var, 0.3, 2),
        (norm.weight.data, 0.5, 1.5),
        (norm.bias.data, -0.5, 0.5),
    ]:
        tensor.uniform_(low, high)
    return norm


class Energy(nn.Module):
    """A function as a module."""

    def __init__(self, function, **constants):
        super().__init__()
        self.function = function
        for name, value in constants.items():
            self.register_buffer(name, torch.as_tensor(value))

    def forward(self, x):
        return self.function(x, *self.buffers())


def networks_of_rows():
    export(
        "mlp-silu",
        perceptron(nn.SiLU),
        (3,),
        *[f"legacy {k}" for k in [11, 13, 15, 17, 20]],
        "dynamo 18",
        "dynamo 20",
        gradients=True,
    )
    export("mlp-silu-f64", perceptron(nn.SiLU), (3,), "legacy 14", gradients=True, dtype="f64")
    safetensors.torch.save_file(perceptron(nn.SiLU).state_dict(), str(HERE / "mlp-silu.safetensors"))
    export("mlp-relu", perceptron(nn.ReLU), (3,), "legacy 13", "dynamo 18")
    export("mlp-tanh-f64", perceptron(nn.Tanh), (3,), "legacy 11", "dynamo 18", dtype="f64")
    export("mlp-elu", perceptron(nn.ELU), (3,), "legacy 13", "dynamo 18")
    export("mlp-softplus", perceptron(nn.Softplus), (3,), "legacy 13", "dynamo 18")
    export("mlp-gelu", perceptron(nn.GELU), (3,), "legacy 13", "legacy 20", "dynamo 20")
    export("mlp-gelu-tanh", perceptron(lambda: nn.GELU("tanh")), (3,), "legacy 13", "dynamo 20")
    export("mlp-celu", perceptron(lambda: nn.CELU(0.7)), (3,), "legacy 17", "dynamo 18")
    several = [nn.LeakyReLU(0.2), nn.PReLU(5), nn.SELU(), nn.Hardswish(), nn.Hardsigmoid(), nn.Mish(), nn.Sigmoid()]
    several += [nn.Hardtanh(-0.8, 0.9), nn.ReLU6(), nn.LogSigmoid(), nn.Softplus(beta=2), nn.Softsign(), nn.Tanhshrink()]
    layers = []
    for activation in several:
        layers += [nn.Linear(5 if layers else 3, 5), activation, nn.Dropout(0.5)]
    several = seeded(lambda: nn.Sequential(*layers, nn.Linear(5, 1)))
    with torch.no_grad():
        for layer in several:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
                layer.weight *= 2.5
    export("mlp-many-activations", several, (3,), "legacy 13", "legacy 17", "dynamo 18", span=3)
    export(
        "mlp-confined", seeded(lambda: Confined(perceptron(nn.SiLU, inputs=2))), (2,), "legacy 17", "dynamo 18", gradients=True
    )
    export("residual-layernorm", seeded(Residual), (3,), "legacy 13", "legacy 17", "dynamo 18")
    norm = seeded(
        lambda: nn.Sequential(
            nn.Linear(4, 6),
            nn.SiLU(),
            trained_norm(nn.BatchNorm1d(6)),
            nn.Linear(6, 5),
            trained_norm(nn.BatchNorm1d(5)),
            nn.Tanh(),
            nn.Linear(5, 1),
            nn.Flatten(0),
        )
    )
    export("mlp-batchnorm", norm, (4,), "legacy 13", "dynamo 18")
    classifier = seeded(lambda: nn.Sequential(nn.Linear(5, 12), nn.SiLU(), nn.Linear(12, 10)))
    export("classifier-logits", classifier, (5,), "legacy 17", "dynamo 18", logits=True)
    head = copy.deepcopy(classifier)
    export(
        "classifier-logsumexp", nn.Sequential(head, Energy(lambda y: -torch.logsumexp(y, dim=1))), (5,), "legacy 17", "dynamo 18"
    )
    # The newer exporter puts large tensors into a second file; here all are.
    net = perceptron(nn.SiLU)
    (HERE / "external-data.onnx.data").unlink(missing_ok=True)
    export("external-data", net, (3,), "dynamo 18")
    model = onnx.load(HERE / "external-data.onnx")
    onnx.save(
        model, HERE / "external-data.onnx", save_as_external_data=True, location="external-data.onnx.data", size_threshold=0
    )
    expected.pop()
    record("external-data", "dynamo", 18, "f32", (3,), copy.deepcopy(net).double(), external_data="external-data.onnx.data")


# 2. Convolutions.


class ConvEnergy(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = norm(4)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.out = nn.Linear(6 * 2 * 2, 1)

    def forward(self, x):
        h = F.silu(self.norm(self.first(x)))
        h = self.pool(F.silu(self.second(h)))
        h = h.view(h.size(0), -1)
        return self.out(h).squeeze(1) + 0.05 * x.pow(2).sum(dim=(1, 2, 3))


def convolutions():
    group, shape = lambda width: nn.GroupNorm(2, width), (1, 8, 8)
    export("conv-groupnorm", seeded(lambda: ConvEnergy(group)), shape, "legacy 11", "legacy 17", "dynamo 18", "dynamo 21")
    export("conv-groupnorm-f64", seeded(lambda: ConvEnergy(group)), shape, "legacy 17", gradients=False, dtype="f64")
    export(
        "conv-batchnorm",
        seeded(lambda: ConvEnergy(lambda width: trained_norm(nn.BatchNorm2d(width)))),
        shape,
        "legacy 13",
        "dynamo 18",
    )
    export(
        "conv-instancenorm",
        seeded(lambda: ConvEnergy(lambda width: nn.InstanceNorm2d(width, affine=True))),
        shape,
        "legacy 17",
        "dynamo 18",
    )
    plain = [
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=2, bias=False),
        nn.LeakyReLU(0.1),
    ]
    plain += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 1)]
    export("conv-pools", seeded(lambda: nn.Sequential(*plain)), (2, 8, 7), "legacy 13", "dynamo 18")
    one = [nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.GELU(), nn.Conv1d(4, 4, 3, dilation=2, padding=2, groups=4), nn.SiLU()]
    one += [nn.MaxPool1d(3, stride=2, padding=1), nn.Conv1d(4, 3, 1), nn.Tanh(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(6, 1)]
    export("conv-1d", seeded(lambda: nn.Sequential(*one)), (2, 16), "legacy 13", "dynamo 18")
    odd = [
        nn.Conv2d(1, 3, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.SiLU(),
        nn.Conv2d(3, 3, 3, dilation=(1, 2), padding=(0, 2), groups=3),
    ]
    odd += [nn.SiLU(), nn.AvgPool2d(3, stride=2, padding=1), nn.Conv2d(3, 1, (1, 3)), nn.Flatten(), nn.LazyLinear(1)]
    odd = seeded(lambda: nn.Sequential(*odd))
    odd(torch.zeros(1, 1, 9, 8))
    export("conv-odd-f64", odd, (1, 9, 8), "legacy 17", "dynamo 18", dtype="f64")
    flat = seeded(
        lambda: nn.Sequential(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 3, 3, stride=3), nn.SiLU(), nn.Flatten(), nn.Linear(12, 1))
    )
    export("conv-of-rows", flat, (36,), "legacy 17", "dynamo 18", gradients=True)


# 3. Attention.


class Attention(nn.Module):
    """(batch, tokens, width): one head over tokens, by hand or by PyTorch's function, with a residual and a layer norm."""

    def __init__(self, tokens=4, width=3, inside=4, fused=False):
        super().__init__()
        self.embed = nn.Linear(width, inside)
        self.place = nn.Parameter(torch.randn(tokens, inside))
        self.query, self.key, self.value = (nn.Linear(inside, inside, bias=bias) for bias in [True, False, True])
        self.norm, self.out, self.fused = nn.LayerNorm(inside), nn.Linear(inside, 1), fused

    def forward(self, x):
        h = self.embed(x) + self.place
        q, k, v = self.query(h), self.key(h), self.value(h)
        if self.fused:
            q, k, v = (y.unsqueeze(1) for y in [q, k, v])  # (batch, heads, tokens, width)
            mixed = F.scaled_dot_product_attention(q, k, v).squeeze(1)
        else:
            mixed = torch.softmax(q @ k.transpose(1, 2) / k.size(-1) ** 0.5, dim=-1) @ v
        h = F.gelu(self.norm(h + mixed))
        return self.out(h.mean(dim=1)) + 0.25 * (x * x).sum(dim=(1, 2)).unsqueeze(1)


def attention():
    export("attention", seeded(Attention), (4, 3), "legacy 13", "legacy 17", "dynamo 18")
    export("attention-fused", seeded(lambda: Attention(fused=True)), (4, 3), "legacy 17", "dynamo 18")


# 4. Energies written as formulas in PyTorch.


def funnel(x):
    return x[:, 0] ** 2 / 18 + 0.5 * (x[:, 1:] ** 2).sum(1) * torch.exp(-x[:, 0]) + 0.5 * (x.shape[1] - 1) * x[:, 0]


def mixture(x, centres, log_weights):
    squares = ((x.unsqueeze(1) - centres.unsqueeze(0)) ** 2).sum(-1)
    return -torch.logsumexp(torch.log_softmax(log_weights, 0) - squares / (2 * 0.3**2), dim=1)


def lattice(x):
    """phi^4 on a periodic square."""
    bonds = (x - torch.roll(x, 1, 1)) ** 2 + (x - torch.roll(x, 1, 2)) ** 2
    return (0.5 * bonds - 0.7 * x**2 + 0.3 * x**4).sum(dim=(1, 2))


def pieces(x, order):
    a, b = x.chunk(2, dim=1)
    c, d, e = torch.split(x, [1, 2, 3], dim=1)
    picked = x.index_select(1, order)
    joined = torch.cat([torch.sin(a), torch.cos(b), torch.stack([c[:, 0], d[:, 1]], dim=1)], dim=1)
    return (picked * picked[:, :1].expand(-1, 4)).sum(1) + (joined**2).mean(1) + (x[:, ::2] * x[:, 1::2]).sum(1) + e.flip(1)[:, 0]


def indexed(x, order):
    return (x[:, order] * x[:, [0, 1, 2, 3]]).sum(1)


def branches(x):
    huber = torch.where(x.abs() < 0.5, 0.5 * x**2, 0.5 * (x.abs() - 0.25))
    wall = torch.where(x > 1, (x - 1) ** 2, torch.zeros_like(x)) + (x < -1).to(x.dtype) * (x + 1) ** 2
    return (
        huber.sum(1)
        + wall.sum(1)
        + x.clamp(-0.7, 0.6).sum(1)
        + torch.maximum(x, -0.5 * x).sum(1)
        + torch.minimum(x, x**2).sum(1)
        + x.clamp(min=0.1).sum(1)
    )


def reductions(x):
    centred = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + 1e-5)
    spread = x.norm(dim=-1).sum(1) + x.amax(-1).sum(1) - x.amin(-1).sum(1) + x.max(dim=-1).values.sum(1)
    return (
        spread
        + torch.softmax(x, -1).pow(2).sum((1, 2))
        + F.log_softmax(x, dim=1)[:, 0].sum(-1)
        + (centred**3).sum((-2, -1))
        + F.normalize(x, dim=-1)[:, :, 0].sum(1)
    )


def functions(x):
    positive = x.abs() + 0.5
    return (
        torch.erf(x)
        + torch.log1p(positive)
        - torch.rsqrt(positive)
        + positive.sqrt() / 3
        + torch.log(positive) * torch.exp(-x)
        + positive**1.5
        + 1 / positive
        + torch.exp(-positive)
        - positive.reciprocal()
        + 2.0**x
    ).sum(dim=1, keepdim=True)


def formulas():
    both = ["legacy 13", "legacy 17", "dynamo 18"]
    export("quadratic", Energy(lambda x: 0.5 * (x**2).sum(1)), (4,), *both)
    export("funnel", Energy(funnel), (5,), *both)
    centres = 2 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)
    export(
        "mixture-f64", Energy(mixture, centres=centres, log_weights=np.arange(8) / 4), (2,), "legacy 13", "dynamo 18", dtype="f64"
    )
    export("lattice-f64", Energy(lattice), (3, 4), "legacy 13", "dynamo 18", dtype="f64")
    export("pieces", Energy(pieces, order=np.array([3, 0, 5, 2])), (6,), *both)
    export("indexed", Energy(indexed, order=np.array([3, 0, 5, 2])), (6,), "legacy 17", "dynamo 18")
    export("branches-f64", Energy(branches), (7,), "legacy 13", "dynamo 18", dtype="f64")
    export("reductions", Energy(reductions), (3, 5), *both)
    export("functions-f64", Energy(functions), (4,), "legacy 17", "dynamo 18", dtype="f64")


# 5. Nodes that no exporter writes, or writes so.


def nodes_of_rows():
    write(
        "products",
        11,
        (4,),
        """
        a = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (x, W, b)
        c = Gemm (a, V)
        t = Tanh (c)
        energy = MatMul (t, u)""",
        dict(W=(5, 4), b=(5,), V=(5, 3), u=(3,)),
        lambda x, W, b, V, u: torch.tanh((0.5 * x @ W.T + 2 * b) @ V) @ u,
        "f64",
        gradients=True,
    )
    write(
        "products-of-stacks",
        13,
        (2, 3),
        """
        a = MatMul (x, S)
        t = Transpose <perm = [0, 2, 1]> (a)
        m = MatMul (a, t)
        n = MatMul (R, m)
        h = Tanh (n)
        f = Flatten <axis = 1> (h)
        energy = Gemm (f, V, c)""",
        dict(S=(3, 4), R=(1, 3, 2), V=(6, 1), c=(1,)),
        lambda x, S, R, V, c: torch.tanh(R @ ((x @ S) @ (x @ S).mT)).flatten(1) @ V + c,
        output="batch, 1",
        gradients=True,
    )
    write(
        "arithmetic",
        13,
        (4,),
        """
        two = Constant <value_float = 2.0> ()
        one = Constant <value = float {1.0}> ()
        a = Add (s, x)
        p = Pow (a, two)
        n = Neg (p)
        e = Exp (n)
        q = Add (p, one)
        r = Sqrt (q)
        l = Log (q)
        d = Div (l, r)
        m = Mul (d, v)
        z = Abs (x)
        g = Div (one, q)
        h = Sub (one, g)
        k = Sub (e, m)
        y = Add (k, z)
        i = Identity (y)
        w = Mul (i, h)
        energy = ReduceSum <keepdims = 0> (w, axes)""",
        dict(s=(1,), v=(1, 4), axes=np.array([1])),
        lambda x, s, v: (
            (torch.exp(-((x + s) ** 2)) - torch.log((x + s) ** 2 + 1) / torch.sqrt((x + s) ** 2 + 1) * v + x.abs())
            * (1 - 1 / ((x + s) ** 2 + 1))
        ).sum(1),
    )
    write(
        "powers",
        15,
        (4,),
        """
        three = Constant <value_int = 3> ()
        cube = Pow (x, three)
        half = Constant <value_floats = [0.5, 1.5, 2.0, -1.0]> ()
        size = Abs (x)
        root = Pow (size, half)
        square = Mul (x, x)
        base = Constant <value_float = 1.5> ()
        power = Pow (base, x)
        all = Sum (cube, root, square, power)
        energy = ReduceMean <axes = [-1], keepdims = 0> (all)""",
        {},
        lambda x: (x**3 + x.abs() ** torch.tensor([0.5, 1.5, 2, -1]).double() + x * x + 1.5**x).mean(1),
    )
    write(
        "activations-11-f64",
        11,
        (4,),
        """
        a = Elu <alpha = 0.7> (x)
        b = LeakyRelu <alpha = 0.3> (x)
        c = PRelu (x, slope)
        d = Selu (x)
        e = Softplus (x)
        f = Sigmoid (x)
        g = HardSigmoid <alpha = 0.3, beta = 0.4> (x)
        h = Erf (x)
        i = Tanh (x)
        j = Relu (x)
        k = Sin (x)
        l = Cos (x)
        m = Selu <alpha = 1.5, gamma = 1.1> (x)
        n = Concat <axis = -1> (a, b, c, d, e, f, g, h, i, j, k, l, m)
        energy = MatMul (n, w)""",
        dict(slope=(4,), w=(52,)),
        lambda x, slope, w: (
            torch.cat(
                [
                    F.elu(x, 0.7),
                    F.leaky_relu(x, 0.3),
                    torch.where(x > 0, x, x * slope),
                    F.selu(x),
                    F.softplus(x),
                    torch.sigmoid(x),
                    (0.3 * x.double() + 0.4).clamp(0, 1),
                    torch.erf(x),
                    torch.tanh(x),
                    torch.relu(x),
                    torch.sin(x),
                    torch.cos(x),
                    1.1 * torch.where(x > 0, x, 1.5 * torch.expm1(x)),
                ],
                -1,
            )
            @ w
        ),
        "f64",
        tolerance=1e-6,
    )
    write(
        "activations-20",
        20,
        (4,),
        """
        a = Gelu (x)
        b = Gelu <approximate = "tanh"> (x)
        c = HardSwish (x)
        d = Mish (x)
        e = HardSigmoid (x)
        f = Softplus (x)
        g = Elu (x)
        h = LeakyRelu (x)
        n = Concat <axis = 1> (a, b, c, d, e, f, g, h)
        energy = MatMul (n, w)""",
        dict(w=(32, 1)),
        lambda x, w: (
            torch.cat(
                [
                    F.gelu(x),
                    F.gelu(x, approximate="tanh"),
                    F.hardswish(x),
                    F.mish(x),
                    (0.2 * x + 0.5).clamp(0, 1),
                    F.softplus(x),
                    F.elu(x),
                    F.leaky_relu(x, 0.01),
                ],
                1,
            )
            @ w
        ),
        output="batch, 1",
        span=4,
    )
    write(
        "large-arguments",
        18,
        (6,),
        """
        big = Mul (x, scale)
        a = Softplus (big)
        b = Sigmoid (big)
        c = Tanh (big)
        d = Mish (big)
        e = LogSoftmax <axis = -1> (big)
        f = ReduceLogSumExp <keepdims = 1> (big, axes)
        g = Elu (big)
        h = Selu (big)
        i = Erf (big)
        n = Concat <axis = 1> (a, b, c, d, e, f, g, h, i)
        energy = ReduceSum <keepdims = 0> (n, axes)""",
        dict(scale=np.full((1,), 100.0, "f4"), axes=np.array([1])),
        lambda x, scale: torch.cat(
            [
                F.softplus(x * scale),
                torch.sigmoid(x * scale),
                torch.tanh(x * scale),
                F.mish(x * scale),
                F.log_softmax(x * scale, -1),
                torch.logsumexp(x * scale, 1, True),
                F.elu(x * scale),
                F.selu(x * scale),
                torch.erf(x * scale),
            ],
            1,
        ).sum(1),
    )
    write(
        "limits",
        13,
        (5,),
        """
        low = Constant <value_float = -0.5> ()
        high = Constant <value_float = 0.75> ()
        a = Clip (x, low, high)
        b = Clip (x, "", high)
        c = Clip (x, low)
        y = Mul (x, v)
        d = Max (x, y, v)
        e = Min (x, y, v)
        n = Concat <axis = 1> (a, b, c, d, e)
        energy = MatMul (n, w)""",
        dict(v=(5,), w=(25,)),
        lambda x, v, w: (
            torch.cat(
                [
                    x.clamp(-0.5, 0.75),
                    x.clamp(max=0.75),
                    x.clamp(min=-0.5),
                    torch.maximum(torch.maximum(x, x * v), v),
                    torch.minimum(torch.minimum(x, x * v), v),
                ],
                1,
            )
            @ w
        ),
    )
    write(
        "comparisons",
        16,
        (5,),
        """
        zero = Constant <value_float = 0.0> ()
        up = Greater (x, zero)
        down = Less (x, limit)
        a = Where (up, x, zero)
        square = Mul (x, x)
        b = Where (down, square, x)
        numbers = Cast <to = 1> (down)
        c = Mul (numbers, x)
        which = Equal (index, two)
        d = Where (which, square, x)
        above = GreaterOrEqual (x, limit)
        under = LessOrEqual (x, zero)
        e = Where (above, square, zero)
        f = Where (under, x, square)
        n = Concat <axis = 1> (a, b, c, d, e, f)
        energy = MatMul (n, w)""",
        dict(limit=np.array([0.5], "f4"), index=np.array([0, 2, 1, 2, 3]), two=np.array(2), w=(30,)),
        lambda x, limit, w: (
            torch.cat(
                [
                    torch.relu(x),
                    torch.where(x < 0.5, x * x, x),
                    (x < 0.5) * x,
                    torch.where(torch.tensor([0, 1, 0, 1, 0]).bool(), x * x, x),
                    torch.where(x >= 0.5, x * x, 0),
                    torch.where(x <= 0, x, x * x),
                ],
                1,
            )
            @ w
        ),
    )
    write(
        "initializers-as-inputs",
        13,
        (3,),
        """
        h = Gemm <transB = 1> (x, W, b)
        t = Tanh (h)
        energy = MatMul (t, u)""",
        dict(W=(4, 3), b=(4,), u=(4,)),
        lambda x, W, b, u: torch.tanh(x @ W.T + b) @ u,
        gradients=True,
    )
    model = onnx.load(HERE / "initializers-as-inputs.onnx")
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(model, HERE / "initializers-as-inputs.onnx")
    write(
        "half-precision-weights",
        13,
        (3,),
        """
        W32 = Cast <to = 1> (W)
        h = MatMul (x, W32)
        t = Tanh (h)
        energy = MatMul (t, u)""",
        dict(W=np.array([[0.5, -1.25], [0.75, 0.125], [-0.375, 1]], "f2"), u=(2,)),
        lambda x, W, u: torch.tanh(x @ W) @ u,
    )
    write(
        "constants-as-attributes",
        19,
        (3,),
        """
        W = Constant <value = float[3, 2] {0.5, -1.25, 0.75, 0.125, -0.375, 1.0}> ()
        h = MatMul (x, W)
        s = Softplus (h)
        axis = Constant <value_ints = [1]> ()
        energy = ReduceSum <keepdims = 1> (s, axis)""",
        {},
        lambda x: F.softplus(x @ torch.tensor([[0.5, -1.25], [0.75, 0.125], [-0.375, 1]]).double()).sum(1, True),
        output="batch, 1",
    )


def nodes_of_shape():
    write(
        "reductions-13",
        13,
        (3, 4),
        """
        a = ReduceMean <axes = [1, 2], keepdims = 0> (x)
        b = ReduceMax <axes = [-1], keepdims = 0> (x)
        c = ReduceMin <axes = [2], keepdims = 1> (x)
        d = ReduceL2 <axes = [1], keepdims = 0> (x)
        e = ReduceLogSumExp <axes = [-1, -2], keepdims = 0> (x)
        f = ReduceSumSquare <axes = [1, 2], keepdims = 1> (x)
        last = Constant <value_ints = [-1]> ()
        all = Constant <value_ints = [1, 2]> ()
        g = ReduceSum <keepdims = 0> (b, last)
        h = ReduceSum <keepdims = 0> (c, all)
        i = ReduceSum <keepdims = 0> (d, last)
        j = Squeeze (f, all)
        energy = Sum (a, g, h, i, e, j)""",
        {},
        lambda x: (
            x.mean((1, 2))
            + x.amax(-1).sum(-1)
            + x.amin(2).sum(1)
            + x.norm(dim=1).sum(1)
            + torch.logsumexp(x, (1, 2))
            + (x**2).sum((1, 2))
        ),
    )
    write(
        "reductions-18",
        18,
        (3, 4),
        """
        last = Constant <value_ints = [-1]> ()
        all = Constant <value_ints = [1, 2]> ()
        a = ReduceMean <keepdims = 0> (x, all)
        b = ReduceMax <keepdims = 0> (x, all)
        c = ReduceMin <keepdims = 1> (x, all)
        d = ReduceL2 <keepdims = 0> (x, last)
        e = ReduceLogSumExp <keepdims = 0> (x, all)
        f = ReduceSumSquare <keepdims = 0> (x, all)
        g = ReduceSum <keepdims = 0> (d, last)
        h = Squeeze (c, all)
        same = ReduceSum <noop_with_empty_axes = 1> (a)
        energy = Sum (same, b, h, g, e, f)""",
        {},
        lambda x: (
            x.mean((1, 2))
            + x.amax((1, 2))
            + x.amin((1, 2))
            + x.norm(dim=-1).sum(-1)
            + torch.logsumexp(x, (1, 2))
            + (x**2).sum((1, 2))
        ),
    )
    write(
        "softmax-11",
        11,
        (2, 3),
        """
        a = Softmax <axis = 1> (x)
        b = LogSoftmax (x)
        c = Mul (a, W)
        d = Mul (b, W)
        e = Add (c, d)
        f = Softmax <axis = 2> (x)
        g = Mul (f, x)
        h = Add (e, g)
        energy = ReduceSum <axes = [1, 2], keepdims = 0> (h)""",
        dict(W=(2, 3)),
        lambda x, W: (
            torch.softmax(x.flatten(1), 1) * W.flatten()
            + F.log_softmax(x.flatten(1), 1) * W.flatten()
            + (torch.softmax(x, 2) * x).flatten(1)
        ).sum(1),
    )
    write(
        "softmax-13",
        13,
        (2, 3),
        """
        a = Softmax (x)
        b = LogSoftmax <axis = 1> (x)
        c = Mul (a, W)
        d = Mul (b, W)
        e = Add (c, d)
        axes = Constant <value_ints = [1, 2]> ()
        energy = ReduceSum <keepdims = 0> (e, axes)""",
        dict(W=(2, 3)),
        lambda x, W: (torch.softmax(x, -1) * W + F.log_softmax(x, 1) * W).sum((1, 2)),
    )
    write(
        "shapes-11",
        11,
        (2, 6),
        """
        a = Reshape (x, three)
        b = Transpose <perm = [0, 2, 1]> (a)
        c = Unsqueeze <axes = [1, 4]> (b)
        d = Squeeze <axes = [1, 4]> (c)
        e, f = Split <axis = 2, split = [1, 2]> (d)
        g = Mul (e, f)
        h = Flatten (g)
        i = Gather <axis = 1> (h, picks)
        j = Slice (i, start, end, axis, step)
        k = Concat <axis = 1> (h, j)
        l = Sin (k)
        energy = MatMul (l, w)""",
        dict(
            three=np.array([0, -1, 4]),
            picks=np.array([5, -1, 0, 2]),
            start=np.array([-1]),
            end=np.array([-5]),
            axis=np.array([1]),
            step=np.array([-2]),
            w=(10,),
        ),
        lambda x, w: shapes(x) @ w,
    )
    write(
        "shapes-18",
        18,
        (3, 4),
        """
        sizes = Shape <start = 0, end = 1> (x)
        rest = Constant <value_ints = [-1]> ()
        target = Concat <axis = 0> (sizes, rest)
        a = Reshape (x, target)
        b, c, d = Split <axis = 1, num_outputs = 3> (a)
        axis = Constant <value_ints = [1]> ()
        e = Unsqueeze (b, axis)
        f = Unsqueeze (c, axis)
        g = Concat <axis = -2> (e, f)
        h = Mul (g, row)
        scalar = Constant <value_int = 1> ()
        i = Gather <axis = 1> (h, scalar)
        j = Mul (i, d)
        k = Expand (j, wide)
        m = Transpose <perm = [1, 0]> (k)
        n = Transpose (m)
        o = Cos (n)
        energy = ReduceSum <keepdims = 0> (o, axis)""",
        dict(row=(1, 1, 4), wide=np.array([1, 4])),
        lambda x, row: torch.cos(x.flatten(1)[:, 4:8] * row[0, 0] * x.flatten(1)[:, 8:]).sum(1),
    )
    write(
        "shapes-of-batch",
        15,
        (3,),
        """
        sizes = Shape (x)
        zero = Constant <value_int = 0> ()
        batch = Gather (sizes, zero)
        axis = Constant <value_ints = [0]> ()
        batch1 = Unsqueeze (batch, axis)
        four = Constant <value_ints = [4]> ()
        target = Concat <axis = 0> (batch1, four)
        ones = ConstantOfShape <value = float[1] {1.5}> (target)
        wide = Expand (row, target)
        one = Constant <value_ints = [1]> ()
        plain = ConstantOfShape (batch1)
        sum = ReduceSum <keepdims = 1> (x, one)
        a = Mul (ones, wide)
        b = Mul (a, sum)
        c = Sin (b)
        d = ReduceSum <keepdims = 0> (c, one)
        energy = Add (d, plain)""",
        dict(row=(1, 4)),
        lambda x, row: torch.sin(1.5 * row * x.sum(1, True)).sum(1),
    )
    write(
        "dropout",
        13,
        (4,),
        """
        ratio = Constant <value_float = 0.5> ()
        a, mask = Dropout (x, ratio)
        b = Dropout (a)
        c = Cast <to = 11> (b)
        d = Mul (c, c)
        axes = Constant <value_ints = [1]> ()
        e = ReduceSum <keepdims = 0> (d, axes)
        energy = Cast <to = 1> (e)""",
        {},
        lambda x: (x * x).sum(1),
    )


def shapes(x):
    d = x.reshape(-1, 3, 4).mT
    h = (d[:, :, :1] * d[:, :, 1:]).flatten(1)
    i = h[:, [5, -1, 0, 2]]
    return torch.sin(torch.cat([h, i[:, [3, 1]]], 1))


def nodes_of_images():
    write(
        "conv-auto-pad",
        11,
        (2, 5, 6),
        """
        a = Conv <auto_pad = "SAME_UPPER", kernel_shape = [3, 2], strides = [2, 2]> (x, W, b)
        c = Tanh (a)
        d = Conv <auto_pad = "SAME_LOWER", kernel_shape = [2, 2]> (c, V)
        e = Tanh (d)
        f = Conv <auto_pad = "VALID", kernel_shape = [2, 2]> (e, U)
        g = Conv <pads = [1, 0, 0, 1], kernel_shape = [2, 2], group = 2, dilations = [1, 2]> (x, D)
        h = GlobalAveragePool (g)
        i = ReduceSum <axes = [1, 2, 3], keepdims = 0> (f)
        j = ReduceSum <axes = [1, 2, 3], keepdims = 0> (h)
        energy = Add (i, j)""",
        dict(W=(3, 2, 3, 2), b=(3,), V=(2, 3, 2, 2), U=(1, 2, 2, 2), D=(4, 1, 2, 2)),
        lambda x, W, b, V, U, D: (
            F.conv2d(
                torch.tanh(F.conv2d(F.pad(torch.tanh(F.conv2d(F.pad(x, (0, 0, 1, 1)), W, b, stride=2)), (1, 0, 1, 0)), V)), U
            ).sum((1, 2, 3))
            + F.conv2d(F.pad(x, (0, 1, 1, 0)), D, dilation=(1, 2), groups=2).mean((2, 3)).sum(1)
        ),
        "f64",
        gradients=True,
    )
    write(
        "pools",
        19,
        (2, 6, 5),
        """
        a = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1> (x)
        b = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x)
        c = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x)
        d = MaxPool <kernel_shape = [2, 3], strides = [2, 1], pads = [0, 1, 0, 1]> (x)
        e = MaxPool <kernel_shape = [2, 2], dilations = [2, 2]> (x)
        f = MaxPool <kernel_shape = [2, 2], auto_pad = "SAME_UPPER"> (x)
        g = GlobalAveragePool (x)
        a1 = Flatten (a)
        b1 = Flatten (b)
        c1 = Flatten (c)
        d1 = Flatten (d)
        e1 = Flatten (e)
        f1 = Flatten (f)
        g1 = Flatten (g)
        n = Concat <axis = 1> (a1, b1, c1, d1, e1, f1, g1)
        energy = MatMul (n, w)""",
        dict(w=(170,)),
        lambda x, w: (
            torch.cat(
                [
                    y.flatten(1)
                    for y in [
                        F.avg_pool2d(x, 3, 2, 1),
                        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
                        F.avg_pool2d(x, 2, 2, ceil_mode=True),
                        F.max_pool2d(F.pad(x, (1, 1, 0, 0), value=-1e9), (2, 3), (2, 1)),
                        F.max_pool2d(x, 2, 1, dilation=2),
                        F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-1e9), 2, 1),
                        x.mean((2, 3)),
                    ]
                ],
                1,
            )
            @ w
        ),
    )
    write(
        "pools-1d",
        12,
        (3, 7),
        """
        a = AveragePool <kernel_shape = [2], strides = [2]> (x)
        b = MaxPool <kernel_shape = [3], strides = [2], pads = [1, 1]> (x)
        c = GlobalAveragePool (x)
        n = Concat <axis = 2> (a, b, c)
        d = Mul (n, W)
        energy = ReduceSum <axes = [1, 2], keepdims = 0> (d)""",
        dict(W=(3, 8)),
        lambda x, W: (torch.cat([F.avg_pool1d(x, 2, 2), F.max_pool1d(x, 3, 2, 1), x.mean(2, True)], 2) * W).sum((1, 2)),
    )
    write(
        "norms-17",
        17,
        (4, 3, 2),
        """
        a = LayerNormalization <axis = -1, epsilon = 0.01> (x, s2, b2)
        c = LayerNormalization <axis = 2> (x, s32)
        d = InstanceNormalization <epsilon = 0.001> (x, s4, b4)
        e = BatchNormalization <epsilon = 0.001> (x, s4, b4, m4, v4)
        n = Concat <axis = 3> (a, c, d, e)
        f = Sin (n)
        axes = Constant <value_ints = [1, 2, 3]> ()
        energy = ReduceSum <keepdims = 0> (f, axes)""",
        dict(s2=(2,), b2=(2,), s32=(3, 2), s4=(4,), b4=(4,), m4=(4,), v4=np.array([0.5, 1.5, 0.75, 2])),
        lambda x, s2, b2, s32, s4, b4, m4, v4: torch.sin(
            torch.cat(
                [
                    F.layer_norm(x, (2,), s2, b2, 0.01),
                    F.layer_norm(x, (3, 2), s32),
                    F.instance_norm(x, weight=s4, bias=b4, eps=0.001),
                    F.batch_norm(x, m4, v4, s4, b4, eps=0.001),
                ],
                3,
            )
        ).sum((1, 2, 3)),
    )
    write(
        "batchnorm-11-f64",
        11,
        (3,),
        """
        a = BatchNormalization (x, s, b, m, v)
        c = Tanh (a)
        energy = ReduceSum <axes = [1], keepdims = 0> (c)""",
        dict(s=(3,), b=(3,), m=(3,), v=np.array([0.5, 1.5, 0.75])),
        lambda x, s, b, m, v: torch.tanh(F.batch_norm(x, m, v, s, b)).sum(1),
        "f64",
        tolerance=1e-6,
    )
    for opset in [21, 22, 23]:
        write(
            f"norms-{opset}",
            opset,
            (4, 3, 3),
            """
            a = GroupNormalization <num_groups = 2, epsilon = 0.001> (x, s, b)
            c = HardSwish (a)
            d = AveragePool <kernel_shape = [2, 2]> (c)
            e = MaxPool <kernel_shape = [2, 2], strides = [1, 1]> (x)
            f = InstanceNormalization (d, s, b)
            g = Add (e, f)
            h = Flatten (g)
            i = LayerNormalization (h, t)
            j = Softplus (i)
            k = Sin (j)
            target = Constant <value_ints = [0, 4, -1]> ()
            l = Reshape (k, target)
            axes = Constant <value_ints = [1, 2]> ()
            energy = ReduceSum <keepdims = 0> (l, axes)""",
            dict(s=(4,), b=(4,), t=(16,)),
            lambda x, s, b, t: torch.sin(
                F.softplus(
                    F.layer_norm(
                        (
                            F.max_pool2d(x, 2, 1)
                            + F.instance_norm(F.avg_pool2d(F.hardswish(F.group_norm(x, 2, s, b, 0.001)), 2, 1), weight=s, bias=b)
                        ).flatten(1),
                        (16,),
                        t,
                    )
                )
            ).sum(1),
        )


# 6. Files to refuse.


def refusals():
    bad, why = HERE / "bad", {}
    bad.mkdir(exist_ok=True)

    def refuse(name, reason, text, weights=None, opset=17, check=True):
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {text}')
        for key, value in (weights or {}).items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), key))
        if check:
            onnx.checker.check_model(model)
        onnx.save(model, bad / name)
        why[name] = reason

    whole = (HERE / "mlp-silu-legacy-17.onnx").read_bytes()
    (bad / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    why["truncated.onnx"] = "the first half of mlp-silu-legacy-17.onnx"
    (bad / "empty.onnx").write_bytes(b"")
    why["empty.onnx"] = "no bytes"
    (bad / "not-onnx.onnx").write_text("This is no network.\n")
    why["not-onnx.onnx"] = "text"
    (bad / "no-graph.onnx").write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    why["no-graph.onnx"] = "a model without a graph"
    end = "axes = Constant <value_ints = [1]> () energy = ReduceSum <keepdims = 0> (y, axes)"
    x, out, ones = "(float[batch, 3] x)", "=> (float[batch] energy)", np.ones((3, 3), "f4")
    refuse("unknown-operator.onnx", "operator Frobnicate", f"{x} {out} {{ y = Frobnicate (x) {end} }}", check=False)
    refuse(
        "other-domain.onnx",
        "operator FusedGelu of the domain com.example",
        f"{x} {out} {{ y = com.example.FusedGelu (x) {end} }}",
        check=False,
    )
    model = onnx.load(bad / "other-domain.onnx")
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, bad / "other-domain.onnx")
    refuse(
        "random.onnx", "an operator that draws random numbers", f"{x} {out} {{ r = RandomNormalLike (x) y = Add (x, r) {end} }}"
    )
    refuse("dynamic-width.onnx", "the second axis has no size", f"(float[batch, width] x) {out} {{ y = Mul (x, x) {end} }}")
    refuse("dynamic-rank.onnx", "the input has no shape", f"(float x) {out} {{ y = Mul (x, x) {end} }}")
    model = onnx.load(bad / "dynamic-rank.onnx")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, bad / "dynamic-rank.onnx")
    refuse(
        "fixed-batch.onnx",
        "the batch is 4 for good, and a reshape in the graph needs it",
        f"(float[4, 3] x) => (float[4] energy) {{ shape = Constant <value_ints = [4, 3]> () y = Reshape (x, shape) {end} }}",
    )
    refuse(
        "scalar-output.onnx",
        "one number for the whole batch",
        f"{x} => (float energy) {{ energy = ReduceSumSquare <keepdims = 0> (x) }}",
    )
    refuse(
        "three-outputs-a-row.onnx",
        "the output is (batch, 3), which is neither an energy nor, unless asked for, logits",
        f"{x} => (float[batch, 3] energy) {{ energy = MatMul (x, W) }}",
        dict(W=ones),
    )
    refuse("two-inputs.onnx", "two inputs", f"(float[batch, 3] x, float[batch, 1] t) {out} {{ y = Mul (x, t) {end} }}")
    refuse(
        "integer-input.onnx",
        "the input is of integers",
        f"(int64[batch, 3] x) {out} {{ f = Cast <to = 1> (x) y = Mul (f, f) {end} }}",
    )
    refuse("integer-output.onnx", "the output is of integers", f"{x} => (int64[batch] energy) {{ y = Cast <to = 7> (x) {end} }}")
    refuse(
        "rows-mixed-by-mean.onnx",
        "x - x.mean(0): the energy of a row depends on the others",
        f"{x} {out} {{ m = ReduceMean <axes = [0]> (x) d = Sub (x, m) y = Mul (d, d) {end} }}",
    )
    refuse(
        "rows-mixed-by-softmax.onnx",
        "a softmax over the batch",
        f"{x} {out} {{ s = Softmax <axis = 0> (x) y = Mul (s, x) {end} }}",
    )
    refuse(
        "rows-mixed-by-product.onnx",
        "x @ x.T, then a sum over rows",
        f"{x} {out} {{ t = Transpose (x) y = MatMul (x, t) {end} }}",
    )
    refuse(
        "rows-mixed-by-slice.onnx",
        "the first row is added to all",
        f"{x} {out} {{ i = Constant <value_ints = [0]> () r = Gather (x, i) y = Add (x, r) {end} }}",
    )
    refuse(
        "rows-mixed-by-training.onnx",
        "a batch norm left in training mode",
        f"{x} {out} {{ y, mean, var = BatchNormalization <training_mode = 1> (x, s, b, b, s) {end} }}",
        dict(s=np.ones(3, "f4"), b=np.zeros(3, "f4")),
    )
    refuse(
        "if.onnx",
        "a branch on what the input is",
        f"""{x} {out} {{
        m = ReduceMax <keepdims = 0> (x) z = Constant <value_float = 0.0> () up = Greater (m, z)
        y = If <then_branch = a () => (float[batch, 3] p) {{ p = Mul (x, x) }}, else_branch = b () => (float[batch, 3] q) {{ q = Neg (x) }}> (up) {end} }}""",
    )
    refuse(
        "loop.onnx",
        "a loop",
        f"""{x} {out} {{
        n = Constant <value_int = 3> () go = Constant <value = bool {{1}}> ()
        y = Loop <body = l (int64 i, bool c, float[batch, 3] h) => (bool d, float[batch, 3] k) {{ d = Identity (c) k = Tanh (h) }}> (n, go, x) {end} }}""",
    )
    refuse("not-connected.onnx", "a node reads `h`, which nothing gives", f"{x} {out} {{ y = Mul (h, h) {end} }}", check=False)
    refuse(
        "widths-disagree.onnx",
        "a product of (batch, 3) and (4, 2)",
        f"{x} {out} {{ y = MatMul (x, W) {end} }}",
        dict(W=np.ones((4, 2), "f4")),
    )
    refuse(
        "nan-weights.onnx",
        "a weight is NaN",
        f"{x} {out} {{ y = MatMul (x, W) {end} }}",
        dict(W=np.where(np.eye(3) > 0, np.nan, 1).astype("f4")),
    )
    refuse(
        "short-weights.onnx",
        "a tensor has fewer bytes than its shape needs",
        f"{x} {out} {{ y = MatMul (x, W) {end} }}",
        dict(W=ones),
    )
    model = onnx.load(bad / "short-weights.onnx")
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:20]
    onnx.save(model, bad / "short-weights.onnx")
    refuse(
        "huge-weights.onnx",
        "a tensor of 10^15 numbers with the bytes of nine",
        f"{x} {out} {{ y = MatMul (x, W) {end} }}",
        dict(W=ones),
    )
    model = onnx.load(bad / "huge-weights.onnx")
    model.graph.initializer[0].dims[1] = 10**15
    onnx.save(model, bad / "huge-weights.onnx")
    refuse(
        "cycle.onnx",
        "two nodes that need each other",
        f"{x} {out} {{ a = Add (x, b) b = Tanh (a) y = Mul (a, b) {end} }}",
        check=False,
    )
    refuse(
        "old-opset.onnx",
        "opset 5",
        f"{x} {out} {{ y = Mul (x, x) energy = ReduceSum <axes = [1], keepdims = 0> (y) }}",
        opset=5,
        check=False,
    )
    refuse("future-opset.onnx", "opset 99", f"{x} {out} {{ y = Mul (x, x) {end} }}", opset=99, check=False)

    model = onnx.load(HERE / "mlp-silu-legacy-17.onnx")
    onnx.save(model, bad / "data-missing.onnx", save_as_external_data=True, location="data-missing.onnx.data", size_threshold=0)
    (bad / "data-missing.onnx.data").unlink()
    why["data-missing.onnx"] = "its weights are in data-missing.onnx.data, which is not there"
    model = onnx.load(HERE / "mlp-silu-legacy-17.onnx")
    onnx.external_data_helper.convert_model_to_external_data(model, location="data-outside.onnx.data", size_threshold=0)
    onnx.save(model, bad / "data-outside.onnx")
    (bad / "data-outside.onnx.data").unlink()
    model = onnx.load(bad / "data-outside.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for item in tensor.external_data:
            item.value = "../external-data.onnx.data" if item.key == "location" else item.value
    (bad / "data-outside.onnx").write_bytes(model.SerializeToString())
    why["data-outside.onnx"] = "its weights are said to be in ../external-data.onnx.data, outside its folder"
    (bad / "expected.json").write_text(json.dumps(why, indent=1) + "\n")


ASKED = """Gemm MatMul Add Sub Mul Div Neg Pow Sqrt Exp Log Abs Erf Sigmoid Tanh Relu LeakyRelu PRelu Elu Selu Softplus Gelu HardSwish
HardSigmoid Mish Clip Min Max Where Greater Less Equal Sin Cos ReduceSum ReduceMean ReduceMax ReduceMin ReduceL2 ReduceLogSumExp
ReduceSumSquare LogSoftmax Softmax Reshape Flatten Squeeze Unsqueeze Transpose Concat Slice Split Gather Expand Cast Identity Dropout
Constant ConstantOfShape Shape Conv AveragePool GlobalAveragePool MaxPool BatchNormalization LayerNormalization InstanceNormalization
GroupNormalization""".split()

if __name__ == "__main__":
    for part in [networks_of_rows, convolutions, attention, formulas, nodes_of_rows, nodes_of_shape, nodes_of_images, refusals]:
        part()
    found = {operator for entry in expected for operator in entry["operators"]}
    assert found >= set(ASKED), set(ASKED) - found
    print("also", sorted(found - set(ASKED)), "in", len(expected), "networks")
    lines = ",\n".join(json.dumps(entry) for entry in expected)
    (HERE / "expected.json").write_text(f"[\n{lines}\n]\n")
