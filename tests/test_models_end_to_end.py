"""Models of every kind through the command line, from a file to a run, a closer look and a check on fresh rows."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import errata as library
from errata.cli.edge import run as run_words
from errata.core.errors import UsageError
from errata.store.directory import load
from errata.testing import tiny_images

FILES = {"run.json", "findings.json", "evidence.json", "members.parquet", "evaluation.parquet", "report.html"}


@dataclass
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Case:
    """A model that lies in the folder, as the command line names it, with data it saw never."""

    model: str
    first: str
    fresh: str
    kind: str
    needs: tuple[str, ...] = ()


CASES = {
    "torch on images": Case("nets_of_the_test:build@net.safetensors", "images.npz", "more.npz", "torch", ("torch",)),
    "onnx on images": Case("images.onnx", "images.npz", "more.npz", "onnx", ("onnx", "onnxruntime")),
    "onnx on a table": Case("table.onnx", "numbers.csv", "more_numbers.csv", "onnx", ("onnx", "onnxruntime")),
    "skops pipeline": Case("model.skops", "people.csv", "more_people.csv", "scikit-learn", ("skops", "pandas")),
    "function": Case("rules_of_the_test:says", "people.csv", "more_people.csv", "function"),
}


def people(n: int, seed: int, *, city: bool = True) -> str:
    """A CSV in which yes follows hours, but not for old people; the id says where each row was drawn."""
    rng = np.random.default_rng(seed)
    age, hours = rng.uniform(18, 90, n).round(1), rng.uniform(20, 70, n).round(1)
    town = rng.choice(["oslo", "cairo", "lima"], n)
    yes = (hours > 45) ^ (rng.random(n) < 0.05) ^ ((age > 70) & (rng.random(n) < 0.5))
    lines = ["age,hours,city,label" if city else "age,hours,label"]
    for i in range(n):
        middle = f"{town[i]}," if city else ""
        lines.append(f"{age[i]},{hours[i]},{middle}{'yes' if yes[i] else 'no'}")
    return "\n".join(lines) + "\n"


def images(n: int, seed: int) -> dict[str, np.ndarray]:
    """Bars and rings; the models below read the light beside the middle, which thin rings lack."""
    drawn = tiny_images(n, seed=seed)
    return {"images": drawn.images, "label": drawn.label}


# One linear layer over the light of 256 pixels: bar or ring.
BESIDE = np.zeros((16, 16), dtype=np.float32)
BESIDE[:, :4] = BESIDE[:, 12:] = 0.25
WEIGHT, BIAS = np.stack([-BESIDE.ravel(), BESIDE.ravel()]), np.array([6.0, -6.0], dtype=np.float32)


def write_torch() -> None:
    import torch
    from safetensors.torch import save_file

    Path("nets_of_the_test.py").write_text(
        "import torch\n\ndef build():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2))\n"
    )
    save_file({"1.weight": torch.from_numpy(WEIGHT), "1.bias": torch.from_numpy(BIAS)}, "net.safetensors")


def write_onnx() -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def write(path: str, shape: list[object], weight: np.ndarray, bias: np.ndarray) -> None:
        nodes = [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], transB=1),
            helper.make_node("Softmax", ["logits"], ["p"], axis=1),
        ]
        graph = helper.make_graph(
            nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2])],
            [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)

    write("images.onnx", ["n", 1, 16, 16], WEIGHT, BIAS)
    table = np.array([[0.0, -1.0], [0.0, 1.0]], dtype=np.float32)
    write("table.onnx", ["n", 2], table, np.array([45.0, -45.0], dtype=np.float32))


def write_skops() -> None:
    import pandas
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    Path("past.csv").write_text(people(600, seed=9))
    past = pandas.read_csv("past.csv")
    steps = [("n", StandardScaler(), ["age", "hours"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    forest = RandomForestClassifier(15, max_depth=2, random_state=0)
    fitted = make_pipeline(ColumnTransformer(steps), forest).fit(past[["age", "hours", "city"]], past["label"])
    skops.io.dump(fitted, "model.skops")


def write_function() -> None:
    Path("rules_of_the_test.py").write_text(
        "import numpy as np\n\ndef says(frame):\n"
        "    return np.where(np.asarray(frame['hours'], dtype=float) > 45, 'yes', 'no')\n"
    )


WRITERS: dict[str, Callable[[], None]] = {
    "torch on images": write_torch,
    "onnx on images": write_onnx,
    "onnx on a table": write_onnx,
    "skops pipeline": write_skops,
    "function": write_function,
}


@pytest.fixture
def errata(tmp_path, monkeypatch, capsys):
    """Runs `errata WORDS` in an empty folder that holds the data; nothing of the user's is seen."""
    for name in [name for name in os.environ if name.startswith("ERRATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ERRATA_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("people.csv").write_text(people(900, seed=1))
    Path("more_people.csv").write_text(people(900, seed=2))
    Path("numbers.csv").write_text(people(900, seed=3, city=False))
    Path("more_numbers.csv").write_text(people(900, seed=4, city=False))
    np.savez("images.npz", **images(700, seed=1))
    np.savez("more.npz", **images(700, seed=2))
    modules = set(sys.modules)

    def ran(*words: object) -> Ran:
        capsys.readouterr()
        code = run_words([str(word) for word in words])
        printed = capsys.readouterr()
        return Ran(code=code, out=printed.out, err=printed.err)

    yield ran
    for name in set(sys.modules) - modules:  # the next test writes its own modules under these names
        if name.endswith("_of_the_test"):
            del sys.modules[name]


def prepared(name: str) -> Case:
    case = CASES[name]
    for package in case.needs:
        pytest.importorskip(package)
    WRITERS[name]()
    return case


@pytest.mark.parametrize("name", CASES)
def test_from_a_model_to_a_checked_run(errata, name):
    case = prepared(name)
    words = ("diagnose", case.first, "--label", "label", "--model", case.model, "--trained-on", "other",
             "--methods", "error_tree,slice_lattice", "--out", "run")  # fmt: skip
    done = errata(*words)
    assert done.code == 0, done.err
    assert {path.name for path in Path("run").iterdir()} >= FILES
    assert not Path("run/.partial").exists()
    run = load("run")
    assert run.run.predictions == "held-out"
    assert run.run.model["kind"] == case.kind
    # Wrong where it must be, not everywhere: the model was given its inputs in the right form and order of classes.
    assert 0.03 < run.run.error_rate < 0.35
    assert run.confirmed, done.out
    page = Path("run/report.html").read_text()
    assert run.confirmed[0].id in page
    assert run.confirmed[0].title[:20] in done.out + page

    row = run.confirmed[0].examples[0]
    looked = errata("explain", "run/", "--id", row)
    assert looked.code == 0, looked.err
    assert run.confirmed[0].id in looked.out

    checked = errata("check", "run/", case.fresh)
    assert checked.code == 0, checked.err
    assert "confirmed again" in checked.out
    history = json.loads(Path("run/findings.json").read_text())
    assert any("checked: confirmed again" in json.dumps(finding) for finding in history)

    again = errata(*words)
    assert again.code == 0, again.err
    assert run.confirmed[0].id in again.out
    assert load("run").run.error_rate == run.run.error_rate


def test_the_same_from_python(errata):
    prepared("function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        from rules_of_the_test import says
    finally:
        sys.path.pop(0)
    run = library.diagnose(says, "people.csv", label="label", trained_on="other", methods=["error_tree"], out="run")
    assert run.confirmed
    assert "age" in run.confirmed[0].rule.columns
    assert run.evaluation.predictions == "held-out"
    # An object in memory lies nowhere: the check says how to connect it again.
    with pytest.raises(UsageError, match=r"(?s)given as an object.*--model"):
        library.check(run, "more_people.csv")
    assert library.check(run, "more_people.csv", model=says).results[0].verdict == "confirmed again"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_a_network_in_memory_is_diagnosed_as_it_is(errata):
    import torch

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.from_numpy(WEIGHT))
        net[1].bias.copy_(torch.from_numpy(BIAS))
    net.train()
    data = images(700, seed=1)
    run = library.diagnose(net, (data["images"], data["label"]), trained_on="other", methods=["error_tree"])
    assert run.confirmed
    assert net.training


def test_a_network_cannot_be_trained_out_of_fold_and_says_so(errata):
    case = prepared("torch on images")
    done = errata("diagnose", case.first, "--model", case.model, "--out-of-fold", "3", "--out", "run")
    assert done.code == 2
    assert "cannot be trained afresh" in done.err
    assert "--trained-on" in done.err
    assert not Path("run").exists()


def test_a_changed_model_is_not_taken_for_the_old_one(errata):
    """The same words, other weights: the old run is neither shown as if it were new nor mixed with it."""
    case = prepared("onnx on a table")
    words = ("diagnose", case.first, "--label", "label", "--model", case.model, "--methods", "error_tree")
    assert errata(*words).code == 0
    (first,) = Path("errata-runs").iterdir()
    changed = Path(case.model).read_bytes().replace(np.float32(45.0).tobytes(), np.float32(40.0).tobytes())
    Path(case.model).write_bytes(changed.replace(np.float32(-45.0).tobytes(), np.float32(-40.0).tobytes()))
    assert errata(*words).code == 0
    (other,) = set(Path("errata-runs").iterdir()) - {first}
    assert load(other).run.error_rate > load(first).run.error_rate + 0.02


def test_changed_weights_are_not_taken_for_the_old_ones(errata):
    case = prepared("torch on images")
    from safetensors.torch import load_file, save_file

    words = ("diagnose", case.first, "--model", case.model, "--methods", "error_tree")
    assert errata(*words).code == 0
    (first,) = Path("errata-runs").iterdir()
    rate = load(first).run.error_rate
    weights = load_file("net.safetensors")
    save_file({name: -tensor for name, tensor in weights.items()}, "net.safetensors")
    done = errata(*words)
    assert done.code == 0, done.err
    assert all(load(folder).run.error_rate > rate + 0.2 for folder in Path("errata-runs").iterdir())


def test_an_edited_skops_file_ends_with_one_line_and_no_run(errata):
    case = prepared("skops pipeline")
    import zipfile

    with zipfile.ZipFile(case.model) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(case.model, "w") as file:
        for name, held in entries.items():
            is_tree = name.endswith(".npy") and b"left_child" in held[:400]
            file.writestr(name, held[:-64] + b"\x7f" * 64 if is_tree else held)
    done = errata("diagnose", case.first, "--label", "label", "--model", case.model, "--out", "run")
    assert done.code == 2
    assert "refused" in done.err and "Hint" in done.err and "Traceback" not in done.err
    assert not Path("run").exists()
