"""A network's energy, with its gradient by autograd. It is bounded, so it needs a base:

lnz estimate --command "python examples/python/torch_energy.py" --dim 10 --domain gaussian:0,1
"""
import torch

from lnz_energy import serve

torch.manual_seed(0)
torch.set_num_threads(1)  # lnz starts a program for each thread
network = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)).double()


def energy(x):
    with torch.no_grad():
        return network(torch.tensor(x)).squeeze(1)


def energy_and_gradient(x):
    x = torch.tensor(x, requires_grad=True)
    energies = network(x).squeeze(1)
    (slopes,) = torch.autograd.grad(energies.sum(), x)
    return energies.detach(), slopes


serve(energy, energy_and_gradient=energy_and_gradient)
