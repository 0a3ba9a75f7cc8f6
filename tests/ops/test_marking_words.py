"""Words that mark a group of texts."""

from __future__ import annotations

import numpy as np

from errata.ops.marking_words import marking_words


def texts(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    member = rng.random(n) < 0.2
    common = np.array(["the", "film", "was", "a", "bit", "long", "and", "the", "plot", "thin", "but", "actors", "fine"])
    made = []
    for inside in member:
        words = list(rng.choice(common, size=8))
        if rng.random() < (0.6 if inside else 0.05):
            words.insert(3, "zombie")
        made.append(" ".join(words))
    return made, member


def test_the_word_that_marks_comes_first_with_its_shares() -> None:
    made, member = texts(1_500, 0)
    found = marking_words(made, member)
    assert found[0].text == "zombie"
    inside = np.mean(["zombie" in text for text, belongs in zip(made, member, strict=True) if belongs])
    assert abs(found[0].inside - inside) < 1e-9
    assert found[0].score > 10
    assert not any("zombie" in word.text for word in found[1:])


def test_character_references_are_no_words() -> None:
    made, member = texts(1_500, 0)
    quoted = [
        f"&#8220;{text}&#8221; &amp; so on" if belongs else text for text, belongs in zip(made, member, strict=True)
    ]
    found = {word.text for word in marking_words(quoted, member)}
    assert {"zombie"} <= found
    assert not any(part in ("amp", "8220", "8221") for text in found for part in text.split())


def test_nothing_marks_a_random_group() -> None:
    made, _ = texts(1_500, 1)
    random = np.random.default_rng(2).random(1_500) < 0.2
    assert len(marking_words(made, random)) <= 1


def test_groups_of_all_or_none_have_no_words() -> None:
    assert marking_words(["a b"] * 5, np.ones(5, dtype=bool)) == []
    assert marking_words([], np.zeros(0, dtype=bool)) == []
