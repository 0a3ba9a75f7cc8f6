"""How much of what the demo shows depends on its one split: the same three runs with ten split seeds.

    python benchmarks/demo.py          about a minute

Predictions are made once for each data set; only the split into explore and confirm rows changes.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

import errata
from errata.core.dataset import Dataset
from errata.core.model import Model
from errata.datasets.roles import Roles
from errata.demo import METHODS, shifted_digits
from errata.open import open_dataset, open_model

TABLE = Path(__file__).parent / "results" / "demo.md"
SEEDS = range(10)


def main() -> None:
    digits = Roles(label="label", prediction="prediction", group="writer")
    cancer = open_model(RandomForestClassifier(random_state=0, n_jobs=2))
    rows = [
        row("cancer", open_dataset("sample:cancer"), cancer, 10),
        row("digits", open_dataset(shifted_digits(), roles=digits), None, None),
        row("quiet", open_dataset("sample:digits", roles=Roles(group="writer")), open_model(SVC(gamma=0.001)), 5),
    ]
    TABLE.write_text("\n".join([
        "# The demo under ten splits",
        "",
        f"`python benchmarks/demo.py`, {time.strftime('%Y-%m-%d')}, errata {errata.__version__}, scikit-learn "
        f"{sklearn.__version__}, numpy {np.__version__}.",
        "",
        "| run | rows wrong | splits that confirm an error | mean number | columns of the first finding (splits) |",
        "|---|---:|---:|---:|---|",
        *rows,
    ]) + "\n")  # fmt: skip


def row(name: str, data: Dataset, model: Model | None, folds: int | None) -> str:
    """One data set under every split seed; the model predicts once, in the first of them."""
    confirmed, first = [], Counter[str]()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            # The blocks of the first evaluation are read again by the others.
            evaluation = errata.evaluate(data, model=model, out_of_fold=folds, split_seed=seed, folder=Path(folder))
            found = errata.diagnose(
                evaluation, methods=METHODS, proof="split", split_seed=seed, state=Path(folder) / f"state-{seed}"
            ).confirmed
            errors = [finding for finding in found if finding.family == "errors"]
            wrong = int(evaluation.loss.sum())
            confirmed.append(len(errors))
            if errors:
                first[", ".join(errors[0].rule.columns)] += 1
    hits = sum(count > 0 for count in confirmed)
    said = "; ".join(f"{columns} ({times})" for columns, times in first.most_common(3))
    return f"| {name} | {wrong} of {len(data)} | {hits} of {len(SEEDS)} | {np.mean(confirmed):.1f} | {said} |"


if __name__ == "__main__":
    main()
