"""Records to JSON and back."""

from __future__ import annotations

import json
import math

from errata.core.codec import decode, encode
from errata.core.evidence import Comparison, Examples, Heatmap, Statistic, TreePath
from errata.core.finding import Effect, Event, Finding, Support
from errata.core.rules import Where


def finding() -> Finding:
    return Finding(
        id="0a1b2c3d", status="confirmed", title="city is Kairo: 58 % wrong", claim="errs more often than the rest",
        family="errors", rule=Where.parse('`größe "x"` > 0.5 and city in ("a", "ü")'), proposed_by=("error_tree",),
        support=Support(explore=100, confirm=90, groups=None),
        metric=Effect(name="error", inside=0.5, outside=0.1, difference=0.4, interval=(0.3, 0.5), interval_level=0.95),
        test="exact test", baseline="the rest of the same class", strata="class", p_value=1e-300, q_value=1e-9,
        share_of_errors=0.25, examples=("a", "b"),
        evidence=(
            Statistic(name="remaining", value=None, interval=None, n=3, words="none"),
            Examples(wrong=("a",), right=("b",), values={"a": {"city": "x", "age": None, "ok": True, "n": 3}}),
            Comparison(rows=({"stratum": 1, "inside": 2},)),
            Heatmap(columns=("age",), labels=(("low", "high"),), metric="error", count=(1, 2), value=(None, 0.5)),
            TreePath(nodes=({"id": 0, "parent": None, "text": "all"},)),
        ),
        caveats=("barely",), history=(Event(what="confirmed", when="2026-01-01T00:00:00+00:00"),),
    )  # fmt: skip


def test_every_noun_survives_json() -> None:
    before = finding()
    text = json.dumps(encode(before), allow_nan=False)
    assert decode(json.loads(text), Finding) == before


def test_not_a_number_becomes_null() -> None:
    statistic = Statistic(name="remaining", value=math.nan, interval=(-math.inf, 1.0))
    assert encode(statistic) == {
        "kind": "statistic", "name": "remaining", "value": None, "interval": [None, 1.0], "n": None, "words": "",
    }  # fmt: skip


def test_unknown_keys_of_a_newer_file_are_passed_over() -> None:
    plain = {**encode(finding()), "invented_later": 3}
    assert decode(plain, Finding) == finding()
