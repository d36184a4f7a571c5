"""What detectors are known to find in dog.jpg: score and box by label."""

from __future__ import annotations

SSD_DOG = {
    "bicycle": (0.73, (0.177, 0.204, 0.745, 0.754)),
    "car": (0.64, (0.606, 0.137, 0.899, 0.296)),
    "dog": (0.64, (0.170, 0.357, 0.427, 0.939)),
}
YOLOX_DOG = {
    "dog": (0.86, (132 / 768, 206 / 576, 325 / 768, 543 / 576)),
    "bicycle": (0.80, (51 / 768, 137 / 576, 572 / 768, 423 / 576)),
    "car": (0.80, (466 / 768, 78 / 576, 692 / 768, 171 / 576)),
}
