"""Phrases for images: the planted one wins, one that only names the class does not, and in noise none holds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from errata.core.codec import decode, encode
from errata.core.columns import Column
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE
from errata.core.evidence import Caption, Evidence
from errata.describe.captions import Phrases, caption, read_phrases

D = 24
WORDS = ("a photo in fog", "a photo in snow", "a photo of a cat", "a photo of a dog", "a drawing", "a red picture")


def encoder(texts):
    """Each known phrase has an axis of its own beside one that all texts share; others lie somewhere."""
    vectors = []
    for text in texts:
        vector = np.zeros(D)
        vector[D - 1] = 2.0
        if text in WORDS:
            vector[WORDS.index(text)] = 1.0
        else:
            vector[len(WORDS) : D - 1] = np.random.default_rng(sum(text.encode())).normal(size=D - 1 - len(WORDS))
        vectors.append(vector / np.linalg.norm(vector))
    return np.array(vectors, dtype=np.float32)


def phrases(lines=WORDS):
    return Phrases(column="embedding:clip", lines=tuple(lines), encode=encoder)


def world(by_hand, *, n=600, shift=1.0, seed=0, classes=("cat", "dog"), **more):
    """Cats and dogs; members are mostly cats, and have fog in them on `shift` standard deviations."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), n)
    members = rng.random(n) < np.where(labels == 0, 0.4, 0.1)
    values = rng.normal(size=(n, D)) * 0.5
    values[np.arange(n), np.where(labels == 0, 2, 3)] += 3.0  # every cat looks like a cat
    values[members, 0] += 0.5 * shift
    values = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    predicted = np.where(members & (rng.random(n) < 0.6), 1 - labels, labels)
    columns = {"embedding:clip": Column(kind="embedding", values=values)}
    return by_hand.evaluation_of(columns, labels, predicted, classes, modality="image", **more), members


def test_the_planted_phrase_wins(by_hand) -> None:
    evaluation, members = world(by_hand)
    found = caption(evaluation, members=members, phrases=phrases())
    assert found.of == "images"
    best = found.words[0]
    assert best["text"] == "a photo in fog"
    assert 0.5 < best["low"] < best["auc"] < best["high"] <= 1.0
    confirm = members[evaluation.fold == CONFIRM].sum()
    assert best["members"] == confirm
    # Members are cats far more often than the others, and still no phrase that names the class is there.
    assert "a photo of a cat" not in {word["text"] for word in found.words}
    assert decode(json.loads(json.dumps(encode(found))), Evidence) == found


def test_in_noise_no_phrase_holds(by_hand) -> None:
    captions = [
        caption(evaluation, members=members, phrases=phrases())
        for evaluation, members in (world(by_hand, shift=0.0, seed=seed) for seed in range(40))
    ]
    assert sum(found is not None for found in captions) <= 3


def test_a_phrase_that_explore_rows_alone_show_is_dropped(by_hand) -> None:
    evaluation, members = world(by_hand, shift=0.0, seed=4)
    values = np.array(evaluation.column("embedding:clip").values)
    values[members & (evaluation.fold == EXPLORE), 1] += 0.5
    table = evaluation.dataset.table.with_columns({"embedding:clip": Column(kind="embedding", values=values)})
    only = replace(evaluation, dataset=evaluation.dataset.with_table(table))
    found = caption(only, members=members, phrases=phrases())
    assert found is None or "a photo in snow" not in {word["text"] for word in found.words}


def test_across_folds_some_choose_and_others_score(by_hand) -> None:
    evaluation, members = world(by_hand, n=800)
    cross = (np.arange(800) % 5).astype(np.int8)
    crossed = replace(evaluation, fold=np.full(800, CONFIRM, dtype=np.int8), cross=cross)
    found = caption(crossed, members=members, phrases=phrases())
    assert found.words[0]["text"] == "a photo in fog"
    assert found.words[0]["members"] == int(members[cross >= 3].sum())


def test_templates_speak_of_the_classes_of_the_finding(by_hand) -> None:
    evaluation, members = world(by_hand, classes=("arctic_fox", "dog"))
    asked = []

    def counting(texts):
        asked.extend(texts)
        return encoder(texts)

    known = Phrases(column="embedding:clip", lines=("{a class} in the snow", "a toy {class}", "a drawing"),
                    encode=counting)  # fmt: skip
    caption(evaluation, members=members & (evaluation.labels == 0), phrases=known)
    assert set(asked) == {"an arctic fox in the snow", "a toy arctic fox", "a drawing", "a photo of an arctic fox",
                          "a photo of a dog"}  # fmt: skip
    caption(evaluation, members=members & (evaluation.labels == 0), phrases=known)
    assert len(asked) == len(set(asked)), "each text is encoded once"


def test_classes_that_are_numbers_are_no_words(by_hand) -> None:
    evaluation, _ = world(by_hand, classes=(0, 1))
    assert phrases(("a toy {class}", "a drawing")).texts(evaluation.classes, [0]) == ["a drawing"]


def test_too_few_members_and_missing_images_say_nothing(by_hand) -> None:
    evaluation, members = world(by_hand)
    few = members & (np.cumsum(members) <= 6)
    assert caption(evaluation, members=few, phrases=phrases()) is None
    assert caption(evaluation, members=np.zeros_like(members), phrases=phrases()) is None
    assert caption(evaluation, members=np.ones_like(members), phrases=phrases()) is None
    values = np.array(evaluation.column("embedding:clip").values)
    values[members] = np.nan
    table = evaluation.dataset.table.with_columns({"embedding:clip": Column(kind="embedding", values=values)})
    assert caption(replace(evaluation, dataset=evaluation.dataset.with_table(table)), members=members,
                   phrases=phrases()) is None  # fmt: skip


def test_another_width_is_refused(by_hand) -> None:
    evaluation, members = world(by_hand)
    wrong = Phrases(column="embedding:clip", lines=WORDS, encode=lambda texts: encoder(texts)[:, :5])
    with pytest.raises(UsageError, match="5 dimensions"):
        caption(evaluation, members=members, phrases=wrong)


def test_one_phrase_of_the_users_own_is_enough(by_hand) -> None:
    evaluation, members = world(by_hand)
    found = caption(evaluation, members=members, phrases=phrases(("a photo in fog",)))
    assert [word["text"] for word in found.words] == ["a photo in fog"]


def test_our_own_phrases_can_be_read() -> None:
    ours = read_phrases(None)
    assert 500 < len(ours) < 2000
    assert "a photo in fog" in ours
    assert any("{a class}" in line for line in ours)
    assert not any(line.startswith("#") for line in ours)
    for line in ours:
        rest = line.replace("{a class}", "").replace("{class}", "")
        assert "{" not in rest
        assert "}" not in rest


def test_phrases_of_a_file_and_of_a_list(tmp_path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text(
        "# about light\n  a photo   in fog \n\na photo in fog\nein Foto im Nebel, schön\n", encoding="utf-8"
    )
    assert read_phrases(path) == ("a photo in fog", "ein Foto im Nebel, schön")
    assert read_phrases(["a", "b", "a"]) == ("a", "b")


@pytest.mark.parametrize(
    ("given", "words"),
    [([], "no phrase"), (["  "], "no phrase"), (["x" * 300], "cannot be used"), (["a\x07b"], "cannot be used"),
     ([3], "no text"), ("nowhere.txt", "cannot be read")],
)  # fmt: skip
def test_phrases_that_cannot_be_used(given, words) -> None:
    with pytest.raises(UsageError, match=words):
        read_phrases(given)


def test_a_caption_of_an_older_run_is_of_texts() -> None:
    old = {"kind": "caption", "words": [{"text": "not", "score": 3.0, "inside": 0.5, "outside": 0.1}]}
    assert decode(old, Evidence) == Caption(words=({"text": "not", "score": 3.0, "inside": 0.5, "outside": 0.1},))
