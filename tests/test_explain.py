"""Rows to look at stand for their finding, whatever the order of the file."""

from __future__ import annotations

import numpy as np

from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.method import Job
from errata.evaluate import evaluate
from errata.explain import examples

N = 3_000


def test_examples_of_a_file_that_is_sorted_by_class_are_of_several_classes() -> None:
    label = np.arange(N) * 3 // N
    prediction = np.where(np.arange(N) % 4 == 0, (label + 1) % 3, label)
    columns = {
        "age": Column.number(np.arange(N) % 97), "y": Column.category(label.tolist()),
        "p": Column.category(prediction.tolist()),
    }  # fmt: skip
    hashes = np.arange(N).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    evaluation = evaluate(Dataset(
        name="sorted", modality="table", table=Table(columns), id_hash=hashes, occurrence=np.zeros(N, np.uint32),
        label="y", prediction="p",
    ))  # fmt: skip
    job = Job(rng=np.random.default_rng(0))
    shown = examples(evaluation, ("age",), members=np.ones(N, dtype=bool), job=job)
    for ids in (shown.wrong, shown.right):
        assert len({shown.values[row]["label"] for row in ids}) > 1
    assert all(shown.values[row]["label"] != shown.values[row]["prediction"] for row in shown.wrong)
