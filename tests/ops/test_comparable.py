"""Rules are kept to the classes that leave something to compare with."""

from __future__ import annotations

import numpy as np

import errata
from errata.core.rules import Where
from errata.ops.comparable import within_comparable


def evaluation(metric: str = "error"):
    rng = np.random.default_rng(0)
    y = np.repeat(["benign", "malignant"], 300)
    size = np.where(y == "benign", rng.uniform(0, 1, 600), rng.uniform(0, 3, 600))
    wrong = rng.random(600) < 0.1
    yhat = np.where(wrong, np.where(y == "benign", "malignant", "benign"), y)
    from errata.datasets.kinds import read_dataset
    from errata.datasets.roles import Roles

    data = read_dataset({"size": size, "y": y, "yhat": yhat}, Roles(label="y", prediction="yhat"))
    return errata.evaluate(data, metric=metric).explore()


def test_a_rule_that_takes_a_class_whole_is_kept_to_the_other() -> None:
    rule = within_comparable(Where.parse("size < 1.5"), evaluation())
    assert rule.text == 'y = "malignant" and size < 1.5'


def test_other_rules_stay_as_they_are() -> None:
    explore = evaluation()
    for text in ("size < 0.5", 'y = "benign" and size < 0.5', 'y = "benign"', "size > 2"):
        assert within_comparable(Where.parse(text), explore).text == text
