"""What a call loads: nothing for `import errata`, little for `--help`, and no heavy library for a table of predictions.

Modules are counted, not seconds: a machine under load would make a clock lie.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from source_tree import ROOT

# Runs `body`, then prints every module that was loaded by it and lies outside the standard library.
PROBE = """
import json, sys
before = set(sys.modules)
def report():
    print("\\n" + json.dumps(sorted(set(sys.modules) - before)))
{body}
report()
"""
COMMAND = """
from errata.cli import main
sys.argv = ["errata", *{words!r}]
try:
    main()
except SystemExit as end:
    if end.code not in (None, 0):
        raise
"""
TABLES = {"pandas", "polars", "pyarrow", "narwhals"}
MODELS = {"sklearn", "skops", "torch", "onnx", "onnxruntime"}
PAGES = {"jinja2", "PIL"}


def loaded(body: str, folder: Path) -> set[str]:
    """The modules that a fresh interpreter has loaded after `body`."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ERRATA_STATE": str(folder / "state"),
        "ERRATA_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(body=body)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(names: set[str]) -> set[str]:
    """The top-level names among modules that are neither ours nor the standard library's."""
    tops = {name.partition(".")[0] for name in names}
    return {top for top in tops if top not in sys.stdlib_module_names and top not in {"errata", "__mp_main__"}}


def test_the_probe_sees_what_is_loaded(tmp_path: Path) -> None:
    seen = loaded("import numpy, scipy.special", tmp_path)
    assert {"numpy", "scipy"} <= packages(seen)


def test_importing_errata_loads_no_third_party(tmp_path: Path) -> None:
    assert packages(loaded("import errata\ndir(errata)", tmp_path)) == set()


def test_help_loads_little(tmp_path: Path) -> None:
    seen = packages(loaded(COMMAND.format(words=["--help"]), tmp_path))
    assert "click" in seen
    assert not seen & (TABLES | MODELS | PAGES | {"scipy"})


def planted_table(path: Path) -> None:
    """600 rows in which old people in one city are often wrong."""
    rows = ["age,city,y,yhat"]
    for i in range(600):
        age, city, y = 20 + (i * 37) % 60, ("cairo", "oslo", "lima")[(i * 7) % 3], (i * 11) % 2
        wrong = (i * 13) % 10 < (6 if city == "cairo" and age > 55 else 1)
        rows.append(f"{age},{city},{y},{1 - y if wrong else y}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_a_table_of_predictions_is_diagnosed_without_the_heavy_libraries(tmp_path: Path) -> None:
    planted_table(tmp_path / "table.csv")
    words = ["diagnose", "table.csv", "--label", "y", "--prediction", "yhat", "--out", "run", "--quiet"]
    seen = loaded(COMMAND.format(words=words), tmp_path)
    assert (tmp_path / "run" / "run.json").is_file()
    assert not packages(seen) & (MODELS | {"pandas", "polars"})
    assert not {name for name in seen if name == "scipy.stats" or name.startswith("scipy.stats.")}
