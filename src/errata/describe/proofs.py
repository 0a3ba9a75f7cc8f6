"""How a run judged its proposals, in words: the proof, the account of many tests, the calibration."""

from __future__ import annotations

from errata.core.diagnosis import Calibration, Planted, RunRecord
from errata.core.finding import Finding
from errata.describe.numbers import count, listed, percent, points

__all__ = ["calibrated", "judged_rows", "many_tests", "proof"]

_PROOFS = {
    "split": "rules proposed on explore rows, tested on confirm rows",
    "cross": "cross-confirmation: five folds, each judged by rules that the other four proposed, against reruns of the "
    "whole search on permuted errors",
}
_ACCOUNTS = {"bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli", "holm": "Holm"}


def proof(run: RunRecord) -> str:
    """What stands between a proposal and a confirmed finding."""
    return _PROOFS.get(run.proof, run.proof)


def many_tests(run: RunRecord) -> str:
    """How many tests were accounted for."""
    if run.proof == "cross":
        classes = _ACCOUNTS.get(run.multiplicity, "Holm")
        return f"the most extreme family of each rerun; {classes} over the classes"
    if run.multiplicity == "maxt":
        return "the largest of all tests of a family, permuted together (Westfall-Young)"
    return f"{_ACCOUNTS.get(run.multiplicity, run.multiplicity)} within each family"


def judged_rows(finding: Finding) -> str | None:
    """Whose rows a cross-confirmed finding counts; None for another proof, whose rows explore or confirm."""
    if finding.test != "cross-confirmation":
        return None
    support = finding.support
    return f"{count(support.confirm)} by rules found without them, {count(support.explore)} by the rule shown"


def calibrated(calibration: Calibration) -> str:
    """As in: false reports 1 of 40; would have found a 5 % region 20 points worse in 33 of 40."""
    said = f"false reports {calibration.false} of {calibration.runs}"
    found = listed([_found(one) for one in calibration.planted])
    return f"{said}; would have found {found}" if found else said


def _found(planted: Planted) -> str:
    return f"a {percent(planted.share)} region {points(planted.difference)} worse in {planted.found} of {planted.runs}"
