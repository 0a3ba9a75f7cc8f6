"""Rules over embeddings in words."""

from __future__ import annotations

import numpy as np

from errata.core.embedded import Direction, Near
from errata.core.rules import Where
from errata.describe import Wording


def near(column: str, given: str | None = None) -> Near:
    return Near(
        column=column, means=np.zeros((2, 3)), precisions=np.ones((2, 3)), log_weights=np.zeros(2), cut=0.5,
        given=None if given is None else Where.parse(given),
    )  # fmt: skip


def test_a_group_of_an_embedding_says_what_it_is_alike_in(by_hand) -> None:
    label = np.arange(40) % 10
    images = by_hand.evaluation_of({}, label, label, tuple("0123456789"), modality="image")
    wording = Wording(images)
    rule = near("embedding:encoder", 'label = "8"')
    assert wording.title(rule) == f"8s alike in their looks (group {rule.digest})"
    assert wording.title(near("embedding:encoder")).startswith("Images alike in their looks (group ")
    assert wording.subject(rule).others == "other 8s"
    assert "the embedding theirs" in wording.title(near("embedding_theirs"))


def test_a_direction_is_no_group(by_hand) -> None:
    rule = Direction(column="embedding:words", weights=np.ones(3), cut=0.0)
    assert Wording(None).title(rule) == f"Rows far along one direction of their words (direction {rule.digest})"
