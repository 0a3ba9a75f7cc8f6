"""What is taken away from a run: tests that fail when an error is back, and a page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from errata.core.diagnosis import Diagnosis
from errata.core.errors import UsageError, nearest
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.describe.leading import confirmed_groups
from errata.describe.numbers import counted, percent
from errata.report.markdown import report_markdown
from errata.store.call import call_of, origin_of_fresh_rows
from errata.store.directory import load

__all__ = ["export_text"]

Form = Literal["pytest", "markdown"]


def export_text(run: Diagnosis | str | Path, *, as_: Form | str) -> str:
    """The confirmed findings of a run as the text of a file.

    as_  "pytest": one test per finding, which fails when fresh rows confirm the error again; "markdown": a page

    Raises UsageError for another form.
    """
    if as_ not in _FORMS:
        raise UsageError(f"There is no form `{as_}`.", hint=nearest(as_, _FORMS))
    return _FORMS[as_](run if isinstance(run, Diagnosis) else load(run))


_NO_TEST = """def test_nothing_was_confirmed():
    pytest.skip("the run confirmed no error, so there is none to guard against")
"""


_LEARNT = '''def learnt(finding):
    """The rule of a finding over an embedding: too long to stand here, it lies with the run."""
    if RUN is None or not os.path.isfile(os.path.join(RUN, "run.json")):
        pytest.skip(f"the rule lies with the run, which is no longer at {RUN}")
    from errata import load

    return next(found.rule for found in load(RUN).findings if found.id == finding)
'''
"""What tests need whose rules are no predicates."""


def _pytest(run: Diagnosis) -> str:
    found = confirmed_groups(run)  # fresh rows are on no list of labels
    names = _test_names(found)
    tests = [_test(finding, name) for finding, name in zip(found, names, strict=True)] or [_NO_TEST]
    learnt = any(not isinstance(finding.rule, Where) for finding in found)
    return "\n\n".join([_head(run), *([_LEARNT] if learnt else []), *tests]) + "\n"


def _head(run: Diagnosis) -> str:
    call = call_of(run.run)
    evaluation = run.evaluation

    def role(name: str) -> Any:
        return run.run.data.get(name) if evaluation is None else getattr(evaluation.dataset, name)

    positive = None if evaluation is None else evaluation.positive
    prediction = None if call.get("model") else role("prediction")
    folder = "None" if run.folder is None else repr(str(run.folder))
    where = "" if run.folder is None else f" in {_quotable(run.folder.name)}"
    found = len(confirmed_groups(run))
    return f'''"""{counted(found, "error")} that Errata confirmed, as tests that fail when fresh rows confirm it again.

Fresh rows are rows that the run never read. Say where they lie, in a variable or in the constants below:

    FRESH_DATA=next_month.csv pytest THIS_FILE
    FRESH_DATA=next_month.csv FRESH_MODEL=repaired.onnx pytest THIS_FILE
    FRESH_DATA=next_month.csv FRESH_PREDICTION=yhat_v2 pytest THIS_FILE

The test is the one of the run: one-sided and exact, members of the rule against other rows of the same class, on all
fresh rows. The level is ALPHA over the number of tests here, so that the whole file raises a false alarm in at most
{percent(run.run.alpha)} of its runs. A test is skipped, with the reason, where fresh rows are too few to tell.

Written by Errata {run.run.errata} from the run of {run.run.created}{where}.
"""

from __future__ import annotations

import os
import warnings

import pytest

from errata.check import fresh_rows

DATA = os.environ.get("FRESH_DATA", "")
MODEL = os.environ.get("FRESH_MODEL", "" if "FRESH_PREDICTION" in os.environ else {call.get("model") or ""!r})
LABEL = {role("label")!r}
PREDICTION = os.environ.get("FRESH_PREDICTION", {prediction or ""!r})
ID, GROUP, TIME, TEXT = {role("id")!r}, {role("group")!r}, {role("time")!r}, {role("text")!r}
TRAINED_ON = {origin_of_fresh_rows(run.run)!r}
TASK, METRIC, POSITIVE = {run.run.task!r}, {run.run.metric!r}, {positive!r}
RUN = {folder}  # rows that this run read are left out, where it still lies there
ALPHA = {run.run.alpha!r}
TESTS = {max(found, 1)}


@pytest.fixture(scope="module")
def fresh():
    if not DATA:
        pytest.skip("FRESH_DATA names no fresh rows")
    rows = fresh_rows(
        DATA, model=MODEL or None, label=LABEL, prediction=PREDICTION or None, id=ID, group=GROUP, time=TIME,
        text=TEXT, task=TASK, metric=METRIC, positive=POSITIVE, trained_on=TRAINED_ON, run=RUN,
    )
    for caveat in rows.caveats:
        warnings.warn(caveat, stacklevel=1)
    return rows


def holds_no_more(fresh, rule, *, claim, before, family):
    """Fail when the error is back, skip when these rows cannot tell, pass when it is gone."""
    result = fresh.test(rule, claim=claim, before=before, family=family, alpha=ALPHA / TESTS)
    if result.verdict == "cannot tell":
        pytest.skip(result.words)
    assert result.verdict == "gone", f"the error is back: {{result.words}}"
'''


def _test(finding: Finding, name: str) -> str:
    rule = repr(finding.rule.text) if isinstance(finding.rule, Where) else f"learnt({finding.id!r})"
    return f'''def {name}(fresh):
    """{_quotable(finding.title)}"""
    holds_no_more(
        fresh,
        {rule},
        claim={finding.claim!r},
        before={finding.metric.difference!r},
        family={finding.family!r},
    )
'''


def _quotable(text: str) -> str:
    """Words of the user's data that may stand in a docstring, whatever they are."""
    return " ".join(text.replace("\\", "\\\\").replace('"', "'").split())


def _test_names(findings: Sequence[Finding]) -> list[str]:
    """A name that says what the test is about, each its own."""
    names: list[str] = []
    for finding in findings:
        words = re.sub(r"[^0-9a-z]+", "_", finding.title.partition(":")[0].lower()).strip("_")[:60].strip("_")
        name = f"test_{words or finding.id}"
        names.append(f"{name}_{finding.id}" if name in names else name)
    return names


def _markdown(run: Diagnosis) -> str:
    return report_markdown([run])


_FORMS: Mapping[str, Callable[[Diagnosis], str]] = {"pytest": _pytest, "markdown": _markdown}
