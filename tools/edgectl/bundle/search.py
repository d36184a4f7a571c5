"""Which layers to keep in float when a variant fails its gate: the last ones first, then those that add the most noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgectl.bundle.judge import Verdict
from edgectl.bundle.quantizers import Quantizer, Recipe, make, tail
from edged.domain.errors import BundleError

LAST = (1, 2, 4, 8)
"""Last layers that are tried: keeping the very last alone has won back what a default int8 lost."""
WORST = (2, 8, 32)
"""Layers of most added noise that are tried. With ``LAST`` this bounds the search at nine files a variant."""
MOST_KEPT = 0.5
"""Of the layers; with more of them in float it is no int8 network any more."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One made file, what it kept in float, and the gate's word; ``tries`` counts the files that it took."""

    keep: tuple[str, ...]
    content: bytes
    verdict: Verdict
    tries: int


def search(quantizer: Quantizer, recipe: Recipe, attempt: Callable[[bytes], Verdict]) -> Trial:
    """Make a variant that passes its gate, or give the first that did not.

    Args:
        quantizer: The float file.
        recipe: What to make of it.
        attempt: The gate: judges a file's content.
    """
    first = _trial(quantizer, recipe, (), attempt, 1)
    if first.verdict.passes or not first.content or recipe.precision != "int8":
        return first
    tries = 1
    for keep in plans(quantizer, first.content):
        tries += 1
        trial = _trial(quantizer, recipe, keep, attempt, tries)
        if trial.verdict.passes:
            return trial
    return Trial(first.keep, first.content, first.verdict, tries)


def plans(quantizer: Quantizer, made: bytes) -> Iterator[tuple[str, ...]]:
    """Give what to keep, the least first. ``made`` is the file with nothing kept, whose layers tell their noise."""
    most = int(len(quantizer.layers) * MOST_KEPT)
    for count in (count for count in LAST if count <= most):
        yield tail(quantizer, count)
    # What lies between the layers (sums, products, joins) costs little in float, and its values spread most.
    between = quantizer.others
    if between and most:
        yield between
    worst = noisiest(quantizer, made)
    for count in (count for count in WORST if count <= most):
        yield tuple(dict.fromkeys((*worst[:count], *between)))


def noisiest(quantizer: Quantizer, made: bytes) -> list[str]:
    """Order the layers by the noise that each adds to what the one before it had, most first."""
    noise = quantizer.errors(made)
    ordered = [layer for layer in quantizer.layers if layer in noise]
    before = [0.0, *(noise[layer] for layer in ordered)]
    added = {layer: noise[layer] - earlier for layer, earlier in zip(ordered, before, strict=False)}
    return sorted(ordered, key=lambda layer: -added[layer])


def _trial(
    quantizer: Quantizer, recipe: Recipe, keep: tuple[str, ...], attempt: Callable[[bytes], Verdict], tries: int
) -> Trial:
    try:
        content = make(recipe, quantizer, keep)
    except BundleError as error:
        return Trial(keep, b"", Verdict(None, None, 0.0, 0, str(error)), tries)
    return Trial(keep, content, attempt(content), tries)
