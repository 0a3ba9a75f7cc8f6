"""`errata.leads` as users call it: words, rows, table, notebook, what is refused, and that it tests nothing."""

from __future__ import annotations

import numpy as np
import pytest

import errata
from errata.core.errors import CannotRunError, UsageError
from errata.core.evaluation import CONFIRM, Evaluation
from errata.datasets.roles import Roles
from errata.leads import Lead, Leads


def blobs(
    n: int = 1_200, *, inside: float = 0.7, seed: int = 0, outputs: bool = False
) -> tuple[Evaluation, np.ndarray]:
    """Rows in five dimensions; those of class cat far along the first one are taken for a dog more often."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 5)).astype(np.float32)
    label = rng.integers(0, 3, n)
    member = (label == 0) & (rng.random(n) < 0.25)
    x[member, 0] += 4.0
    wrong = rng.random(n) < np.where(member, inside, 0.05)
    said = (label + wrong) % 3
    if outputs:
        x = np.eye(3, dtype=np.float32)[said]
    levels = np.array(["cat", "dog", "emu"])
    data = {
        "inputs": np.arange(n, dtype=np.float32)[:, None], "label": levels[label], "prediction": levels[said],
        "embedding_own": x,
    }  # fmt: skip
    dataset = errata.open_dataset(data, roles=Roles(ignore=("x0",)))
    return errata.evaluate(dataset, trained_on="other"), member


@pytest.fixture(scope="module")
def found() -> tuple[Leads, np.ndarray]:
    evaluation, member = blobs()
    return errata.leads(evaluation), member


def slice_of(leads: Leads) -> Lead:
    return next(lead for lead in leads if lead.slice is not None)


def test_the_planted_slice_leads_and_its_rows_come_first(found: tuple[Leads, np.ndarray]) -> None:
    leads, member = found
    first = leads[0]
    assert first.holds and first.slice is not None and len(first.proposed_by) > 1
    assert first.title.startswith("Rows labelled cat alike") and f", {first.size} rows" in first.title
    assert first.wrong is not None and 0.5 < first.wrong / first.size < 0.9
    assert member[first.indices(30)].mean() > 0.9
    assert [leads.evaluation.dataset.ids(first.indices(30))] == [first.rows(30)]


def test_rows_are_held_rows_and_as_many_as_asked_for(found: tuple[Leads, np.ndarray]) -> None:
    leads, _ = found
    held = set(leads.evaluation.part(CONFIRM).rows.tolist())
    for lead in leads:
        assert len(lead.rows(7)) == 7 and lead.rows(0) == [] and len(set(lead.rows(25))) == 25
        assert set(lead.indices(10_000).tolist()) <= held
    with pytest.raises(UsageError, match="`k` is `-1`"):
        leads[0].rows(-1)


def test_a_cell_is_in_words(found: tuple[Leads, np.ndarray]) -> None:
    leads, _ = found
    cell = next(lead for lead in leads if lead.cell is not None)
    assert cell.title == f"class cat taken for dog, {cell.size} rows"
    view = leads.evaluation
    rows = cell.indices(cell.size // 4)
    assert {view.classes[code] for code in view.labels[rows].astype(int)} == {"cat"}
    assert {view.classes[code] for code in view.predicted[rows].astype(int)} == {"dog"}


def test_it_says_that_nothing_is_proven_wherever_it_shows_itself(found: tuple[Leads, np.ndarray]) -> None:
    leads, _ = found
    html = leads._repr_html_()
    for text in (leads.note, str(leads), html):
        assert "Nothing in them is proven" in text
    assert "nothing proven" in repr(leads)
    assert slice_of(leads).rows(1)[0] in html


def test_the_table_has_one_row_per_lead(found: tuple[Leads, np.ndarray]) -> None:
    leads, _ = found
    frame = leads.to_frame()
    assert frame.shape[0] == len(leads) == 5
    assert frame["lead"].to_list() == [lead.title for lead in leads]
    assert frame["holds"].to_list() == [lead.holds for lead in leads]
    assert frame["first"][0].split(", ") == leads[0].rows()


def test_names_from_the_data_are_escaped_in_a_notebook() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    levels = np.array(["<b>", "other"])
    data = {
        "inputs": np.arange(400, dtype=np.float32)[:, None], "label": levels[label],
        "prediction": levels[np.where(rng.random(400) < 0.2, 1 - label, label)],
        "embedding_own": rng.standard_normal((400, 3)).astype(np.float32),
    }  # fmt: skip
    leads = errata.leads(errata.evaluate(errata.open_dataset(data), trained_on="other"), most=2)
    html = leads._repr_html_()
    assert "&lt;b&gt;" in html and "<b>" in html and "class <b>" not in html


def test_the_same_call_gives_the_same_leads() -> None:
    evaluation, _ = blobs(500)
    one, two = (errata.leads(evaluation, methods=["spotlight", "domino"], seed=3) for _ in range(2))
    assert [lead.title for lead in one] == [lead.title for lead in two]
    assert [lead.rows(20) for lead in one] == [lead.rows(20) for lead in two]
    assert [record.name for record in one.records] == ["spotlight", "domino"]


def test_a_slice_of_the_answers_themselves_is_no_lead() -> None:
    evaluation, _ = blobs(outputs=True)
    assert evaluation.outputs
    assert all(lead.slice is None or not lead.rule.count("own") for lead in errata.leads(evaluation))


def test_without_errors_there_are_no_leads_and_it_says_so() -> None:
    evaluation, _ = blobs(300)
    right = errata.evaluate(evaluation.dataset, trained_on="other", metric="false-negative", positive="emu")
    assert len(errata.leads(right)) >= 0
    label = np.array(["a", "b"])[np.arange(200) % 2]
    x = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    data = {"inputs": x, "label": label, "prediction": label, "embedding_own": x}
    leads = errata.leads(errata.evaluate(errata.open_dataset(data), trained_on="other"))
    assert list(leads) == [] and leads.verdict.startswith("No leads")
    assert leads.to_frame().shape[0] == 0 and "No leads" in leads._repr_html_()


def test_a_regression_has_leads_without_cells() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((900, 4)).astype(np.float32)
    y = rng.normal(0, 1, 900)
    said = y + rng.normal(0, np.where(x[:, 0] > 1, 2.0, 0.2))
    data = {"inputs": x, "label": y, "prediction": said, "embedding_own": x}
    leads = errata.leads(errata.evaluate(errata.open_dataset(data), trained_on="other"))
    assert len(leads) and all(lead.cell is None and lead.wrong is None for lead in leads)
    assert (x[leads[0].indices(30), 0] > 0.8).mean() > 0.7


def test_what_cannot_be_led_through_is_refused() -> None:
    evaluation, _ = blobs(300)
    with pytest.raises(UsageError, match="`most` is `0`"):
        errata.leads(evaluation, most=0)
    with pytest.raises(UsageError, match=r"no method `domini`"):
        errata.leads(evaluation, methods=["domini"])
    with pytest.raises(UsageError, match=r"`0` confirm rows"):
        errata.leads(evaluation.explore())
    images = {"images": np.zeros((60, 4, 4), dtype=np.uint8), "label": np.arange(60) % 2, "prediction": np.zeros(60)}
    with pytest.raises(UsageError, match="has no embedding"):
        errata.leads(errata.evaluate(errata.open_dataset(images), trained_on="other"))


def test_all_methods_failing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from errata.methods.discover.domino import Domino

    def broken(self: Domino, evaluation: Evaluation, job: object) -> list[object]:
        raise RuntimeError("out of order")

    monkeypatch.setattr(Domino, "run", broken)
    evaluation, _ = blobs(300)
    with pytest.raises(CannotRunError, match="out of order"):
        errata.leads(evaluation, methods=["domino"])


def test_leads_enter_no_look_and_leave_a_diagnosis_as_it_is(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_STATE", str(tmp_path))
    evaluation, _ = blobs(900)
    before = errata.diagnose(evaluation, methods=["domino"], state=tmp_path / "one")
    errata.leads(evaluation, methods=["domino"])
    assert not list(tmp_path.glob("looks/*"))
    after = errata.diagnose(evaluation, methods=["domino"], state=tmp_path / "two")
    assert [(one.id, one.status, one.p_value) for one in before.findings] == [
        (one.id, one.status, one.p_value) for one in after.findings
    ]
