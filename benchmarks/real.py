"""Real tables, models trained here: what a diagnosis of each says. Needs the folder of `ERRATA_DATA`.

    ERRATA_DATA=... python benchmarks/real.py [--out errata-runs/real]

Adult census: income above 50,000, gradient boosting trained on half of the rows. Bank marketing: whether a client
subscribes, without `duration`, which is known only after the call and gives the answer away. COMPAS: the score's
decile of 5 or more read as "will offend again", wrongly so (false positives) and wrongly not (false negatives).
Employment: the predictions that come with the file. Reports are written to the folder given by --out; the findings of
each go into benchmarks/results/real.md.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import errata

TABLE = Path(__file__).parent / "results" / "real.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="errata-runs/real", type=Path)
    out = parser.parse_args().out
    folder = os.environ.get("ERRATA_DATA")
    if not folder:
        sys.exit("skipped: ERRATA_DATA is not set")
    runs: list[tuple[str, Callable[[Path], pd.DataFrame], str]] = [
        ("adult", adult, "income-per-year"), ("bank", bank, "y"),
    ]  # fmt: skip
    lines = [
        "# Real tables",
        "",
        f"`python benchmarks/real.py`, {time.strftime('%Y-%m-%d')}, pandas {pd.__version__}, numpy {np.__version__}. "
        "Adult and bank: gradient boosting (scikit-learn defaults) trained on a random half, the other is diagnosed.",
    ]
    for name, read, label in runs:
        lines += trained(name, read(Path(folder)), label, out)
    scored = compas(Path(folder))
    for metric in ("false-positive", "false-negative"):
        given = {"label": "two_year_recid", "prediction": "high", "metric": metric, "positive": 1}
        lines += report(f"compas-{metric}", (scored,), given, out)
    said = {"label": "employed", "prediction": "prediction", "ignore": ("id", "year", "predicted_probability")}
    lines += report("employment", (employment(Path(folder)),), said, out)
    TABLE.write_text("\n".join(lines) + "\n")


def adult(folder: Path) -> pd.DataFrame:
    with gzip.open(folder / "adult" / "adult.csv.gz", "rt") as file:
        return pd.read_csv(file)


def bank(folder: Path) -> pd.DataFrame:
    with gzip.open(folder / "bank_marketing" / "bank-full.csv.gz", "rt") as file:
        return pd.read_csv(file).drop(columns="duration")


def compas(folder: Path) -> pd.DataFrame:
    """What was known when the score was given, the decile cut at 5, and whether there was a new offence."""
    with gzip.open(folder / "compas" / "compas-scores-two-years_noname.csv.gz", "rt") as file:
        frame = pd.read_csv(file)
    known = ["sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count",
             "c_charge_degree", "c_charge_desc", "two_year_recid"]  # fmt: skip
    return frame[known].assign(high=(frame["decile_score"] >= 5).astype(int))


def employment(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "nannyml_employment_MA" / "employment_MA_reference.pq")


def trained(name: str, frame: pd.DataFrame, label: str, out: Path) -> list[str]:
    """Train on a random half and diagnose the other."""
    train, test = train_test_split(frame, test_size=0.5, random_state=0, stratify=frame[label])
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    words = make_column_selector(dtype_include=["object", "string", "category"])
    model = make_pipeline(
        make_column_transformer((encoder, words), remainder="passthrough"),
        HistGradientBoostingClassifier(random_state=0),
    )
    model.fit(train.drop(columns=label), train[label])
    return report(name, (model, test), {"label": label}, out)


def report(name: str, given: tuple[Any, ...], options: dict[str, Any], out: Path) -> list[str]:
    """Diagnose, and list what was found."""
    began = time.perf_counter()
    diagnosis = errata.diagnose(
        *given, **options, trained_on="other", out=out / name, force=True, state=out / "state" / name
    )
    seconds = time.perf_counter() - began
    run = diagnosis.run
    lines = [
        "",
        f"## {name}",
        "",
        f"{sum(run.rows.values())} rows, {run.metric} rate {run.error_rate:.1%}, {run.tested} proposals tested, "
        f"{len(diagnosis.confirmed)} confirmed, {seconds:.1f} s.",
        "",
        "| finding | share of errors | inside | outside | q | folded |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for finding in diagnosis.confirmed:
        metric = finding.metric
        folded = f"under {finding.folded_under}" if finding.folded_under else ""
        title = finding.title.replace("|", "\\|")
        lines.append(
            f"| {title} | {finding.share_of_errors:.1%} | {metric.inside:.1%} | {metric.outside:.1%} | "
            f"{finding.q_value:.1g} | {folded} |"
        )
    return lines


if __name__ == "__main__":
    main()
