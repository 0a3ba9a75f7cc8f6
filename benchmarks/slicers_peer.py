"""`spotlight` and `multiaccuracy` beside the slicers of the same names in Domino's repository: precision at ten.

    python benchmarks/slicers_peer.py CHECKOUT            prints; CHECKOUT is github.com/HazyResearch/domino at 5284ad8
    python benchmarks/slicers_peer.py CHECKOUT --write    and writes results/slicers_peer.md

The released package has neither slicer in this form, so their two files are loaded from a checkout, untouched, without
the package around them (meerkat and tqdm are stubbed); they run on this environment's torch and scikit-learn.

Settings, scores and the counting are those of `domino_peer.py`: planted digits, 20 principal components, fitted on one
half, the best P@10 of five slices on the other. Slices are ranked by the originals' own memberships and by our rules'
scores. The originals' defaults: Spotlight 1,000 steps of .001 from the origin, and, as that hardly moves on these
scales, the same at .05; multiaccuracy with a tenth of the rows, the last ones, to choose among its auditors, and no
rule when to stop, while ours gives no direction that explains no more than chance does. Where an original raises it
counts as 0, and how often that was is said.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from domino_peer import Setting, best, evaluation, settings

import errata
from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.methods.discover.multiaccuracy import Multiaccuracy
from errata.methods.discover.spotlight import Spotlight

TABLE = Path(__file__).parent / "results" / "slicers_peer.md"
SLICES = 5
OURS: dict[str, Any] = {
    "spotlight: Errata, defaults": Spotlight(),
    "spotlight: Errata, as published": Spotlight(faithful=True),
    "multiaccuracy: Errata, defaults": Multiaccuracy(),
    "multiaccuracy: Errata, never stopping": Multiaccuracy(chance=0.0),
}
Slicing = Callable[[Setting], list[np.ndarray]]


def originals(checkout: Path) -> dict[str, Slicing]:
    """What makes the originals' memberships (rows held out) of a setting, by name."""
    for name, found in {
        "meerkat": {"DataFrame": type("DataFrame", (), {}), "Column": type("Column", (), {})},
        "meerkat.columns": {}, "meerkat.columns.tensor": {},
        "meerkat.columns.tensor.torch": {"TorchTensorColumn": type("TorchTensorColumn", (), {})},
        "tqdm": {"tqdm": lambda rows, **more: rows},
        "domino": {"__path__": [str(checkout / "domino")]},
        "domino._slice": {"__path__": [str(checkout / "domino" / "_slice")]},
    }.items():  # fmt: skip
        module = types.ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(found)
        sys.modules[name] = module
    from domino._slice.multiaccuracy import MultiaccuracySlicer
    from domino._slice.spotlight import SpotlightSlicer

    def slicing(make: Callable[[], Any]) -> Slicing:
        def run(setting: Setting) -> list[np.ndarray]:
            e, h = setting.explore, ~setting.explore
            s = np.clip(setting.s, 1e-6, 1 - 1e-6)  # their logits of 0 and 1 are infinite
            slicer = make()
            slicer.fit(data=None, embeddings=setting.x[e], targets=setting.y[e], pred_probs=s[e])
            membership = slicer.predict_proba(data=None, embeddings=setting.x[h], targets=setting.y[h], pred_probs=s[h])
            return list(np.asarray(membership, dtype=np.float64).T)

        return run

    return {
        "spotlight: original, steps of .001": slicing(lambda: SpotlightSlicer(n_slices=SLICES)),
        "spotlight: original, steps of .05": slicing(lambda: SpotlightSlicer(n_slices=SLICES, learning_rate=0.05)),
        "multiaccuracy: original": slicing(lambda: MultiaccuracySlicer(n_slices=SLICES)),
    }


def ours(method: Any) -> Slicing:
    def run(setting: Setting) -> list[np.ndarray]:
        whole = evaluation(setting)
        held = whole.part(CONFIRM)
        slices = method.run(whole.explore(), Job(rng=np.random.default_rng(0)))
        return [one.rule.score(held) for one in slices[:SLICES]]

    return run


def compared(sides: dict[str, Slicing]) -> list[str]:
    """The table."""
    every = list(settings())
    kinds = list(dict.fromkeys(setting.kind for setting in every))
    head = [f"{kind} ({sum(setting.kind == kind for setting in every)})" for kind in kinds]
    lines = [
        f"| P@10, best of five slices | {' | '.join(head)} | mean | seconds a fit | raised |",
        "|---" * (len(kinds) + 4) + "|",
    ]
    for name, slicing in sides.items():
        found: dict[str, list[float]] = defaultdict(list)
        raised, began = 0, time.process_time()
        for setting in every:
            held = setting.truth[:, ~setting.explore]
            try:
                found[setting.kind].append(best(slicing(setting), held))
            except ValueError as error:
                if "empty sequence" not in str(error):  # no part of the rows is large enough for an auditor
                    raise
                raised += 1
                found[setting.kind].append(0.0)
        seconds = (time.process_time() - began) / len(every)
        means = [float(np.mean(found[kind])) for kind in kinds]
        told = " | ".join(f"{mean:.3f}" for mean in (*means, np.mean(means)))
        lines.append(f"| {name} | {told} | {seconds:.2f} | {raised or ''} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    sides = {**originals(asked.checkout), **{name: ours(method) for name, method in OURS.items()}}
    order = sorted(sides, key=lambda name: name.startswith("multiaccuracy"))
    text = "\n".join([
        "# Spotlight and multiaccuracy beside the originals", "",
        "Written by `benchmarks/slicers_peer.py`, whose first lines say what is done.", "",
        f"errata {errata.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}; "
        f"{datetime.now(UTC).date().isoformat()}; one thread.",
        "", *compared({name: sides[name] for name in order}), "",
    ])  # fmt: skip
    print(text)
    if asked.write:
        TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
