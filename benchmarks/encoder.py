"""How much the image encoder keeps: a linear model on top of it, beside one on principal components of the pixels.

    ERRATA_DATA=... python benchmarks/encoder.py --write

CIFAR-10 test images, 2,000 to fit encoder and linear model on, 2,000 to score.
"""

from __future__ import annotations

import argparse
import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np

from errata.ops.encoders import inputs, patches

RESULTS = Path(__file__).parent / "results"
FIT, SCORED = 2_000, 2_000


def cifar() -> tuple[np.ndarray, np.ndarray]:
    """(n, 32, 32, 3) uint8 and class names."""
    from PIL import Image

    with zipfile.ZipFile(Path(os.environ["ERRATA_DATA"]) / "cifar10" / "cifar10_test_jpg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        chosen = [names[at] for at in np.random.default_rng(0).permutation(len(names))[: FIT + SCORED]]
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in chosen]
    return np.stack(images), np.array([name.split("/")[-2] for name in chosen])


def probe(embedding: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of a logistic regression on rows that neither it nor the encoder saw."""
    from sklearn.linear_model import LogisticRegression

    scaled = embedding / embedding[:FIT].std()
    model = LogisticRegression(max_iter=300, C=0.1).fit(scaled[:FIT], labels[:FIT])
    return float(model.score(scaled[FIT:], labels[FIT:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    images, labels = cifar()
    rows = np.arange(len(images))
    began = time.perf_counter()
    fitted = patches.fit(lambda row: images[row], rows[:FIT], rng=np.random.default_rng(0))
    fit_seconds = time.perf_counter() - began
    began = time.perf_counter()
    ours = patches.encode(lambda row: images[row], rows, fitted)
    each = (time.perf_counter() - began) / len(rows)
    plain = inputs.fit(lambda at: images[at], rows[:FIT], rng=np.random.default_rng(0))
    theirs = inputs.encode(lambda at: images[at], len(rows), plain)
    lines = [
        "# The image encoder", "", "Written by `benchmarks/encoder.py`; its first lines say what is counted.", "",
        "| embedding | right | fitted in | per image |", "|---|---|---|---|",
        f"| encoder | {probe(ours, labels):.3f} | {fit_seconds:.1f} s | {1e3 * each:.1f} ms |",
        f"| principal components of pixels | {probe(theirs, labels):.3f} | - | - |", "",
    ]  # fmt: skip
    print("\n".join(lines))
    if asked.write:
        (RESULTS / "encoder.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
