"""The step that is compared, the same lines in every environment (torch only)."""

import time

import torch

ENERGY_WEIGHT = 4.0  # beside forces: the default of e3md train
LEARNING_RATE = 0.002


def loss(energy, forces, batch, scale):
    """4 ⟨(ΔE / N / scale)²⟩ + ⟨(ΔF / scale)²⟩, scale in eV/Å; e3md train's own, written for peers."""
    energies = (energy - batch.energy) / batch.n_atoms / scale
    return (
        ENERGY_WEIGHT * energies.square().mean() + ((forces - batch.forces) / scale).square().mean()
    )


def adam(model):
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)


def seconds_per_step(step, batches, repeats):
    """Mean over the batches of the least CPU time of each: other work on the machine adds to none."""
    least = [float("inf")] * len(batches)
    for _ in range(repeats):
        for k, batch in enumerate(batches):
            start = time.process_time()
            step(batch)
            least[k] = min(least[k], time.process_time() - start)
    return sum(least) / len(least)
