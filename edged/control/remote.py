"""The rung above a model's own ladder: the same model on a server in the plant. Pure."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from edged.config.remote import Remote
from edged.domain.bundle import Bundle, Variant
from edged.domain.variant import Ladder, Rung

ACCELERATOR = "remote"
"""What results say it runs on. A bundle cannot name it: bundles are signed, and know no plant's servers."""


def with_remote(whole: Ladder, bundle: Bundle, settings: Remote) -> Ladder:
    """Put the server's rung before the others. It is never measured: the network differs from minute to minute."""
    variant = _stands_for(bundle, settings)
    if variant is None:
        known = ", ".join(one.id for one in bundle.manifest.variant)
        reason = f"[remote.{whole.model}] names variant {settings.variant!r}, expected one of {known}"
        refused = Rung(bundle.manifest.variant[0], ACCELERATOR, 1, "refused", reason, "refused", remote=whole.model)
        return replace(whole, rungs=(*whole.rungs, refused))
    first = Rung(variant, ACCELERATOR, 1, "chosen", f"[remote.{whole.model}]: {host_of(settings)}", remote=whole.model)
    others = (replace(rung, verdict="possible") if rung.verdict == "chosen" else rung for rung in whole.rungs)
    return replace(whole, rungs=(first, *others), unmet="")


def far_digest(model: str) -> str:
    """Give what stands where results name a file's digest: which file a server runs, nobody here knows."""
    return f"remote:{model}"


def host_of(settings: Remote) -> str:
    """Give the server's name and port."""
    return urlsplit(settings.url).netloc


def _stands_for(bundle: Bundle, settings: Remote) -> Variant | None:
    """Give the variant whose preprocessing and decoding suit the server's model: the protocol tells of no scales and zero points."""
    variants = bundle.manifest.variant
    if settings.variant is not None:
        return next((one for one in variants if one.id == settings.variant), None)
    return next((one for one in variants if one.precision == "fp32"), variants[0])
