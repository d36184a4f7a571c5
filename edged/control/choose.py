"""Which variant of a model runs on this box, and why: pure, values in, a ladder out.

Every variant is asked the same questions (``possible.py``); the first that objects refuses it. Of those that remain, what was
measured is put in order by the pipeline's objective (``ladder.py``), and the best that meets it runs, unless it is hardly better than
what runs already (``settle.py``). What was not measured is ordered by the profile's ``prefer`` and stands behind. ``edged explain``
prints the outcome, docs/reference/choice.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edged.config.pipelines import Objective
from edged.control import reasons
from edged.control.accuracy import grades
from edged.control.ladder import Candidate, Sorted, sort
from edged.control.objective import Terms, fits, share
from edged.control.possible import DRIVEN_BY, Facts, fit_threads, is_fit, objection
from edged.control.profile import Preference, Profile
from edged.control.settle import settle
from edged.domain.bundle import Bundle, Variant
from edged.domain.device import Inventory
from edged.domain.variant import Ladder, Rung


@dataclass(frozen=True, slots=True)
class Way:
    """A variant on an accelerator that nothing objects to. ``place`` is the profile's wish that fits, and the manifest's order.

    ``threads`` are as many as it runs with while nobody has measured it.
    """

    variant: Variant
    accelerator: str
    wish: Preference | None
    place: tuple[int, int]
    threads: int


def choose(
    bundle: Bundle, profile: Profile, facts: Facts, pin: str | None = None, objective: Objective | None = None
) -> Ladder:
    """Give the ladder of ``bundle`` on the box that ``facts`` describe; ``pin`` forces a variant to its top."""
    terms = Terms(objective or Objective(), facts.overhead_ms, facts.budget_mb)
    ways, refused = _ways(bundle, profile, facts, pin)
    candidates = _candidates(bundle, ways, facts, terms)
    unmeasured = list(_unmeasured(ways, candidates, facts))
    found = sort(candidates, terms)
    untried = _untried(unmeasured, candidates)
    first = [*untried, *(way for way in _smaller(unmeasured, found, facts) if way not in untried)]
    found = _with_something(found)
    rungs = [
        *(_by_profile(way, profile, has_figures=True) for way in first),
        *_on_the_ladder(found, terms),
        *_needless(found, terms),
        *(_by_profile(way, profile, has_figures=bool(candidates)) for way in unmeasured if way not in first),
    ]
    possible = _chosen(settle(rungs, facts.running, terms.objective), pin)
    return Ladder(
        bundle.manifest.name,
        bundle.manifest.version,
        profile.name,
        (*possible, *_no_room(found, terms), *refused),
        _unmet(possible[:1], candidates, terms, len(unmeasured)),
    )


def _ways(bundle: Bundle, profile: Profile, facts: Facts, pin: str | None) -> tuple[list[Way], list[Rung]]:
    """Part what can run, in the profile's order, from what is refused."""
    ways, refused = [], []
    pairs = [(variant, accelerator) for variant in bundle.manifest.variant for accelerator in variant.accelerators]
    for order, (variant, accelerator) in enumerate(pairs):
        why = objection(variant, accelerator, facts, pin)
        if why:
            refused.append(Rung(variant, accelerator, 1, "refused", why, "refused"))
            continue
        rank, wish = _rank(profile, variant, accelerator)
        wanted = _threads(wish, facts.inventory) if accelerator == "cpu" else 1
        threads = fit_threads(variant, accelerator, wanted, facts)
        ways.append(Way(variant, accelerator, wish, (rank, order), threads))
    return sorted(ways, key=lambda way: way.place), refused


def _candidates(bundle: Bundle, ways: list[Way], facts: Facts, terms: Terms) -> list[Candidate]:
    """Make a candidate of each way and each number of threads that it was measured with and that is fit."""
    grade = grades(bundle)
    return [
        Candidate(
            way.variant,
            way.accelerator,
            row,
            grade[way.variant.id],
            way.place,
            share(row, terms),
        )
        for way in ways
        for row in facts.figures.get((way.variant.id, way.accelerator), ())
        if is_fit(way.variant, way.accelerator, row.threads, facts)
    ]


def _unmeasured(ways: list[Way], candidates: list[Candidate], facts: Facts) -> Iterator[Way]:
    """Give what nobody has measured: ways without any figure, and what runs, with its own number of threads.

    Figures for another number of threads say nothing of what runs, and it stays until they say something.
    """
    measured = {one.identity for one in candidates}
    known = {identity[:2] for identity in measured}
    for way in ways:
        name = way.variant.id, way.accelerator
        runs = facts.running if facts.running is not None and facts.running[:2] == name else None
        if runs is not None and runs not in measured and is_fit(way.variant, way.accelerator, runs[2], facts):
            yield replace(way, threads=runs[2])
        elif name not in known:
            yield way


def _untried(unmeasured: list[Way], candidates: list[Candidate]) -> list[Way]:
    """Give the accelerators that the profile wishes for before anything measured: they are measured when they are opened, never else."""
    best = min((one.place for one in candidates), default=(0, 0))
    return [way for way in unmeasured if way.accelerator in DRIVEN_BY and way.wish is not None and way.place < best]


def _smaller(unmeasured: list[Way], found: Sorted, facts: Facts) -> list[Way]:
    """Where nothing measured fits, give what may, since its file is smaller than that of the smallest."""
    if found.kept or not found.too_large:
        return []
    size = facts.sizes.get(found.too_large[0].variant.id, 0)
    return [way for way in unmeasured if facts.sizes.get(way.variant.id, size) < size]


def _with_something(found: Sorted) -> Sorted:
    """Keep the smallest when nothing fits: a box that runs short of memory beats one that sees nothing."""
    if found.kept or not found.too_large:
        return found
    return replace(found, kept=found.too_large[:1], too_large=found.too_large[1:])


def _rank(profile: Profile, variant: Variant, accelerator: str) -> tuple[int, Preference | None]:
    """Give the place of the first wish that fits; variants that no wish names come last."""
    for place, wish in enumerate(profile.prefer):
        if wish.accelerator != accelerator:
            continue
        if wish.runtime in {None, variant.runtime} and wish.precision in {None, variant.precision}:
            return place, wish
    return len(profile.prefer), None


def _threads(wish: Preference | None, inventory: Inventory) -> int:
    """Give what the profile wishes, within what the box allows; without a wish half of the processors.

    The other half decodes cameras and talks to the fleet; more threads than processors only wait for each other. An accelerator does not
    get faster by any of them.
    """
    allowed = inventory.cpu.allowed or 1.0
    wanted = allowed // 2 if wish is None or wish.threads is None else min(wish.threads, allowed)
    return max(1, int(wanted))


def _on_the_ladder(found: Sorted, terms: Terms) -> Iterator[Rung]:
    for place, one in enumerate(found.kept):
        yield _measured(one, terms, reasons.later(one, found.kept[0], terms) if place else reasons.first(one, terms))


def _needless(found: Sorted, terms: Terms) -> Iterator[Rung]:
    for one, better in found.dominated:
        yield replace(_measured(one, terms, reasons.needless(one, better)), standing="dominated")


def _no_room(found: Sorted, terms: Terms) -> Iterator[Rung]:
    for one in found.too_large:
        yield replace(_measured(one, terms, reasons.too_large(one, terms)), standing="refused", verdict="refused")


def _measured(one: Candidate, terms: Terms, reason: str) -> Rung:
    return Rung(
        one.variant,
        one.accelerator,
        one.threads,
        "possible",
        reason,
        "meets" if one.share <= 1 and fits(one.figures, terms) else "misses",
        one.figures,
        one.grade.level,
        one.share,
    )


def _unmet(top: list[Rung], candidates: list[Candidate], terms: Terms, unmeasured: int) -> str:
    identity = top[0].identity if top else None
    runs = [one for one in candidates if one.identity == identity]
    return reasons.unmet(runs[0], terms, unmeasured) if runs else ""


def _by_profile(way: Way, profile: Profile, *, has_figures: bool) -> Rung:
    if way.wish is None:
        reason = f"profile {profile.name} has no wish for it"
    else:
        reason = f"profile {profile.name}, wish {profile.prefer.index(way.wish) + 1}: {_words(way.wish)}"
    if has_figures:
        reason = f"not measured here yet; {reason}"
    return Rung(way.variant, way.accelerator, way.threads, "possible", reason)


def _chosen(rungs: list[Rung], pin: str | None) -> list[Rung]:
    """Choose the first; a pin is the reason then, and what was measured stands behind it."""
    if not rungs:
        return []
    first = rungs[0]
    reason = first.reason
    if pin is not None:
        reason = "pinned by the pipeline" + (f"; {first.reason}" if first.figures else "")
    return [replace(first, verdict="chosen", reason=reason), *rungs[1:]]


def _words(wish: Preference) -> str:
    return ", ".join(word for word in (wish.accelerator, wish.runtime, wish.precision) if word)
