"""What a saved run says of the call that made it, for those who want to make a like one on other rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errata.core.diagnosis import RunRecord

__all__ = ["call_of", "origin_of_fresh_rows"]


def call_of(run: RunRecord) -> Mapping[str, Any]:
    """Data, model and flags as they were given; empty where the run did not come from a command."""
    return run.settings.get("call") or {}


def origin_of_fresh_rows(run: RunRecord) -> str | None:
    """What `trained_on` is for rows that the run never read: "other", a path to the training data, or None."""
    said = call_of(run).get("trained_on")
    if said not in (None, "these", "other"):
        return str(said)
    return "other" if said or run.predictions in ("in-sample", "held-out") else None
