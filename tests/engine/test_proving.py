"""What depends on errors is chosen anew wherever they are permuted, and what methods show is of one search of all rows.

Folds, reruns and calibrations choose their own n-grams; `test_ngrams.py` has how they are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import errata
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.evaluation import Evaluation
from errata.core.evidence import Extremes
from errata.core.hashing import column_hash
from errata.core.method import Job, method
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.engine.proving import prove
from errata.evaluate import evaluate
from errata.ops.measure.grams import KIND, column_of, gram_of
from errata.ops.measure.ngrams import NGrams
from errata.ops.measure.texts import strings_of
from errata.proof.cross import confirm_across
from errata.proof.settings import Proof
from errata.testing import planted

FIRSTS = (
    *("ba", "ke", "li", "mo", "nu", "ra", "si", "to", "va", "zu", "be", "ka", "lo", "mi", "na", "ru", "sa", "ti"),
    *("vo", "za", "ab", "ek", "il", "om", "un", "ar", "is", "ot", "uv", "az", "eb", "ik", "ol", "um", "an", "er"),
)
LASTS = ("n", "r", "l", "st", "m", "dd", "x", "p", "ck", "sh", "g", "f", "t", "z", "v", "ng", "rd", "lt", "s", "k")
WORDS = [first + last for last in LASTS for first in FIRSTS]
"""Words of no meaning, the first ones common and the last ones rare."""


def frame(n: int, seed: int, *, inside: float | None = None, outside: float = 0.15) -> pd.DataFrame:
    """Random texts of 40 words; one in twelve has the word "zorba", and is wrong with the rate `inside`."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / np.arange(5, 5 + len(WORDS)) ** 0.8
    said = rng.choice(WORDS, (n, 40), p=weight / weight.sum()).tolist()
    has = rng.random(n) < 1 / 12
    for row in np.flatnonzero(has).tolist():
        said[row][int(rng.integers(40))] = "zorba"
    texts = [f"{' '.join(words)} {row}" for row, words in enumerate(said)]
    label = rng.choice(["bad", "good"], n)
    wrong = rng.random(n) < np.where(has, outside if inside is None else inside, outside)
    other = np.where(label == "bad", "good", "bad")
    return pd.DataFrame({"text": texts, "label": label, "prediction": np.where(wrong, other, label)})


def evaluation(n: int, seed: int, **rates: float) -> Evaluation:
    """The same without what is measured of the texts."""
    data = frame(n, seed, **rates)
    column = Column.strings(data["text"].tolist())
    table = {name: Column.category(data[name].tolist()) for name in ("label", "prediction")}
    return evaluate(Dataset(
        name="words", modality="text", text="text", label="label", prediction="prediction",
        id_hash=column_hash(column), content_hash=column_hash(column), occurrence=np.zeros(n, np.uint32),
        table=Table({"text": column, **table}),
    ), embeddings=())  # fmt: skip


def with_zorba(one: Evaluation) -> np.ndarray:
    texts = strings_of(one.dataset.table.column("text"))
    return np.array(["zorba" in (text or "").split() for text in texts])


def grams_in(found: Evaluation) -> list[str]:
    return [gram for name in found.features if (gram := gram_of(name)) is not None]


@method()
@dataclass(frozen=True, kw_only=True)
class Words:
    """The three n-grams whose texts err most."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        return worst_words(evaluation)


def worst_words(explore: Evaluation) -> list[Slice]:
    loss = explore.view().loss
    held = {name: np.asarray(explore.column(name).values) == 1 for name in map(column_of, grams_in(explore))}
    best = sorted(held, key=lambda name: (-float(loss[held[name]].mean()), name))[:3]
    return [Slice(rule=Where.parse(f"`{name}` = true"), proposed_by=("words",)) for name in best]


def test_words_of_no_meaning_are_seldom_confirmed_across_folds() -> None:
    false = 0
    for seed in range(30):
        one = evaluation(400, seed)
        grams = NGrams.of(one)
        assert grams is not None
        found = confirm_across(one, lambda parted: worst_words(parted.explore()), prepare=grams)
        false += any(finding.confirmed for finding in found.confirmation.findings)
    # 0.05 and three standard errors of 30 runs. Chosen once, by all errors, words of no meaning come to 8 of these 30.
    assert false <= 5


def test_a_planted_word_is_confirmed_across_folds_and_found_again(tmp_path: Path) -> None:
    data = evaluation(1_200, 1, inside=0.4, outside=0.05)
    assert data.loss.sum() < 100
    found = errata.diagnose(data, proof="cross", methods=["error_tree"], state=tmp_path / "state", out=tmp_path / "run")
    best = found.confirmed[0]
    assert best.rule.text == '`contains "zorba"` = true'
    assert best.title.startswith("Texts that contain “zorba”")
    again = errata.load(tmp_path / "run")
    assert again.evaluation is not None
    # What rules of findings read lies beside the rows, and what other folds chose does not.
    assert grams_in(again.evaluation) == ["zorba"]
    assert [source.kind for source in again.evaluation.dataset.sources].count(KIND) == 1
    assert np.array_equal(best.rule.members(again.evaluation), with_zorba(data))
    fresh = evaluation(1_200, 2, inside=0.4, outside=0.05)
    checked = errata.check(tmp_path / "run", fresh, state=tmp_path / "state")
    result = next(one for one in checked.results if one.id == best.id)
    assert result.verdict == "confirmed again"
    assert result.members == with_zorba(fresh).sum()


def proved(one: Evaluation, how: Proof, heard: list[str] | None = None):
    job = Job(rng=np.random.default_rng(0), dataset=one.dataset)
    return prove([Words()], one, how, job=job, watch=(heard if heard is not None else []).append)


def test_a_calibrated_split_has_words_and_its_reruns_choose_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[tuple[str, ...]] = []
    choose = NGrams.__call__

    def noted(grams: NGrams, given: Evaluation) -> Evaluation:
        found = choose(grams, given)
        chosen.append(tuple(grams_in(found)))
        return found

    monkeypatch.setattr(NGrams, "__call__", noted)
    monkeypatch.setattr("errata.engine.proving.each", map)
    one = evaluation(1_500, 3, inside=0.6, outside=0.15)
    found = proved(one, Proof(proof="split", calibrate=True))
    assert "zorba" in grams_in(found.evaluation)
    assert found.proposals.slices
    assert found.calibration is not None
    assert found.calibration.false <= 6
    assert chosen[0] == tuple(grams_in(found.evaluation))
    assert len(chosen) > 40
    assert sum("zorba" in grams for grams in chosen[1:41]) <= 4, "with permuted errors it is a word like others"


def test_words_chosen_by_other_errors_are_not_kept_across_folds() -> None:
    one = evaluation(1_500, 5, inside=0.6)
    grams = NGrams.of(one, most=1)
    assert grams is not None
    told = grams(one)
    assert grams_in(told) == ["zorba"]
    clean = replace(told, loss=np.random.default_rng(0).permutation(told.loss))
    seen: list[list[str]] = []

    def propose(parted: Evaluation) -> list[Slice]:
        seen.append(grams_in(parted))
        return []

    confirm_across(clean, propose, prepare=grams)
    assert len(seen) == 5
    assert not any("zorba" in names for names in seen)


def test_too_many_texts_to_read_again_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errata.ops.measure.ngrams.MOST_TEXTS", 100)
    one = evaluation(1_500, 5, inside=0.6)
    found = proved(one, Proof(proof="cross"))
    assert grams_in(found.evaluation) == []
    assert any("words were not looked for" in caveat for caveat in found.confirmation.caveats)
    assert "zorba" in grams_in(proved(one, Proof(proof="split")).evaluation)


SHOWN: list[tuple[int, bool]] = []
WORLD = planted("literal", n=600, share=0.1, inside=0.4, outside=0.05, seed=0)


@method()
@dataclass(frozen=True, kw_only=True)
class Shows:
    """Shows how many rows it was given, and proposes a rule that takes reruns to judge."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        SHOWN.append((len(evaluation), job.showing))
        job.show(Extremes(
            label="a", direction=1, column="embedding:x", score=0.5, rows=len(evaluation), wrong=1, hardest=(),
            easiest=(), hardest_wrong=0, easiest_wrong=0,
        ))  # fmt: skip
        return [Slice(rule=Where.parse(WORLD.truth[0].text))]


def test_of_a_cross_confirmation_one_search_of_all_rows_is_shown() -> None:
    SHOWN.clear()
    one = WORLD.evaluation()
    job = Job(rng=np.random.default_rng(0), dataset=one.dataset)
    found = prove([Shows()], one, Proof(proof="cross"), job=job, watch=lambda part: None)
    (shown,) = found.proposals.evidence
    assert isinstance(shown, Extremes)
    assert shown.rows == np.count_nonzero(one.fold >= 0)
    assert [rows for rows, showing in SHOWN if showing] == [shown.rows]
    assert len(SHOWN) > 5 * 20, "and reruns showed nothing"
    SHOWN.clear()
    split = prove([Shows()], one, Proof(proof="split"), job=job, watch=lambda part: None)
    assert [one.rows for one in split.proposals.evidence if isinstance(one, Extremes)] == [SHOWN[0][0]]
