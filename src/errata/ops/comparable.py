"""Rules kept to the classes in which their members can be compared with a rest."""

from __future__ import annotations

import numpy as np

from errata.core.evaluation import Evaluation
from errata.core.rules import OneOf, Where
from errata.core.slices import Rule

__all__ = ["within_comparable"]

LEAST_REST = 5
"""Rows of a class outside the rule, on explore, for the class to have a rest on confirm rows too."""


def within_comparable(rule: Rule, explore: Evaluation) -> Rule:
    """The rule, or the rule and the classes that leave a rest, where most members lie in classes that it takes whole.

    Members are compared with the rest of their class, and a slice most of whose members have none is untestable
    (docs/proof.md section 4). "Few concave points" takes every benign tumour and some malignant ones: what can be
    tested is "malignant, with few concave points".
    """
    label = explore.dataset.label
    if explore.task != "classification" or label is None or not isinstance(rule, Where) or label in rule.columns:
        return rule
    inside = np.asarray(rule.members(explore), dtype=bool)
    classes = explore.view().stratum
    members = np.bincount(classes[inside], minlength=len(explore.classes))
    rest = np.bincount(classes[~inside], minlength=len(explore.classes))
    good = (members > 0) & (rest >= LEAST_REST)
    if not good.any() or 2 * members[~good].sum() <= members.sum():
        return rule
    kept = tuple(level for level, fits in zip(explore.classes, good, strict=True) if fits)
    return Where(OneOf(label, kept)) & rule
