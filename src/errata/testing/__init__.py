"""Planted failures, null worlds, tiny models and tiny data: the ground on which methods are tried.

from errata.testing import planted
world = planted("intersection", n=6_000, seed=1)
errata.diagnose(world.to_frame(), label=world.label, prediction=world.prediction)
"""

from errata.testing.nulls import NULLS, NullKind, null
from errata.testing.permuted import permuted
from errata.testing.planted import KINDS, PlantedKind, planted
from errata.testing.tiny import TINY, tiny_images, tiny_model, tiny_table
from errata.testing.world import Region, World

__all__ = [
    "KINDS",
    "NULLS",
    "TINY",
    "NullKind",
    "PlantedKind",
    "Region",
    "World",
    "null",
    "permuted",
    "planted",
    "tiny_images",
    "tiny_model",
    "tiny_table",
]
