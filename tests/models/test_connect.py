"""One door for every kind of model."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.model import ModelSpec, Output
from errata.models.connect import connect, load_object


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mine_of_test.py").write_text(
        "def judge(x):\n    return x[:, 0]\n\nclass Home:\n    inner = judge\n\nimport_me = 1\n"
    )
    (tmp_path / "needy_of_test.py").write_text("import no_such_package_here\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_objects_by_name(module):
    path = list(sys.path)
    assert connect("mine_of_test:judge").spec.name == "judge"
    assert load_object("mine_of_test:Home.inner") is load_object("mine_of_test:judge")
    assert connect(f"{module / 'mine_of_test.py'}:judge").predict(np.ones((2, 1))).labels.tolist() == [1, 1]
    assert sys.path == path


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mine_of_test:jugde", "`judge`"),
        ("mine_of_test_:judge", "no module"),
        ("needy_of_test:f", "needs `no_such_package_here`"),
        ("gone.py:f", r"no file `gone\.py`"),
        ("gone.onnx", r"no file `gone\.onnx`"),
        ("what is this", "There is no model"),
        ("mine_of_test:import_me", "expected a function"),
        ("mine_of_test.py", "no model that is known"),
        (":x", "names no object"),
    ],
)
def test_slips_are_named(module, target, words):
    with pytest.raises(UsageError, match=words):
        connect(target)


def test_a_model_is_itself():
    class Own:
        spec = ModelSpec(name="own", kind="own")

        def predict(self, inputs):
            return Output(values=np.zeros(len(inputs)))

    own = Own()
    assert connect(own) is own


def test_classes_are_no_models():
    with pytest.raises(UsageError, match="is a class"):
        connect(dict)


def test_nothing_heavy_is_loaded_for_a_function():
    import subprocess

    code = (
        "import sys; from errata.models.connect import connect; import numpy as np;"
        "connect(lambda x: x[:, 0] > 0).predict(np.zeros((2, 2)));"
        "heavy = {'sklearn', 'torch', 'onnx', 'onnxruntime', 'pandas', 'scipy', 'narwhals'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    from pathlib import Path

    source = str(Path(__file__).parents[2] / "src")
    import os

    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": source}, capture_output=True)
    assert ended.returncode == 0, ended.stderr
