"""From a rule and its numbers to words that a person would use."""

from __future__ import annotations

from errata.describe.sentences import describe, sentence, title, verdict
from errata.describe.wording import Wording

__all__ = ["Wording", "describe", "sentence", "title", "verdict"]
