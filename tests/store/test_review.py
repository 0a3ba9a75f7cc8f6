"""The review of suspected labels, from the file to look at to the finding it settles."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.finding import Finding
from errata.core.ids import Ids
from errata.core.slices import MISLABELLED, Slice
from errata.describe.sentences import verdict
from errata.proof.labels import review_order
from errata.report.page import write_report
from errata.report.terminal import plain_summary
from errata.store.directory import load, save
from errata.store.export import export_text
from errata.store.review import review_labels, write_review


@pytest.fixture
def listed(diagnosis):
    evaluation = diagnosis.evaluation
    ids = evaluation.dataset.ids(np.flatnonzero(evaluation.fold >= 0)[:30])
    rule = Ids(tuple(ids), doubt=np.linspace(1.0, 0.9, 30))
    proposal = Slice(rule=rule, claim=MISLABELLED)
    effect = replace(diagnosis.findings[0].metric, interval=None, interval_level=None, difference=None)
    finding: Finding = replace(
        diagnosis.findings[0], id=proposal.id, status="suspected", family="labels", rule=rule, claim=MISLABELLED,
        metric=effect, test=None, p_value=None, q_value=None, evidence=(), examples=tuple(ids[:2]),
    )  # fmt: skip
    members = {**diagnosis.members, finding.id: rule.members(evaluation)}
    return replace(diagnosis, findings=(*diagnosis.findings, finding), members=members)


def answer(path: Path, said) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for place, row in enumerate(rows):
        row["answer"] = said(place)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_review_goes_out_and_comes_back(listed, tmp_path) -> None:
    save(listed, tmp_path / "run")
    diagnosis = load(tmp_path / "run")
    path = write_review(diagnosis, tmp_path / "review.csv", rows=20)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    finding = listed.findings[-1]
    assert [row["id"] for row in rows] == list(review_order(finding)[:20])
    assert {row["answer"] for row in rows} == {""}
    assert "suggested" not in rows[0]
    assert rows[0]["label"] in ("no", "yes", "0", "1") or rows[0]["label"]
    answer(path, lambda place: "Wrong" if place < 18 else " right")
    done = review_labels(diagnosis, path)
    told = done.findings[-1]
    assert told.status == "confirmed"
    assert "18 of 20 randomly drawn ones were found wrong" in told.title
    again = load(tmp_path / "run").findings[-1]
    assert again == told
    assert again.rule == finding.rule
    assert again.history[-1].what == "reviewed"


def test_answers_that_cannot_be_used_are_named(listed, tmp_path) -> None:
    path = write_review(listed, tmp_path / "review.csv", rows=5)
    with pytest.raises(UsageError, match="`answer` is empty in line 2"):
        review_labels(listed, path)
    answer(path, lambda place: "maybe" if place == 3 else "wrong")
    with pytest.raises(UsageError, match="`answer` is `maybe` in line 5"):
        review_labels(listed, path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="no columns `id` and `answer`"):
        review_labels(listed, path)
    with pytest.raises(UsageError, match="cannot be read"):
        review_labels(listed, tmp_path / "nothing.csv")


def test_rows_left_out_of_the_file_are_missed(listed, tmp_path) -> None:
    path = write_review(listed, tmp_path / "review.csv", rows=10)
    answer(path, lambda place: "wrong")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[4:]]), encoding="utf-8")
    with pytest.raises(UsageError, match="not among the first 7 rows"):
        review_labels(listed, path)


def test_a_run_without_a_list_says_so(diagnosis, listed, tmp_path) -> None:
    with pytest.raises(UsageError, match="lists no suspected labels"):
        write_review(diagnosis, tmp_path / "review.csv")
    with pytest.raises(UsageError, match="There is no list of labels `0000`"):
        write_review(listed, tmp_path / "review.csv", finding="0000")
    with pytest.raises(UsageError, match="without its rows"):
        write_review(replace(listed, evaluation=None), tmp_path / "review.csv")


def test_pictures_lie_beside_the_file(listed, tmp_path) -> None:
    from PIL import Image

    evaluation = listed.evaluation
    data = replace(evaluation.dataset, image=lambda row: np.full((8, 8), row % 255, dtype=np.uint8))
    path = write_review(replace(listed, evaluation=replace(evaluation, dataset=data)), tmp_path / "review.csv", rows=3)
    with path.open(encoding="utf-8", newline="") as file:
        names = [row["image"] for row in csv.DictReader(file)]
    assert [Image.open(tmp_path / name).size for name in names] == [(160, 160)] * 3


def test_cells_that_a_spreadsheet_would_run_are_quoted(listed, tmp_path) -> None:
    evaluation = listed.evaluation
    ids = tuple(f"=row {at}" for at in range(len(evaluation.dataset)))
    from errata.core.columns import Column

    table = evaluation.dataset.table.with_columns({"name": Column.category(list(ids))})
    evaluation = replace(evaluation, dataset=replace(evaluation.dataset, table=table, id="name"))
    finding = listed.findings[-1]
    rule = Ids(ids[:10])
    finding = replace(finding, rule=rule, id=Slice(rule=rule, claim=MISLABELLED).id)
    diagnosis = replace(listed, evaluation=evaluation, findings=(finding,), members={})
    path = write_review(diagnosis, tmp_path / "review.csv", rows=10)
    assert ",'=row" in path.read_text(encoding="utf-8")
    answer(path, lambda place: "w")
    assert review_labels(diagnosis, path).findings[0].status == "confirmed"


def test_labels_in_doubt_are_seen_though_nothing_proves_them(listed, tmp_path) -> None:
    assert verdict(listed).endswith("; 30 labels are in doubt.")
    page = write_report([listed], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Labels in doubt" in page
    assert f'finding-{listed.findings[-1].id}"' in page
    reviewed = replace(listed, findings=(*listed.findings[:-1], replace(listed.findings[-1], status="rejected")))
    assert "in doubt." not in verdict(reviewed)


def test_reviewed_labels_are_no_group_that_errs_more(listed, tmp_path) -> None:
    reviewed = replace(listed, findings=(*listed.findings[:-1], replace(listed.findings[-1], status="confirmed")))
    assert verdict(reviewed) == verdict(listed)
    assert "labels in doubt" not in plain_summary(reviewed)
    assert "Labels in doubt" in write_report([reviewed], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "listed rows" not in export_text(reviewed, as_="pytest")
