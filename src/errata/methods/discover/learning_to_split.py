"""Learning to Split: a network that puts the rows aside which a predictor does not generalise to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from errata.core.columns import Bool, Int
from errata.core.embedded import Learned, Space
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence, Examples, SplitLog, SplitLoop, Statistic
from errata.core.method import Job, check_range, method
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.nets.frozen import Aside, learn_frozen
from errata.ops.nets.groups import Contents, contents
from errata.ops.nets.heads import Head, HeadPredictor, schedule_for, training
from errata.ops.nets.scoring import METRICS, scoring_of
from errata.ops.nets.spaces import fit_space
from errata.ops.nets.splitting import Plan, Rows, Split, learn_split
from errata.ops.nets.verdict import Judged, judge

__all__ = ["LearningToSplit"]

_FEWEST = 60
"""Rows below which nothing is held out from what is learnt."""
_SHOWN = 6
PREDICTORS = ("linear", "mlp", "none")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ground:
    """The rows that a splitter can learn from, as it reads them."""

    name: str
    space: Space
    rows: Rows
    at: Int
    wrong: np.ndarray[tuple[int], np.dtype[np.float64]]
    label: str | None


@method(needs={"label", "classification", "embedding", "torch"}, cite="Bao, Barzilay, arXiv 2204.13749")
@dataclass(frozen=True, kw_only=True)
class LearningToSplit:
    """Rows that a splitter puts aside: those the model gets wrong, and those fresh predictors do not generalise to.

    Two splits are learnt. One is of the model under test, frozen: a small network learns from input and label which
    rows it gets wrong, and its cut is chosen on rows that it did not see, over all classes and within each. The other
    is of the data: predictors are trained afresh on one side and tested on the other, and the splitter learns to move
    right rows to the train side, until the gap no longer grows. It is proposed only where held-out rows show failures
    beyond those of labels which follow the predictor's own doubts, because a clean data set has its hard rows too.

    embedding   name of the embedding column; "" for the first of the evaluation
    frozen      whether the splitter of the model's own errors is trained
    predictor   head that is trained afresh for the split of the data: "linear", "mlp", or "none" to leave it out
    metric      "accuracy", "roc_auc" or "macro_f1": what the gap is measured in
    ratio       share of rows on the train side to begin with; .75 (the paper)
    adapt       whether that share follows the share of rows that predictors fail on (ours)
    patience    loops without a better split before the search ends; 5 (the paper)
    loops       most outer loops; 10 (ours; the paper allows 100)
    epochs      most looks at the stopping rows while a predictor trains; 40 (ours)
    w_gap       weight of the splitter's error on which rows are got right; 1 (the paper)
    w_ratio     weight of the divergence of the sides' sizes from the ratio; 1 (the paper)
    w_balance   weight of the divergence of the sides' labels from those of all rows; 1 (the paper)
    slices      most slices of the model's errors, over all classes and within one; 3 (ours)
    least_gap   of 100 failures, how many more than under the null must look drawn whatever the input; 12.5 (ours: clean
                digits came to 9)

    Raises UsageError for options out of range or an embedding that is not there. Fails where errors are not where the
    embedding or the label says anything, and with fewer than 60 rows, of which it then says nothing.

    Reference: Y. Bao, R. Barzilay, "Learning to split for automatic bias detection", arXiv 2204.13749, 2022.
    """

    embedding: str = ""
    frozen: bool = True
    predictor: str = "linear"
    metric: str = "accuracy"
    ratio: float = 0.75
    adapt: bool = True
    patience: int = 5
    loops: int = 10
    epochs: int = 40
    w_gap: float = 1.0
    w_ratio: float = 1.0
    w_balance: float = 1.0
    slices: int = 3
    least_gap: float = 12.5

    def __post_init__(self) -> None:
        check_range(self, {
            "ratio": (0.5, 0.95), "patience": (1, math.inf), "loops": (1, math.inf), "epochs": (1, math.inf),
            "w_gap": (0.0, math.inf), "w_ratio": (0.0, math.inf), "w_balance": (0.0, math.inf),
            "slices": (1, math.inf), "least_gap": (0.0, 100.0),
        })  # fmt: skip
        for option, known in (("predictor", PREDICTORS), ("metric", tuple(METRICS))):
            if getattr(self, option) not in known:
                raise UsageError(
                    f"`learning_to_split.{option}` is `{getattr(self, option)}`.",
                    hint=nearest(str(getattr(self, option)), known),
                )

    @property
    def plan(self) -> Plan:
        """How a split is learnt, from the options."""
        return Plan(
            ratio=self.ratio, adapt=self.adapt, patience=self.patience, loops=self.loops,
            w_gap=self.w_gap, w_ratio=self.w_ratio, w_balance=self.w_balance,
        )  # fmt: skip

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals: of the model's errors by falling gain, then the split of the data where there is one."""
        ground = self._ground(evaluation, job)
        if ground is None:
            return []
        began = perf_counter()
        with training():
            found = self._of_model(evaluation, ground, job) if self.frozen else []
            spent = perf_counter() - began
            wanted = self.predictor != "none" and ground.name not in evaluation.outputs
            if wanted and (job.budget is None or spent < job.budget):
                found += self._of_data(evaluation, ground, job)
        return [one for one in found if _splits(one, evaluation)]

    def _ground(self, evaluation: Evaluation, job: Job) -> _Ground | None:
        name = evaluation.embedding(self.embedding)
        if name is None:
            return None
        view = evaluation.view()
        values = np.asarray(evaluation.column(name).values)
        at = np.flatnonzero((view.stratum >= 0) & (view.labels >= 0) & np.isfinite(values).all(axis=1))  # type: ignore[operator]
        if len(at) < _FEWEST or values.shape[1] == 0:
            return None
        space = fit_space(values[at], rng=job.rng)
        label = evaluation.dataset.label
        reads = label is not None and label in evaluation.features
        rows = Rows(
            features=space(values[at]).astype(np.float32), labels=view.labels[at].astype(np.int64),
            classes=len(evaluation.classes), with_label=reads, group=None if view.group is None else view.group[at],
        )  # fmt: skip
        return _Ground(name=name, space=space, rows=rows, at=at, wrong=view.loss[at], label=label if reads else None)

    def _of_model(self, evaluation: Evaluation, ground: _Ground, job: Job) -> list[Slice]:
        wrong = np.clip(ground.wrong / max(float(ground.wrong.max(initial=0.0)), 1e-12), 0.0, 1.0)
        if not 0.0 < float(wrong.mean()) < 1.0 or wrong.sum() < 5:
            return []
        job.progress(0.1, "what the model gets wrong")
        split = learn_frozen(ground.rows, wrong, self.plan, rng=job.rng)
        return [
            Slice(
                rule=self._rule(evaluation, ground, split.splitter, cut.cut, label=cut.label),
                claim=claim_for(evaluation.metric), proposed_by=("learning_to_split",), evidence=(_of_cut(cut),),
            )
            for cut in split.cuts[: self.slices]
        ]  # fmt: skip

    def _of_data(self, evaluation: Evaluation, ground: _Ground, job: Job) -> list[Slice]:
        rows, scoring = ground.rows, scoring_of(self.metric)
        if np.count_nonzero(np.bincount(rows.labels)) < 2:
            return []
        predictor = HeadPredictor(
            features=rows.features, labels=rows.labels, classes=rows.classes,
            schedule=schedule_for(self.predictor, epochs=self.epochs),
        )  # fmt: skip
        judged = judge(
            rows, predictor, scoring=scoring, rng=job.rng, least=self.least_gap, shortcut=True,
            each=lambda share, words: job.progress(0.3 + 0.4 * share, words),
        )  # fmt: skip
        verdict = judged.verdict
        job.say(f"{ground.name}: {verdict.words}")
        if not verdict.systematic and (verdict.why or not math.isfinite(verdict.gap)):
            job.show(_log_of(evaluation, ground, judged, None, self.metric))
            return []

        split = learn_split(
            rows, predictor, self.plan, scoring=scoring, rng=job.rng,
            each=lambda lap: job.progress(0.7 + 0.3 * lap.loop / self.loops, f"loop {lap.loop}"),
        )  # fmt: skip
        job.show(_log_of(evaluation, ground, judged, split, self.metric))
        if not verdict.systematic:
            return []
        held = contents(
            rows.features, rows.labels, test=split.test, predicted=split.scores.argmax(axis=1), belief=judged.belief,
            rng=job.rng,
        )  # fmt: skip
        return [Slice(
            rule=self._rule(evaluation, ground, split.splitter, split.cut), claim=claim_for(evaluation.metric),
            proposed_by=("learning_to_split",),
            evidence=_of_split(evaluation, ground, split, judged, held),
        )]  # fmt: skip

    def _rule(
        self, evaluation: Evaluation, ground: _Ground, splitter: Head, cut: float, *, label: int | None = None
    ) -> Learned:
        rule = Learned(
            column=ground.name, space=ground.space, layers=splitter.layers, label=ground.label,
            levels=tuple(evaluation.classes) if ground.label is not None else (), cut=cut,
        )  # fmt: skip
        if label is None or len(np.unique(ground.rows.labels)) < 2:
            return rule
        return replace(rule, given=of_classes(evaluation, [label]))


def _splits(proposal: Slice, evaluation: Evaluation) -> bool:
    """Whether a rule selects some of the rows and not all of them."""
    members: Bool = proposal.rule.members(evaluation)
    return bool(members.any() and not members.all())


def _of_cut(cut: Aside) -> Evidence:
    said = (
        f"of {cut.members:,} rows that splitters put aside without having seen them, the model got {cut.wrong:,} wrong"
    )
    return Statistic(name="out-of-fold error", value=cut.wrong / max(1, cut.members), n=cut.members, words=said)


def _log_of(evaluation: Evaluation, ground: _Ground, judged: Judged, split: Split | None, metric: str) -> SplitLog:
    """The log of the search with its verdict; without loops where it was plain beforehand."""
    verdict = judged.verdict
    gap, mean, limit = (_finite(value) for value in (verdict.gap, verdict.null_mean, verdict.null_limit))
    loops = () if split is None else tuple(
        SplitLoop(
            loop=lap.loop, gap=_finite(lap.gap), validation=_finite(lap.validation), test=_finite(lap.test),
            train_labels=lap.train_labels, test_labels=lap.test_labels,
        )
        for lap in split.laps
    )  # fmt: skip
    return SplitLog(
        column=ground.name, metric=metric, classes=tuple(evaluation.classes), rows=len(ground.rows.labels),
        loops=loops, best=None if split is None else split.best, systematic=verdict.systematic, gap=gap,
        null_mean=mean, null_limit=limit, words=verdict.words,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _of_split(
    evaluation: Evaluation, ground: _Ground, split: Split, judged: Judged, held: Contents
) -> tuple[Evidence, ...]:
    classes = evaluation.classes
    said: list[Evidence] = [
        Statistic(name="gap", value=judged.verdict.gap / 100.0, n=len(split.test), words=judged.verdict.words)
    ]
    for group in held.groups[:_SHOWN]:
        words = (
            f"{len(group.rows):,} rows of {classes[group.label]} taken for {classes[group.taken_for]}, "
            f"{100 * group.share:.0f} % of their class, {group.clumping:.1f} times as close together as rows strewn at "
            "random"
        )
        said.append(Statistic(name="minority group", value=group.share, n=len(group.rows), words=words))
    if len(held.suspected):
        ids = evaluation.take(ground.at[held.suspected[:_SHOWN]])
        names = tuple(evaluation.dataset.ids(ids.rows))
        words = f"{len(held.suspected):,} labels look wrong: their neighbours have another"
        said.append(Statistic(name="suspected labels", value=len(held.suspected) / len(split.test),
                              n=len(held.suspected), words=words))  # fmt: skip
        said.append(Examples(wrong=names, right=(), words="Explored rows whose labels look wrong, most doubtful first"))
    return tuple(said)
