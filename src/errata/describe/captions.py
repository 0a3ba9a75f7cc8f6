"""Phrases that tell the images of a finding from the others of its classes, where images and texts share one space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Level
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.evidence import Caption
from errata.stats.separation import Separation, separation

__all__ = ["Phrases", "caption", "read_phrases"]

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]

MOST = 5
"""Phrases of a finding: what a reader takes in, and what the intervals are adjusted for."""
LEVEL = 0.95
"""Of the intervals of a finding's phrases, jointly."""
LEAST = 5
"""Members, and others of their classes, among the rows that choose phrases and among those that score them again."""
ALIKE = 0.9
"""Cosine, less the mean phrase, from which on a phrase says what a better one says already."""
NAMED = 200
"""Classes that are phrases of their own: so many can be mistaken for one another in a caption."""
TEMPLATED = 3
"""Classes of a finding that are put into the templates, those with most members first."""
LONGEST = 200
MOST_PHRASES = 20_000
_HALF = 3  # of the five folds of a cross-confirmation, whose rows all confirm: as many choose, the others score again


@dataclass(frozen=True, kw_only=True, eq=False)
class Phrases:
    """The phrases of a run, and their vectors as far as somebody asked for them.

    column  the embedding of the images
    lines   phrases, and templates with "{class}", or "{a class}" where the article belongs to it
    encode  texts to (n, d) float32 vectors of length one, in the space of the images
    """

    column: str
    lines: tuple[str, ...]
    encode: Callable[[Sequence[str]], Vectors]
    _known: dict[str, Vectors] = field(default_factory=dict, repr=False)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """(p, d) float32; each text is encoded once in a run."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])

    def texts(self, classes: Sequence[Level], own: Sequence[Level]) -> list[str]:
        """The phrases about a finding: the plain ones, each class by itself, and the templates of its `own` classes."""
        plain = [line for line in self.lines if not _is_template(line)]
        templates = [line for line in self.lines if _is_template(line)]
        names = [level for level in classes if _can_be_said(level)][:NAMED] if templates else []
        said = [_filled("a photo of {a class}", level) for level in names]
        filled = [_filled(line, level) for level in own if _can_be_said(level) for line in templates]
        return list(dict.fromkeys([*plain, *said, *filled]))


def read_phrases(given: str | Path | Sequence[str] | None) -> tuple[str, ...]:
    """The phrases of a file, one a line ("#" begins a remark), of a list, or ours when None.

    Raises UsageError for a file that cannot be read, and for no phrase, too many, or one that is too long.
    """
    if given is None:
        given = Path(__file__).with_name("phrases.txt")
    if isinstance(given, str | Path):
        try:
            lines = Path(given).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise UsageError(f"`captions` is `{given}`, which cannot be read: {error}.",
                             hint="a text file in UTF-8, one phrase a line.") from error  # fmt: skip
        lines = [line for line in lines if not line.lstrip().startswith("#")]
    else:
        lines = list(given)
    if not all(isinstance(line, str) for line in lines):
        raise UsageError("`captions` holds what is no text.", hint="a list of phrases, or the path of a file.")
    phrases = tuple(dict.fromkeys(filter(None, (" ".join(line.split()) for line in lines))))
    if not phrases:
        raise UsageError(f"`captions` is `{str(given)[:80]}`, and holds no phrase.", hint="one phrase a line.")
    for phrase in phrases:
        if len(phrase) > LONGEST or not phrase.isprintable():
            raise UsageError(
                f"The phrase `{phrase[:60]}` of `captions` cannot be used.",
                hint=f"printable words, at most {LONGEST} characters; encoders read the first seventy words anyway.",
            )
    if len(phrases) > MOST_PHRASES:
        raise UsageError(f"`captions` holds {len(phrases):,} phrases.", hint=f"at most {MOST_PHRASES:,}.")
    return phrases


def caption(evaluation: Evaluation, *, members: Bool, phrases: Phrases) -> Caption | None:
    """The phrases that fit the members better than the rest of their classes, the best five that hold on confirm rows.

    A phrase's fit to an image is the product of their vectors, the phrase's less the mean of all phrases. On explore
    rows phrases are ranked by the mean fit of members less that of the rest, class by class, weighted by the members:
    what merely names the class says nothing. On confirm rows the share of pairs of a member and another image of its
    class in which the member fits better is measured again (`errata.stats.separation`), and a phrase is kept where the
    interval of that share, at 95 % for all phrases of the finding together, lies above one half.

    members  (N,) bool over all rows of the evaluation
    None where no phrase is left, or there are too few images to choose or to score by.

    Reference: S. Eyuboglu, M. Varma, K. Saab et al., "Domino: Discovering Systematic Errors with Cross-Modal
    Embeddings", ICLR, 2022, for naming a slice by the difference of mean vectors.
    """
    chosen, scored = _rows(evaluation, members, phrases.column)
    own = _own_classes(evaluation, chosen)
    texts = phrases.texts(evaluation.classes, own) if chosen.usable and scored.usable else []
    if not texts:
        return None
    vectors = np.asarray(phrases.vectors(texts), dtype=np.float64)
    if vectors.shape[1] != chosen.values.shape[1]:
        raise UsageError(
            f"Phrases have {vectors.shape[1]} dimensions, and `{phrases.column}` has {chosen.values.shape[1]}.",
            hint="text and images must be encoded by the same pair.",
        )
    # Of a single phrase of the user's there is no mean to take off.
    centred = vectors - vectors.mean(axis=0) if len(texts) > 1 else vectors
    score = centred @ chosen.contrast()
    best = _different(np.argsort(-score, kind="stable"), score, centred)
    level = 1.0 - (1.0 - LEVEL) / max(1, len(best))
    words: list[dict[str, Level | None]] = []
    for at in best:
        found = scored.separation(centred[at], level=level)
        if found is not None and found.interval.lower > 0.5:
            words.append({
                "text": texts[at], "score": round(float(score[at]), 4), "auc": round(found.auc, 4),
                "low": round(found.interval.lower, 4), "high": round(found.interval.upper, 4), "members": found.members,
            })  # fmt: skip
    return Caption(of="images", words=tuple(words)) if words else None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """Images of one part of the rows, all of classes that hold members and others."""

    values: Floats
    member: Bool
    stratum: NDArray[np.int32]
    group: NDArray[np.int32] | None

    @property
    def usable(self) -> bool:
        return min(int(self.member.sum()), int((~self.member).sum())) >= LEAST

    def contrast(self) -> Floats:
        """(d,) mean of members less that of the rest of their classes, each class weighted by its members."""
        total = np.zeros(self.values.shape[1])
        for code in np.unique(self.stratum):
            here = self.stratum == code
            own = self.values[here & self.member]
            total += len(own) * (own.mean(axis=0) - self.values[here & ~self.member].mean(axis=0))
        return np.asarray(total / self.member.sum())

    def separation(self, phrase: Floats, *, level: float) -> Separation | None:
        return separation(self.values @ phrase, self.member, self.stratum, level=level, group=self.group)


def _rows(evaluation: Evaluation, members: Bool, column: str) -> tuple[_Images, _Images]:
    """The images that choose phrases, and those that score them again; no group lies in both."""
    cross = evaluation.cross
    if cross is None:
        return tuple(_images(evaluation.part(fold), members, column) for fold in (EXPLORE, CONFIRM))  # type: ignore[return-value]
    held_out = evaluation.part(CONFIRM)
    first = np.asarray(held_out.of(cross)) < _HALF
    return _images(held_out.take(first), members, column), _images(held_out.take(~first), members, column)


def _images(view: Evaluation, members: Bool, column: str) -> _Images:
    values = np.asarray(view.column(column).values, dtype=np.float64)
    rows = view.view()
    member = np.asarray(view.of(members), dtype=bool)
    known = np.isfinite(values).all(axis=1) & (rows.stratum >= 0)
    both = np.intersect1d(rows.stratum[known & member], rows.stratum[known & ~member])
    kept = known & np.isin(rows.stratum, both)
    return _Images(
        values=values[kept], member=member[kept], stratum=rows.stratum[kept],
        group=None if rows.group is None else rows.group[kept],
    )  # fmt: skip


def _own_classes(evaluation: Evaluation, images: _Images) -> list[Level]:
    """The classes that hold most members, at least a tenth of them each."""
    if evaluation.task != "classification" or not images.member.any():
        return []
    count = np.bincount(images.stratum[images.member], minlength=len(evaluation.classes))
    order = np.argsort(-count, kind="stable")[:TEMPLATED]
    return [evaluation.classes[code] for code in order if count[code] >= 0.1 * count.sum()]


def _different(order: NDArray[np.intp], score: Floats, centred: Floats) -> list[int]:
    """The best phrases that differ from each other."""
    length = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(length == 0.0, 1.0, length)[:, None]
    best: list[int] = []
    for at in order.tolist():
        if score[at] <= 0.0 or len(best) == MOST:
            break
        if not best or float((unit[best] @ unit[at]).max()) < ALIKE:
            best.append(at)
    return best


def _is_template(line: str) -> bool:
    return "{class}" in line or "{a class}" in line


def _can_be_said(level: Level) -> bool:
    """Whether a class has a name; numbers are codes whose meaning is not known here."""
    return isinstance(level, str) and any(character.isalpha() for character in level) and len(level) <= LONGEST // 2


def _filled(template: str, level: Level) -> str:
    name = " ".join(str(level).replace("_", " ").split())
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return template.replace("{a class}", f"{article} {name}").replace("{class}", name)
