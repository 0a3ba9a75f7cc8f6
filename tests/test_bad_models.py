"""Models that fail, lie or attack, pictures that are none, and a process that is stopped or finds the disk full."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SRC = str(Path(__file__).resolve().parents[1] / "src")
DATA = os.environ.get("ERRATA_DATA")
CALL = ("diagnose", "d.csv", "--label", "label", "--ignore", "prediction", "--methods", "error_tree")

BODIES = [
    # what the model does, exit code, what is said (the error, or a caveat)
    ("raise ValueError('no\\nway')", 3, "raised on every row it was tried on"),
    ("raise MemoryError", 3, "raised on every row"),
    ("sys.exit(0)", 3, "sys.exit(0)"),
    ("predict(f)", 3, "RecursionError"),
    ("if (f['age'] > 60).any(): raise ValueError('old')", 3, "at most 1 % can be left out"),
    ("if (f['income'] == 48.956).any(): raise ValueError('that one')", 0, "1 row is left out because the model raised"),
    ("return None", 3, "`None` for 64 inputs"),
    ("return 'yes'", 3, "for 64 inputs"),
    ("return ['yes']", 0, "failed on the 64 rows of a trial together"),
    ("return np.zeros((2, len(f)))", 3, "an answer of shape `(2, 64)` for 64 inputs"),
    ("return np.zeros((len(f), 2, 3))", 3, "expected (n,) or (n, classes)"),
    ("return np.full((len(f), 7), 0.1)", 2, "7 scores per input, and the data have 2 labels"),
    ("return np.zeros((len(f), 0))", 2, "0 scores per input"),
    ("return ['cat'] * len(f)", 2, "share no class"),
    ("return [b'yes'] * len(f)", 0, "fewer than always saying"),
    ("return [np.nan] * len(f)", 3, "NaN or infinite"),
    ("return np.full((len(f), 2), np.nan)", 3, "NaN or infinite"),
    ("return np.full((len(f), 2), -np.inf)", 3, "NaN or infinite"),
    ("return np.zeros((len(f), 2))", 3, "No row has"),
    ("return np.full((len(f), 2), 0.9)", 0, ""),
    ("f.drop(f.index, inplace=True); return ['yes'] * 99", 3, "for 64 inputs"),
    ("return np.random.default_rng().random((len(f), 2))", 3, "changed its mind"),
    ("return np.where(f['age'] > f['age'].mean(), 'yes', 'no')", 3, "other answers for a row alone than in a batch"),
]


@pytest.mark.parametrize(("body", "code", "said"), BODIES, ids=[row[0] for row in BODIES])
def test_what_a_model_may_do(command, folder, predicted, body, code, said):
    predicted.to_csv("d.csv", index=False)
    plain = "return np.where(f['age'] > 50, 'yes', 'no')"
    Path("m.py").write_text(f"import sys\nimport numpy as np\n\ndef predict(f):\n    {body}\n    {plain}\n")
    ended = command(*CALL, "--model", "m.py:predict")
    assert ended.code == code, ended.err
    assert said in (ended.err or ended.caveats)
    if code == 0:
        assert len(list(folder.glob("errata-runs/*/run.json"))) == 1


def test_a_model_that_changes_the_width_of_its_answer(command, predicted):
    predicted.to_csv("d.csv", index=False)
    Path("m.py").write_text(
        "import numpy as np\nasked = 0\ndef predict(f):\n    global asked\n    asked += len(f)\n"
        "    return np.full((len(f), 2 if asked < 200 else 3), 1 / 3)\n"
    )
    ended = command(*CALL, "--model", "m.py:predict")
    assert ended.code == 3
    assert "scores of shape" in ended.err


MODULES = [
    ("raise ValueError('boom')", "ValueError: boom"), ("def predict(:", "SyntaxError"), ("sys.exit(0)", "SystemExit"),
    ("import not_there_at_all", "`not_there_at_all`, which is not installed"), ("predikt = len", "`predikt`?"),
    ("predict = None", "expected a function"), ("class predict: pass", "is a class"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said"), MODULES, ids=[row[0] for row in MODULES])
def test_modules_that_fail_when_they_are_imported(command, folder, predicted, monkeypatch, body, said):
    predicted.to_csv("d.csv", index=False)
    Path("bad_module_of_test.py").write_text(f"import sys\n{body}\n")
    for name in ("bad_module_of_test.py", "bad_module_of_test"):
        ended = command(*CALL, "--model", f"{name}:predict")
        assert ended.code == 2
        assert said in ended.err
        assert not (folder / "errata-runs").exists()
        monkeypatch.delitem(sys.modules, "bad_module_of_test", raising=False)


class Payload:
    """Opening the pickle makes a file."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


PICKLES = (
    "m.pkl", "m.PICKLE", "m.joblib", "m.pt", "m.pth", "m.ckpt", "m.bin", "m.pt2", "m.weights", "nets.py:build@m.pt",
    "m.onnx", "m.skops", "m.safetensors", "nets.py:build@m.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_refused_and_nothing_in_it_runs(command, folder, predicted, name):
    predicted.to_csv("d.csv", index=False)
    Path("nets.py").write_text("def build():\n    import torch\n\n    return torch.nn.Linear(2, 2)\n")
    Path(name.rpartition("@")[2]).write_bytes(pickle.dumps(Payload()))
    ended = command(*CALL, "--model", name)
    assert ended.code in (2, 3)  # 3 where the package that reads such files is not installed
    if not name.endswith(("onnx", "skops", "safetensors")):
        assert "is a pickle" in ended.err
        assert "--allow-pickle" in ended.err
    assert not Path("executed").exists()
    pickle.loads(pickle.dumps(Payload()))  # the payload works where it is let
    assert Path("executed").exists()


def test_data_with_pickles_in_them_are_refused(command):
    np.savez("d.npz", label=np.array([Payload()] * 9, dtype=object), x=np.arange(9))
    Path("d.csv").write_bytes(pickle.dumps(Payload()))
    for name in ("d.npz", "d.csv"):
        assert command("diagnose", name).code == 2
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["x.pkl", "x.joblib", "x.pt"])
def test_an_allowed_pickle_that_is_broken_is_no_traceback(command, predicted, name):
    predicted.to_csv("d.csv", index=False)
    Path(name).write_bytes(b"\x80\x04 no pickle")
    ended = command(*CALL, "--model", name, "--allow-pickle")
    assert ended.code in (2, 3)
    assert name in ended.err


@pytest.mark.skipif(DATA is None, reason="ERRATA_DATA is not set")
@pytest.mark.parametrize("name", ["final_idf.pkl", "final_model.pkl", "final_tfidf.pkl"])
def test_hostile_models_of_others(command, folder, predicted, name):
    predicted.to_csv("d.csv", index=False)
    path = Path(DATA) / "hate_speech_davidson" / name
    assert "is a pickle" in command(*CALL, "--model", path).err
    assert "could not be opened" in command(*CALL, "--model", path, "--allow-pickle").err
    assert [entry.name for entry in folder.iterdir()] == ["d.csv"]


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that unpacks to `side` squared pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pieces = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


@pytest.fixture
def pictures(folder) -> Path:
    """Dark and light pictures of mixed sizes, and a model that tells them apart."""
    rng = np.random.default_rng(0)
    for name, grey in (("dark", 60), ("light", 190)):
        (folder / "im" / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(rng.normal(grey, 30, (12 + number % 5, 14 + number % 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "im" / name / f"{number}.png")
    (folder / "m.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n\ndef predict(images):\n"
        "    return np.array(['dark' if np.asarray(one).mean() < 120 else 'light' for one in images])\n"
    )
    return folder / "im"


def test_pictures_of_mixed_sizes_broken_ones_and_bombs(command, pictures):
    (pictures / "dark" / "empty.png").write_bytes(b"")
    (pictures / "dark" / "cut.png").write_bytes((pictures / "dark" / "1.png").read_bytes()[:90])
    (pictures / "light" / "noise.jpg").write_bytes(np.random.default_rng(0).bytes(900))
    (pictures / "light" / "gone.png").symlink_to("/nowhere")
    (pictures / "light" / "a.png").write_bytes(bomb(9_000))
    (pictures / "light" / "b.png").write_bytes(bomb(90_000))
    ended = command("diagnose", "im", "--model", "m.py:predict", "--methods", "error_tree")
    assert ended.code == 0, ended.err
    assert "3 images cannot be read and are left out: `dark/cut.png`" in ended.caveats
    assert "2 images have over 64,000,000 pixels and are left out" in ended.caveats
    assert "Images of 15 sizes" in ended.caveats


def test_nothing_but_broken_pictures(command, pictures):
    shutil.rmtree(pictures / "light")
    for path in (pictures / "dark").iterdir():
        path.write_bytes(bomb(90_000))
    ended = command("diagnose", "im", "--model", "m.py:predict")
    assert ended.code == 2
    assert "pixels" in ended.err


def test_a_picture_that_goes_away_during_the_run(command, pictures):
    for path in pictures.glob("*/*.png"):  # too large to be kept as they are: they are read again and again
        Image.open(path).resize((90, 90)).save(path)
    code = pictures.parent / "m.py"
    code.write_text(code.read_text().replace("    return", "    Path('im/light/29.png').unlink(True)\n    return"))
    ended = command("diagnose", "im", "--model", "m.py:predict", "--methods", "error_tree")
    assert ended.code == 3
    assert "`im/light/29.png`" in ended.err


def spawned(folder: Path, before: str, *words: str, **more: object) -> subprocess.Popen[str]:
    """The command in a process of its own, after a few lines of Python."""
    body = f"import sys\n{before}\nfrom errata.cli import main\nmain(sys.argv[1:])"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERRATA_")}
    environment = kept | {"PYTHONPATH": SRC, "ERRATA_STATE": str(folder / "state"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", body, *words], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **more,
    )  # fmt: skip


COUNTS = """
import time
from pathlib import Path
import numpy as np

def predict(f):
    with Path("asked").open("a") as file:
        file.write(f"{len(f)}\\n")
    if len(Path("asked").read_text().split()) == 14 and not Path("again").exists():
        print("here", flush=True)
        time.sleep(60)
    return np.where(f["age"] > 50, "yes", "no")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_stopped_in_the_middle_goes_on_where_it_was(folder, predicted, sent, code):
    predicted.to_csv("d.csv", index=False)
    Path("m.py").write_text(textwrap.dedent(COUNTS))
    # Small batches, each a block of its own, so that there is a middle.
    small = "import errata.engine.predict as p\np.BLOCK_SECONDS = 0.0\np.FIRST_BATCH = p.LARGEST_BATCH = 20"
    call = (*CALL, "--model", "m.py:predict", "--out", "run")
    with spawned(folder, small, *call) as process:
        assert process.stdout.readline() == "here\n", process.stderr.read()
        process.send_signal(sent)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said
    if sent == signal.SIGINT:
        assert "goes on from there" in said
    assert not Path("run/run.json").exists()
    kept = len(list(Path("run/.partial/predictions").glob("[0-9]*.npz")))
    assert kept >= 2
    with spawned(folder, "", "run/") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "is not finished" in said
    Path("asked").unlink()
    Path("again").touch()
    with spawned(folder, small, *call) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path("run/run.json").exists()
    assert not Path("run/.partial").exists()
    batches = [int(line) for line in Path("asked").read_text().split()]
    assert batches.count(20) + batches.count(19) <= 12 - kept  # the blocks that were whole are not predicted again


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
@pytest.mark.parametrize("limit", [0, 600, 9_000])
def test_a_disk_that_is_full(folder, predicted, limit):
    predicted.to_csv("d.csv", index=False)
    Path("m.py").write_text("import numpy as np\n\ndef predict(f):\n    return np.where(f['age'] > 50, 'yes', 'no')\n")
    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    with spawned(folder, full, *CALL, "--model", "m.py:predict", "--out", "run") as process:
        out, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "could not be written" in said
    assert "Hint: " in said
    assert "Traceback" not in said
    assert out == ""
    whole = [path for path in Path("run").rglob("*") if path.is_file() and ".partial" not in path.parts]
    assert whole == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
def test_a_full_disk_leaves_what_was_there(command, folder, predicted):
    predicted.to_csv("d.csv", index=False)
    assert command("diagnose", "d.csv", "--methods", "error_tree", "--out", "run").code == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    full = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))"
    for words in (
        ("report", "run"), ("export", "run", "--as", "markdown", "--out", "findings.md"),
        ("diagnose", "d.csv", "--methods", "error_tree", "--out", "run", "--force"),
    ):  # fmt: skip
        with spawned(folder, full, *words) as process:
            _, said = process.communicate(timeout=60)
        assert process.returncode == 3, said
        assert "Hint: " in said
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    assert not Path("findings.md").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
def test_a_check_on_a_full_disk_changes_neither_findings_nor_report(command, folder, predicted):
    predicted.to_csv("d.csv", index=False)
    predicted.assign(income=predicted.income + 0.5).to_csv("fresh.csv", index=False)
    assert command("diagnose", "d.csv", "--methods", "error_tree", "--out", "run").code == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    limit = Path("run/report.html").stat().st_size // 2
    assert Path("run/findings.json").stat().st_size < limit / 2
    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    with spawned(folder, full, "check", "run", "fresh.csv") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "Hint: " in said
    assert "Traceback" not in said
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    assert command("check", "run", "fresh.csv").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
@pytest.mark.parametrize("limit", [0, 9_000])
def test_a_demo_on_a_full_disk_leaves_nothing_half_written(folder, limit):
    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    with spawned(folder, full, "demo") as process:
        out, said = process.communicate(timeout=120)
    assert process.returncode == 3, said
    assert "could not be written" in said
    assert "Hint: " in said
    assert "Traceback" not in said
    assert out == ""
    # Predictions that were whole stay, for a demo that goes on.
    assert not [path for path in Path().rglob("*") if path.is_file() and ".partial" not in path.parts]
