"""A served model diagnosed from the command line: killed and resumed, limited, changed in the middle, with a key."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import errata
from errata.models.http.kept import FILE
from errata.testing.served import Fault, served

ROOT = Path(__file__).resolve().parents[1]
N = 600
PROBES = 8


def write_people(path: Path, *, n: int = N, seed: int = 0) -> pd.DataFrame:
    """People of whom the old ones are labelled against the model."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.uniform(18, 90, n).round(3), "hours": rng.uniform(20, 70, n).round(3),
                          "city": rng.choice(["oslo", "lima"], n)})  # fmt: skip
    frame["label"] = np.where((frame["hours"] > 45) ^ (frame["age"] > 75), "yes", "no")
    frame.to_csv(path, index=False)
    return frame


QUICK = ("--methods", "error_tree", "--proof", "split")


def says(rows):
    return ["yes" if row["hours"] > 45 else "no" for row in rows]


def answered_on_disk(run: Path) -> int:
    lines = [json.loads(line) for line in (run / ".partial" / FILE).read_bytes().splitlines() if line.endswith(b"}")]
    return len({digest for line in lines for digest in line.get("said", {}) if ":" not in digest})


def test_killed_and_resumed_without_repeating_a_call(folder, command):
    write_people(folder / "people.csv")
    with served(says, faults=lambda number: Fault(delay=0.01)) as server:
        words = ["diagnose", "people.csv", *QUICK, "--label", "label", "--model", f"{server.url}#batch=5&concurrency=3",
                 "--out", "run", "--max-calls", "1000"]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([sys.executable, "-m", "errata", *words], cwd=folder, env=environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        deadline = time.monotonic() + 60
        while server.calls < 70 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert process.poll() is None, process.stderr.read().decode()
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.1)
        assert not (folder / "run" / "run.json").exists()
        known, before = answered_on_disk(folder / "run"), server.rows
        assert 200 < known < N
        ended = command(*words)
        assert ended.code == 0, ended.err
        assert server.rows - before == N - known + PROBES, "only what was not answered, and the probes at the end"
        assert (folder / "run" / "run.json").is_file()
        assert not (folder / "run" / ".partial").exists()
        assert f"{N} different rows" in ended.caveats
        findings = json.loads((folder / "run" / "findings.json").read_text())
        assert any("age" in finding["rule"]["text"] for finding in findings if finding["status"] == "confirmed")
        calls = server.calls
        assert command(*words).code == 0
        assert server.calls == calls, "a run that is there is shown"


def test_interrupted_by_ctrl_c_it_goes_on(folder):
    write_people(folder / "people.csv")
    with served(says, faults=lambda number: Fault(delay=0.02)) as server:
        words = [sys.executable, "-m", "errata", "diagnose", "people.csv", *QUICK, "--label", "label", "--out", "run",
                 "--model", f"{server.url}#batch=5&concurrency=3"]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while server.calls < 60 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said.decode()
        assert "what was computed so far is kept in `run`" in said.decode()
        assert "Traceback" not in said.decode()
        known, before = answered_on_disk(folder / "run"), server.rows
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert server.rows - before == N - known + PROBES


def test_calls_that_are_spent_end_the_run_and_more_of_them_go_on(folder, command):
    write_people(folder / "people.csv")
    with served(says) as server:
        words = ["diagnose", "people.csv", *QUICK, "--label", "label", "--model", f"{server.url}#batch=5"]
        ended = command(*words, "--max-calls", "40")
        assert ended.code == 3
        assert "`--max-calls 40` are spent" in ended.err
        assert f"of {N} rows are answered, and kept in `errata-runs/people-" in ended.err
        assert "more --max-calls" in ended.err
        # Never more; a call that was about to be made when the last one was spent is not made any more.
        assert 40 - server.at_once <= server.calls <= 40
        rows = server.rows
        ended = command(*words, "--max-calls", "400")
        assert ended.code == 0, ended.err
        assert server.calls < 200
        assert server.rows - rows == N - (rows - 64 - 6) + PROBES
        assert len(list((folder / "errata-runs").iterdir())) == 1


def test_rows_without_an_answer_are_left_out_with_a_caveat(folder, command):
    frame = write_people(folder / "people.csv")
    strange = float(frame["age"].iloc[100])

    def picky(rows):
        if any(row["age"] == strange for row in rows):
            raise ValueError("too odd an age")
        return says(rows)

    with served(picky) as server:
        ended = command("diagnose", "people.csv", *QUICK, "--label", "label", "--model", server.url)
    assert ended.code == 0, ended.err
    assert "1 row is left out because the model raised" in ended.caveats
    assert "too odd an age" in ended.caveats


@pytest.mark.parametrize("named", [False, True])
def test_another_order_of_classes_in_the_middle(folder, command, named):
    """With names the order does not matter; without them the rows that are asked again at the end give it away."""
    write_people(folder / "people.csv")
    turned = threading.Event()

    def scores(rows):
        if server.rows > 300:
            turned.set()
        order = slice(None, None, -1) if turned.is_set() else slice(None)
        rows_scores = [[0.1, 0.9] if row["hours"] > 45 else [0.8, 0.2] for row in rows]
        return [dict(list(zip(["no", "yes"], s, strict=True))[order]) if named else s[order] for s in rows_scores]

    with served(scores, faults=lambda number: None) as server:
        ended = command(
            "diagnose", "people.csv", *QUICK, "--label", "label", "--model", f"{server.url}#batch=10&concurrency=1"
        )
    if named:
        assert ended.code == 0, ended.err
    else:
        assert ended.code == 3
        assert "changed while it was asked: 8 rows were asked again at the end" in ended.err


def test_another_number_of_scores_in_the_middle_says_how_to_begin_again(folder, command):
    """What was kept would end the next run too, also with a server that is mended."""
    write_people(folder / "people.csv")
    broken = [True]

    def scores(rows):
        wide = [0.0] if broken[0] and server.calls > 30 else []
        return [[0.1, 0.9, *wide] if row["hours"] > 45 else [0.9, 0.1, *wide] for row in rows]

    words = ("diagnose", "people.csv", *QUICK, "--label", "label", "--out", "run")
    with served(scores) as server:
        ended = command(*words, "--model", f"{server.url}#batch=20&concurrency=1")
        assert ended.code == 3
        assert "expected (1, 2) as in the batch before" in ended.err
        assert "remove the run's folder" in ended.err
        broken[0] = False
        shutil.rmtree(folder / "run")
        assert command(*words, "--model", f"{server.url}#batch=20&concurrency=1").code == 0


def test_half_a_surrogate_pair_for_a_class_is_written(folder, command):
    write_people(folder / "people.csv")
    with served(lambda rows: ["\ud83d" if row["age"] < 22 else says([row])[0] for row in rows]) as server:
        ended = command("diagnose", "people.csv", *QUICK, "--label", "label", "--model", server.url, "--out", "run")
    assert ended.code == 0, ended.err


def test_a_random_model_is_refused_early(folder, command):
    write_people(folder / "people.csv")
    rng = np.random.default_rng(0)
    with served(lambda rows: [str(rng.choice(["yes", "no"])) for _ in rows]) as server:
        ended = command("diagnose", "people.csv", *QUICK, "--label", "label", "--model", server.url)
        assert ended.code == 3
        assert "changed its mind" in ended.err
        assert server.calls < 10


def test_the_key_is_nowhere(folder, command, monkeypatch):
    """Neither in the run, nor in its report, nor on the screen, also where the server repeats it in an error."""
    write_people(folder / "people.csv")
    key = "hush-4f9a2c"
    monkeypatch.setenv("KEY_OF_TEST", key)
    wrong = Fault(status=401, body=json.dumps({"error": {"message": f"Incorrect key provided: {key}"}}))
    with served(says) as server:
        (folder / "endpoint.toml").write_text(f'url = "{server.url}"\nkey_env = "KEY_OF_TEST"\n')
        ended = command(
            "diagnose", "people.csv", *QUICK, "--label", "label", "--model", "endpoint.toml", "--out", "run"
        )
        assert ended.code == 0, ended.err
        assert server.headers["Authorization"] == f"Bearer {key}"
    with served(says, faults=lambda number: wrong if number > 3 else None) as server:
        url = f"{server.url}#key_env=KEY_OF_TEST&batch=5"
        refused = command("diagnose", "people.csv", *QUICK, "--label", "label", "--model", url, "--out", "other")
        assert refused.code == 3
        assert "Incorrect key provided: ***" in refused.err
    monkeypatch.delenv("KEY_OF_TEST")
    missing = command(
        "diagnose", "people.csv", *QUICK, "--label", "label", "--model", "endpoint.toml", "--out", "third"
    )
    assert missing.code == 2
    assert "`KEY_OF_TEST` is not set" in missing.err
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == FILE for path in written)
    for path in written:
        assert key.encode() not in path.read_bytes(), path
    for one in (ended, refused, missing):
        assert key not in one.out + one.err


def test_nobody_at_home_is_said(folder, command):
    write_people(folder / "people.csv")
    with served(says, shape="v2", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]) as server:
        url = server.url
    ended = command("diagnose", "people.csv", *QUICK, "--label", "label", "--model", url)
    assert ended.code == 3
    assert "does not answer" in ended.err


def test_a_language_model_on_texts(folder, command):
    rng = np.random.default_rng(0)
    words = ["plot", "actor", "music", "scene", "story"]
    texts = [
        f"{'not ' if rng.random() < 0.3 else ''}{rng.choice(['good', 'bad'])} {rng.choice(words)} {i}"
        for i in range(240)
    ]
    labels = ["pos" if ("good" in text) != text.startswith("not") else "neg" for text in texts]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / "texts.csv", index=False)

    def answer(rows):
        return ["I'm sorry, I cannot help with that." if row.endswith(" 7") else "Pos" if "good" in row else "neg."
                for row in rows]  # fmt: skip

    with served(answer, shape="chat") as server:
        ended = command(
            "diagnose", "texts.csv", *QUICK, "--label", "label", "--text", "text", "--model", server.url, "--out", "run"
        )
        assert ended.code == 0, ended.err
        assert server.calls == 240 + 4 + 8
    assert "For 1 rows the model refused to answer" in ended.caveats
    run = json.loads((folder / "run" / "run.json").read_text())
    assert run["model"]["kind"] == "language model"
    assert run["model"]["fingerprint"] is None


def test_in_python_with_a_limit():
    frame = pd.DataFrame({"hours": np.arange(300.0), "label": ["yes" if i > 45 else "no" for i in range(300)]})
    with served(says) as server:
        with pytest.raises(errata.core.errors.ErrataError, match="max-calls 3"):
            errata.diagnose(server.url, frame, label="label", max_calls=3, proof="split")
        assert server.calls == 3


def test_a_check_keeps_to_its_limit(folder, command):
    write_people(folder / "people.csv")
    write_people(folder / "later.csv", n=400, seed=1)
    with served(says) as server:
        model = f"{server.url}#batch=5"
        ended = command("diagnose", "people.csv", *QUICK, "--label", "label", "--model", model, "--out", "run")
        assert ended.code == 0, ended.err
        before, calls = (folder / "run" / "findings.json").read_bytes(), server.calls
        ended = command("check", "run", "later.csv", "--max-calls", "20")
        assert ended.code == 3
        assert "`--max-calls 20` are spent" in ended.err
        assert "kept" not in ended.err, "a check that was cut short begins again"
        assert 20 - server.at_once <= server.calls - calls <= 20
        assert (folder / "run" / "findings.json").read_bytes() == before
        calls = server.calls
        ended = command("check", "run", "later.csv", "--max-calls", "200")
        assert ended.code == 0, ended.err
        assert "confirmed again" in ended.out
        assert 400 / 5 <= server.calls - calls <= 200
        calls = server.calls
        with pytest.raises(errata.core.errors.ErrataError, match="max-calls 3"):
            errata.check("run", "later.csv", max_calls=3)
        assert server.calls - calls <= 3


@pytest.mark.skipif(
    importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("uvicorn") is None,
    reason="fastapi and uvicorn are not installed",
)
def test_a_fastapi_server_of_ours(tmp_path):
    import fastapi
    import uvicorn

    app = fastapi.FastAPI()
    seen: list[int] = []

    @app.post("/classify")
    def classify(body: dict) -> dict:
        rows = body["people"]
        if len(rows) > 50:
            raise fastapi.HTTPException(422, "at most 50 people")
        seen.append(len(rows))
        return {"result": [{"verdict": word} for word in says(rows)]}

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    frame = write_people(tmp_path / "people.csv")
    file = tmp_path / "endpoint.toml"
    file.write_text(f'url = "http://127.0.0.1:{port}/classify"\ntemplate = {{ people = "$rows" }}\n'
                    'answer = "result.*.verdict"\n')  # fmt: skip
    try:
        evaluation = errata.evaluate(errata.open_model(file), errata.open_dataset(frame), folder=tmp_path / "run")
    finally:
        server.should_exit = True
        thread.join(10)
    assert max(seen) <= 50
    truth = np.where(frame["hours"] > 45, "yes", "no")
    assert [evaluation.classes[code] for code in evaluation.predicted] == truth.tolist()
    assert any("at most 50 people" in caveat for caveat in evaluation.caveats)


def test_an_endpoint_is_never_reused_elsewhere(tmp_path):
    frame = write_people(tmp_path / "people.csv", n=120)
    with served(says) as server:
        for name in ("one", "two"):
            before = server.rows
            errata.diagnose(
                server.url, frame, label="label", out=tmp_path / name, state=tmp_path / "state", methods=["error_tree"],
                proof="split",
            )  # fmt: skip
            assert server.rows - before >= 120
