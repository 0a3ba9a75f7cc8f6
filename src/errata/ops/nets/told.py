"""The log of a learnt split as text: one block per outer loop, with what the published quick start prints."""

from __future__ import annotations

from collections.abc import Sequence

from errata.core.columns import Level
from errata.ops.nets.splitting import Lap

__all__ = ["lap_text"]


def lap_text(lap: Lap, *, classes: Sequence[Level], metric: str) -> str:
    """One outer loop: gap with its two scores, rows and labels of either side."""
    total = max(1, lap.train_count + lap.test_count)

    def side(name: str, count: int, labels: Sequence[int]) -> str:
        # Classes without a row on this side are left out, as in the published log.
        spread = ", ".join(f"{level}: {rows}" for level, rows in zip(classes, labels, strict=True) if rows)
        return f"| {name} {100 * count / total:.1f} % ({count}), labels {{{spread}}}"

    return "\n".join([
        f"loop {lap.loop}",
        f"| gap {lap.gap:.2f} = validation {lap.validation:.2f} - test {lap.test:.2f} ({metric}, per cent)",
        side("train", lap.train_count, lap.train_labels),
        side("test ", lap.test_count, lap.test_labels),
    ])  # fmt: skip
