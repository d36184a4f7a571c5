"""From boxes on the model's picture to detections on the frame: the end that every detector shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.domain.errors import BundleError
from edged.domain.result import Detection, Detections
from edged.pipeline.geometry import place
from edged.pipeline.postprocess.binding import require_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edged.domain.bundle import ImageInput
    from edged.domain.frame import Frame


def detections(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.intp],
    names: Sequence[str],
    image: ImageInput,
    frame: Frame,
) -> Detections:
    """Name the boxes and map them to the frame; those that lie wholly outside of it go.

    Args:
        boxes: (n, 4) of x1, y1, x2, y2 in pixels of the model's picture, best first.
        scores: (n,) of 0..1.
        classes: (n,) of class numbers.
        names: The classes' names; empty: they are called by their number.
        image: How frames lie on the model's picture.
        frame: What was looked at.

    Raises:
        BundleError: A class has no name.
        EngineLostError: A score is no number, as a product of two that are can be.
    """
    require_finite(scores, "scores")
    fractions = place(image, frame.data.shape).fractions(boxes)
    inside = ((fractions[:, 2] > fractions[:, 0]) & (fractions[:, 3] > fractions[:, 1])).nonzero()[0]
    items = []
    for index in inside.tolist():
        x1, y1, x2, y2 = fractions[index].tolist()
        items.append(Detection(class_name(names, int(classes[index])), float(scores[index]), (x1, y1, x2, y2)))
    return Detections(tuple(items))


def class_name(names: Sequence[str], number: int) -> str:
    """Name a class; by its number where there are no names. Raises BundleError when it has none."""
    if not names:
        return str(number)
    if 0 <= number < len(names):
        return names[number]
    message = f"cannot name class {number}: the label file holds {len(names)} lines, expected at least {number + 1}"
    raise BundleError(message, remedy="give the label file that the model was trained with")
