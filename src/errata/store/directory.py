"""The run directory (design.md section 6): what a run leaves behind, whole or not at all.

Everything is written under `.partial/` first and moved when it is complete; `run.json` is moved last and marks a whole
run, so a killed process or a full disk never leaves something half-written that is taken for whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from errata.core.codec import decode, encode
from errata.core.diagnosis import Diagnosis, RunRecord
from errata.core.errors import CannotRunError, UsageError
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence
from errata.core.finding import Finding
from errata.core.source import Source
from errata.store.key import ANNOUNCED, announced, run_key
from errata.store.lock import locked
from errata.store.rows import StoredMembers, read_evaluation, write_evaluation, write_members

__all__ = [
    "PARTIAL",
    "SCHEMA",
    "STATE",
    "ensure_free",
    "is_run",
    "load",
    "save",
    "update_findings",
    "withdraw",
    "write_json",
]

SCHEMA = 1
PARTIAL = ".partial"
STATE = "state"
"""The ledger of looks at data that come with Errata lies inside the run that looked."""
_OURS = (
    "run.json", "findings.json", "evidence.json", "members.parquet", "evaluation.parquet", "report.html",
    "sources", "rules", "media", "arrays",
)  # fmt: skip


def is_run(folder: Path) -> bool:
    """True where a whole run lies."""
    return (folder / "run.json").is_file()


def save(diagnosis: Diagnosis, folder: Path, *, force: bool = False) -> Path:
    """Write the run directory and give its path; the same run is written again, a different one is refused.

    force  replace a different run, or write into a folder that holds other things (they are left alone)

    Raises UsageError when the folder is taken, CannotRunError when it cannot be written; then nothing is left behind
    that could be taken for a run.
    """
    call = announced(folder / PARTIAL)
    key = run_key(diagnosis.run) if call is None else call.key
    run = diagnosis.run
    if call is not None:
        run = replace(run, command=call.command, settings={**run.settings, "call": call.options})
    ensure_free(folder, key=key, force=force)
    fresh = not folder.exists()
    try:
        with _making(folder) as making:
            _write_all(replace(diagnosis, run=run, folder=folder), making, key)
            _publish(making, folder)
    except (OSError, CannotRunError) as error:
        if fresh:
            withdraw(folder)
        # The report already speaks of its own file, which nobody knows under the name it has while in the making.
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise _unwritable(folder, cause) from error
    return folder


def ensure_free(folder: Path, *, key: str, force: bool = False) -> None:
    """Refuse a folder that holds a different run or anything else; called before the work starts as well as after.

    Raises UsageError that says what lies there.
    """
    try:
        there = folder.exists()
    except OSError as error:  # a name that is too long for the disk
        raise _unwritable(folder, error) from error
    if there and not folder.is_dir():
        raise UsageError(f"`{folder}` is a file, expected a folder for the run.", hint="name another with --out.")
    if force or not there:
        return
    if is_run(folder):
        there_key = _read_key(folder)
        if there_key != key:
            what = "a `run.json` that is damaged or not ours" if there_key is None else "a different run"
            why = "" if there_key is None else ": other data or other settings"
            raise UsageError(
                f"`{folder}` holds {what}{why}.",
                hint="name another folder with --out, or replace that run with --force.",
            )
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in (PARTIAL, STATE, *_OURS))
    if foreign:
        raise UsageError(
            f"`{folder}` is not empty and holds no run, but for example `{foreign[0]}`.",
            hint="name a new folder with --out, or write beside what is there with --force.",
        )


def load(folder: str | Path, *, rows: bool = True) -> Diagnosis:
    """Open a run directory; columns of the data are read when somebody asks for them.

    rows  False leaves `evaluation` and `members` out, for a summary that needs neither

    Raises UsageError when there is no whole run, or one that is damaged or written by a newer Errata.
    """
    place = Path(folder)
    plain = _read_run(place)
    try:
        run = decode(plain, RunRecord)
        findings = tuple(decode(_with_arrays(item, place), Finding) for item in _read_json(place / "findings.json"))
        evidence = _decode_evidence(_read_json(place / "evidence.json")) if (place / "evidence.json").exists() else ()
        if not rows or not (place / "evaluation.parquet").exists():
            return Diagnosis(run=run, findings=findings, evidence=evidence, folder=place)
        return Diagnosis(
            run=run, findings=findings, evidence=evidence, folder=place, evaluation=_read_rows(place),
            members=StoredMembers(place / "members.parquet"),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UsageError(
            f"The run in `{place}` is damaged: {what}",
            hint="run the command again with --force; `run.json` holds it under `command`.",
        ) from error


def _read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` holds, once it is clear that it is ours and not newer than we are."""
    if not is_run(folder):
        if (folder / PARTIAL).is_dir():
            raise UsageError(f"The run in `{folder}` is not finished.", hint="the same command goes on with it.")
        what = "holds no run.json" if folder.is_dir() else "is no folder"
        raise UsageError(f"`{folder}` is no run: it {what}.", hint="`errata diagnose DATA` makes one.")
    plain = _read_json(folder / "run.json")
    if not isinstance(plain, dict) or not isinstance(plain.get("schema"), int) or "errata" not in plain:
        raise UsageError(f"`{folder / 'run.json'}` was not written by Errata.", hint="expected a run directory.")
    if plain["schema"] > SCHEMA:
        raise UsageError(
            f"The run in `{folder}` has schema `{plain['schema']}`, expected at most {SCHEMA}.",
            hint=f"it was written by Errata {plain['errata']}: update this one.",
        )
    return plain


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"`{path}` is damaged or missing: {error}", hint="run the command again with --force."
        ) from error


def _decode_evidence(plain: Sequence[Any]) -> tuple[Evidence, ...]:
    """Run-wide evidence; the codec tells the records of a union apart by their `kind`."""
    return decode(plain, tuple[Evidence, ...])


def _read_rows(folder: Path) -> Evaluation:
    from errata.store.media import stored_image

    names = sorted((folder / "sources").glob("*.json")) if (folder / "sources").is_dir() else []
    sources = [_source(name) for name in names]
    image = stored_image(folder / "media") if (folder / "media").is_dir() else None
    return read_evaluation(folder / "evaluation.parquet", sources=sources, image=image)


def _source(path: Path) -> Source:
    """A source with the arrays that lie beside it."""
    import numpy as np

    source = decode(_read_json(path), Source)
    if not source.files:
        return source
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        return replace(source, arrays=dict(stored))


def update_findings(folder: Path, checked: Diagnosis) -> None:
    """Replace `findings.json` and `report.html` of a whole run, after a check has added to the history.

    Both are written before the page, and then the findings, are moved into place: the page never tells less than them.
    Raises CannotRunError when they cannot be written; the old files then stay.
    """
    from errata.report.page import write_report

    names = ("report.html", "findings.json")
    made = [folder / f".checked-{name}" for name in names]
    try:
        write_report([replace(checked, folder=folder)], made[0])
        write_json(made[1], [_plain(finding) for finding in checked.findings])
        for making, name in zip(made, names, strict=True):
            making.replace(folder / name)
    except (OSError, CannotRunError) as error:
        for making in made:
            making.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise _unwritable(folder, cause) from error


def write_json(path: Path, plain: Any) -> None:
    """Write plain values as JSON that people can read; NaN never appears."""
    path.write_text(json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _write_all(diagnosis: Diagnosis, making: Path, key: str) -> None:
    """Every file of the run, in the folder in the making."""
    from errata.report.page import write_report

    write_json(making / "findings.json", [_plain(finding) for finding in diagnosis.findings])
    _write_rules(diagnosis.findings, making / "rules")
    write_json(making / "evidence.json", [encode(item) for item in diagnosis.evidence])
    evaluation = diagnosis.evaluation
    if evaluation is not None:
        write_evaluation(evaluation, making / "evaluation.parquet", making / "arrays")
        write_members(evaluation, diagnosis.members, making / "members.parquet")
        _write_sources(evaluation.dataset.sources, making / "sources")
        if evaluation.dataset.image is not None:
            from errata.store.media import write_media

            write_media(diagnosis, making / "media")
    write_report([diagnosis], making / "report.html")
    write_json(making / "run.json", encode(diagnosis.run) | {"key": key})


def _plain(finding: Finding) -> dict[str, Any]:
    """A finding as plain values, with the name of the file that holds its rule's arrays."""
    plain: dict[str, Any] = encode(finding)
    if hasattr(finding.rule, "arrays"):
        plain["rule"] = {**plain["rule"], "file": f"rules/{finding.id}.npz"}
    return plain


def _write_rules(findings: Sequence[Finding], folder: Path) -> None:
    """The arrays of the rules that have some, one file for each finding."""
    import numpy as np

    for finding in findings:
        if hasattr(finding.rule, "arrays"):
            folder.mkdir(exist_ok=True)
            np.savez(folder / f"{finding.id}.npz", **finding.rule.arrays())


def _with_arrays(plain: Any, folder: Path) -> Any:
    """A finding's plain values with the arrays of its rule put back, where a file of the run holds them."""
    import numpy as np

    rule = plain.get("rule", {})
    if "file" not in rule:
        return plain
    name = Path(str(rule["file"])).name
    with np.load(folder / "rules" / name, allow_pickle=False) as stored:
        return {**plain, "rule": {**rule, "arrays": dict(stored)}}


def _write_sources(sources: Sequence[Source], folder: Path) -> None:
    import numpy as np

    for index, source in enumerate(sources):
        folder.mkdir(exist_ok=True)
        name = f"{index:02d}-{re.sub('[^a-z0-9]+', '-', source.kind.lower())}"
        files = (f"sources/{name}.npz",) if source.arrays else source.files
        if source.arrays:
            np.savez(folder / f"{name}.npz", **source.arrays)  # type: ignore[arg-type]
        write_json(folder / f"{name}.json", encode(replace(source, files=files)))


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """An empty folder inside `.partial/`, held by this process alone and gone afterwards."""
    with _hold(folder / PARTIAL):
        making = folder / PARTIAL / "whole"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        try:
            yield making
        finally:
            shutil.rmtree(making, ignore_errors=True)
    # What is left are blocks of predictions: of use to resume, of none once the run is whole.
    if is_run(folder):
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)


@contextmanager
def _hold(partial: Path) -> Iterator[None]:
    """Hold `.partial/`; whoever held it before may have removed it, lock and all, so the lock is taken by its name."""
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        path = partial / "lock"
        with path.open("ab") as file, locked(file, patience=600.0):
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield
                return


def _publish(making: Path, folder: Path) -> None:
    """Move everything into place; from the first line to the last the folder holds no run."""
    (folder / "run.json").unlink(missing_ok=True)
    for name in _OURS[1:]:
        target = folder / name
        if target.is_dir():
            shutil.rmtree(target)
        if (making / name).exists():
            (making / name).replace(target)
        else:
            target.unlink(missing_ok=True)
    (making / "run.json").replace(folder / "run.json")


def _read_key(folder: Path) -> str | None:
    try:
        plain = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return plain.get("key") if isinstance(plain, dict) else None


def withdraw(folder: Path) -> None:
    """Take back a folder that this run made and did not fill; blocks of predictions are kept, and so is a whole run."""
    if not folder.is_dir():
        return
    for name in ("lock", ANNOUNCED):
        (folder / PARTIAL / name).unlink(missing_ok=True)
    for path in [entry for entry in folder.glob(f"{PARTIAL}/*/") if not any(entry.glob("[0-9]*.npz"))]:
        shutil.rmtree(path, ignore_errors=True)
    for path in (folder / PARTIAL, folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _unwritable(folder: Path, error: OSError) -> CannotRunError:
    why = error.strerror or str(error).splitlines()[0]
    return CannotRunError(
        f"The run could not be written to `{folder}`: {why}.",
        hint="free some space, or name a folder on another disk with --out; nothing half-written was left there.",
    )
