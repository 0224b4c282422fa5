"""Answers lnz with energies: `serve(energy)` in a program that `lnz estimate --command "python program.py" --dim D` starts.

energy(x) takes an array (n, dim) of f64 and gives n energies; gradient(x), if there is one, gives (n, dim). Where both come from one
pass, give energy_and_gradient(x) -> (energies, gradients). Print to standard error only: standard output belongs to lnz.
"""
import struct
import sys

import numpy as np


def serve(energy, gradient=None, energy_and_gradient=None):
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # print() must not get between the numbers
    if energy_and_gradient is None and gradient is not None:
        energy_and_gradient = lambda x: (energy(x), gradient(x))
    _, _, dim = struct.unpack("<4sIQ", source.read(16))
    sink.write(struct.pack("<4sIQ", b"lnzE", 1, energy_and_gradient is not None))
    sink.flush()
    while len(header := source.read(16)) == 16:
        _, kind, n = struct.unpack("<4sIQ", header)
        x = np.frombuffer(source.read(8 * n * dim), "<f8").reshape(n, dim)
        energies, slopes = (energy(x), None) if kind == 1 else energy_and_gradient(x)
        sink.write(struct.pack("<4sIQ", b"lnzA", 0, n))
        sink.write(as_bytes(energies, (n,), "energy"))
        if kind == 2:
            sink.write(as_bytes(slopes, (n, dim), "gradient"))
        sink.flush()


def as_bytes(values, shape, what):
    values = np.asarray(values, "<f8")
    if values.size != np.prod(shape):
        raise ValueError(f"{what} has shape {values.shape}, but should have {shape}")
    return values.reshape(shape).tobytes()
