"""Peers that need libraries of their own: what is pinned, and one virtual environment for each, made once.

python benchmarks/peers.py            makes all of them, before the benchmarks ask for them
"""

from __future__ import annotations

import subprocess
import tempfile
import venv
from pathlib import Path

PINS = {
    "sliceline": ("sliceline==0.3.0",),
    "cleanlab": ("cleanlab==2.9.0",),
    # Newer versions of each of these break the peer.
    "erroranalysis": (
        "erroranalysis==0.5.5", "raiutils", "numpy<2", "pandas<2", "scikit-learn==1.5.2", "scipy<1.14", "shap<0.47",
        "setuptools<81",
    ),
}  # fmt: skip
"""What pip installs for each peer."""


def peer_python(name: str) -> Path:
    """The interpreter of a peer's environment, which lies under the temporary folder."""
    folder = Path(tempfile.gettempdir()) / f"errata-peer-{name}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINS[name]], check=True)
        (folder / "ready").touch()
    return python


if __name__ == "__main__":
    for peer in PINS:
        print(peer, peer_python(peer))
