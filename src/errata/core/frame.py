"""The findings of a run as a dataframe, in the library that the user brought."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from errata.core.errors import MissingExtraError
from errata.core.finding import Finding

__all__ = ["library_for", "to_frame"]

_LIBRARIES = ("pandas", "polars", "pyarrow")


def to_frame(findings: Sequence[Finding], *, native: str | None = None) -> Any:
    """One row per finding, in their order; a pandas, polars or pyarrow table, as `native` names the library.

    Columns: id, status, title, rule, family, members, inside, outside, difference, low, high, q_value,
    share_of_errors, proposed_by. Where no dataframe was brought, pandas if it is installed, else polars, else pyarrow.

    Raises MissingExtraError where none of the three is installed.
    """
    import narwhals as nw

    intervals = [finding.metric.interval or (None, None) for finding in findings]
    columns: dict[str, list[Any]] = {
        "id": [finding.id for finding in findings],
        "status": [finding.status for finding in findings],
        "title": [finding.title for finding in findings],
        "rule": [finding.rule.text for finding in findings],
        "family": [finding.family for finding in findings],
        "members": [finding.support.confirm for finding in findings],
        "inside": [finding.metric.inside for finding in findings],
        "outside": [finding.metric.outside for finding in findings],
        "difference": [finding.metric.difference for finding in findings],
        "low": [low for low, _ in intervals],
        "high": [high for _, high in intervals],
        "q_value": [finding.q_value for finding in findings],
        "share_of_errors": [finding.share_of_errors for finding in findings],
        "proposed_by": [", ".join(finding.proposed_by) for finding in findings],
    }
    numbers = {"inside", "outside", "difference", "low", "high", "q_value", "share_of_errors"}
    schema = {
        name: nw.Float64() if name in numbers else nw.Int64() if name == "members" else nw.String() for name in columns
    }
    # Without an explicit schema a run without findings, or without any q-value, would have columns of no type.
    return nw.from_dict(columns, schema=schema, backend=library_for(native)).to_native()


def library_for(native: str | None) -> Any:
    """The dataframe library `native`, or the first that is installed, by name; raises MissingExtraError without any."""
    for name in (native, *_LIBRARIES):
        if name is not None and importlib.util.find_spec(name) is not None:
            return name
    raise MissingExtraError("A table needs `pandas`, `polars` or `pyarrow`.", hint="pip install pandas")
