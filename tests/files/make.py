"""Writes the files here with the libraries that people use: numpy, scipy, safetensors and ml_dtypes.

Run as `python make.py` in this folder. The machine is the same everywhere, with parameters that f16 and bf16 hold
exactly: W[i, j] = ((5 i + 3 j) % 7 - 3) / 4 (4 visible, 3 hidden), b[i] = (i - 1) / 2, c[j] = (2 - 3 j) / 8.
"""

import gzip
import struct

import ml_dtypes
import numpy as np
import safetensors.numpy
import scipy.io

i, j = np.mgrid[0:4, 0:3]
W = ((5 * i + 3 * j) % 7 - 3) / 4
b = (np.arange(4) - 1) / 2
c = (2 - 3 * np.arange(3)) / 8
machine = {"W": W, "b": b, "c": c}


def cast(dtype):
    return {name: array.astype(dtype) for name, array in machine.items()}


np.savez("f64.npz", **machine)
np.savez("f32-fortran.npz", **{k: np.asfortranarray(v) for k, v in cast("f4").items()})
np.savez("f16.npz", **cast("f2"))
np.savez("big-endian.npz", **cast(">f8"))
np.savez_compressed(
    "compressed-extras.npz",
    **{"rbm.W": W, "rbm.VBIAS": b, "rbm.hbias": c},
    base_rates=np.array([0.1, 0.5, 0.25, 0.9]),
    spins=True,
    note="strings are no numbers",
    epoch=7,
)
np.savez("sklearn.npz", components_=W.T, intercept_visible_=b, intercept_hidden_=c)

level5 = dict(format="5", oned_as="row")
scipy.io.savemat("plain.mat", machine, **level5)
scipy.io.savemat(
    "compressed.mat",
    {
        "vishid": W.astype("f4"),
        "visbiases": b,
        "hidbiases": c,
        "spins": np.array([[True]]),
        "title": "text",
        "cells": np.array([1, "a"], dtype=object),
        "phase": 1j * np.ones(2),
    },
    do_compression=True,
    **level5,
)
scipy.io.savemat("transposed.mat", {"W": W.T, "b": b, "c": c}, format="5", oned_as="column")
scipy.io.savemat("level4.mat", machine, format="4")

safetensors.numpy.save_file(cast("f4"), "f32.safetensors")
safetensors.numpy.save_file(cast("f2"), "f16.safetensors")
safetensors.numpy.save_file(cast(ml_dtypes.bfloat16), "bf16.safetensors")

rows = np.array([[0, 51, 255], [102, 0, 204]], dtype="u1")
np.save("data.npy", rows)
with gzip.GzipFile("images.idx.gz", "wb", mtime=0) as file:
    file.write(struct.pack(">4BIII", 0, 0, 8, 3, 2, 1, 3) + rows.tobytes())
np.savetxt("data.csv", rows / 255, delimiter=",", header="left,middle,right", comments="")
