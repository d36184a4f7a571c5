"""The autoencoder: how a healthy machine's features move together comes out as it went in, anything else does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HIDDEN = 32
_CODE = 2
_CODE_SPREAD = 1.5
_CODE_CENTRE = 3.0
"""A normalised code of spread 1.5 around 3 fills the 0..6 that ReLU6 lets through, for healthy machines and for nothing stranger: without
that limit a larger deviation would be reconstructed as well as a healthy one."""


class Autoencoder(nn.Module):
    """(n, features) float32 to the same shape."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _CODE))
        self.normalise = nn.BatchNorm1d(_CODE, affine=False)
        self.decode = nn.Sequential(nn.Linear(_CODE, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, features))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Reconstruct."""
        code = self.normalise(self.encode(rows)) * _CODE_SPREAD + _CODE_CENTRE
        return self.decode(nn.functional.relu6(code))


def train(rows: NDArray[np.float32], epochs: int, seed: int) -> nn.Sequential:
    """Fit to normalised features of healthy machines, (n, features) float32."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    network, data = Autoencoder(rows.shape[1]), torch.from_numpy(rows)
    optimiser = torch.optim.Adam(network.parameters())
    batch = 256
    steps = len(data) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=epochs * steps)
    for epoch in range(epochs):
        losses = []
        for rows_of_batch in torch.randperm(len(data))[: steps * batch].split(batch):
            loss = nn.functional.mse_loss(network(data[rows_of_batch]), data[rows_of_batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 5 == 0 or epoch == epochs - 1:
            print(f"epoch {epoch}: mean squared error {sum(losses) / len(losses):.4f}")
    return fused(network.eval())


@torch.no_grad()
def fused(network: Autoencoder) -> nn.Sequential:
    """Fold normalisation and spread into the layer before them: no file carries them as operations of its own."""
    last, norm = network.encode[2], network.normalise
    gain = _CODE_SPREAD / torch.sqrt(norm.running_var + norm.eps)
    last.weight *= gain[:, None]
    last.bias.copy_((last.bias - norm.running_mean) * gain + _CODE_CENTRE)
    return nn.Sequential(*network.encode, nn.ReLU6(), *network.decode).eval()
