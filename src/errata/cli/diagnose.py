"""`errata diagnose` and `errata demo`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errata.cli.codes import FOUND
from errata.cli.config import METHODS, Configured
from errata.cli.kinds import Assigned, flattened, quoted
from errata.cli.options import DIAGNOSED, RUN
from errata.cli.terminal import Progress, Speaker, program
from errata.cli.verb import Flag, Flags, Verb, argument
from errata.core.errors import CannotRunError, UsageError

if TYPE_CHECKING:
    from errata.core.diagnosis import Diagnosis

__all__ = ["demo", "diagnose", "found"]

RUNS = Path("errata-runs")
ABOUT_THE_RUN = ("out", "force", "open_report", "quiet", "fail_on", "max_calls")
"""Flags that say what becomes of a run, and do not make it another one."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A call that is about to run: where to, and whether it is there already."""

    folder: Path
    done: bool


def _diagnose(flags: Flags) -> int:
    from errata.store.directory import load, withdraw

    speak, planned = Speaker(quiet=flags["quiet"]), _plan(flags)
    folder = planned.folder
    if planned.done:
        diagnosis = load(folder)
        speak.say("This run is there already; --force runs it again.\n")
    else:
        try:
            diagnosis = _run(flags, folder)
        finally:
            withdraw(folder)
            _withdraw_runs()
    speak.show(diagnosis)
    _lead_on(speak, diagnosis, folder)
    if flags["open_report"]:
        open_page(folder / "report.html")
    return found(diagnosis, flags["fail_on"])


def _withdraw_runs() -> None:
    if RUNS.is_dir() and not any(RUNS.iterdir()):
        RUNS.rmdir()


def _run(flags: Flags, folder: Path) -> Diagnosis:
    from errata.diagnose import diagnose
    from errata.store.directory import STATE

    given = flags.given()
    words = {name: value for name, value in given.items() if name not in ("data", *ABOUT_THE_RUN)}
    for name in ("ignore", "use", "methods", "embedding"):
        if name in words:
            words[name] = flattened(words[name])
    words["settings"] = _settings(flags, words.get("methods"))
    # Data that come with Errata are looked at by everybody's first command: that is no look at anybody's data.
    state = folder / STATE if str(flags["data"]).startswith("sample:") else None
    with Progress(quiet=flags["quiet"]) as progress:
        return diagnose(
            flags["data"], **words, max_calls=flags["max_calls"], out=folder, force=flags["force"], state=state,
            progress=progress,
        )  # fmt: skip


def _plan(flags: Flags) -> Planned:
    """Where the run goes, refused before any work where something else lies there."""
    from errata import __version__
    from errata.store.directory import PARTIAL, ensure_free, is_run, load, withdraw
    from errata.store.key import Call, announce, input_key

    given = flags.given()
    settings = {name: value for name, value in given.items() if name not in ABOUT_THE_RUN}
    settings["settings"] = _settings(flags, flattened(given["methods"]) if "methods" in given else None)
    inputs = {name: settings.pop(name, None) for name in ("data", "model", "trained_on")}
    inputs |= {name: settings.pop(name) for name in ("captions", "reword") if name in settings}
    try:
        key = input_key(inputs, settings)
    except OSError as error:
        raise UsageError(
            f"`{error.filename}` cannot be read: {error.strerror}.", hint="check the path, and who may read it."
        ) from error
    folder = Path(flags["out"]) if flags["out"] else RUNS / f"{_name(flags['data'])}-{key[:6]}"
    ensure_free(folder, key=key, force=flags["force"])
    # A model without bytes to hash may have changed without its name; asking an endpoint anew costs calls, so it must
    # be wanted.
    hashed = inputs["model"] is None or "://" in inputs["model"] or Path(inputs["model"]).exists()
    if is_run(folder) and hashed and not flags["force"] and load(folder, rows=False).run.errata == __version__:
        return Planned(folder=folder, done=True)
    options = {name: value for name, value in (inputs | settings).items() if value not in (None, {}, ())}
    try:
        announce(folder / PARTIAL, Call(key=key, command=_command(flags), options=options))
    except CannotRunError:
        withdraw(folder)
        raise
    return Planned(folder=folder, done=False)


def _settings(flags: Flags, methods: tuple[str, ...] | None) -> dict[str, Any]:
    """Hyper-parameters by METHOD.OPTION: of the file for the methods that run, and over them those of the flags."""
    tables: Mapping[str, Mapping[str, Any]] = flags.context.meta.get(METHODS, {})
    if tables and methods is None:
        from errata.diagnose import DISCOVER

        methods = DISCOVER
    found = {
        f"{name}.{option}": value
        for name, table in tables.items() if name in (methods or ()) for option, value in table.items()
    }  # fmt: skip
    chosen: tuple[Assigned, ...] = flags["settings"]
    return found | {item.key: item.value for item in chosen}


def _command(flags: Flags) -> str:
    """The shell command that repeats the call, whatever the file and the environment say then."""
    words = ["errata", "diagnose", str(flags["data"])]
    given = flags.given()
    tables = _settings(flags, flattened(given["methods"]) if "methods" in given else None)
    if tables:
        given["settings"] = tuple(Assigned(key=key, value=value) for key, value in tables.items())
    flag_words = {item.name: item.opts[0] for item in DIAGNOSED}
    for name, value in given.items():
        if name in ("data", "open_report", "quiet", "force", "fail_on"):
            continue
        if value is True:
            words.append(flag_words[name])
        elif value not in (None, False, ()):
            words += [word for text in _written(value) for word in (flag_words[name], text)]
    return shlex.join(words)


def _written(value: Any) -> list[str]:
    """A value as it is typed after its flag, once per repetition."""
    if not isinstance(value, tuple):
        return [str(value)]
    if isinstance(value[0], float):
        return ["/".join(f"{share:g}" for share in value)]
    if isinstance(value[0], Assigned):
        import json

        return [f"{item.key}={json.dumps(item.value)}" for item in value]
    return [",".join(quoted(name) for name in flattened(value))]


def _name(data: str) -> str:
    """A folder's name from the data's."""
    kind, colon, sample = data.partition(":")
    stem = sample if colon and kind == "sample" else Path(data).stem or Path(data).resolve().name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "data"


def _lead_on(speak: Speaker, diagnosis: Diagnosis, folder: Path) -> None:
    """Where everything lies, and what to type next."""
    from dataclasses import replace

    from errata.report.commands import commands, folder_of

    placed = replace(diagnosis, folder=folder)
    speak.say(f"Report  {folder / 'report.html'}")
    if not placed.confirmed:
        speak.say(f"Next    {program()} explain {folder_of(placed)} --heatmap COLUMN,COLUMN")
        return
    more = commands(placed.confirmed[0], placed)
    for word, command in zip(("Next", "", ""), (more.explain, more.check, more.export), strict=True):
        speak.say(f"{word:<8}{program()} {command.removeprefix('errata ')}")


def open_page(path: Path) -> None:
    """Show a page in the browser."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())


def found(diagnosis: Diagnosis, fail_on: float | None) -> int:
    """The exit code of a run under `--fail-on`."""
    if fail_on is None:
        return 0
    over = [finding for finding in diagnosis.confirmed if (finding.metric.difference or 0.0) >= fail_on]
    return FOUND if over else 0


def _demo(flags: Flags) -> int:
    from errata.demo import run

    speak, out = Speaker(quiet=flags["quiet"]), Path(flags["out"] or RUNS / "demo")
    try:
        with Progress(quiet=flags["quiet"]) as progress:
            made = run(out, progress=progress)
    finally:
        _withdraw_runs()
    for diagnosis in made:
        speak.say("" if diagnosis.folder is None else f"── {diagnosis.folder.name}")
        speak.show(diagnosis)
    name = program()
    speak.say(f"Report  {out / 'report.html'}")
    speak.say(f"Next    {name} diagnose YOUR.csv --label y --prediction yhat    a table that holds the predictions")
    speak.say(f"        {name} diagnose YOUR.csv --label y --model MODEL        your model; see {name} diagnose --help")
    if flags["open_report"]:
        open_page(out / "report.html")
    return 0


diagnose = Configured(
    "diagnose",
    _diagnose,
    words="""\
Find the systematic errors of a model, confirmed on held-out rows.

DATA is a .csv, .parquet, .jsonl or .npz file, a folder of images by class, or sample:NAME. With --model the model
predicts; without it the table holds the predictions. Rules are found on one half of the rows and tested on the other.
""",
    examples=(
        "errata diagnose loans.csv --label default --prediction yhat",
        "errata diagnose loans.parquet --label default --model model.skops --group customer",
        "errata diagnose scans/ --model net.onnx --open",
        "errata diagnose sample:cancer --model my_models:forest --out-of-fold",
        "errata diagnose loans.csv --metric false-negative --positive yes --fail-on 0.10",
    ),
    params=(argument("data", metavar="DATA"), *DIAGNOSED),
)

demo = Verb(
    "demo",
    _demo,
    words="""\
A real diagnosis on data that come with scikit-learn, offline, in about a minute.

Three ordinary runs: breast cancer, handwritten digits under a shift, and a model that is right nearly everywhere.
""",
    examples=("errata demo", "errata demo --out /tmp/demo --open"),
    params=(
        Flag("--out", section=RUN, metavar="FOLDER", help="Where the runs go; errata-runs/demo when missing."),
        Flag("--open", "open_report", section=RUN, is_flag=True, help="Open the report in the browser."),
        Flag("--quiet", section=RUN, is_flag=True, help="Print nothing but errors."),
    ),
)
