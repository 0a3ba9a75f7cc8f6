"""Why a model may fail on a slice: rare, shortcut, mislabelled, ambiguous, shifted or unknown; from explore rows.

Each type has a test of its own (docs/failure_types.md); what passes none is unknown, which is better than a wrong name.
Second opinions on the labels come from two simple models fitted here, each row judged by what was fitted without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from errata.core.columns import Bool, Float, Int
from errata.ops.labels.second_opinion import Opinion, kth_distance, opinion, opinion_from, within

__all__ = ["Cue", "FailureType", "Scene", "Verdict", "failure_type"]

FailureType = Literal["rare", "shortcut", "mislabelled", "ambiguous", "shifted", "unknown"]

LEAST_WRONG = 8
"""Fewer wrong members have no reason that could be told from chance."""

BULK = 0.99
"""Training rows reach as far as this share of them lies from its own neighbours."""

NEIGHBOURS = 10
RARE_SHARE = 0.15
RARE_RANK = 0.65
FEWER = 1.0 / 3.0
"""Training rows like the members are few below this share of what the data hold."""

MOST_MISTAKES = 0.35
MISTAKES_OR_DOUBT = 0.42
MOST_CUES = 4
AGREES = 0.85
"""How often a model fitted on the other rows says what the tested model says, where labels are merely mistaken."""

EXTRA = 0.12
"""How much further than a second model the tested one must follow a cue, in rate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cue:
    """Something that is there or not, (n,) bool, with the features that say so, which go when it is taken away."""

    name: str
    present: Bool
    features: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Explore rows as the tests read them.

    features   (n, d) float64, standardised
    labels     (n,) class codes as given, `predicted` (n,) likewise
    cues       what a shortcut could be
    training   (t, d) features of rows that the model was trained on, None where they are not known
    trained    (t,) their labels
    embedded   features are of an embedding, which holds the cues in a mixture
    """

    features: Float
    labels: Int
    predicted: Int
    classes: int
    cues: tuple[Cue, ...] = ()
    training: Float | None = None
    trained: Int | None = None
    embedded: bool = False
    seed: int = 0
    _blind: dict[Cue, Float | None] = field(default_factory=dict, repr=False)

    @cached_property
    def wrong(self) -> Bool:
        return np.asarray(self.labels != self.predicted)

    @cached_property
    def opinion(self) -> Opinion:
        """What two models fitted on the other rows say of each row."""
        return opinion(self.features, self.labels, classes=self.classes, seed=self.seed)

    def opinion_without(self, cue: Cue) -> Float | None:
        """(n, k) mean opinion of models that do not see a cue, None where nothing else is there to see.

        Kept, because the findings of a run ask about the same few cues.
        """
        if cue not in self._blind:
            plain = _without(self, cue)
            found = opinion(plain, self.labels, classes=self.classes, seed=self.seed) if plain.shape[1] else None
            self._blind[cue] = None if found is None else found.mean
        return self._blind[cue]

    @cached_property
    def isolation(self) -> Float:
        """(n,) how far off a row lies from its own class, as the share of the class that lies closer together.

        By the distance to the tenth neighbour of the same class, among the training rows where they are known.
        """
        rank = np.zeros(len(self.labels))
        for code in range(self.classes):
            rows = np.flatnonzero(self.labels == code)
            if self.training is not None and self.trained is not None:
                there = self.training[self.trained == code]
                distance = kth_distance(self.features[rows], there, k=NEIGHBOURS, same=False)
            else:
                distance = kth_distance(self.features[rows], self.features[rows], k=NEIGHBOURS, same=True)
            rank[rows] = (np.argsort(np.argsort(distance)) + 0.5) / max(len(rows), 1)
        return rank

    @cached_property
    def beyond(self) -> Bool | None:
        """(n,) rows that lie off the bulk of the training rows, whatever their class; None where those are unknown."""
        if self.training is None or len(self.training) <= NEIGHBOURS:
            return None
        own = kth_distance(self.training, self.training, k=NEIGHBOURS, same=True)
        return kth_distance(self.features, self.training, k=NEIGHBOURS, same=False) > np.quantile(own, BULK)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The type, the cue of a shortcut, and one sentence on what the test measured."""

    type: FailureType
    words: str
    cue: str | None = None


def failure_type(scene: Scene, members: Bool) -> Verdict:
    """Why the model may fail on the members, (n,) bool over the scene's rows.

    The tests in this order, the first that passes names the type: shifted, shortcut, mislabelled, ambiguous, rare.
    """
    wrong = members & scene.wrong
    if int(wrong.sum()) < LEAST_WRONG or members.all():
        return Verdict(type="unknown", words="Too few wrong rows to tell why.")
    for test in (_shifted, _shortcut, _mislabelled, _ambiguous, _rare):
        found = test(scene, members, wrong)
        if found is not None:
            return found
    return Verdict(type="unknown", words="Why is not known: none of the tests for a reason passed.")


def _shifted(scene: Scene, members: Bool, wrong: Bool) -> Verdict | None:
    beyond = scene.beyond
    if beyond is None:
        return None
    inside, outside = float(beyond[wrong].mean()), float(beyond[~members].mean())
    if inside < 0.5 or inside < 4.0 * outside:
        return None
    words = (
        f"{_share(inside)} of its wrong rows lie off the bulk of the training rows, {_share(outside)} of the others."
    )
    return Verdict(type="shifted", words=f"Probably shifted from training: {words}")


def _mislabelled(scene: Scene, members: Bool, wrong: Bool) -> Verdict | None:
    """The rows around say with one voice another label than the given one, and the model agrees with them.

    Mistakes are scattered among right labels, so that neighbours of wrong rows seldom share their label; where more
    than a third of the labels contradict, nobody can say from them which are the mistakes.
    """
    said = scene.opinion
    taken = _against(said, scene, wrong)
    if taken.share < 0.6 or taken.own > 0.34 or said.clustered(scene.labels, wrong) > 0.4:
        return None
    if float(scene.wrong[members].mean()) > MOST_MISTAKES:
        return None
    if _strangers_agree(scene, members) < AGREES:
        return None
    elsewhere = said.sure(scene.labels, scene.predicted, scene.wrong & ~members)
    words = (
        f"for {_share(taken.share)} of its wrong rows the rows around agree on the label that the model gives "
        f"({_share(elsewhere)} of the wrong rows elsewhere)."
    )
    return Verdict(type="mislabelled", words=f"Perhaps mislabelled: {words}")


def _strangers_agree(scene: Scene, members: Bool) -> float:
    """How often a second opinion fitted on the other rows says of the members what the tested model says."""
    strangers = opinion_from(
        scene.features[~members], scene.labels[~members], scene.features[members], classes=scene.classes,
        seed=scene.seed,
    )  # fmt: skip
    return float((strangers.argmax(axis=1) == scene.predicted[members]).mean())


@dataclass(frozen=True, kw_only=True)
class _Against:
    """Second opinions on wrong rows: share that both models side with the prediction, mean chance of both labels."""

    share: float
    own: float
    other: float


def _against(said: Opinion, scene: Scene, rows: Bool) -> _Against:
    place = np.flatnonzero(rows)
    return _Against(
        share=said.sure(scene.labels, scene.predicted, rows),
        own=float(said.mean[place, scene.labels[place]].mean()),
        other=float(said.mean[place, scene.predicted[place]].mean()),
    )


def _ambiguous(scene: Scene, members: Bool, wrong: Bool) -> Verdict | None:
    """The labels of similar rows disagree with each other, so that another model errs nearly as often."""
    said = scene.opinion
    other = said.best != scene.labels
    inside, outside = float(other[members].mean()), float(other[~members].mean())
    rate = float(scene.wrong[members].mean())
    if inside < max(0.2, outside + 0.1, 0.65 * rate):
        return None
    if not 0.25 <= said.clustered(scene.labels, wrong) <= 0.6 or _against(said, scene, wrong).own < 0.25:
        return None
    if rate <= MISTAKES_OR_DOUBT and _strangers_agree(scene, members) >= 0.9 * AGREES:
        return None  # it may as well be mislabelled
    words = (
        f"labels of similar rows disagree; models fitted on them err in {_share(inside)} of its rows and in "
        f"{_share(outside)} elsewhere."
    )
    return Verdict(type="ambiguous", words=f"Probably ambiguous: {words}")


def _rare(scene: Scene, members: Bool, wrong: Bool) -> Verdict | None:
    """Rows like it are few: in training, where it is known, or in its class, where errors grow with isolation.

    Its labels hang together: rows of other labels among them mean doubtful or wrong labels, not few rows.
    """
    if scene.opinion.clustered(scene.labels, wrong) < 0.6:
        return None
    classes = np.unique(scene.labels[wrong])
    same = np.isin(scene.labels, classes)
    share = float((members & same).sum() / max(int(same.sum()), 1))
    if scene.training is not None and scene.trained is not None:
        there = _presence(scene, wrong)
        if there > FEWER:
            return None
        words = f"training has {_share(there)} of the rows like these that its size would let expect."
        return Verdict(type="rare", words=f"Probably rare: {words}")
    inside = float(scene.isolation[wrong].mean())
    # Members of any remote corner are isolated; among themselves too, those further off must err more.
    own = members & same
    if share > RARE_SHARE or inside < RARE_RANK or _trend(scene.isolation[own], scene.wrong[own]) < 2.5:
        return None
    words = (
        f"it holds {_share(share)} of its class, and its wrong rows lie further from their class than "
        f"{_share(inside)} of it."
    )
    return Verdict(type="rare", words=f"Probably rare: {words}")


def _presence(scene: Scene, wrong: Bool) -> float:
    """How many rows training has near some rows, in proportion to how many these data have there; same class only."""
    assert scene.training is not None
    assert scene.trained is not None
    found = []
    for code in np.unique(scene.labels[wrong]):
        here = scene.features[scene.labels == code]
        there = scene.training[scene.trained == code]
        asked = scene.features[wrong & (scene.labels == code)]
        reach = kth_distance(asked, here, k=NEIGHBOURS + 1, same=False)
        expected = NEIGHBOURS * len(there) / max(len(here), 1)
        found.append(within(asked, there, reach) / max(expected, 1e-9))
    return float(np.concatenate(found).mean())


def _trend(rank: Float, wrong: Bool) -> float:
    """How many standard errors wrong rows rank above right ones."""
    x = rank - rank.mean()
    y = wrong - wrong.mean()
    scale = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return 0.0 if scale == 0.0 else float((x * y).sum()) / scale * np.sqrt(len(rank))


@dataclass(frozen=True, kw_only=True)
class _Lean:
    """How far predictions follow a cue towards one class among its rows and others, in rate and standard errors."""

    towards: int
    sign: int
    own: float
    others: float
    z_own: float
    z_others: float


def _shortcut(scene: Scene, members: Bool, wrong: Bool) -> Verdict | None:
    """The prediction follows a cue in every class, further than the labels do, and the cue accounts for the errors."""
    leading: list[tuple[float, int, _Lean]] = []
    for place, cue in enumerate(scene.cues):
        for towards in _leading(scene.predicted[wrong], scene.labels[wrong], scene.classes):
            lean = _lean(scene, cue.present, towards)
            if lean is None or min(abs(lean.z_own), abs(lean.z_others)) < 2.0:
                continue
            if max(abs(lean.z_own), abs(lean.z_others)) < 4.5 or max(abs(lean.own), abs(lean.others)) < 0.1:
                continue
            if _accounts(scene, cue.present, lean, wrong):
                leading.append((-abs(lean.own) - abs(lean.others), place, lean))
    for _, place, lean in sorted(leading, key=lambda item: item[:2])[:MOST_CUES]:
        found = _leaned_on(scene, scene.cues[place], lean, wrong, members)
        if found is not None:
            return found
    return None


def _leading(predicted: Int, labels: Int, classes: int) -> Sequence[int]:
    """The classes that wrong rows are mostly taken for, or mostly are."""
    counts = np.bincount(predicted, minlength=classes) + np.bincount(labels, minlength=classes)
    return [int(code) for code in np.argsort(-counts)[:2]]


def _lean(scene: Scene, present: Bool, towards: int) -> _Lean | None:
    hit = scene.predicted == towards
    parts = []
    for rows in (scene.labels == towards, scene.labels != towards):
        n1, n0 = int((rows & present).sum()), int((rows & ~present).sum())
        if min(n1, n0) < 10:
            return None
        p1, p0 = float(hit[rows & present].mean()), float(hit[rows & ~present].mean())
        pooled = float(hit[rows].mean())
        error = np.sqrt(max(pooled * (1.0 - pooled), 1e-4) * (1.0 / n1 + 1.0 / n0))
        parts.append((p1 - p0, (p1 - p0) / error))
    (own, z_own), (others, z_others) = parts
    if own * others <= 0.0:
        return None
    return _Lean(
        towards=towards, sign=1 if own > 0 else -1, own=own, others=others, z_own=float(z_own),
        z_others=float(z_others),
    )  # fmt: skip


def _accounts(scene: Scene, present: Bool, lean: _Lean, wrong: Bool) -> bool:
    """Whether most wrong members are wrong the way the cue points."""
    there = present if lean.sign > 0 else ~present
    pulled = (there & (scene.predicted == lean.towards)) | (~there & (scene.labels == lean.towards))
    return float(pulled[wrong].mean()) >= 0.7


def _leaned_on(scene: Scene, cue: Cue, lean: _Lean, wrong: Bool, members: Bool) -> Verdict | None:
    """A cue that the model follows further than a model fitted on these labels does, which gets the members right.

    It must do so beyond the members too: what moves the prediction among them alone is no habit of the model.
    """
    without = scene.opinion_without(cue)
    if without is None:
        return None
    right = float((without[wrong].argmax(axis=1) == scene.labels[wrong]).mean())
    evidence = without[:, lean.towards]
    excess = (scene.predicted == lean.towards).astype(np.float64) - (scene.opinion.best == lean.towards)
    usual = np.bincount(scene.labels[wrong], minlength=scene.classes).argmax()
    beyond = ~(members & (scene.labels == usual))
    evidence, excess = evidence[beyond], excess[beyond]
    design = np.stack([np.ones(len(evidence)), evidence, cue.present[beyond].astype(np.float64)], axis=1)
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ design.T @ excess
    rest = excess - design @ weights
    error = float(np.sqrt(max(rest @ rest / max(len(rest) - 3, 1), 1e-12) * inverse[2, 2]))
    extra = lean.sign * float(weights[2])
    if right < 0.55 or extra < EXTRA or extra / error < 8.0:
        return None
    words = (
        f"where {cue.name} holds, the model's answer moves {_points(lean.own)} among rows of one class and "
        f"{_points(lean.others)} among the others; without it, {_share(right)} of the wrong rows would be told right."
    )
    return Verdict(type="shortcut", words=f"Probably a shortcut: {words}", cue=cue.name)


def _without(scene: Scene, cue: Cue) -> Float:
    """The features without those that say the cue, and without the direction in which it moves an embedding."""
    plain = np.delete(scene.features, list(cue.features), axis=1)
    if not scene.embedded:
        return plain
    move = np.zeros(plain.shape[1])
    for code in range(scene.classes):
        with_, without = (plain[(scene.labels == code) & there] for there in (cue.present, ~cue.present))
        if len(with_) and len(without):
            move += (with_.mean(axis=0) - without.mean(axis=0)) * len(with_)
    length = float(np.sqrt(move @ move))
    return plain if length == 0.0 else plain - np.outer(plain @ move, move) / length**2


def _share(value: float) -> str:
    return f"{100.0 * value:.0f} %"


def _points(value: float) -> str:
    return f"{100.0 * abs(value):.0f} points"
