"""Pictures of a conveyor belt as a fixed camera above it takes them, with the true boxes of the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.parts import shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from models.parts.shapes import Item

WIDTH, HEIGHT = 640, 360
UNCLEAR = -1

_VISIBLE = 0.35
"""A part less visible than this is no part to find."""
_HIDDEN, _SHOWN = 0.1, 0.7
"""A fault of which less is visible than the one is not there; from the other on it is. In between nobody could say."""
_CROWDED = 0.5
"""A place is taken again when another part already covers this share of the smaller of the two boxes."""

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Setting:
    """An installation: belt, light, camera and how tidy it is. Ranges are drawn from anew for every picture."""

    belts_bgr: tuple[tuple[int, int, int], ...]
    exposure: Range = (0.6, 1.3)
    slope: Range = (0.0, 0.4)
    """How unevenly the light falls, from one side of the picture to the other."""
    noise: Range = (1.0, 8.0)
    blur: Range = (0.0, 1.4)
    smear: Range = (1.0, 7.0)
    """Motion blur along the belt, in pixels."""
    scale: Range = (0.8, 1.3)
    parts: tuple[int, int] = (0, 10)
    clutter: tuple[int, int] = (0, 6)
    faulty: float = 0.4
    """The share of scratched and bent parts, half of them each."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An item with the pixel that its centre lies on."""

    item: Item
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Scene:
    """``picture`` (360, 640, 3) uint8 BGR; ``boxes`` (n, 4) float32 x1, y1, x2, y2 in pixels; ``labels`` (n,) int64.

    ``UNCLEAR`` labels a part whose fault is half hidden: it is no error to call it faulty, and none not to.
    """

    picture: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def render(setting: Setting, random: np.random.Generator) -> Scene:
    """Make up a picture."""
    light = random.uniform(0, 2 * np.pi)
    scale = random.uniform(*setting.scale)
    things = [shapes.clutter(scale, light, random) for _ in range(random.integers(*setting.clutter, endpoint=True))]
    wanted = random.integers(*setting.parts, endpoint=True)
    things += [_any_part(scale, light, setting.faulty, random) for _ in range(wanted)]
    placed: list[Placed] = []
    for thing in things:
        spot = Placed(thing, int(random.integers(WIDTH)), int(random.integers(HEIGHT)))
        if not any(_crowds(spot, other) for other in placed):
            placed.append(spot)
    colour = setting.belts_bgr[random.integers(len(setting.belts_bgr))]
    canvas = belt(colour, WIDTH, random)
    boxes, labels = lay(canvas, placed, light)
    return Scene(photograph(canvas, setting, random), boxes, labels)


def rendered(setting: Setting, count: int, seed: int) -> Iterator[Scene]:
    """Make up so many pictures, one at a time: thousands take more memory than a small machine has."""
    cv2.setRNGSeed(seed)  # the noise of the pictures comes from cv2's own generator, which is several times faster
    chance = np.random.default_rng(seed)
    for _ in range(count):
        yield render(setting, chance)


def belt(colour: tuple[int, int, int], width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw ``width`` pixels of belt, (360, width, 3) float32 BGR, which joins onto itself at its ends."""
    weave = random.normal(0, 1, (HEIGHT // 2, width // 2)).astype(np.float32)
    weave = cv2.GaussianBlur(weave, (0, 0), random.uniform(0.5, 2.5), borderType=cv2.BORDER_REFLECT)
    weave = cv2.resize(weave, (width, HEIGHT)) / max(float(weave.std()), 1e-6) * random.uniform(1.0, 7.0)
    ribs = random.integers(8, 40)
    if random.random() < 0.5:  # noqa: PLR2004 - every other belt is ribbed
        weave += np.sin(np.arange(width) * 2 * np.pi * ribs / width) * random.uniform(2, 12)
    lit = np.array(colour, np.float32) * random.uniform(0.75, 1.25, 3) + weave[..., np.newaxis]
    return np.clip(lit, 0, 255).astype(np.float32)


def lay(
    canvas: NDArray[np.float32], placed: Sequence[Placed], light: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Lay the items onto the canvas in their order, each over those before; give boxes and labels of what is seen."""
    owner = np.full(canvas.shape[:2], -1, np.int16)
    for index, spot in enumerate(placed):
        _cast_shadow(canvas, spot, light)
        window, cut = _overlap(spot, canvas.shape)
        alpha = spot.item.alpha[cut][..., np.newaxis]
        canvas[window] += (spot.item.colour[cut] - canvas[window]) * alpha
        owner[window][alpha[..., 0] > 0.5] = index  # noqa: PLR2004 - more of the item than of what lies below
    found = [(index, *_extent(owner == index)) for index in range(len(placed)) if _is_seen(owner, index, placed[index])]
    boxes = np.array([row[1:] for row in found], np.float32).reshape(-1, 4)
    labels = np.array([_label(owner, row[0], placed[row[0]]) for row in found], np.int64)
    return boxes, labels


def photograph(canvas: NDArray[np.float32], setting: Setting, random: np.random.Generator) -> NDArray[np.uint8]:
    """Light the scene and take its picture: uneven light, exposure, blur, motion, noise."""
    height, width = canvas.shape[:2]
    angle, slope = random.uniform(0, 2 * np.pi), random.uniform(*setting.slope)
    across = np.linspace(-1, 1, width, dtype=np.float32)[np.newaxis, :] * np.cos(angle)
    along = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis] * np.sin(angle)
    tint = random.uniform(0.92, 1.08, 3)
    light = (1 + slope * (across + along)) * random.uniform(*setting.exposure)
    seen = canvas * light[..., np.newaxis].astype(np.float32) * tint.astype(np.float32)
    smear = round(random.uniform(*setting.smear))
    if smear > 1:
        seen = cv2.blur(seen, (smear, 1))
    blur = random.uniform(*setting.blur)
    if blur > 0.3:  # noqa: PLR2004 - a smaller one changes nothing that can be seen
        seen = cv2.GaussianBlur(seen, (0, 0), blur)
    seen += cv2.randn(np.empty_like(seen), 0.0, random.uniform(*setting.noise))
    return np.clip(seen, 0, 255).astype(np.uint8)


def _any_part(scale: float, light: float, faulty: float, random: np.random.Generator) -> Item:
    fault = str(random.choice(shapes.FAULTS)) if random.random() < faulty else ""
    return shapes.part(str(random.choice(shapes.KINDS)), scale, light, random, fault)


def _crowds(new: Placed, old: Placed) -> bool:
    if not old.item.kind:
        return False
    reach = [_half_extent(new.item), _half_extent(old.item)]
    apart = np.abs([new.x - old.x, new.y - old.y])
    shared = np.clip(np.minimum(reach[0] + reach[1] - apart, 2 * np.minimum(*reach)), 0, None)
    return bool(shared.prod() > _CROWDED * min(4 * one.prod() for one in reach))


def _half_extent(item: Item) -> NDArray[np.float64]:
    x1, y1, x2, y2 = _extent(item.alpha > 0.5)  # noqa: PLR2004 - the outline
    return np.array([x2 - x1, y2 - y1]) / 2


def _extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _is_seen(owner: NDArray[np.int16], index: int, spot: Placed) -> bool:
    whole = np.count_nonzero(spot.item.alpha > 0.5)  # noqa: PLR2004 - the outline
    return bool(spot.item.kind) and np.count_nonzero(owner == index) > _VISIBLE * whole


def _label(owner: NDArray[np.int16], index: int, spot: Placed) -> int:
    item = spot.item
    if not item.fault:
        return shapes.LABELS.index(item.kind)
    window, cut = _overlap(spot, owner.shape)
    shown = item.mark[cut][owner[window] == index].sum() / max(item.mark.sum(), 1.0)
    if _HIDDEN < shown < _SHOWN:
        return UNCLEAR
    return shapes.LABELS.index(item.kind if shown <= _HIDDEN else item.fault)


def _cast_shadow(canvas: NDArray[np.float32], spot: Placed, light: float) -> None:
    x, y = round(spot.x + 4 * np.cos(light)), round(spot.y + 4 * np.sin(light))
    window, cut = _overlap(Placed(spot.item, x, y), canvas.shape)
    shadow = cv2.GaussianBlur(spot.item.alpha, (0, 0), 2.5)[cut]
    canvas[window] *= 1 - 0.45 * shadow[..., np.newaxis]


def _overlap(spot: Placed, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the item's picture lies on the canvas, and which of its own pixels those are."""
    half = len(spot.item.alpha) // 2
    window, cut = [], []
    for centre, limit in ((spot.y, shape[0]), (spot.x, shape[1])):
        low, high = np.clip([centre - half, centre + half + 1], 0, limit)
        window.append(slice(low, high))
        cut.append(slice(low - centre + half, high - centre + half))
    return (window[0], window[1]), (cut[0], cut[1])
