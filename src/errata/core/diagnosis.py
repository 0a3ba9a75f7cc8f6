"""A diagnosis: what one run found, what it rejected, and everything needed to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from errata.core.columns import Bool, Level
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence
from errata.core.finding import Finding

__all__ = ["Calibration", "Detectable", "Diagnosis", "FamilyRecord", "MethodRecord", "Planted", "RunRecord"]


@dataclass(frozen=True, kw_only=True)
class MethodRecord:
    """What one method did: status is "done", "skipped", "failed"; `message` says why."""

    name: str
    options: Mapping[str, Level | None]
    seconds: float
    proposed: int
    status: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class FamilyRecord:
    """How many proposals of one family were tested, at which level."""

    family: str
    tested: int
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """The smallest difference that a slice of this share would have shown at power .8, if proposed; None if none."""

    share: float
    difference: float | None


@dataclass(frozen=True, kw_only=True)
class Planted:
    """How many of `runs` planted regions were found: `share` of the rows, wrong more often by `difference`."""

    share: float
    difference: float
    found: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the run did on the user's own rows: with the model's output permuted, and with regions planted in that.

    false    reruns without any region that confirmed one all the same
    runs     reruns without any region
    planted  reruns with a region, by its size
    """

    false: int
    runs: int
    planted: tuple[Planted, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """`run.json`, schema 1: everything a run says about itself. Field order is the file's."""

    schema: int = 1
    errata: str
    created: str
    seed: int
    split_seed: int
    alpha: float
    proof: str = "split"
    multiplicity: str = "bh"
    looks: int | None
    """Which look at these predictions this was, 1 for the first; None when the ledger could not be read."""
    model: Mapping[str, Any] | None
    data: Mapping[str, Any]
    task: str
    metric: str
    rows: Mapping[str, int]
    errors: Mapping[str, float]
    predictions: str
    error_rate: float | None
    tested: int
    families: tuple[FamilyRecord, ...]
    detectable: tuple[Detectable, ...]
    methods: tuple[MethodRecord, ...]
    timings: Mapping[str, float]
    calibration: Calibration | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None
    """The shell command that repeats the run, where it came from one."""
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """What one run found.

    findings    every proposal that was judged, best first
    run         what the run says about itself
    evaluation  the rows it read; None for a run opened without them
    members     {finding id: (N,) bool} over all rows of the evaluation
    evidence    pictures of the whole run, such as the error tree
    """

    run: RunRecord
    findings: tuple[Finding, ...]
    evaluation: Evaluation | None = None
    members: Mapping[str, Bool] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    folder: Path | None = None

    @property
    def confirmed(self) -> tuple[Finding, ...]:
        """The confirmed findings, best first."""
        return tuple(finding for finding in self.findings if finding.confirmed)

    def to_frame(self) -> Any:
        """One row per finding, in the dataframe library that the user brought (pandas if installed otherwise)."""
        from errata.core.frame import to_frame

        native = None if self.evaluation is None else self.evaluation.dataset.native
        return to_frame(self.findings, native=native)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the run directory (design.md section 6); a different run in the same folder is refused."""
        from errata.store.directory import save

        return save(self, Path(folder), force=force)

    def report(self, path: str | Path) -> Path:
        """Write the report as one HTML file that opens offline."""
        from errata.report.page import write_report

        return write_report([self], Path(path))

    def __repr__(self) -> str:
        return f"<Diagnosis of {self.run.data.get('name')}: {len(self.confirmed)} of {len(self.findings)} confirmed>"

    def _repr_html_(self) -> str:
        from errata.report.notebook import diagnosis_html

        return diagnosis_html(self)
