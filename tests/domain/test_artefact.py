from __future__ import annotations

from pathlib import Path

import pytest

from edged.domain.artefact import TARGET, VerifiedArtefact


@pytest.mark.parametrize(("length", "sha256"), [(0, "a" * 64), (5, "a" * 63), (5, "A" * 64)])
def test_what_was_not_verified_cannot_be_an_artefact(length: int, sha256: str) -> None:
    with pytest.raises(ValueError, match="expected some, and a digest"):
        VerifiedArtefact("parts", "1.0.0", length, sha256, Path("x"))


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a\\b", "a\0", "x" * 201, "a b", "ä"])
def test_a_name_that_reads_as_a_path_or_a_flag_is_no_files(name: str) -> None:
    assert TARGET.fullmatch(name) is None
