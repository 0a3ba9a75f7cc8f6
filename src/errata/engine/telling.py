"""What findings are told with beside their own sentence: phrases that fit their images, and other words for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool
from errata.core.errors import CannotRunError, ErrataError, UsageError
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence
from errata.core.finding import Finding
from errata.core.model import Model
from errata.describe.captions import Phrases, caption, read_phrases
from errata.describe.rewording import Writer, reworded
from errata.engine.remote import Remote

__all__ = ["Pair", "Telling"]

COLUMN = "embedding:clip"
_BATCH = 256

OpenPair = Callable[[str], "Pair"]
OpenWriter = Callable[[Any, Path | None], Writer]


class Pair(Protocol):
    """The text side of a pair of encoders."""

    @property
    def fingerprint(self) -> str: ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) float32 vectors of length one, in the space of the images."""
        ...


@dataclass(kw_only=True, eq=False)
class Telling:
    """The phrases and the language model of a run, opened when they are needed.

    phrases  the user's own, None for ours
    writer   None where nothing is put into other words
    caveats  what the run should say of them
    max_calls
             how many calls may be made in all where other words were asked for, those to the model among them
    """

    open_pair: OpenPair
    phrases: tuple[str, ...] | None = None
    writer: Writer | None = None
    caveats: list[str] = field(default_factory=list)
    max_calls: int | None = None
    _remote: Remote | None = None
    _known: Phrases | None = None

    @classmethod
    def asked(
        cls, captions: Any, reword: Any, *, open_pair: OpenPair, open_writer: OpenWriter, has_pair: bool,
        folder: Path | None = None, max_calls: int | None = None,
    ) -> Telling:  # fmt: skip
        """What the user asked for, refused at once where it cannot be done, before anything takes time.

        captions  a file or a list of phrases, None for ours
        reword    an endpoint's URL or its file of settings, None for none
        has_pair  whether the run has encoders for images and texts
        max_calls how many calls to endpoints may be made in all, None for any number
        Raises UsageError for captions that cannot be read or compared, and for settings that do not fit.
        """
        if captions is not None and not has_pair:
            raise UsageError(
                "`captions` compares phrases with images, and there are no encoders for both.",
                hint="add --embedding clip:FOLDER with the folder of a CLIP-like pair.",
            )
        told = cls(open_pair=open_pair, phrases=None if captions is None else read_phrases(captions))
        if reword is not None:
            if max_calls is not None and max_calls < 1:
                raise UsageError(f"`max_calls` is `{max_calls}`.", hint="a whole number above 0.")
            told.max_calls = max_calls
            try:
                told.writer = open_writer(reword, folder)
            except CannotRunError as error:
                told.caveats.append(f"Nothing was put into other words: {_first_line(error)}")
        return told

    def beside(self, model: Model) -> Model:
        """The model under the limit: its calls come first, and what they leave is for other words."""
        if self.max_calls is not None and isinstance(model, Remote):
            model.limit(self.max_calls)
            self._remote = model
        return model

    def of_images(self, evaluation: Evaluation, *, members: Bool) -> tuple[Evidence, ...]:
        """The phrases that mark a finding's images; nothing without a pair, and where no phrase holds."""
        phrases = self._opened(evaluation)
        found = None if phrases is None else caption(evaluation, members=members, phrases=phrases)
        return () if found is None else (found,)

    def in_other_words(self, findings: Sequence[Finding], evaluation: Evaluation) -> tuple[Finding, ...]:
        """Findings with other words beside the sentences of the confirmed ones, as far as these passed the checks."""
        if self.writer is None:
            return tuple(findings)
        if self.max_calls is not None:
            self.writer.limit(self.max_calls - (0 if self._remote is None else self._remote.calls))
        told = reworded(findings, evaluation, self.writer)
        self.caveats += told.caveats
        return told.findings

    def settings(self) -> dict[str, Any]:
        """What of this makes another run, as the run says it of itself; empty where nothing was asked for."""
        said = {"captions": None if self.phrases is None else _digest(self.phrases),
                "reword": None if self.writer is None else self.writer.name}  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}

    def _opened(self, evaluation: Evaluation) -> Phrases | None:
        """The phrases with the text side of the pair that made the images' embedding."""
        source = next((one for one in evaluation.dataset.sources if one.kind == COLUMN), None)
        if self._known is not None or source is None or COLUMN not in evaluation.dataset.table:
            if self.phrases is not None and self._known is None:
                self.caveats.append(f"Images have no captions: the data brought a column `{COLUMN}` of their own.")
            return self._known
        folder = str(source.options.get("folder"))
        lines = read_phrases(None) if self.phrases is None else self.phrases
        try:
            pair = self.open_pair(folder)
        except ErrataError as error:
            # Only an evaluation of an earlier call can have lost its folder.
            if self.phrases is not None:
                raise
            self._known = Phrases(column=COLUMN, lines=(), encode=_nothing)
            self.caveats.append(f"Images have no captions: {_first_line(error)}")
            return self._known
        if pair.fingerprint != source.options.get("weights"):
            raise UsageError(
                f"The encoder in `{folder}` is another than the one of the images.",
                hint="put the old one back, or evaluate anew.",
            )

        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            parts = [pair.encode_texts(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
            return np.concatenate(parts)

        self._known = Phrases(column=COLUMN, lines=lines, encode=encode)
        return self._known


def _digest(phrases: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(phrases).encode(), digest_size=8).hexdigest()


def _nothing(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.zeros((len(texts), 1), dtype=np.float32)


def _first_line(error: ErrataError) -> str:
    return " ".join(str(error).partition("\nHint:")[0].split())
