"""Normals with ripples, in NumPy: lnz estimate --command "python examples/python/numpy_energy.py" --dim 10"""
import numpy as np

from lnz_energy import serve

WIDTH = 1.0 + 0.1 * np.arange(10)


def energy(x):
    quadratic = 0.5 * (x**2 / WIDTH**2).sum(axis=1)
    return quadratic + np.cos(x).sum(axis=1)


def gradient(x):
    return x / WIDTH**2 - np.sin(x)


serve(energy, gradient)
