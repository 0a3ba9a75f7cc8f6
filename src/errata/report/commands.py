"""The commands that lead on from a report: look closer, check new data, keep the error from coming back."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from errata.core.diagnosis import Diagnosis
from errata.core.finding import Finding

__all__ = ["Commands", "commands", "folder_of", "repeat"]


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Shell commands about one finding; "" for what a finding that is not confirmed has no part in."""

    explain: str
    row: str
    check: str
    export: str


def folder_of(diagnosis: Diagnosis) -> str:
    """The run's folder as it is typed in a shell, `run/` where it was not saved."""
    return "run/" if diagnosis.folder is None else shlex.quote(f"{diagnosis.folder.as_posix().rstrip('/')}/")


def commands(finding: Finding, diagnosis: Diagnosis) -> Commands:
    """The commands about one finding of a run."""
    run = folder_of(diagnosis)
    row = shlex.quote(finding.examples[0]) if finding.examples else "ROW"
    return Commands(
        explain=f"errata explain {run} --finding {finding.id}",
        row=f"errata explain {run} --id {row}",
        check=f"errata check {run} NEW_DATA" if finding.status in ("confirmed", "seen") else "",
        export=f"errata export {run} --as pytest" if finding.confirmed else "",
    )


def repeat(diagnosis: Diagnosis) -> str | None:
    """The command that repeats the whole run, None where it did not come from one."""
    return diagnosis.run.command
