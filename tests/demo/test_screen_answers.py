from __future__ import annotations

from typing import Any

import pytest

from edged.demo.screen import answer

POINT = {"label": "nose", "score": 0.912, "x": 0.5, "y": 0.5}
MASK = {"width": 4, "height": 4, "box": [0, 0, 1, 1], "segments": [{"label": "bird", "share": 0.171, "runs": [0, 3]}]}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"keypoints": [POINT]}, "nose 0.91"),
        ({"keypoints": []}, "nothing there"),
        ({"values": [{"label": "bar", "value": 1.52}]}, "bar 1.52"),
        ({"mask": MASK}, "bird 17%"),
        ({"reason": "deadline"}, "unknown: deadline"),
    ],
)
def test_an_answer_is_said_in_a_few_words(document: dict[str, Any], words: str) -> None:
    assert answer(document) == words
