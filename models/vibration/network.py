"""The autoencoder: windows of a healthy machine come out as they went in, others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTH = 128
STRIDE = 64
CHANNELS = 3
_HIDDEN = 72
_CODE = 20
_CODE_SPREAD = 1.7
_CODE_CENTRE = 3.0
"""A normalised code of spread 1.7 around 3 fills the 0..6 that ReLU6 lets through, for healthy machines and for no
stronger vibration: without that limit a larger amplitude would be reconstructed as well as a healthy one."""


class Autoencoder(nn.Module):
    """(n, 384) float32, sample by sample, to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        size = LENGTH * CHANNELS
        self.encode = nn.Sequential(nn.Linear(size, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _CODE))
        self.normalise = nn.BatchNorm1d(_CODE, affine=False)
        self.decode = nn.Sequential(nn.Linear(_CODE, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, size))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Reconstruct."""
        code = self.normalise(self.encode(windows)) * _CODE_SPREAD + _CODE_CENTRE
        return self.decode(nn.functional.relu6(code))


def train(windows: NDArray[np.float32], epochs: int, seed: int) -> nn.Sequential:
    """Fit to windows of healthy machines, (n, 384) float32."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    network, data = Autoencoder(), torch.from_numpy(windows)
    optimiser = torch.optim.Adam(network.parameters())
    batch = 256
    steps = len(data) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=epochs * steps)
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(data))[: steps * batch].split(batch):
            loss = nn.functional.mse_loss(network(data[rows]), data[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 10 == 0 or epoch == epochs - 1:
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
