"""What keeps a bundle that lies there from running, as health tells it."""

from __future__ import annotations

from pathlib import Path

from edged.assembly.passed_over import expected_folders, model_reasons
from edged.config.schema import Config
from edged.domain.errors import BundleError, EdgedError
from edged.update.manifest import RefusedBundleError
from edged.update.records import Pointer, Release
from edged.update.updater import Installed, Standing

LIVE = Installed("parts", (), Pointer(active=Release(digest="0" * 64, version="1.0.0")), ())
NEWER = BundleError(
    "cannot activate parts 2.0.0: golden sample 3 differs", remedy="give a mended bundle another version"
)


def standing(
    *,
    model: Installed = LIVE,
    passed_over: tuple[EdgedError, ...] = (),
    refused: tuple[RefusedBundleError, ...] = (),
    absent: tuple[Path, ...] = (),
) -> Standing:
    return Standing((model,), refused, {"parts": passed_over}, absent)


def test_without_anything_amiss_there_is_no_reason() -> None:
    assert model_reasons(standing(), {}, 7) == []


def test_a_bundle_that_was_passed_over_is_told_with_what_goes_on_and_what_to_do() -> None:
    (reason,) = model_reasons(standing(passed_over=(NEWER,)), {}, 7)
    assert (reason.code, reason.component, reason.since_mono_ns) == ("model-refused", "model:parts", 7)
    assert reason.message == "1.0.0 goes on: cannot activate parts 2.0.0: golden sample 3 differs"
    assert reason.remedy == "give a mended bundle another version"
    assert not reason.fatal


def test_where_none_runs_the_pipelines_say_why() -> None:
    never = Installed("parts", (), Pointer(), ())
    assert model_reasons(standing(model=never, passed_over=(NEWER,)), {}, 7) == []


def test_a_manifest_that_cannot_be_read_is_told_by_its_folder() -> None:
    broken = RefusedBundleError(Path("/models/typo"), ["model.toml: task: no such task", "model.toml: another"])
    (reason,) = model_reasons(standing(refused=(broken,)), {}, 7)
    assert reason.component == "model:typo"
    assert reason.message == "cannot use bundle /models/typo: model.toml: task: no such task (and 1 more)"
    assert reason.remedy


def test_a_folder_that_is_gone_is_told_and_known_since_it_was_first_seen() -> None:
    gone = Path("/media/stick/models")
    (reason,) = model_reasons(standing(absent=(gone,)), {("models-directory-absent", f"models:{gone}"): 3}, 7)
    assert (reason.code, reason.since_mono_ns) == ("models-directory-absent", 3)
    assert f"cannot read the models directory {gone}" in reason.message


def test_only_folders_that_the_operator_named_are_expected() -> None:
    box = {"id": "press-07"}
    assert expected_folders(Config.model_validate({"device": box})) == ()
    named = Config.model_validate({"device": box, "models": {"directories": ["/media/stick/models"]}})
    assert expected_folders(named) == (Path("/media/stick/models"),)
