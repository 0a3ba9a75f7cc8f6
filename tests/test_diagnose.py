"""The main verb, from a dataframe to findings; what it says of itself; and that it can be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import errata
from errata.core.errors import UsageError
from errata.core.method import info, load_method
from errata.diagnose import DISCOVER, plan
from errata.methods.discover.error_tree import ErrorTree
from errata.testing import planted, tiny_table


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory: pytest.TempPathFactory) -> errata.Diagnosis:
    world = planted("intersection", n=4_000, share=0.08, seed=3)
    folder = tmp_path_factory.mktemp("run")
    return errata.diagnose(
        world.to_frame(), label=world.label, prediction=world.prediction, trained_on="other",
        out=folder / "run", state=folder / "state",
    )  # fmt: skip


def test_three_lines_from_a_frame_to_the_planted_error(diagnosis: errata.Diagnosis) -> None:
    first = diagnosis.confirmed[0]
    world = planted("intersection", n=4_000, share=0.08, seed=3)
    assert set(first.rule.columns) == set(world.truth[0].columns)
    assert "%" in first.title
    assert first.metric.inside > 0.4 > 0.2 > first.metric.outside


def test_the_run_says_what_it_did(diagnosis: errata.Diagnosis) -> None:
    run = diagnosis.run
    assert run.rows["explore"] == run.rows["confirm"] == 2_000
    assert run.tested == sum(family.tested for family in run.families) >= 1
    plain = [name for name in DISCOVER if not {"embedding", "metadata"} & info(load_method(name)).needs]
    assert [record.name for record in run.methods] == plain
    assert run.predictions == "held-out"
    assert run.looks == 1
    assert 0.1 < run.error_rate < 0.25


def test_a_run_can_be_opened_again(diagnosis: errata.Diagnosis) -> None:
    again = errata.load(diagnosis.folder)
    # Where the bytes lie may differ; what was found may not.
    assert [finding.id for finding in again.findings] == [finding.id for finding in diagnosis.findings]
    assert again.findings[0] == diagnosis.findings[0]
    assert json.loads((Path(diagnosis.folder) / "run.json").read_text())["schema"] == 1


def test_the_same_call_gives_the_same_findings(diagnosis: errata.Diagnosis, tmp_path: Path) -> None:
    world = planted("intersection", n=4_000, share=0.08, seed=3)
    again = errata.diagnose(
        world.to_frame(), label=world.label, prediction=world.prediction, trained_on="other", state=tmp_path
    )
    assert [replace(finding, history=()) for finding in again.findings] == [
        replace(finding, history=()) for finding in diagnosis.findings
    ]


def test_the_order_of_rows_does_not_matter(diagnosis: errata.Diagnosis, tmp_path: Path) -> None:
    world = planted("intersection", n=4_000, share=0.08, seed=3)
    shuffled = world.to_frame().sample(frac=1.0, random_state=0)
    again = errata.diagnose(shuffled, label=world.label, prediction=world.prediction, state=tmp_path)
    assert [finding.id for finding in again.findings] == [finding.id for finding in diagnosis.findings]
    assert again.findings[0].p_value == diagnosis.findings[0].p_value
    assert again.run.data["evaluation"] == diagnosis.run.data["evaluation"]


def test_a_second_look_confirms_nothing_and_a_repeat_is_no_look(tmp_path: Path) -> None:
    world = planted("intersection", n=4_000, share=0.08, seed=3)

    def look(split_seed: int) -> errata.Diagnosis:
        return errata.diagnose(
            world.to_frame(), label=world.label, prediction=world.prediction, split_seed=split_seed, state=tmp_path
        )

    first, second, repeat = look(0), look(1), look(0)
    assert first.confirmed and repeat.confirmed
    assert [first.run.looks, second.run.looks, repeat.run.looks] == [1, 2, 1]
    assert not second.confirmed
    assert any(finding.status == "seen" for finding in second.findings)


def test_a_model_and_data_as_scikit_learn_has_them(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 3))
    label = (inputs[:, 0] > 0).astype(int)
    seen = np.where(inputs[:, 1] > 1, 1 - label, label)
    stump = DecisionTreeClassifier(max_depth=1, random_state=0).fit(inputs, seen)
    found = errata.diagnose(stump, (inputs, label), trained_on="other", state=tmp_path)
    assert found.run.model["kind"] == "scikit-learn"
    assert found.run.error_rate == pytest.approx((stump.predict(inputs) != label).mean())


def test_regression_finds_where_the_model_is_further_off(tmp_path: Path) -> None:
    world = planted("regression", n=4_000, share=0.1, seed=1)
    found = errata.diagnose(world.to_frame(), label=world.label, prediction=world.prediction, state=tmp_path)
    assert found.run.task == "regression"
    assert found.run.metric == "absolute-error"
    assert found.confirmed


def test_an_evaluation_can_be_diagnosed_with_methods_of_ones_own_choice(tmp_path: Path) -> None:
    evaluation = planted("literal", n=3_000, share=0.1, seed=0).evaluation()
    found = errata.diagnose(evaluation, methods=[ErrorTree(depth=1)], state=tmp_path)
    assert [record.options["depth"] for record in found.run.methods] == [1]


def test_settings_reach_their_method() -> None:
    chosen = plan(None, {"error_tree.depth": 2})
    assert chosen[0].depth == 2
    with pytest.raises(UsageError, match="no option `dept`"):
        plan(["error_tree"], {"error_tree.dept": 2})
    with pytest.raises(UsageError, match="no method `eror_tree`"):
        plan(None, {"eror_tree.depth": 2})
    with pytest.raises(UsageError, match="does not run"):
        plan(["error_tree"], {"slice_lattice.slices": 2})


def test_unknown_proofs_and_accounts_are_refused() -> None:
    frame = tiny_table("plain").to_frame()
    with pytest.raises(UsageError, match="cross"):
        errata.diagnose(frame, label="label", prediction="prediction", proof="crossed")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="holm"):
        errata.diagnose(frame, label="label", prediction="prediction", multiplicity="hom")  # type: ignore[arg-type]


def test_the_hint_of_the_only_method_is_not_lost(tmp_path) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    np.savez(
        tmp_path / "rows.npz", inputs=rng.random((200, 2)), label=label, prediction=label ^ (rng.random(200) < 0.2),
        embedding_mine=rng.random((200, 3)).astype(np.float32),
    )  # fmt: skip
    with pytest.raises(errata.ErrataError, match=r"no embedding `mne`\.\n.*`embedding_mine`"):
        errata.diagnose(
            tmp_path / "rows.npz", methods=["domino"], settings={"domino.embedding": "mne"}, trained_on="other",
            proof="split", state=tmp_path,
        )  # fmt: skip
