"""The one table of what answers mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.meanings import CERTAIN, meaning

PUBLISHED = json.loads((Path(__file__).parents[1] / "aster" / "data" / "errors.json").read_text())


@pytest.mark.parametrize(
    ("status", "code", "text", "kind"),
    [
        (503, 0, "", "unknown"),
        (502, -1001, "Service Unavailable", "unknown"),
        (400, -1006, "", "unknown"),
        (400, -1007, "", "unknown"),
        (400, -1000, "An unknown error", "unknown"),
        (400, -1000, "No agent found", "key"),
        (429, 0, "", "rate-limited"),
        (429, -1003, "", "rate-limited"),
        (400, -1015, "", "rate-limited"),
        (418, -1003, "", "banned"),
        (403, 0, "", "rejected"),
        (400, -1021, "", "clock"),
        (400, -4225, "Nonce Expired", "clock"),
        (400, -1022, "", "key"),
        (401, -2015, "", "key"),
        (400, -4087, "", "key"),
        (400, -2019, "", "rejected"),
        (400, -2022, "", "rejected"),
        (400, -4164, "", "rejected"),
        (400, -4046, "", "already"),
        (400, -4059, "", "already"),
        (400, -9999, "Brand new.", "other"),
    ],
)
def test_what_each_answer_to_an_order_means(status: int, code: int, text: str, kind: str) -> None:
    found = meaning(status, code, text, changes=True)
    assert found.kind == kind
    assert found.certain == (kind in CERTAIN)


def test_a_read_never_has_an_unknown_outcome() -> None:
    for status, code in ((503, 0), (400, -1000), (400, -1007)):
        assert meaning(status, code, "", changes=False).kind == "other"


def test_an_unknown_code_is_shown_as_it_came() -> None:
    found = meaning(400, -9999, "Brand new.\nOver two lines.", changes=True)
    assert found.words == "Brand new. Over two lines."
    assert not found.certain


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: str(row["code"]))
def test_every_published_code_has_a_kind_words_and_a_remedy(row: dict[str, Any]) -> None:
    text = row["messages"][0] if row["messages"] else row["name"]
    found = meaning(400, row["code"], text, changes=True)
    assert found.kind != "other"
    assert found.words
    assert bool(found.remedy) == (found.kind != "already")


@given(st.integers(100, 599), st.integers(-10_000, 10_000), st.text(max_size=400), st.booleans())
def test_any_answer_has_one_line_of_words(status: int, code: int, text: str, changes: bool) -> None:
    found = meaning(status, code, text, changes=changes)
    assert found.words.strip()
    assert len((found.words + found.remedy).splitlines()) == 1
    assert changes or found.kind != "unknown"
