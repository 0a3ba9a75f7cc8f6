"""The main verb: evaluate -> propose -> confirm -> describe -> explain, as one readable page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from errata import __version__
from errata.confirm import Confirmation
from errata.core.columns import Level
from errata.core.dataset import Dataset
from errata.core.diagnosis import Diagnosis, RunRecord
from errata.core.errors import CannotRunError, UsageError, nearest
from errata.core.evaluation import CONFIRM, EXPLORE, FOLDS, SEALED, Evaluation, Metric
from errata.core.finding import Finding
from errata.core.method import Job, info, load_method, options
from errata.core.model import Model, Task
from errata.datasets.roles import Roles
from errata.describe import describe
from errata.describe.reasons import with_reasons
from errata.engine.propose import Proposals
from errata.engine.proving import Proved, part, prove
from errata.engine.telling import Telling
from errata.evaluate import evaluate
from errata.explain import error_tree, explain
from errata.open import open_dataset, open_model, open_pair, open_writer
from errata.proof.settings import Proof, ProofKind
from errata.stats.multiplicity import Multiplicity
from errata.store.ledger import Look, look_at

__all__ = ["Proof", "Stopwatch", "diagnose", "judge", "plan"]

Progress = Callable[[float, str], None]

DISCOVER = (
    "error_tree", "slice_lattice", "confusion_cells", "subgroups", "error_clusters", "multiaccuracy",
    "failure_directions", "domino", "spotlight", "label_errors",
)  # fmt: skip
"""What runs when no method is named, as far as it suits the data; cheap ones first: a budget cuts the others."""


class Stopwatch:
    """Seconds spent in each part of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = perf_counter()

    def lap(self, part: str) -> None:
        """Book the time since the last lap under `part`."""
        now = perf_counter()
        self.seconds[part] = round(self.seconds.get(part, 0.0) + now - self._began, 3)
        self._began = now


def diagnose(
    first: Any,
    second: Any = None,
    *,
    model: Any = None,
    label: str | None = None,
    prediction: str | None = None,
    scores: str | None = None,
    text: str | None = None,
    image: str | None = None,
    id: str | None = None,
    group: str | None = None,
    time: str | None = None,
    split: str | None = None,
    ignore: Sequence[str] = (),
    use: Sequence[str] = (),
    task: Task | None = None,
    metric: Metric | None = None,
    positive: Level | None = None,
    methods: Sequence[Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    embedding: Sequence[str] | None = None,
    captions: str | Path | Sequence[str] | None = None,
    reword: str | Path | None = None,
    out_of_fold: int | None = None,
    trained_on: str | None = None,
    seed: int = 0,
    split_seed: int = 0,
    alpha: float = 0.05,
    shares: Sequence[float] | None = None,
    proof: ProofKind | None = None,
    multiplicity: Multiplicity = "bh",
    min_support: int | None = None,
    min_difference: float = 0.0,
    max_proposals: int = 100,
    calibrate: bool = False,
    budget: float | None = None,
    device: str | None = None,
    allow_pickle: bool = False,
    max_calls: int | None = None,
    out: str | Path | None = None,
    force: bool = False,
    state: str | Path | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Find the systematic errors of a model: which are confirmed on held-out rows, and which are not.

    Call it as `diagnose(frame, label="y", prediction="yhat")` with predictions alone, as `diagnose(model, data)`, or as
    `diagnose(evaluation)`. Data is a dataframe, a path, `(X, y)`, a mapping of arrays, or `sample:NAME`; a model is an
    estimator, a function, a torch module, a path, or an endpoint's URL. Keyword names are the command line's flags.

    embedding  embedding columns to compute, such as "encoder", "words", "penultimate" or "penultimate:LAYER"; when
               None, what suits the data and the model if a method reads one
    captions   phrases for findings on images, a file or a list; ours when None, where there is "clip:FOLDER" to read
    reword     a language model's endpoint, which puts confirmed sentences into other words
    proof      "split" or "cross"; with fewer than 100 errors among confirm rows cross when None
    calibrate  rerun the search without and with planted regions, and say how often it reports and finds them
    max_calls  how many requests endpoints may get in all, killed and resumed runs included: the model's, then those of
               `reword`, which gets what is left
    out        folder of the run directory; nothing is written when None
    state      folder of the ledger of looks; the user's state folder when None

    Raises UsageError for data or options that cannot be used, CannotRunError when the model fails.
    """
    watch, report = Stopwatch(), progress or _quiet
    how = Proof(
        alpha=alpha, proof=proof, multiplicity=multiplicity, min_support=min_support, min_difference=min_difference,
        max_proposals=max_proposals, calibrate=calibrate,
    )  # fmt: skip
    chosen, ignore, use = plan(methods, settings), _names(ignore), _names(use)
    _check_seed(seed)
    given, data = (first, second) if second is not None else (model, first)
    folder = None if out is None else Path(out)
    connected, telling = None, _telling(data, embedding, captions, reword, folder=folder, max_calls=max_calls)
    if isinstance(data, Evaluation):
        evaluation = data
        chosen = chosen if methods is not None else suited(chosen, data.dataset, data.embeddings)
    else:
        roles = Roles(
            label=label, prediction=prediction, scores=scores, text=text, image=image, id=id, group=group, time=time,
            split=split, ignore=ignore, use=use, task=task,
        )  # fmt: skip
        dataset = open_dataset(data, roles=roles)
        chosen = chosen if methods is not None else suited(chosen, dataset, embedding)
        watch.lap("read")
        connected = _connected(given, telling, allow_pickle=allow_pickle, device=device, max_calls=max_calls)
        evaluation = evaluate(
            dataset, model=connected, use=use, task=task, metric=metric, positive=positive, out_of_fold=out_of_fold,
            trained_on=trained_on, seed=seed, split_seed=split_seed, shares=shares,
            folder=folder, embeddings=_embeddings(chosen, embedding), progress=part(report, 0.0, 0.5),
        )  # fmt: skip
        watch.lap("evaluate")
    diagnosis = judge(
        evaluation, how, methods=chosen, model=connected, seed=seed, split_seed=split_seed, budget=budget,
        state=None if state is None else Path(state), telling=telling, watch=watch, progress=part(report, 0.5, 0.95),
    )  # fmt: skip
    if out is not None:
        diagnosis = replace(diagnosis, folder=diagnosis.save(out, force=force))
    report(1.0, "done")
    return diagnosis


def judge(
    evaluation: Evaluation,
    how: Proof,
    *,
    methods: Sequence[Any],
    model: Model | None = None,
    seed: int = 0,
    split_seed: int = 0,
    budget: float | None = None,
    state: Path | None = None,
    telling: Telling | None = None,
    watch: Stopwatch | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Everything after the evaluation: propose on explore rows, confirm on held-out rows, put into words, explain."""
    watch, report = watch or Stopwatch(), progress or _quiet
    job = Job(
        rng=np.random.default_rng(seed), model=model, dataset=evaluation.dataset, budget=budget,
        progress=part(report, 0.0, 0.8),
    )  # fmt: skip
    proved = prove(methods, evaluation, how, job=job, watch=watch.lap, seed=seed, split_seed=split_seed)
    _check_any_ran(proved.proposals)
    proposals, confirmation, evaluation = proved.proposals, proved.confirmation, proved.evaluation
    look = look_at(
        evaluation.fingerprint, confirmation.tested_ids, settings=_look_settings(proved, how, split_seed), state=state
    )
    if not look.first:
        confirmation = confirmation.as_seen()
    report(0.8, "describing and explaining")
    job, telling = replace(job, progress=_quiet), telling or Telling(open_pair=open_pair)
    findings = tuple(_told(finding, confirmation, evaluation, job, telling) for finding in confirmation.findings)
    tree = error_tree(evaluation, job)
    watch.lap("explain")
    if telling.writer is not None:
        report(0.95, "putting into other words")
        findings = telling.in_other_words(findings, evaluation)
        watch.lap("reword")
    run = _record(proved, how, confirmation, look, telling, seed=seed, split_seed=split_seed, watch=watch)
    return Diagnosis(
        run=run,
        findings=findings,
        evaluation=evaluation,
        members=confirmation.members,
        evidence=(*tree, *proposals.evidence),
    )


def plan(methods: Sequence[Any] | None, settings: Mapping[str, Any] | None = None) -> list[Any]:
    """The methods of a run: instances as given, names loaded, those of `DISCOVER` when none are named.

    `settings` are hyper-parameters by "method.option", such as {"error_tree.depth": 3}.
    Raises UsageError for unknown names, options and values.
    """
    changes: dict[str, dict[str, Any]] = {}
    for key, value in (settings or {}).items():
        name, dot, option = key.partition(".")
        if not dot:
            raise UsageError(f"The setting `{key}` names no method.", hint="write METHOD.OPTION=VALUE.")
        changes.setdefault(name, {})[option] = value
    if isinstance(methods, str):
        methods = (methods,)
    if methods is not None and not len(methods):
        raise UsageError("`methods` names no method.", hint=f"such as {', '.join(DISCOVER)}.")
    chosen = []
    for method in DISCOVER if methods is None else methods:
        name = method if isinstance(method, str) else info(method).name
        chosen.append(_configured(method, changes.pop(name, {})))
        family = info(chosen[-1]).family
        if family in ("explain", "repair"):
            raise UsageError(f"`{name}` proposes nothing: it is there to {family}.", hint=f"try {', '.join(DISCOVER)}.")
    for name in changes:
        load_method(name)  # an unknown name gets its hint here
        raise UsageError(f"`{name}` has settings but does not run.", hint=f"add it with methods=[..., '{name}'].")
    return chosen


def _check_seed(seed: int) -> None:
    if not str(seed).isdigit() or int(seed) >= 2**32:
        raise UsageError(f"`seed` is `{seed}`.", hint="a whole number from 0 to 4,294,967,295.")


def _connected(
    given: Any, telling: Telling, *, allow_pickle: bool, device: str | None, max_calls: int | None
) -> Model | None:  # fmt: skip
    """The model, None where the data hold its predictions; its calls and those for other words have one limit."""
    if given is None:
        return None
    alone = max_calls if telling.max_calls is None else None  # with other words, a model that makes no calls will do
    return telling.beside(open_model(given, allow_pickle=allow_pickle, device=device, max_calls=alone))


def _telling(
    data: Any, embedding: Sequence[str] | None, captions: Any, reword: Any, *, folder: Path | None,
    max_calls: int | None,
) -> Telling:  # fmt: skip
    """What findings are told with; whether images and texts share a space is known before anything is computed."""
    pairs = [one.kind for one in data.dataset.sources] if isinstance(data, Evaluation) else _names(embedding or ())
    has_pair = any(name.removeprefix("embedding:").partition(":")[0] == "clip" for name in pairs)
    return Telling.asked(
        captions, reword, has_pair=has_pair, folder=folder, max_calls=max_calls, open_pair=open_pair,
        open_writer=open_writer,
    )  # fmt: skip


def suited(methods: Sequence[Any], dataset: Dataset, embedding: Sequence[str] | None = None) -> list[Any]:
    """The methods that suit the data: those that read an embedding where rows are pictures, texts or arrays, where the
    data bring an embedding, or where one was asked for, and there those that go through metadata if there are any. Of
    a plain table, rules over its columns say more."""
    table = dataset.table
    beyond = dataset.modality != "table" or any(table.kind_of(name) == "embedding" for name in table) or embedding
    offered = {"embedding": beyond, "metadata": beyond and dataset.metadata}
    return [one for one in methods if all(there for need, there in offered.items() if need in info(one).needs)]


def _names(names: Sequence[str]) -> tuple[str, ...]:
    """Several names, or one that was not put into a list, which is no list of letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def _embeddings(methods: Sequence[Any], asked: Sequence[str] | None) -> Sequence[str] | None:
    """Which embeddings to compute: those asked for, what suits the data where a method reads one, else none."""
    if asked is not None:
        return _names(asked)
    return None if any("embedding" in info(method).needs for method in methods) else ()


def _check_any_ran(proposals: Proposals) -> None:
    """A run in which nothing was looked for must not pass for one that found nothing."""
    failed = [record for record in proposals.records if record.status == "failed"]
    if failed and not any(record.status == "done" for record in proposals.records):
        said, _, hint = failed[0].message.partition("\nHint: ")
        raise CannotRunError(
            f"Every method failed, `{failed[0].name}` with: {said.splitlines()[0]}",
            hint=hint or "try its options one by one, or other methods (`errata methods`).",
        )


def _told(finding: Finding, confirmation: Confirmation, evaluation: Evaluation, job: Job, telling: Telling) -> Finding:
    """A finding with its sentence and, where people will look at it, with its pictures."""
    if finding.status not in ("confirmed", "seen"):
        return replace(finding, title=describe(finding, evaluation))
    members = confirmation.members[finding.id]
    reasoned = with_reasons(finding, evaluation, members=members, job=job)
    told = replace(reasoned, title=describe(reasoned, evaluation))
    shown = explain(told, evaluation, members=members, job=job)
    said = telling.of_images(evaluation, members=members)
    return replace(told, evidence=(*told.evidence, *said, *shown))


def _configured(method: Any, changes: Mapping[str, Any]) -> Any:
    named = isinstance(method, str)
    chosen = load_method(method)() if named else method
    known = options(chosen)
    for option, value in changes.items():
        name = info(chosen).name
        if option not in known:
            raise UsageError(f"`{name}` has no option `{option}`.", hint=nearest(option, known))
        if not _fits(value, known[option]):
            raise UsageError(
                f"`{name}.{option}` is `{value}`, expected a value like `{known[option]}`.",
                hint=f"`errata methods {name}` lists its options.",
            )
    return replace(chosen, **changes) if changes else chosen


def _fits(value: Any, default: Any) -> bool:
    """Whether an option may have this value, as far as its default tells."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and (default is None or isinstance(default, bool))
    if isinstance(default, int):
        return isinstance(value, int) and not value < 0 < default
    return isinstance(value, int | float) if isinstance(default, float) else True


def _look_settings(proved: Proved, how: Proof, split_seed: int) -> dict[str, Level]:
    """What makes the look besides what was tested; a split was the only proof when the first ledgers were written."""
    settings: dict[str, Level] = {
        "metric": proved.evaluation.metric, "alpha": how.alpha, "multiplicity": how.multiplicity,
        "split_seed": split_seed,
    }  # fmt: skip
    return settings if proved.proof == "split" else {**settings, "proof": proved.proof}


def _record(
    proved: Proved, how: Proof, confirmation: Confirmation, look: Look, telling: Telling, *, seed: int,
    split_seed: int, watch: Stopwatch,
) -> RunRecord:  # fmt: skip
    """What the run says about itself."""
    evaluation = proved.evaluation
    used = evaluation.take(evaluation.counted)
    fold, loss = np.asarray(used.of(used.fold)), np.asarray(used.of(used.loss))
    folds = {FOLDS[code]: fold == code for code in (EXPLORE, CONFIRM, SEALED)}
    inside = fold >= 0
    data = evaluation.dataset
    model = evaluation.model
    caveats = (*data.caveats, *evaluation.caveats, *confirmation.caveats, *look.caveats, *telling.caveats)
    return RunRecord(
        errata=__version__, created=_now(), seed=seed, split_seed=split_seed, alpha=how.alpha,
        proof=proved.proof, multiplicity=how.multiplicity, looks=look.number,
        model=None if model is None else {
            "name": model.name, "kind": model.kind, "fingerprint": model.fingerprint, "classes": list(model.classes),
        },
        data={
            "name": data.name, "modality": data.modality, "fingerprint": data.fingerprint, "origin": data.origin,
            "evaluation": evaluation.fingerprint, "columns": len(data.table.names), "label": data.label,
            "prediction": data.prediction, "text": data.text, "group": data.group, "time": data.time,
            "set_aside": [{"column": item.column, "why": item.why} for item in evaluation.set_aside],
        },
        task=evaluation.task, metric=evaluation.metric,
        rows={name: int(rows.sum()) for name, rows in folds.items()},
        errors={name: _total(loss[rows], evaluation) for name, rows in folds.items()},
        predictions=evaluation.predictions,
        error_rate=float(loss[inside].mean()) if inside.any() else None,
        tested=confirmation.tested, families=confirmation.families, detectable=confirmation.detectable,
        methods=proved.proposals.records, timings=dict(watch.seconds),
        caveats=tuple(dict.fromkeys(map(_sentence, caveats))), calibration=proved.calibration,
        settings={"min_support": how.min_support, "min_difference": how.min_difference,
                  "max_proposals": how.max_proposals, **telling.settings()},
    )  # fmt: skip


def _total(loss: np.ndarray[Any, Any], evaluation: Evaluation) -> float:
    """Errors of a fold: a whole number of wrong rows, or the sum of losses."""
    total = float(loss.sum())
    return int(total) if evaluation.binary_loss else total


def _sentence(caveat: str) -> str:
    """A caveat as a sentence, whoever wrote it."""
    words = caveat.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _quiet(share: float, words: str) -> None:
    """Progress that nobody watches."""
