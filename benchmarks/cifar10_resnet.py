"""The CIFAR-10 test images with what two residual networks say of them; needs the folder of `ERRATA_DATA`.

    ERRATA_DATA=... python benchmarks/cifar10_resnet.py       runs both networks once, for the benchmarks that need them

The networks were trained on the original images and read JPEG copies here, which costs ten points of accuracy.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional

WEIGHTS = {"resnet20": "resnet20-12fca82f.th", "resnet56": "resnet56-4bfd9763.th"}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """Test images in the order of the archive, their labels, and a network's scores and penultimate layer."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8]
    scores: NDArray[np.float32]
    penultimate: NDArray[np.float32]


class Block(nn.Module):
    """Two convolutions beside a shortcut; where the size halves, the shortcut takes every second pixel."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.pad = (after - before) // 2
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return functional.relu(out + x)


class ResNet(nn.Module):
    """Three stages of blocks for images of 32 x 32, as in the paper that introduced residual networks."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16, blocks, 1)
        self.layer2 = stage(16, 32, blocks, 2)
        self.layer3 = stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, 10)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        out = functional.relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(out))).mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.embed(x))


def stage(before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(before, after, stride)
    return nn.Sequential(first, *(Block(after, after, 1) for _ in range(blocks - 1)))


def network(folder: Path, name: str) -> ResNet:
    """A trained network, in evaluation mode."""
    stored = torch.load(folder / "cifar10_models" / WEIGHTS[name], weights_only=True, map_location="cpu")
    model = ResNet(blocks=(int(name.removeprefix("resnet")) - 2) // 6)
    model.load_state_dict({key.removeprefix("module."): value for key, value in stored["state_dict"].items()})
    return model.eval()


def images(folder: Path) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.uint8]]:
    """Class names, labels (10,000,) and images (10,000, 32, 32, 3), in the order of the archive."""
    with zipfile.ZipFile(folder / "cifar10" / "cifar10_test_jpg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names])
    said = [name.split("/")[-2] for name in names]
    classes, labels = np.unique(said, return_inverse=True)
    return tuple(map(str, classes)), labels.astype(np.int64), pixels


def read(folder: Path, name: str) -> Read:
    """The test set as one network sees it; kept in the temporary folder, because it takes minutes."""
    kept = Path(tempfile.gettempdir()) / f"errata-cifar10-{name}.npz"
    if kept.exists():
        with np.load(kept) as stored:
            said = {key: stored[key] for key in ("labels", "images", "scores", "penultimate")}
            return Read(classes=tuple(stored["classes"].tolist()), **said)
    classes, labels, pixels = images(folder)
    model = network(folder, name)
    scores, penultimate = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), 250):
            batch = torch.from_numpy(pixels[start : start + 250]).permute(0, 3, 1, 2).float() / 255.0
            batch = (batch - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
            embedded = model.embed(batch)
            penultimate.append(embedded.numpy())
            scores.append(torch.softmax(model.linear(embedded), dim=1).numpy())
    found = Read(
        classes=classes, labels=labels, images=pixels, scores=np.concatenate(scores),
        penultimate=np.concatenate(penultimate),
    )  # fmt: skip
    np.savez(kept, classes=np.array(classes), labels=labels, images=pixels, scores=found.scores,
             penultimate=found.penultimate)  # fmt: skip
    return found


if __name__ == "__main__":
    for each in WEIGHTS:
        found = read(Path(os.environ["ERRATA_DATA"]), each)
        print(each, f"accuracy {(found.scores.argmax(1) == found.labels).mean():.4f}")
