"""Hand-made runs for the tests of words and reports: numbers are counted here, not by the code under test."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from errata.core.columns import Column, Table
from errata.core.dataset import Dataset, SetAside
from errata.core.diagnosis import Detectable, Diagnosis, FamilyRecord, MethodRecord, RunRecord
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.evidence import (
    Comparison,
    Examples,
    Extremes,
    Heatmap,
    SplitLog,
    SplitLoop,
    Statistic,
    TreePath,
)  # fmt: skip
from errata.core.finding import Effect, Event, Finding, Support
from errata.core.model import ModelSpec
from errata.core.rules import Where
from errata.core.slices import Slice, claim_for
from errata.describe import describe


def evaluation_of(
    columns, labels, predicted, classes, *, modality="table", image=None, label="label", task=None, **more
):
    """An Evaluation of everything above, half explore and half confirm by turns."""
    n = len(labels)
    task = task or ("classification" if classes else "regression")
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    loss = (labels != predicted).astype(float) if classes else np.abs(labels - predicted).astype(float)
    columns = dict(columns)
    if classes:
        columns[label] = Column(kind="category", values=labels.astype(np.int32), levels=tuple(classes))
        stratum = labels.astype(np.int32)
    else:
        columns.setdefault(label, Column.number(labels))
        stratum = np.digitize(labels, np.quantile(labels, [0.2, 0.4, 0.6, 0.8])).astype(np.int32)
    dataset = Dataset(
        name=more.pop("name", "people"),
        modality=modality,
        table=Table(columns),
        label=label,
        image=image,
        id_hash=np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15),
        native=more.pop("native", "pandas"),
        occurrence=np.zeros(n, dtype=np.uint32),
        origin="people.csv",
    )
    return Evaluation(
        dataset=dataset,
        model=more.pop("model", None),
        task=task,
        metric=more.pop("metric", "error" if classes else "absolute-error"),
        classes=tuple(classes),
        labels=labels.astype(np.int32) if classes else labels.astype(float),
        predicted=predicted.astype(np.int32) if classes else predicted.astype(float),
        scores=None,
        loss=loss,
        stratum=stratum,
        fold=np.where(np.arange(n) % 2 == 0, EXPLORE, CONFIRM).astype(np.int8),
        counted=np.ones(n, dtype=bool),
        group=None,
        features=tuple(name for name in columns),
        **more,
    )


def finding_of(
    evaluation, text, *, status="confirmed", p=1e-6, q=1e-5, evidence=(), family="errors", level=0.975, **more
):
    """A Finding counted on the confirm rows, with rows, classes and what remains as evidence."""
    rule = Where.parse(text)
    chosen = Slice(rule=rule, claim=claim_for(evaluation.metric), proposed_by=("slice_lattice",))
    held = evaluation.part(CONFIRM)
    view, inside = held.view(), rule.members(held)
    comparison, outside, names = [], 0.0, evaluation.classes or tuple(f"fifth {k + 1}" for k in range(5))
    for stratum in np.unique(view.stratum[inside]):
        rows = view.stratum == stratum
        rest, mine = rows & ~inside, rows & inside
        comparison.append(
            {
                "stratum": names[stratum],
                "inside": int(mine.sum()),
                "inside_wrong": float(view.loss[mine].sum()),
                "outside": int(rest.sum()),
                "outside_wrong": float(view.loss[rest].sum()),
            }
        )
        outside += mine.sum() / inside.sum() * (view.loss[rest].mean() if rest.any() else 0.0)
    rate, half = float(view.loss[inside].mean()), 1.96 * float(view.loss.std() / np.sqrt(max(inside.sum(), 1)))
    difference = rate - float(outside)
    ids = evaluation.dataset.ids()
    rows = held.rows[inside]
    wrong = [ids[row] for row in rows[np.argsort(-evaluation.loss[rows], kind="stable")] if evaluation.loss[row] > 0][
        :12
    ]
    right = [
        ids[row]
        for row in rows[np.argsort(evaluation.loss[rows], kind="stable")]
        if evaluation.loss[row] == 0 or (not evaluation.binary_loss and ids[row] not in wrong)
    ][:12]
    shown = [name for name in (*rule.columns, *evaluation.features) if name != evaluation.dataset.label]
    shown = list(dict.fromkeys(shown))[:8]
    values = {
        ids[row]: {name: evaluation.dataset.table.column(name).value(row) for name in shown}
        for row in rows
        if ids[row] in {*wrong, *right}
    }
    finding = Finding(
        id=chosen.id,
        status=status,
        title="",
        claim=chosen.claim,
        family=family,
        rule=rule,
        proposed_by=chosen.proposed_by,
        baseline="the rest of the same classes",
        strata="class",
        support=Support(explore=int(rule.members(evaluation.part(EXPLORE)).sum()), confirm=int(inside.sum())),
        metric=Effect(
            name=evaluation.metric,
            inside=rate,
            outside=float(outside),
            difference=difference,
            interval=(difference - half, difference + half),
            interval_level=level,
        ),
        test="one-sided exact test stratified by class",
        p_value=p,
        q_value=q,
        share_of_errors=float(view.loss[inside].sum() / max(view.loss.sum(), 1e-9)),
        examples=tuple(wrong or right),
        evidence=(
            Comparison(rows=tuple(comparison)),
            Examples(wrong=tuple(wrong), right=tuple(right), values=values),
            *evidence,
        ),
        history=(Event(what="confirmed", when="2025-11-22T06:00:00+00:00"),),
    )
    finding = replace(finding, **more)
    return replace(finding, title=describe(finding, evaluation))


def tree_of(evaluation, steps, text=None):
    """A TreePath by nested halving: `steps` are (parent, rule text) and node 0 is every row."""
    held = evaluation.part(CONFIRM)
    loss = held.view().loss
    member = Where.parse(text).members(held) if text else np.zeros(len(held), dtype=bool)
    masks, nodes = [np.ones(len(held), dtype=bool)], []
    for parent, rule in steps:
        masks.append(masks[parent] & Where.parse(rule).members(held))
    parents = [None, *(parent for parent, _ in steps)]
    texts = ["all rows", *(rule for _, rule in steps)]
    for key, (mask, parent, words) in enumerate(zip(masks, parents, texts, strict=True)):
        nodes.append(
            {
                "id": key,
                "parent": parent,
                "text": words,
                "n": int(mask.sum()),
                "wrong": float(loss[mask].sum()),
                "members": int((mask & member).sum()),
            }
        )
    return TreePath(nodes=tuple(nodes))


def heatmap_of(evaluation, column, edges, other=None, text=None):
    """The metric in bins of a number column, across the levels of a category column if given."""
    held = evaluation.part(CONFIRM)
    loss = held.view().loss
    bins = np.digitize(held.column(column).values, edges)
    ends = ["", *map(str, edges), ""]
    names = tuple(
        f"{low} to {high}" if low and high else f"under {high}" if high else f"{low} up" for low, high in pairwise(ends)
    )
    codes, levels = np.zeros(len(held), dtype=int), ("",)
    if other is not None:
        codes, levels = held.column(other).values, tuple(map(str, held.column(other).levels))
    member = Where.parse(text).members(held) if text else None
    count, value, share = [], [], []
    for one in range(len(names)):
        for two in range(len(levels)):
            cell = (bins == one) & (codes == two)
            count.append(int(cell.sum()))
            value.append(float(loss[cell].mean()) if cell.any() else None)
            share.append(float(member[cell].mean()) if member is not None and cell.any() else None)
    return Heatmap(
        columns=(column,) if other is None else (column, other),
        labels=(names,) if other is None else (names, levels),
        metric=evaluation.metric,
        count=tuple(count),
        value=tuple(value),
        overall=float(loss.mean()),
        member=tuple(share) if member is not None else None,
    )


def extremes_of(evaluation, label, columns=(), *, direction=1, differences=()):
    """The wrong explore rows of a class as its hardest, the right ones as its easiest, six of each."""
    rows = np.flatnonzero((evaluation.fold == EXPLORE) & (evaluation.labels == label))
    loss, ids = evaluation.loss, evaluation.dataset.ids()
    hard, easy = rows[loss[rows] > 0][:6], rows[loss[rows] == 0][:6]
    table = evaluation.dataset.table
    return Extremes(
        label=evaluation.classes[label],
        direction=direction,
        column="embedding:encoder",
        score=0.71,
        rows=len(rows),
        wrong=int((loss[rows] > 0).sum()),
        hardest=tuple(ids[row] for row in hard),
        easiest=tuple(ids[row] for row in easy),
        hardest_wrong=len(hard),
        easiest_wrong=0,
        end=40,
        differences=differences,
        values={ids[row]: {name: table.column(name).value(row) for name in columns} for row in (*hard, *easy)},
    )


def log_of(classes, **more):
    """Five outer loops of a search for a split; the fourth was kept."""
    gaps = ((-1.2, 88.0), (22.0, 91.0), (40.5, 95.0), (64.3, 98.9), (51.0, 97.5))
    k = len(classes)
    known = {
        "column": "embedding:encoder", "metric": "accuracy", "classes": classes, "rows": 40 * k, "best": 3,
        "words": "No systematic split: gap 9.1 on held-out rows; labels would show 8.0, p = 0.3.",
        "loops": tuple(
            SplitLoop(loop=at, gap=gap, validation=score, test=score - gap, train_labels=(30 - at,) * k,
                      test_labels=(10 + at,) * k)
            for at, (gap, score) in enumerate(gaps)
        ),
    }  # fmt: skip
    return SplitLog(**{**known, **more})


def run_of(evaluation, *, tested=31, detectable=None, **more):
    """A RunRecord that fits an evaluation."""
    fold, loss = evaluation.fold, evaluation.loss
    folds = {"explore": EXPLORE, "confirm": CONFIRM, "sealed": 2}
    curve = detectable or [(0.01, None), (0.02, 0.31), (0.05, 0.18), (0.1, 0.12), (0.2, 0.08), (0.5, 0.06)]
    known = dict(
        errata="0.1.0",
        created="2025-11-22T06:00:00+00:00",
        seed=0,
        split_seed=0,
        alpha=0.05,
        looks=1,
        model=None if evaluation.model is None else {"name": evaluation.model.name, "kind": evaluation.model.kind},
        data={
            "name": evaluation.dataset.name,
            "modality": evaluation.dataset.modality,
            "columns": len(evaluation.dataset.table.names),
            "set_aside": [{"column": item.column, "why": item.why} for item in evaluation.set_aside],
        },
        task=evaluation.task,
        metric=evaluation.metric,
        rows={name: int((fold == code).sum()) for name, code in folds.items()},
        errors={name: float(loss[fold == code].sum()) for name, code in folds.items()},
        predictions="out-of-fold",
        error_rate=float(loss.mean()),
        tested=tested,
        families=(
            FamilyRecord(family="errors", tested=tested - 2, alpha=0.05),
            FamilyRecord(family="class rates", tested=2, alpha=0.05),
        ),
        detectable=tuple(Detectable(share=share, difference=difference) for share, difference in curve),
        methods=(
            MethodRecord(name="error_tree", options={"depth": 4, "least": 10}, seconds=0.21, proposed=9, status="done"),
            MethodRecord(name="slice_lattice", options={"level": 3, "k": 40}, seconds=1.42, proposed=40, status="done"),
            MethodRecord(
                name="confusion_cells", options={}, seconds=0.0, proposed=0, status="skipped", message="needs classes"
            ),
        ),
        timings={"read": 0.12, "evaluate": 8.4, "propose": 1.63, "confirm": 0.4, "explain": 0.33},
        command="errata diagnose people.csv --label label --prediction predicted",
    )
    return RunRecord(**{**known, **more})


def people(n=2400, seed=3):
    """People in three cities; the model errs where the city is cairo and age is over 60, and more on the unpaid."""
    rng = np.random.default_rng(seed)
    age, hours = rng.integers(18, 90, n), np.round(rng.gamma(4, 9, n), 1)
    city = rng.choice(["aswan", "cairo", "giza", "luxor"], n)
    label = (rng.random(n) < 0.4).astype(int)
    rate = 0.1 + 0.46 * ((city == "cairo") & (age > 60)) + 0.22 * (hours > 55) + 0.15 * ((label == 1) & (age < 30))
    predicted = np.where(rng.random(n) < rate, 1 - label, label)
    seen = np.datetime64("2023-01-01") + rng.integers(0, 700, n) * np.timedelta64(1, "D")
    columns = {
        "age": Column.number(age),
        "hours": Column.number(hours, unit="hours"),
        "city": Column.category(list(city)),
        "member": Column(kind="boolean", values=rng.integers(-1, 2, n).astype(np.int8)),
        "visited": Column(kind="datetime", values=seen),
        "savings": Column.number(np.where(rng.random(n) < 0.1, np.nan, np.round(rng.lognormal(8, 1, n)))),
    }
    return evaluation_of(
        columns,
        label,
        predicted,
        ("repaid", "defaulted"),
        predictions="out-of-fold",
        model=ModelSpec(name="RandomForestClassifier", kind="scikit-learn", classes=("repaid", "defaulted")),
        set_aside=(
            SetAside(column="customer_no", why="an identifier: every row has its own value"),
            SetAside(column="p_default", why="reproduces the prediction (AUC 1.00 in every class)"),
        ),
    )


def table_run():
    """Three findings, one folded, and proposals of every other status."""
    evaluation = people()
    first, second, third = 'city = "cairo" and age > 60.5', "hours > 55.02", 'label = "defaulted" and age <= 29.5'
    steps = [
        (0, "hours > 55.02"),
        (0, "hours <= 55.02"),
        (2, "age > 60.5"),
        (2, "age <= 60.5"),
        (3, 'city = "cairo"'),
        (3, 'city != "cairo"'),
        (4, "age <= 29.5"),
        (4, "age > 29.5"),
    ]
    ages = [25, 35, 45, 55, 60, 70, 80]
    remaining = Statistic(
        name="remaining",
        value=0.19,
        interval=(0.1, 0.28),
        n=180,
        words="Without the rows of better findings, 19 points remain (10 to 28, 180 rows).",
    )
    findings = [
        finding_of(
            evaluation,
            first,
            evidence=(tree_of(evaluation, steps, first), heatmap_of(evaluation, "age", ages, "city", first)),
        ),
        finding_of(
            evaluation,
            second,
            p=2e-5,
            q=3e-4,
            evidence=(
                remaining,
                tree_of(evaluation, steps, second),
                heatmap_of(evaluation, "hours", [15, 25, 35, 45, 55], text=second),
            ),
            caveats=("The group is 9 % of the explore rows and 13 % of the held-out rows.",),
        ),
        finding_of(
            evaluation,
            third,
            p=4e-4,
            q=0.004,
            evidence=(tree_of(evaluation, steps, third), heatmap_of(evaluation, "age", ages, text=third)),
        ),
    ]
    folded = finding_of(evaluation, 'city = "cairo" and age > 70.5', p=0.001, q=0.01, folded_under=findings[0].id)
    others = [
        finding_of(evaluation, 'city in ("giza", "luxor") and member = true', status="rejected", p=0.34, q=0.6),
        finding_of(evaluation, "visited >= 2024-06-01", status="rejected", p=0.061, q=0.21),
        finding_of(evaluation, "savings is null", status="untestable", p=None, q=None),
        finding_of(evaluation, "savings > 40000", status="circular", p=None, q=None),
    ]
    findings.sort(key=lambda finding: -(finding.share_of_errors or 0))
    return Diagnosis(
        run=run_of(evaluation),
        findings=(*findings, folded, *others),
        evaluation=evaluation,
        members={finding.id: finding.rule.members(evaluation) for finding in findings},
        evidence=(
            tree_of(evaluation, steps),
            extremes_of(
                evaluation,
                1,
                ("city", "age"),
                differences=(
                    {"column": "city", "level": "cairo", "hardest": 0.625, "easiest": 0.1},
                    {"column": "age", "level": None, "hardest": 61.25, "easiest": 44.5},
                ),
            ),
        ),
    )


def nothing_run():
    """A run in which nothing was confirmed."""
    rng = np.random.default_rng(5)
    n = 569
    columns = {
        "mean_radius": Column.number(np.round(rng.normal(14, 3, n), 2)),
        "texture": Column.number(np.round(rng.normal(19, 4, n), 2)),
    }
    label = (rng.random(n) < 0.63).astype(int)
    predicted = np.where(rng.random(n) < 0.03, 1 - label, label)
    evaluation = evaluation_of(
        columns,
        label,
        predicted,
        ("malignant", "benign"),
        name="breast_cancer",
        predictions="out-of-fold",
        model=ModelSpec(name="LogisticRegression", kind="scikit-learn", classes=("malignant", "benign")),
    )
    findings = (
        finding_of(evaluation, "mean_radius > 16.02", status="rejected", p=0.12, q=0.8),
        finding_of(evaluation, "texture <= 14.4 and mean_radius > 12", status="rejected", p=0.4, q=0.8),
    )
    curve = [(0.02, 0.52), (0.05, 0.27), (0.1, 0.17), (0.2, 0.11), (0.5, 0.07)]
    run = run_of(
        evaluation, tested=12, detectable=curve, command="errata diagnose sample:breast_cancer --model linear.skops"
    )
    steps = [(0, "texture > 19.1"), (0, "texture <= 19.1"), (2, "mean_radius > 14"), (2, "mean_radius <= 14")]
    evidence = (tree_of(evaluation, steps), log_of(("malignant", "benign")))
    return Diagnosis(run=run, findings=findings, evaluation=evaluation, evidence=evidence)


def image_run():
    """Digits of which the thick 8s are read as 1, with the pictures."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, label = digits.images, digits.target
    thickness = (images > 8).sum(axis=(1, 2)) / 12.0
    rng = np.random.default_rng(2)
    rate = np.where((label == 8) & (thickness > 1.8), 0.6, np.where((label == 1) & (thickness < 1.4), 0.35, 0.04))
    predicted = np.where(rng.random(len(label)) < rate, np.where(label == 8, 1, (label + 3) % 10), label)
    columns = {
        "image.stroke_thickness": Column.number(thickness.astype(np.float32)),
        "image.brightness": Column.number((images.mean(axis=(1, 2)) / 16).astype(np.float32)),
        "writer": Column.category([f"writer {k % 13}" for k in range(len(label))]),
    }
    classes = tuple(str(k) for k in range(10))
    evaluation = evaluation_of(
        columns,
        label,
        predicted,
        classes,
        modality="image",
        name="digits",
        predictions="out-of-fold",
        model=ModelSpec(name="RandomForestClassifier", kind="scikit-learn", classes=classes),
        image=lambda row: (images[row] * 255 / 16).astype(np.uint8),
    )
    first, second = 'label = "8" and image.stroke_thickness > 1.79', 'label = "1" and image.stroke_thickness <= 1.41'
    steps = [
        (0, "image.stroke_thickness > 1.79"),
        (0, "image.stroke_thickness <= 1.79"),
        (1, 'label = "8"'),
        (1, 'label != "8"'),
    ]
    findings = tuple(
        finding_of(
            evaluation,
            text,
            strata="class x group",
            support=Support(explore=40, confirm=44, groups=13),
            evidence=(
                tree_of(evaluation, steps, text),
                heatmap_of(evaluation, "image.stroke_thickness", [1.2, 1.5, 1.8, 2.1], "label", text),
            ),
        )
        for text in (first, second)
    )
    findings = tuple(sorted(findings, key=lambda finding: -finding.share_of_errors))
    rejected = finding_of(evaluation, "image.brightness > 0.35", status="rejected", p=0.3, q=0.5)
    run = run_of(evaluation, command="errata demo", caveats=("Scans were thickened by the demo.",))
    evidence = (
        tree_of(evaluation, steps),
        *(extremes_of(evaluation, label) for label in (1, 8)),
        extremes_of(evaluation, 8, direction=2),
        log_of(classes),
    )
    return Diagnosis(run=run, findings=(*findings, rejected), evaluation=evaluation, evidence=evidence)


def house_run():
    """Regression: old houses are predicted too low."""
    rng = np.random.default_rng(8)
    n = 1200
    built, area = rng.integers(1880, 2020, n), np.round(rng.normal(120, 30, n))
    price = 1800.0 * area + 500 * (built - 1950) + rng.normal(0, 9000, n)
    predicted = price + rng.normal(0, 12000, n) - 38000 * (built < 1914)
    columns = {
        "built_year": Column.number(built),
        "area": Column.number(area, unit="m²", integer=True),
        "price": Column.number(np.round(price), unit="EUR"),
    }
    evaluation = evaluation_of(columns, np.round(price), np.round(predicted), (), label="price", name="houses")
    text = "built_year <= 1913.5"
    findings = (
        finding_of(
            evaluation,
            text,
            level=0.95,
            evidence=(heatmap_of(evaluation, "built_year", [1900, 1914, 1950, 1980], text=text),),
        ),
        finding_of(evaluation, "area > 150.5", status="rejected", p=0.4, q=0.4),
    )
    curve = [(0.02, 9000.0), (0.05, 5600.0), (0.1, 4000.0), (0.2, 2900.0)]
    return Diagnosis(run=run_of(evaluation, detectable=curve), findings=findings, evaluation=evaluation)
