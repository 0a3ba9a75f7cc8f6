"""Whether a run's findings hold on fresh rows: the only way in which what was merely `seen` becomes confirmed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from errata.core.dataset import Dataset
from errata.core.diagnosis import Diagnosis
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, LEFT_OUT, Evaluation
from errata.core.evidence import Statistic
from errata.core.finding import Effect, Event, Finding
from errata.core.folds import fifths
from errata.core.slices import Slice
from errata.proof.judged import Judged, finding_of, judge
from errata.proof.sample import Ground, grounds
from errata.proof.settle import LEAST_GROUPS, LEAST_ROWS, gather
from errata.stats.multiplicity import benjamini_hochberg
from errata.store.directory import load
from errata.store.ledger import Look, look_at

__all__ = ["Check", "Rechecked", "Verdict", "check", "recheck"]

Verdict = Literal["confirmed again", "gone", "cannot tell"]
Progress = Callable[[float, str], None]

GONE_BELOW = 0.5
"""A finding is gone when the upper limit of its difference lies below this share of the difference found before (ours:
a region that lost half of its excess is another region; less than that and "cannot tell" is the honest word)."""


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

    def result(self, id: str) -> Rechecked:
        """The result of one finding; raises UsageError when the run has no such finding to check."""
        for item in self.results:
            if item.id == id:
                return item
        known = ", ".join(f"`{item.id}`" for item in self.results) or "none"
        raise UsageError(f"`{id}` is no confirmed or seen finding of this run.", hint=f"known are {known}.")


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
    state: str | Path | None = None,
    progress: Progress | None = None,
) -> Check:
    """Test the confirmed and seen findings of a run again, on rows that it never read.

    Columns are found under the names they had in the run unless they are given here. The model of the run is connected
    again from where it lay; `model` connects another one, such as a repaired one; data that hold their predictions
    need none. Rows whose ids the run has read are left out. Nothing is saved: see `Check.diagnosis`.

    alpha  share of false findings among those confirmed again, the run's when None
    state  folder of the ledger of looks; the user's state folder when None

    Raises UsageError for data that cannot be used, CannotRunError when the model fails.
    """
    diagnosis = run if isinstance(run, Diagnosis) else load(run)
    before = diagnosis.evaluation
    if before is None:
        raise UsageError("The run was saved without its rows.", hint="`evaluation.parquet` is needed for a check.")
    level = diagnosis.run.alpha if alpha is None else alpha
    if isinstance(data, Evaluation):
        fresh = data
    else:
        names = {"label": label, "prediction": prediction, "scores": scores}
        given = _model(diagnosis, model, predicted=prediction is not None)
        fresh = _evaluate(before, data, given, names, device=device, allow_pickle=allow_pickle, progress=progress)
    same = np.isin(fresh.dataset.id_hash, before.dataset.id_hash)
    known = same if _tells_rows_apart(before, same) else np.zeros_like(same)
    ready = _all_fresh(fresh, before, known)
    chosen = [finding for finding in diagnosis.findings if finding.status in ("confirmed", "seen")]
    least = float(diagnosis.run.settings.get("min_difference") or 0.0)
    results = recheck(chosen, ready, alpha=level, min_difference=least)
    look = _look(results, ready, level, state)
    return Check(
        results=results,
        rows=int(((ready.fold == CONFIRM) & ready.counted).sum()),
        left_out=int(known.sum()),
        alpha=level,
        looks=look.number,
        caveats=(*_caveats(same, known, look), *fresh.caveats),
        diagnosis=_with_history(diagnosis, results, fresh.dataset, look),
    )


def recheck(
    findings: Sequence[Finding], fresh: Evaluation, *, alpha: float, min_difference: float = 0.0
) -> tuple[Rechecked, ...]:
    """The test of proof.md section 4 for each finding on all confirm rows of `fresh`, Benjamini-Hochberg by family."""
    kinds, rows = grounds(fresh), len(fresh.dataset)
    judged: dict[str, Judged] = {}
    for finding in findings:
        rule = Slice(rule=finding.rule, claim=finding.claim, proposed_by=finding.proposed_by)
        proposal = replace(gather([rule], fresh, kinds)[0], family=finding.family)
        ground = kinds.get(finding.family, kinds["errors"])
        judged[finding.id] = judge(proposal, ground, rows=rows, alpha=alpha, min_difference=min_difference)
    q_values = _q_values(findings, judged)
    return tuple(
        _result(finding, judged[finding.id], fresh, q_values.get(finding.id), alpha, min_difference)
        for finding in findings
    )


def _model(diagnosis: Diagnosis, given: Any, *, predicted: bool) -> Any:
    """The model to connect: the one given, else the run's where it is known where that lay."""
    if given is not None or predicted:
        return given
    call = diagnosis.run.settings.get("call") or {}
    if call.get("model"):
        return call["model"]
    if diagnosis.run.model is not None:
        name = diagnosis.run.model.get("name")
        raise UsageError(
            f"The run does not know where its model `{name}` lies: it was given as an object.",
            hint="connect it again with model= (--model), or name a column of predictions with prediction=.",
        )
    return None


def _evaluate(
    before: Evaluation, data: Any, model: Any, names: dict[str, str | None], *, device: str | None,
    allow_pickle: bool, progress: Progress | None,
) -> Evaluation:  # fmt: skip
    """The fresh rows as an evaluation, under the roles and the metric of the run."""
    from errata.datasets.roles import Roles
    from errata.evaluate import evaluate
    from errata.open import open_dataset, open_model

    was = before.dataset
    predicts = model is not None
    roles = Roles(
        label=names["label"] or was.label,
        prediction=None if predicts else names["prediction"] or was.prediction,
        scores=None if predicts else names["scores"] or was.scores or None,
        id=was.id, group=was.group, time=was.time, task=before.task, prediction_needed=not predicts,
    )  # fmt: skip
    dataset = open_dataset(data, roles=roles)
    connected = None if model is None else open_model(model, allow_pickle=allow_pickle, device=device)
    return evaluate(
        dataset, model=connected, task=before.task, metric=before.metric, positive=before.positive, progress=progress
    )


def _tells_rows_apart(before: Evaluation, same: np.ndarray[Any, Any]) -> bool:
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


def _all_fresh(fresh: Evaluation, before: Evaluation, known: np.ndarray[Any, Any]) -> Evaluation:
    """Every usable row is a confirm row; what the run has read is left out, and strata are cut as the run cut them."""
    fold = np.where((fresh.fold >= 0) & ~known, CONFIRM, LEFT_OUT).astype(np.int8)
    stratum = fresh.stratum
    if before.task == "regression":
        both = np.concatenate([np.asarray(before.labels, dtype=np.float64), np.asarray(fresh.labels)])
        explored = np.concatenate([before.fold == 0, np.zeros(len(fresh.fold), dtype=bool)])
        stratum = fifths(both, cut_on=explored)[len(before.labels) :]
    if not (fold == CONFIRM).any():
        why = "every row was read by the run" if known.any() else "no row can be used"
        raise UsageError(f"There are no fresh rows in `{fresh.dataset.name}`: {why}.", hint="give other rows.")
    return replace(fresh, fold=fold, stratum=stratum, outputs=before.outputs)


def _q_values(findings: Sequence[Finding], judged: dict[str, Judged]) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in dict.fromkeys(finding.family for finding in findings):
        tested = [item.id for item in findings if item.family == family and judged[item.id].p_value is not None]
        p_values = [p for name in tested if (p := judged[name].p_value) is not None]
        found |= dict(zip(tested, benjamini_hochberg(p_values).tolist(), strict=True))
    return found


def _result(
    finding: Finding, judged: Judged, fresh: Evaluation, q_value: float | None, alpha: float, min_difference: float
) -> Rechecked:
    now = finding_of(judged, fresh, status="undecided", q_value=q_value, level=1.0 - 2.0 * alpha)
    few = _too_few(judged.ground, now)
    before = finding.metric.difference
    margin = None if before is None else max(min_difference, GONE_BELOW * before)
    upper = None if now.metric.interval is None else now.metric.interval[1]
    verdict: Verdict = "cannot tell"
    if few:
        words = few
    elif q_value is not None and q_value <= alpha:
        verdict, words = "confirmed again", _numbers(now, finding)
    elif upper is not None and margin is not None and upper < margin:
        verdict, words = "gone", _numbers(now, finding)
    else:
        words = f"{_numbers(now, finding)}; the interval is too wide to tell"
    return Rechecked(
        id=finding.id, title=finding.title, verdict=verdict, metric=now.metric, members=now.support.confirm,
        p_value=now.p_value, q_value=q_value, words=words,
    )  # fmt: skip


def _too_few(ground: Ground, now: Finding) -> str:
    least = LEAST_GROUPS if ground.unit == "groups" else LEAST_ROWS
    found = now.support.groups if ground.unit == "groups" else now.support.confirm
    if found is not None and found >= least and now.metric.inside is not None:
        return ""
    return f"only {found} {ground.unit} of the slice among the fresh rows, {least} that can be compared are needed"


def _numbers(now: Finding, before: Finding) -> str:
    """Inside against outside on fresh rows, beside the difference of the run."""
    effect, rate = now.metric, now.metric.name in ("error", "false-positive", "false-negative")

    def said(value: float | None, unit: str = " %") -> str:
        return "?" if value is None else f"{100 * value:.0f}{unit}" if rate else f"{value:.3g}"

    interval = ""
    if effect.interval is not None:
        interval = f" ({said(effect.interval[0], '')} to {said(effect.interval[1], '')})"
    return (
        f"{said(effect.inside)} inside against {said(effect.outside)} outside, "
        f"difference {said(effect.difference, '')}{interval}{' points' if rate else ''}, "
        f"before {said(before.metric.difference, ' points')}"
    )


def _look(results: Sequence[Rechecked], fresh: Evaluation, alpha: float, state: str | Path | None) -> Look:
    """Fresh rows are fresh once: another list of findings tested on them is a later look."""
    return look_at(
        fresh.fingerprint,
        [item.id for item in results if item.p_value is not None],
        settings={"metric": fresh.metric, "alpha": alpha, "multiplicity": "bh", "split_seed": "check"},
        state=None if state is None else Path(state),
    )


def _caveats(same: np.ndarray[Any, Any], known: np.ndarray[Any, Any], look: Look) -> tuple[str, ...]:
    said = []
    if same.any() and not known.any():
        said.append(f"{int(same.sum())} rows equal rows of the run; no column tells strangers apart, so they count.")
    if known.any():
        said.append(f"{int(known.sum())} rows were read by the run before and are left out.")
    if not look.first:
        said.append("Earlier looks at these rows tested other proposals: what was seen stays seen.")
    return (*said, *look.caveats)


def _with_history(diagnosis: Diagnosis, results: Sequence[Rechecked], fresh: Dataset, look: Look) -> Diagnosis:
    """The run with an event in the history of every finding that was checked."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    by_id = {item.id: item for item in results}
    findings = []
    for finding in diagnosis.findings:
        result = by_id.get(finding.id)
        if result is None:
            findings.append(finding)
            continue
        event = Event(what=f"checked: {result.verdict}", when=when, detail=f"on `{fresh.name}`: {result.words}")
        found = Statistic(
            name="fresh difference", value=result.metric.difference, interval=result.metric.interval, n=result.members,
            words=f"On fresh rows ({fresh.name}): {result.words}.",
        )  # fmt: skip
        evidence = (*(item for item in finding.evidence if getattr(item, "name", "") != found.name), found)
        rises = finding.status == "seen" and result.verdict == "confirmed again" and look.first
        status = "confirmed" if rises else finding.status
        findings.append(replace(finding, status=status, history=(*finding.history, event), evidence=evidence))
    return replace(diagnosis, findings=tuple(findings))
