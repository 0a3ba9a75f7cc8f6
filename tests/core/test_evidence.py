"""Evidence that is written with a run is read as what it was, also by an older or a newer Errata."""

from __future__ import annotations

import json

from errata.core.codec import decode, encode
from errata.core.evidence import Evidence, Extremes, SplitLog, SplitLoop, Statistic

LOG = SplitLog(
    column="embedding:encoder", metric="accuracy", classes=("cat", "dog"), rows=40, best=1, systematic=True, gap=31.5,
    null_mean=4.0, null_limit=9.25, words="Systematic split.",
    loops=(
        SplitLoop(loop=0, gap=float("nan"), validation=90.0, test=None, train_labels=(15, 15), test_labels=(5, 5)),
        SplitLoop(loop=1, gap=40.0, validation=95.0, test=55.0, train_labels=(20, 10), test_labels=(0, 10)),
    ),
)  # fmt: skip
ENDS = Extremes(
    label=3, direction=1, column="embedding:raw", score=0.7, rows=20, wrong=6, hardest=("a", "b"), easiest=("c", "d"),
    hardest_wrong=2, easiest_wrong=0, end=6,
    differences=({"column": "age", "level": None, "hardest": 41.5, "easiest": 20.0},
                 {"column": "paid", "level": True, "hardest": 0.5, "easiest": 0.0}),
    values={"a": {"age": 40, "paid": None}},
)  # fmt: skip


def back(item: object) -> object:
    return decode(json.loads(json.dumps(encode(item), allow_nan=False)), tuple[Evidence, ...])


def test_logs_and_ends_are_read_as_they_were_written() -> None:
    read = back([LOG, ENDS])
    assert read[1] == ENDS
    assert read[0].loops[0].gap is None  # what is not a number is not known
    assert read[0].loops[1] == LOG.loops[1]
    assert read[0].classes == LOG.classes
    assert (read[0].best, read[0].null_limit) == (1, 9.25)


def test_records_with_less_or_more_than_is_known_here_are_read() -> None:
    plain = encode([LOG, ENDS])
    for name in ("end", "differences", "values"):
        del plain[1][name]
    plain[0]["of_a_later_version"] = 1
    log, ends = decode(plain, tuple[Evidence, ...])
    assert log.systematic
    assert ends.differences == ()
    old = decode([{"kind": "statistic", "name": "loop 0", "value": 0.1}], tuple[Evidence, ...])
    assert old == (Statistic(name="loop 0", value=0.1),)
