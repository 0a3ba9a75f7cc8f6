"""The demo: real models, real data, and nothing said that the runs do not hold."""

from __future__ import annotations

import json
from pathlib import Path

from errata import demo


def test_the_demo_makes_three_ordinary_runs_and_one_report(tmp_path: Path) -> None:
    steps: list[float] = []
    made = demo.run(tmp_path / "demo", progress=lambda share, words: steps.append(share))
    assert [diagnosis.folder.name for diagnosis in made] == ["cancer", "digits", "quiet"]
    assert steps == sorted(steps)
    for diagnosis in made:
        folder = Path(diagnosis.folder)
        run = json.loads((folder / "run.json").read_text())
        assert run["tested"] == sum(family["tested"] for family in run["families"])
        assert (folder / "report.html").stat().st_size < 5_000_000
    page = (tmp_path / "demo" / "report.html").read_text()
    assert all(diagnosis.run.data["name"] in page for diagnosis in made)
    cancer, digits, quiet = made
    assert cancer.run.predictions == quiet.run.predictions == "out-of-fold"
    assert digits.run.predictions == "held-out"
    assert any("thicker or thinner" in caveat for caveat in digits.run.caveats)
    assert any(name.startswith("image.") for name in digits.evaluation.features)
    assert not quiet.confirmed
    # Showing the demo again is a repeat of the same look, not a second one.
    assert demo.cancer(tmp_path / "demo" / "cancer").run.looks == 1
