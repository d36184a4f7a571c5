"""The network gives the course that a sensor should have taken: what it would have shown had nothing gone wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HIDDEN = 48
BATCH = 256


def build(length: int) -> nn.Sequential:
    """(n, length) float32 to the same shape, in units of the sensor's own spread."""
    return nn.Sequential(
        nn.Linear(length, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, length),
    )


def train(shown: NDArray[np.float32], expected: NDArray[np.float32], epochs: int, seed: int) -> nn.Sequential:
    """Teach it to give ``expected`` where it is shown the same with a fault: both (n, length)."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    network, given, wanted = build(shown.shape[1]), torch.from_numpy(shown), torch.from_numpy(expected)
    optimiser = torch.optim.Adam(network.parameters())
    steps = len(given) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=epochs * steps)
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(given))[: steps * BATCH].split(BATCH):
            loss = nn.functional.mse_loss(network(given[rows]), wanted[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: mean squared error {sum(losses) / len(losses):.4f}")
    return network.eval()
