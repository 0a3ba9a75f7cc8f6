"""Whether a run's findings hold on fresh rows: the only way in which what was merely `seen` becomes confirmed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.diagnosis import Diagnosis
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, LEFT_OUT, Evaluation, Metric
from errata.core.evidence import Statistic
from errata.core.finding import Effect, Event, Family, Finding
from errata.core.folds import fifths
from errata.core.model import Task
from errata.core.rules import Where
from errata.core.slices import Rule, Slice
from errata.core.source import Source
from errata.describe import describe
from errata.describe.numbers import is_rate, points, shown
from errata.engine.embed import recomputed
from errata.proof.judged import Judged, finding_of, judge
from errata.proof.sample import Ground, grounds
from errata.proof.settle import gather, least_support
from errata.stats.multiplicity import benjamini_hochberg
from errata.store.call import call_of, origin_of_fresh_rows
from errata.store.directory import load
from errata.store.ledger import Look, look_at

__all__ = ["Asked", "Check", "Fresh", "Rechecked", "Verdict", "check", "fresh_rows", "recheck"]

Verdict = Literal["confirmed again", "gone", "cannot tell"]
Progress = Callable[[float, str], None]
Mask = NDArray[np.bool_]

GONE_BELOW = 0.5
"""A finding is gone when the upper limit of its difference lies below this share of the difference found before (ours:
a region that kept half of its excess is still worth a look, and a wide interval is no evidence of a repair)."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of fresh rows: whether the members of a rule still err more.

    before  the difference found before, None where it is not known; then nothing can be called gone
    """

    rule: Rule
    claim: str
    family: Family = "errors"
    before: float | None = None
    id: str = ""
    title: str = ""

    @staticmethod
    def of(finding: Finding) -> Asked:
        """The question that a finding puts."""
        return Asked(
            rule=finding.rule, claim=finding.claim, family=finding.family, before=finding.metric.difference,
            id=finding.id, title=finding.title,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rechecked:
    """One finding on fresh rows.

    verdict           "confirmed again" by the test at `alpha`; "gone" when the upper limit of the difference lies below
                      half of the difference found before; else "cannot tell"
    metric            inside against outside on fresh rows, with the interval at level 1 - 2 alpha
    members           fresh rows (copies once) that satisfy the rule
    p_value, q_value  None where fresh rows do not allow the test
    words             one sentence for people
    """

    id: str
    title: str
    verdict: Verdict
    metric: Effect
    members: int
    p_value: float | None
    q_value: float | None
    words: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Fresh:
    """Rows that a run never read, all of them there to confirm.

    evaluation  every usable fresh row is a confirm row, the others are left out
    left_out    rows that the run had read before
    """

    evaluation: Evaluation
    left_out: int = 0
    caveats: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(((self.evaluation.fold == CONFIRM) & self.evaluation.counted).sum())

    def test(
        self,
        rule: str | Rule,
        *,
        claim: str,
        before: float | None = None,
        family: Family = "errors",
        alpha: float = 0.05,
    ) -> Rechecked:
        """The verdict on one rule, tested by itself at `alpha`; a text is read as a predicate."""
        read = Where.parse(rule) if isinstance(rule, str) else rule
        asked = Asked(rule=read, claim=claim, family=family, before=before, id="rule", title=read.text)
        return recheck([asked], self.evaluation, alpha=alpha)[0]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What fresh rows said of a run.

    results    one per finding that was confirmed or seen, in the run's order
    rows       fresh rows that were used, copies once
    left_out   rows that the run had read before, so that they are not fresh
    diagnosis  the run with the check in its findings' history; `seen` findings that held are confirmed in it
    """

    results: tuple[Rechecked, ...]
    rows: int
    left_out: int
    alpha: float
    looks: int | None
    caveats: tuple[str, ...]
    diagnosis: Diagnosis


def check(
    run: Diagnosis | str | Path,
    data: Any,
    *,
    model: Any = None,
    label: str | None = None,
    prediction: str | None = None,
    scores: str | None = None,
    alpha: float | None = None,
    device: str | None = None,
    allow_pickle: bool = False,
    max_calls: int | None = None,
    state: str | Path | None = None,
    progress: Progress | None = None,
) -> Check:
    """Test the confirmed and seen findings of a run again, on rows that it never read.

    Columns are found under the names they had in the run unless they are given here. The model of the run is connected
    again from where it lay; `model` connects another one, such as a repaired one; data that hold their predictions
    need none. Rows whose ids the run has read are left out. Nothing is saved: see `Check.diagnosis`.

    alpha      share of false findings among those confirmed again, the run's when None
    max_calls  how many requests for predictions an endpoint may get for these rows, whatever the run's limit was
    state      folder of the ledger of looks; the user's state folder when None

    Raises UsageError for data that cannot be used, CannotRunError when the model fails.
    """
    diagnosis = run if isinstance(run, Diagnosis) else load(run)
    before = _rows_of(diagnosis)
    level = diagnosis.run.alpha if alpha is None else alpha
    given = model if model is not None or prediction is not None or isinstance(data, Evaluation) else _model(diagnosis)
    was = before.dataset
    fresh = fresh_rows(
        data, model=given, run=diagnosis, label=label or was.label, prediction=prediction or was.prediction,
        scores=scores or was.scores or None, text=was.text, id=was.id, group=was.group, time=was.time, task=before.task,
        metric=before.metric, positive=before.positive, trained_on=origin_of_fresh_rows(diagnosis.run), device=device,
        allow_pickle=allow_pickle, max_calls=max_calls, progress=progress,
    )  # fmt: skip
    chosen = [
        Asked.of(finding) for finding in diagnosis.findings
        if finding.status in ("confirmed", "seen") and finding.family != "labels"
    ]  # fmt: skip
    otherwise = _measured_otherwise(chosen, was.sources, fresh.evaluation.dataset.sources)
    least = float(diagnosis.run.settings.get("min_difference") or 0.0)
    results = recheck(chosen, fresh.evaluation, alpha=level, min_difference=least)
    look = _look(results, fresh.evaluation, level, state)
    later = (
        ()
        if look.first
        else ("Earlier looks at these rows tested other proposals, or otherwise: what was seen stays seen.",)
    )
    return Check(
        results=results, rows=len(fresh), left_out=fresh.left_out, alpha=level, looks=look.number,
        caveats=tuple(
            words for words in (*fresh.caveats, *otherwise, *later, *look.caveats) if words not in diagnosis.run.caveats
        ),
        diagnosis=_with_history(diagnosis, results, fresh.evaluation.dataset.name, look),
    )  # fmt: skip


def fresh_rows(
    data: Any,
    *,
    model: Any = None,
    run: Diagnosis | str | Path | None = None,
    label: str | None = None,
    prediction: str | None = None,
    scores: str | Sequence[str] | None = None,
    text: str | None = None,
    id: str | None = None,
    group: str | None = None,
    time: str | None = None,
    task: Task | None = None,
    metric: Metric | None = None,
    positive: Level | None = None,
    trained_on: str | None = None,
    device: str | None = None,
    allow_pickle: bool = False,
    max_calls: int | None = None,
    progress: Progress | None = None,
) -> Fresh:
    """Fresh rows to test rules on: evaluated under the same words as `errata.diagnose` knows.

    run        the run whose rows are left out, and whose embeddings and n-grams are computed of fresh rows, so that
               its rules can be read; a path at which no run lies any more leaves nothing out
    max_calls  how many requests for predictions an endpoint may get

    Raises UsageError for data that cannot be used and where no fresh row is left.
    """
    from errata.datasets.roles import Roles
    from errata.evaluate import evaluate
    from errata.open import open_dataset, open_model

    if isinstance(data, Evaluation):
        return _fresh(data, run)
    predicts = model is not None
    roles = Roles(
        label=label, prediction=None if predicts else prediction, scores=None if predicts else scores, text=text,
        id=id, group=group, time=time, task=task, prediction_needed=not predicts,
    )  # fmt: skip
    connected = (
        None if model is None else open_model(model, allow_pickle=allow_pickle, device=device, max_calls=max_calls)
    )
    dataset = open_dataset(data, roles=roles)
    evaluated = evaluate(
        dataset, model=connected, task=task, metric=metric, positive=positive, trained_on=trained_on, progress=progress
    )
    return _fresh(evaluated, run)


def recheck(
    asked: Sequence[Asked], fresh: Evaluation, *, alpha: float, min_difference: float = 0.0
) -> tuple[Rechecked, ...]:
    """The test of proof.md section 4 for each question on all confirm rows of `fresh`, Benjamini-Hochberg by family."""
    kinds, rows = grounds(fresh), len(fresh.dataset)
    judged: list[Judged] = []
    for one in asked:
        gathered = gather([Slice(rule=one.rule, claim=one.claim)], fresh, kinds)[0]
        # What a rule reads decides its family in the run; on few rows it may look as if it selected classes alone.
        proposal = replace(gathered, family=one.family)
        ground = kinds.get(one.family, kinds["errors"])
        judged.append(judge(proposal, ground, rows=rows, alpha=alpha, min_difference=min_difference))
    q_values = _q_values(asked, judged)
    return tuple(
        _result(one, found, fresh, q_value, alpha, max(min_difference, GONE_BELOW * (one.before or 0.0)))
        for one, found, q_value in zip(asked, judged, q_values, strict=True)
    )


def _measured_otherwise(asked: Sequence[Asked], before: Sequence[Source], now: Sequence[Source]) -> tuple[str, ...]:
    """What to say where rules read columns that this version of Errata measures by other rules than the run's did."""
    read = {name for one in asked for name in one.rule.columns}
    versions = {source.kind: source.options.get("version") for source in now}
    kinds = [
        source.kind for source in before
        if read.intersection(source.columns) and versions.get(source.kind, source.options.get("version"))
        != source.options.get("version")
    ]  # fmt: skip
    return tuple(
        f"The {kind} are measured otherwise than in the run, which an earlier version of Errata made: rules over them "
        "may select other rows." for kind in dict.fromkeys(kinds)
    )  # fmt: skip


def _rows_of(diagnosis: Diagnosis) -> Evaluation:
    if diagnosis.evaluation is None:
        raise UsageError("The run was saved without its rows.", hint="`evaluation.parquet` is needed for a check.")
    return diagnosis.evaluation


def _model(diagnosis: Diagnosis) -> Any:
    """The run's model where it is known where that lay, None where the data held the predictions."""
    lay = call_of(diagnosis.run).get("model")
    if lay is not None:
        return lay
    if diagnosis.run.model is not None:
        name = diagnosis.run.model.get("name")
        raise UsageError(
            f"The run does not know where its model `{name}` lies: it was given as an object.",
            hint="connect it again with model= (--model), or name a column of predictions with prediction=.",
        )
    return None


def _fresh(evaluation: Evaluation, run: Diagnosis | str | Path | None) -> Fresh:
    """Every usable row is a confirm row; what the run has read is left out, and strata are cut as the run cut them."""
    before = _before(run)
    same = np.zeros(len(evaluation.fold), dtype=bool)
    if before is not None:
        same = np.isin(evaluation.dataset.id_hash, before.dataset.id_hash)
    known = same if before is not None and _tells_rows_apart(before, same) else np.zeros_like(same)
    said: tuple[str, ...] = ()
    if known.any():
        said = (f"{int(known.sum())} rows were read by the run before and are left out.",)
    elif same.any():
        said = (f"{int(same.sum())} rows equal rows of the run; no column tells strangers apart, so they count.",)
    fold = np.where((evaluation.fold >= 0) & ~known, CONFIRM, LEFT_OUT).astype(np.int8)
    if not (fold == CONFIRM).any():
        why = "every row was read by the run" if known.any() else "no row can be used"
        raise UsageError(f"There are no fresh rows in `{evaluation.dataset.name}`: {why}.", hint="give other rows.")
    ready = replace(evaluation, fold=fold, stratum=_strata(evaluation, before), outputs=())
    if before is not None:
        from errata.open import open_encoder

        ready = recomputed(ready, before.dataset.sources, open_encoder=open_encoder)
    return Fresh(evaluation=ready, left_out=int(known.sum()), caveats=(*said, *evaluation.caveats))


def _before(run: Diagnosis | str | Path | None) -> Evaluation | None:
    if isinstance(run, Diagnosis):
        return run.evaluation
    if run is None or not (Path(run) / "run.json").exists():
        return None
    return load(run).evaluation


def _tells_rows_apart(before: Evaluation, same: Mask) -> bool:
    """Whether equal ids mean the same row: not in data whose columns are so coarse that strangers are often equal.

    There, fresh rows may equal rows of the run as often as its rows equal each other; more than that, and they are its.
    """
    dataset = before.dataset
    strangers = (dataset.occurrence > 0) & before.counted
    if dataset.id is not None or not strangers.any():
        return True
    _, place, times = np.unique(dataset.id_hash, return_inverse=True, return_counts=True)
    usual = float((times[place] > 1).mean())
    slack = 3.0 * float(np.sqrt(usual * (1.0 - usual) / len(same))) + 0.01
    return float(same.mean()) > usual + slack


def _strata(evaluation: Evaluation, before: Evaluation | None) -> NDArray[np.int32]:
    if evaluation.task == "classification" or before is None:
        return evaluation.stratum
    target = np.concatenate([np.asarray(before.labels, dtype=np.float64), np.asarray(evaluation.labels)])
    explored = np.concatenate([before.fold == EXPLORE, np.zeros(len(evaluation.fold), dtype=bool)])
    return fifths(target, cut_on=explored)[len(before.labels) :]


def _q_values(asked: Sequence[Asked], judged: Sequence[Judged]) -> list[float | None]:
    found: list[float | None] = [None] * len(asked)
    for family in dict.fromkeys(one.family for one in asked):
        places = [place for place, one in enumerate(asked) if one.family == family]
        tested = [(place, p) for place in places if (p := judged[place].p_value) is not None]
        adjusted = benjamini_hochberg([p for _, p in tested]).tolist()
        for (place, _), q_value in zip(tested, adjusted, strict=True):
            found[place] = q_value
    return found


def _result(
    asked: Asked, judged: Judged, fresh: Evaluation, q_value: float | None, alpha: float, margin: float
) -> Rechecked:
    now = finding_of(judged, fresh, status="undecided", q_value=q_value, level=1.0 - 2.0 * alpha)
    words = _too_few(judged.ground, now)
    upper = None if now.metric.interval is None else now.metric.interval[1]
    verdict: Verdict = "cannot tell"
    if not words:
        words = _numbers(now, asked)
        if q_value is not None and q_value <= alpha:
            verdict = "confirmed again"
        elif asked.before is not None and upper is not None and upper < margin:
            verdict = "gone"
        else:
            words = f"{words}; too few rows or errors to tell"
    return Rechecked(
        id=asked.id, title=asked.title, verdict=verdict, metric=now.metric, members=now.support.confirm,
        p_value=now.p_value, q_value=q_value, words=words,
    )  # fmt: skip


def _too_few(ground: Ground, now: Finding) -> str:
    least = least_support(ground)
    found = now.support.groups if ground.unit == "groups" else now.support.confirm
    if found is not None and found >= least and now.metric.inside is not None:
        return ""
    return f"only {found} {ground.unit} of the slice among the fresh rows, {least} that can be compared are needed"


def _numbers(now: Finding, asked: Asked) -> str:
    """Inside against outside on fresh rows, beside the difference found before."""
    fresh = shown(now.metric)
    interval = "" if fresh.interval is None else f" ({fresh.level} interval {fresh.interval})"
    before = ""
    if asked.before is not None:
        was = points(asked.before, signed=True) if is_rate(now.metric.name) else f"{asked.before:+.3g}"
        before = f", before {was}"
    return f"{fresh.inside} inside, {fresh.outside} outside: {fresh.difference}{interval}{before}"


def _look(results: Sequence[Rechecked], fresh: Evaluation, alpha: float, state: str | Path | None) -> Look:
    """Fresh rows are fresh once: another list of findings tested on them is a later look."""
    return look_at(
        fresh.fingerprint,
        [item.id for item in results if item.p_value is not None],
        settings={"metric": fresh.metric, "alpha": alpha, "multiplicity": "bh", "split_seed": "check"},
        state=None if state is None else Path(state),
    )


def _with_history(diagnosis: Diagnosis, results: Sequence[Rechecked], fresh: str, look: Look) -> Diagnosis:
    """The run with an event in the history of every finding that was checked."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    by_id = {item.id: item for item in results}
    findings = [
        _told(finding, by_id[finding.id], diagnosis, fresh=fresh, when=when, first=look.first)
        if finding.id in by_id else finding
        for finding in diagnosis.findings
    ]  # fmt: skip
    return replace(diagnosis, findings=tuple(findings))


def _told(finding: Finding, result: Rechecked, diagnosis: Diagnosis, *, fresh: str, when: str, first: bool) -> Finding:
    """A finding with what was checked; one that was seen is confirmed by fresh rows that nobody looked at before."""
    event = Event(what=f"checked: {result.verdict}", when=when, detail=f"on {fresh}: {result.words}")
    found = Statistic(
        name="fresh difference", value=result.metric.difference, interval=result.metric.interval, n=result.members,
        words=f"On fresh rows ({fresh}), {result.verdict}: {result.words}.",
    )  # fmt: skip
    kept = (item for item in finding.evidence if not (isinstance(item, Statistic) and item.name == found.name))
    told = replace(finding, history=(*finding.history, event), evidence=(*kept, found))
    if finding.status != "seen" or result.verdict != "confirmed again" or not first:
        return told
    risen = replace(told, status="confirmed")
    return replace(risen, title=describe(risen, diagnosis.evaluation))
