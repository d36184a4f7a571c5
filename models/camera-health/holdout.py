"""How the judge spoils a picture: other means than training's, towards the same definitions (``README.md``).

Light is taken away and added in linear light, focus is lost through a disc, a camera that looks away is turned in a room of
three dimensions, and a broken decoder is a real one that was given broken data. NumPy and OpenCV only: the tests load this
file by its path. Every function takes (h, w, 3) uint8 BGR and a generator and gives the same shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Fault = Callable[[Picture, np.random.Generator], Picture]

WIDEST = 640
"""Pixels; a wider picture is brought to this width first, which changes nothing for a network that sees 160."""
DARKEST_MEAN = 24
BURNT_SHARE = 0.62
COVERED = (0.45, 0.85)
LEFT_OVER = 0.33
GARBAGE_SHARE = 0.5
"""The share of pixels that a broken decoder must have changed by more than ``_CHANGED``."""
_CHANGED = 40
_BURNT = 250
_TABLES_END = 640
"""Bytes; where the picture's own data begin in a JPEG."""
DRAW = 3
"""The third draw of faults: the first two were looked at while training's ranges were chosen."""
_GAMMA = 2.2
_TRIES = 60


def judged(picture: Picture, seed: int) -> Iterator[tuple[str, str, Picture]]:
    """Give the picture in every state: the label, the kind of fault, and the spoiled picture."""
    height, width = picture.shape[:2]
    if width > WIDEST:
        picture = cv2.resize(picture, (WIDEST, round(height * WIDEST / width)), interpolation=cv2.INTER_AREA)
    for label, faults in FAULTS.items():
        for index, fault in enumerate(faults):
            random = np.random.default_rng([DRAW, seed, index, *label.encode()])
            yield label, fault.__name__, fault(picture, random)


def clean(picture: Picture, random: np.random.Generator) -> Picture:
    """Leave it as the camera took it."""
    del random
    return picture


def weathered(picture: Picture, random: np.random.Generator) -> Picture:
    """Half a stop more or less, some grain, and a small file: a camera that is well enough."""
    light = _linear(picture) * 2.0 ** random.uniform(-0.6, 0.4)
    seen = _encoded(light) + random.laplace(0, random.uniform(1, 4), picture.shape)
    return _filed(_bytes(seen), int(random.integers(45, 70)))


def underexposed(picture: Picture, random: np.random.Generator) -> Picture:
    """Too few photons: linear light is divided until the mean is low, and the rest is counted."""
    light, photons = _linear(picture), random.uniform(300, 3000)
    wanted = random.uniform(0.2, 0.95) * DARKEST_MEAN
    for _ in range(_TRIES):
        if _encoded(light).mean() <= wanted:
            break
        light *= 0.8
    return _bytes(_encoded(random.poisson(light * photons) / photons))


def night(picture: Picture, random: np.random.Generator) -> Picture:
    """Blue dusk: grey, cold and grainy, and darker towards the edges."""
    height, width = picture.shape[:2]
    grey = _linear(picture).mean(axis=2, keepdims=True) * np.array([1.3, 1.0, 0.8])
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = grey / (1 + x**2 + y**2)[..., np.newaxis] ** 2
    seen = _encoded(light)
    seen *= min(1.0, random.uniform(0.3, 0.8) * DARKEST_MEAN / max(float(seen.mean()), 1.0))
    return _bytes(seen + np.abs(random.normal(0, 2.5, picture.shape)))


def burnt(picture: Picture, random: np.random.Generator) -> Picture:
    """Stops are added in linear light until most of it is burnt out."""
    light = _linear(picture) + 1e-3
    wanted = random.uniform(BURNT_SHARE, 0.95)
    for _ in range(_TRIES):
        if (_encoded(light.min(axis=2)) >= _BURNT).mean() >= wanted:
            break
        light *= 1.25
    return _bytes(_encoded(light))


def glare(picture: Picture, random: np.random.Generator) -> Picture:
    """The sun in the lens: a flare that grows until most of the picture is burnt out."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0 : height / width : height * 1j, 0 : 1 : width * 1j]
    away = np.hypot(x - random.uniform(0.2, 0.8), y - random.uniform(0, 0.5) * height / width)
    flare = np.exp(-away / random.uniform(0.25, 0.6))[..., np.newaxis]
    light, strength = _linear(picture) * 1.5, 0.2
    for _ in range(_TRIES):
        if (_encoded((light + flare * strength).min(axis=2)) >= _BURNT).mean() >= BURNT_SHARE:
            break
        strength *= 1.2
    return _bytes(_encoded(light + flare * strength))


def defocused(picture: Picture, random: np.random.Generator) -> Picture:
    """A point becomes a disc."""
    radius = max(picture.shape) * random.uniform(0.022, 0.05)
    reach = int(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return _bytes(_encoded(cv2.filter2D(_linear(picture), -1, disc / disc.sum())))


def shaken(picture: Picture, random: np.random.Generator) -> Picture:
    """The camera wanders while the shutter is open: the mean of many displaced pictures."""
    steps = random.normal(0, 1, (40, 2)).cumsum(axis=0)
    steps -= steps.mean(axis=0)
    steps *= max(picture.shape) * random.uniform(0.016, 0.03) / steps.std(axis=0).min().clip(0.3)
    total = np.zeros(picture.shape)
    for dx, dy in steps:
        move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        total += cv2.warpAffine(picture, move, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return _bytes(total / len(steps))


def greasy(picture: Picture, random: np.random.Generator) -> Picture:
    """A smeared or wet front glass: box filters over each other, and a loss of contrast."""
    size = max(3, int(max(picture.shape) * random.uniform(0.03, 0.06)))
    seen = picture.astype(np.float32)
    for _ in range(3):
        seen = cv2.blur(seen, (size, size))
    return _bytes(seen * random.uniform(0.6, 0.9) + random.uniform(15, 60))


def hand(picture: Picture, random: np.random.Generator) -> Picture:
    """A palm and fingers from one side: capsules, grown until they cover enough."""
    middle, inward = _side(picture, random)
    skin = np.array([random.uniform(0.3, 0.7), random.uniform(0.45, 0.8), 1]) * random.uniform(30, 210)
    aside = np.array([-inward[1], inward[0]])
    offsets = np.linspace(-1, 1, 4)

    def distance(points: NDArray[np.float64], size: float) -> NDArray[np.float64]:
        palm = _capsule(points, middle - inward, middle + inward * size * 0.45) - size * 0.5
        tips = [middle + inward * size * random_tip + aside * size * 0.42 * at for at, random_tip in fingers]
        bases = [middle + aside * size * 0.3 * at for at, _ in fingers]
        lengths = [_capsule(points, base, tip) - size * 0.12 for base, tip in zip(bases, tips, strict=True)]
        return np.minimum.reduce([palm, *lengths])

    fingers = [(at, random.uniform(0.9, 1.2)) for at in offsets]
    return _close(picture, distance, skin, random)


def leaf(picture: Picture, random: np.random.Generator) -> Picture:
    """A leaf on the glass: two arcs with a lighter rib, dark when the light is behind it."""
    middle, inward = _side(picture, random)
    green = np.array([0.35, 1, random.uniform(0.3, 1.0)]) * random.uniform(40, 170)
    aside = np.array([-inward[1], inward[0]])

    def distance(points: NDArray[np.float64], size: float) -> NDArray[np.float64]:
        away = points - (middle + inward * size * 0.4)
        centres = [np.hypot(*np.moveaxis(away + aside * side * size * 0.55, -1, 0)) for side in (-1, 1)]
        return np.maximum(*centres) - size * 1.1

    return _close(picture, distance, green, random)


def tape(picture: Picture, random: np.random.Generator) -> Picture:
    """A strip across the lens, so close that its edges are soft."""
    middle, inward = _side(picture, random)
    grey = np.ones(3) * random.uniform(10, 200) + random.uniform(-15, 15, 3)
    turned = np.array([inward[0] + random.normal(0, 0.3), inward[1] + random.normal(0, 0.3)])
    turned /= np.hypot(*turned)

    def distance(points: NDArray[np.float64], size: float) -> NDArray[np.float64]:
        return (points - middle) @ turned - size

    return _close(picture, distance, grey, random)


def web(picture: Picture, random: np.random.Generator) -> Picture:
    """A spiral of thread on spokes, lit from behind, far too close to be in focus."""
    height, width = picture.shape[:2]
    hub = np.array([random.uniform(0.1, 0.9) * width, random.uniform(0.1, 0.9) * height])
    spokes, thick = int(random.integers(10, 16)), max(2, round(width * random.uniform(0.016, 0.026)))
    turns = np.arange(0, 2 * np.pi * 9, 2 * np.pi / spokes)
    spiral = (
        hub
        + np.stack([np.cos(turns), np.sin(turns)], 1) * (turns * width * random.uniform(0.018, 0.026))[:, np.newaxis]
    )
    drawn = np.zeros((height, width), np.uint8)
    cv2.polylines(drawn, [np.round(spiral).astype(np.int32)], isClosed=False, color=255, thickness=thick)
    for angle in turns[:spokes]:
        end = np.round(hub + np.array([np.cos(angle), np.sin(angle)]) * width * 1.5).astype(int)
        cv2.line(drawn, np.round(hub).astype(int).tolist(), end.tolist(), 255, thick)
    soft = cv2.blur(cv2.blur(drawn, (thick, thick)), (thick, thick))[..., np.newaxis] / 255.0
    return _bytes(picture * (1 - soft) + random.uniform(150, 250) * soft)


def ceiling(picture: Picture, random: np.random.Generator) -> Picture:
    """Knocked upwards: the scene is the far wall of a room, and the camera looks at the ceiling."""
    return _away(picture, random, pitch=random.uniform(0.55, 1.0))


def ground(picture: Picture, random: np.random.Generator) -> Picture:
    """Hanging down: the camera looks at the floor before the scene."""
    return _away(picture, random, pitch=-random.uniform(0.55, 1.0))


def aside(picture: Picture, random: np.random.Generator) -> Picture:
    """Turned round: the camera looks at the wall beside the scene."""
    return _away(picture, random, yaw=random.choice([-1, 1]) * random.uniform(0.8, 1.3))


def snow(picture: Picture, random: np.random.Generator) -> Picture:
    """No signal: uniform random numbers, in each channel or in all alike."""
    channels = random.choice([1, 3])
    return np.broadcast_to(random.integers(0, 256, (*picture.shape[:2], channels)), picture.shape).astype(np.uint8)


def salted(picture: Picture, random: np.random.Generator) -> Picture:
    """Most pixels stuck at black or white."""
    stuck = random.random(picture.shape[:2])
    share = random.uniform(0.45, 0.8)
    seen = picture.copy()
    seen[stuck < share] = 255
    seen[stuck < share / 2] = 0
    return seen


def broken_file(picture: Picture, random: np.random.Generator) -> Picture:
    """A decoder that was given broken data: bytes of a JPEG are changed until enough of the picture is garbage."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_RST_INTERVAL, int(random.integers(2, 12))]
    _, data = cv2.imencode(".jpg", picture, options)
    data, seen = data.reshape(-1), picture
    for _ in range(_TRIES):
        spots = random.integers(_TABLES_END, len(data) - 2, len(data) // 150)
        data[spots] = random.integers(0, 255, len(spots))
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        seen = decoded if decoded is not None and decoded.shape == picture.shape else seen
        if (np.abs(seen.astype(int) - picture).max(axis=2) > _CHANGED).mean() >= GARBAGE_SHARE:
            break
    return seen


def wrong_stride(picture: Picture, random: np.random.Generator) -> Picture:
    """The rows of the buffer are longer than the reader thinks: the picture shears, and its colours swap."""
    flat = picture.reshape(-1)
    wrong = picture.shape[1] * 3 + int(random.integers(4, 60))
    rows = (np.arange(picture.shape[0])[:, np.newaxis] * wrong + np.arange(picture.shape[1] * 3)) % len(flat)
    return flat[rows].reshape(picture.shape)


def _linear(picture: Picture) -> NDArray[np.float64]:
    return (picture / 255.0) ** _GAMMA


def _encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return 255 * np.clip(light, 0, 1) ** (1 / _GAMMA)


def _bytes(seen: NDArray[np.float64]) -> Picture:
    return np.clip(np.round(seen), 0, 255).astype(np.uint8)


def _filed(picture: Picture, quality: int) -> Picture:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if done else picture


def _points(picture: Picture) -> NDArray[np.float64]:
    """Give each pixel's x and y in widths of the picture, (h, w, 2)."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0 : height / width : height * 1j, 0 : 1 : width * 1j]
    return np.stack([x, y], axis=-1)


def _side(picture: Picture, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give a point on the border, in widths, and the direction from there into the picture."""
    centre = np.array([0.5, 0.5 * picture.shape[0] / picture.shape[1]])
    angle = random.uniform(0, 2 * np.pi)
    inward = np.array([np.cos(angle), np.sin(angle)])
    return centre - inward * min(centre) * random.uniform(0.9, 1.2), inward


def _capsule(points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the line from start to end."""
    way = end - start
    along = np.clip((points - start) @ way / max(float(way @ way), 1e-9), 0, 1)
    return np.hypot(*np.moveaxis(points - start - along[..., np.newaxis] * way, -1, 0))


def _close(
    picture: Picture,
    distance: Callable[[NDArray[np.float64], float], NDArray[np.float64]],
    paint: NDArray[np.float64],
    random: np.random.Generator,
) -> Picture:
    """Lay a thing over the picture, as large as covers the share that is drawn, with the soft edge of what is close."""
    points, share = _points(picture), random.uniform(*COVERED)
    sizes = np.linspace(0.1, 2.5, _TRIES)
    coarse = points[::6, ::6]
    size = next((one for one in sizes if (distance(coarse, one) < 0).mean() >= share), sizes[-1])
    soft = random.uniform(0.025, 0.07)
    alpha = 1 / (1 + np.exp(np.clip(distance(points, size) / soft * 4, -40, 40)))[..., np.newaxis]
    lit = 1 + 0.25 * np.sin(points @ random.normal(0, 4, 2) + random.uniform(0, 6))[..., np.newaxis]
    return _bytes(picture * (1 - alpha) + np.clip(paint, 0, 255) * lit * alpha)


def _away(picture: Picture, random: np.random.Generator, pitch: float = 0.0, yaw: float = 0.0) -> Picture:
    """Turn the camera in a box whose far wall is the picture, further until little of it is left in view."""
    height, width = picture.shape[:2]
    roll = random.choice([-1, 1]) * random.uniform(0.2, 0.9)
    tall = height / width
    points = _points(picture) - [0.5, 0.5 * tall]
    rays = np.dstack([points[..., 0], points[..., 1], np.full(points.shape[:2], random.uniform(0.6, 0.9))])
    for _ in range(_TRIES):
        seen, share = _room(picture, rays @ _turn(pitch, yaw, roll).T, tall)
        if share <= LEFT_OVER:
            break
        pitch, yaw = pitch * 1.06, yaw * 1.06
    return _bytes(seen + random.normal(0, random.uniform(0.5, 2.5), seen.shape))


def _turn(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Roll about the axis of view, then pitch up, then yaw."""
    (sp, sy, sr), (cp, cy, cr) = np.sin([pitch, yaw, roll]), np.cos([pitch, yaw, roll])
    rolled = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    pitched = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    yawed = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return yawed @ pitched @ rolled


def _room(picture: Picture, rays: NDArray[np.float64], tall: float) -> tuple[NDArray[np.float64], float]:
    """Look along the rays from the middle of a box; give the view and the share of it that is the far wall.

    The box is as wide as the picture, with the picture on the far wall; the other five are plain, in the colours of the
    picture's own plainest patch, and lose light with distance.
    """
    half = np.array([0.62, 0.62 * tall + 0.1, 0.75])
    steps = half / np.maximum(np.abs(rays), 1e-9)
    face, reach = steps.argmin(axis=2), steps.min(axis=2)
    hit = rays * reach[..., np.newaxis]
    far = (face == 2) & (rays[..., 2] > 0)  # noqa: PLR2004 - the axis of depth
    if far.mean() > LEFT_OVER:  # it will be turned further: nobody sees this one
        return picture, float(far.mean())
    walls = _plain_walls(picture, face, np.take_along_axis(rays, face[..., np.newaxis], 2)[..., 0] > 0, hit)
    u = np.clip((hit[..., 0] / half[0] + 1) / 2 * (picture.shape[1] - 1), 0, None).astype(np.float32)
    v = np.clip((hit[..., 1] / half[1] + 1) / 2 * (picture.shape[0] - 1), 0, None).astype(np.float32)
    wall = cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.where(far[..., np.newaxis], wall, walls), float(far.mean())


def _plain_walls(
    picture: Picture, face: NDArray[np.int64], positive: NDArray[np.bool_], hit: NDArray[np.float64]
) -> NDArray[np.float64]:
    patch = _plainest(picture)
    size = len(patch)
    along = np.where(face == 0, hit[..., 2], hit[..., 0])
    other = np.where(face == 1, hit[..., 2], hit[..., 1])
    texture = patch[_mirrored(other * 2.5 * size, size), _mirrored(along * 2.5 * size, size)]
    brightness = np.choose(face * 2 + positive, [0.75, 0.9, 1.1, 0.6, 0.85, 0.85])
    light = brightness / (1 + 0.35 * (hit**2).sum(axis=2))
    lifted = 70 + 0.7 * texture  # a surface that is lit well enough to be seen
    return lifted * light[..., np.newaxis]


def _plainest(picture: Picture) -> NDArray[np.float64]:
    """Give the square with the least contrast, of a sixth of the smaller side."""
    size = max(16, min(picture.shape[:2]) // 6)
    grey = picture.mean(axis=2)
    corners = [
        (y, x) for y in range(0, grey.shape[0] - size, size // 2) for x in range(0, grey.shape[1] - size, size // 2)
    ]
    y, x = min(corners, key=lambda at: grey[at[0] : at[0] + size, at[1] : at[1] + size].std())
    return picture[y : y + size, x : x + size].astype(float)


def _mirrored(values: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Fold whole numbers into 0..size-1 there and back, so that tiles join without a seam."""
    folded = np.abs(values.astype(int)) % (2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


FAULTS: dict[str, tuple[Fault, ...]] = {
    "ok": (clean, weathered),
    "dark": (underexposed, night),
    "overexposed": (burnt, glare),
    "blurred": (defocused, shaken, greasy),
    "occluded": (hand, leaf, tape, web),
    "tilted": (ceiling, ground, aside),
    "noise": (snow, salted, broken_file, wrong_stride),
}
"""The labels in the bundle's order, each with what makes it."""
