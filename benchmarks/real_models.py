"""Models of images and texts, trained by others or here: what a diagnosis of each says. Needs `ERRATA_DATA`.

    ERRATA_DATA=... python benchmarks/real_models.py                  every part, about fifteen minutes on one core
    ERRATA_DATA=... python benchmarks/real_models.py sst2 mnist       some of them; the others stay as they are

cifar10  resnet20 of `cifar10_resnet.py`, given to Errata as the bare module: on the test images as they lie there (JPEG
         copies already), on the same images compressed once more, and which of those that were right got lost by that.
sst2     a logistic regression on words and pairs of words, fitted on the training sentences; development and test
         sentences are diagnosed. Which of its errors are about negation is counted beside it.
hate     the same kind of classifier on tweets, fitted on a random half; the other is diagnosed, for all three classes,
         and for what it wrongly calls abusive. Tweets with words of African-American English are counted beside it, and
         in the second run are a column: by a list of ours, because no model of dialect is at hand, so what it misses
         counts as other English. The third run asks about that column alone.
mnist    a fully connected network of a verification contest, an ONNX file that takes one image a time.

Reports go to the folder of --out, the findings to benchmarks/results/real_models.md. What stands there under "Read" is
written by people who looked at the members, and stays; it is marked where the findings have changed since.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cifar10_resnet
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline

import errata
from errata.core.evidence import Caption, Predicate
from errata.core.finding import Finding
from errata.describe.sentences import title, verdict

TABLE = Path(__file__).parent / "results" / "real_models.md"
QUALITY = 30
"""Of the second compression, on Pillow's scale to 95; what the archive was saved with is not known."""

DIALECT = re.compile(
    r"\b(?:finna|tryna|gon|boutta|ima|imma|ain'?t|y'?all|dat|dis|dem|dey|dere|da|wit|erbody|errbody|sumn|nothin|somethin"
    r"|bruh|niggas?|lil|(?:he|she|it|they|we|you|i) be|(?:he|she|it|they|we|you|i) (?:been|done) \w+(?:ed|in'?))\b",
    re.IGNORECASE,
)
"""Spellings and grammar that mark African-American English in tweets: dat, finna, ain't, she be, they done said."""
NEGATION = re.compile(r"\b(?:not|never|no|nothing|none|nobody|neither|nor|without|hardly)\b|n't\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One diagnosis to make: what it is of, what Errata is given, and its options."""

    name: str
    what: str
    given: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    beside: Callable[[], list[str]] | None = None
    """Counts that Errata was not asked for, to hold its findings against."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", default="errata-runs/real_models", type=Path)
    asked = parser.parse_args()
    folder = os.environ.get("ERRATA_DATA")
    if not folder:
        sys.exit("skipped: ERRATA_DATA is not set")
    if unknown := set(asked.parts) - set(PARTS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in asked.parts or PARTS:
        sections = [section(run, asked.out) for run in PARTS[name](Path(folder))]
        stored = _stored()  # read again: parts may be measured side by side
        stored.update({run: text for part in sections for run, text in part.items()})
        TABLE.write_text(_page(stored))


def section(run: Run, out: Path) -> dict[str, str]:
    """Diagnose, and write down what was found."""
    began, worked = time.perf_counter(), _worked()
    diagnosis = errata.diagnose(
        *run.given, **run.options, trained_on="other", out=out / run.name, force=True, state=out / "state" / run.name
    )
    seconds, work = time.perf_counter() - began, _worked() - worked
    record = diagnosis.run
    lines = [
        f"## {run.name}",
        "",
        f"{run.what} {verdict(diagnosis)}",
        "",
        "| rows | errors | error rate | proof | proposed | tested | confirmed | not folded | processor s | wall s |",
        "|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|",
        f"| {sum(record.rows.values())} | {sum(record.errors.values()):.0f} | {record.error_rate:.1%} "
        f"| {record.proof} | {sum(method.proposed for method in record.methods)} | {record.tested} "
        f"| {len(diagnosis.confirmed)} | {sum(finding.folded_under is None for finding in diagnosis.confirmed)} "
        f"| {work:.0f} | {seconds:.0f} |",
        "",
    ]
    for finding in diagnosis.confirmed:
        lines += told(finding)
    others = pd.Series([finding.status for finding in diagnosis.findings if not finding.confirmed]).value_counts()
    if len(others):
        lines += ["Not confirmed: " + ", ".join(f"{count} {status}" for status, count in others.items()) + ".", ""]
    if run.beside is not None:
        lines += ["**Beside it.**", "", *run.beside(), ""]
    # Not by id: a direction has another in every last digit of its numbers, and reads the same.
    groups = sorted(re.sub(r" \((?:direction|group) \w+\)", "", title(one, None)) for one in diagnosis.confirmed)
    found = hashlib.sha256("\n".join(groups).encode()).hexdigest()[:8]
    text = "\n".join(lines)
    print(text, flush=True)
    return {run.name: f"{text}\n<!-- findings {found} -->\n"}


def told(finding: Finding) -> list[str]:
    """A finding as Errata words it, with its numbers."""
    metric = finding.metric
    interval = "" if metric.interval is None else (
        f", difference {metric.difference:+.1%} ({metric.interval[0]:+.1%} to {metric.interval[1]:+.1%} at "
        f"{metric.interval_level:.0%})"
    )  # fmt: skip
    lines = [
        f"- **{finding.title}**" + (f" (folded under {finding.folded_under})" if finding.folded_under else ""),
        f"  - `{finding.id}`, {finding.family}; `{finding.rule.text}`",
        f"  - {finding.support.confirm} confirm rows inside, {metric.inside:.1%} wrong; {metric.outside:.1%} outside"
        f"{interval}; q = {finding.q_value:.1g}; {finding.share_of_errors:.1%} of the errors",
        f"  - {finding.failure_type or 'no type'}; proposed by {', '.join(finding.proposed_by)}",
    ]
    for item in finding.evidence:
        if isinstance(item, Predicate):
            lines.append(f"  - {item.words}")
        elif isinstance(item, Caption):
            lines.append("  - marked by: " + ", ".join(f"“{word['text']}”" for word in item.words[:10]))
    lines += [f"  - {caveat}" for caveat in finding.caveats]
    return [*lines, ""]


def _worked() -> float:
    """Processor seconds of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cifar10(folder: Path) -> list[Run]:
    """The bare network on images, once compressed and twice, and what the second compression cost."""
    read = cifar10_resnet.read(folder, "resnet20")
    model = cifar10_resnet.network(folder, "resnet20")
    labels = np.array(read.classes)[read.labels]
    again = np.stack([compressed(image) for image in read.images])
    right = read.scores.argmax(axis=1) == read.labels

    def lost() -> list[str]:
        with torch.inference_mode():
            kept = (
                np.concatenate([_said(model, again[at : at + 500]) for at in range(0, len(again), 500)]) == read.labels
            )
        rows = [(name, right[labels == name].mean(), kept[labels == name].mean()) for name in read.classes]
        rows.sort(key=lambda row: row[2] - row[1])
        lines = ["| class | right, as they are | right, compressed again | lost points |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {one:.1%} | {two:.1%} | {100 * (one - two):.1f} |" for name, one, two in rows]
        return [*lines, f"| all | {right.mean():.1%} | {kept.mean():.1%} | {100 * (right.mean() - kept.mean()):.1f} |"]

    return [
        Run(name="cifar10", what="resnet20 on the CIFAR-10 test images as they lie there.",
            given=(model, (read.images, labels))),
        Run(name="cifar10-jpeg", what=f"The same images compressed once more, JPEG quality {QUALITY}.",
            given=(model, (again, labels)), beside=lost),
        Run(name="cifar10-lost", what=f"Only the images that it had right, compressed at quality {QUALITY}: every error"
            " here is the compression's.", given=(model, (again[right], labels[right]))),
    ]  # fmt: skip


def compressed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image after one more round through JPEG, colours halved as is usual."""
    kept = io.BytesIO()
    Image.fromarray(image).save(kept, format="JPEG", quality=QUALITY)
    return np.asarray(Image.open(kept))


def _said(model: torch.nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0
    mean, deviation = (torch.tensor(part).view(3, 1, 1) for part in (cifar10_resnet.MEAN, cifar10_resnet.DEVIATION))
    return model((batch - mean) / deviation).argmax(dim=1).numpy()


def sst2(folder: Path) -> list[Run]:
    """Sentences of film reviews."""
    parts = {name: _tab_separated(folder / "sst2" / f"{name}.tsv") for name in ("train", "dev", "test")}
    model = words_classifier().fit(parts["train"]["text"], parts["train"]["label"])
    held = pd.concat([parts["dev"], parts["test"]], ignore_index=True)
    wrong = model.predict(held["text"]) != held["label"]
    return [
        Run(name="sst2", what="Logistic regression on words and pairs of words, SST-2 development and test sentences.",
            given=(model, (held["text"].tolist(), held["label"].to_numpy())),
            beside=lambda: by_class(wrong, held["label"], held["text"].str.contains(NEGATION), "negation")),
    ]  # fmt: skip


def _tab_separated(path: Path) -> pd.DataFrame:
    with path.open("rt") if path.exists() else gzip.open(f"{path}.gz", "rt") as file:
        pairs = [line.rstrip("\n").rsplit("\t", 1) for line in file]
    named = {"0": "negative", "1": "positive"}
    return pd.DataFrame({"text": [text for text, _ in pairs], "label": [named[label] for _, label in pairs]})


def words_classifier() -> Pipeline:
    """Words and pairs of words that stand in two texts or more."""
    pattern = r"(?u)\b\w+(?:'\w+)?\b"
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=pattern),
        LogisticRegression(C=10.0, max_iter=1000),
    )


def hate(folder: Path) -> list[Run]:
    """Tweets that people called hate speech, offensive, or neither."""
    with gzip.open(folder / "hate_speech_davidson" / "labeled_data.csv.gz", "rt") as file:
        frame = pd.read_csv(file)
    frame = pd.DataFrame({
        "text": frame["tweet"], "label": frame["class"].map({0: "hate", 1: "offensive", 2: "neither"}),
    })  # fmt: skip
    train, test = train_test_split(frame, test_size=0.5, random_state=0, stratify=frame["label"])
    model = words_classifier().fit(train["text"], train["label"])
    dialect = test["text"].str.contains(DIALECT)
    wrong = model.predict(test["text"]) != test["label"]
    abusive, said = (np.where(labels == "neither", "neither", "abusive") for labels in
                     (test["label"], model.predict(test["text"])))  # fmt: skip
    two = pd.DataFrame({
        "text": test["text"].to_numpy(), "dialect": dialect.to_numpy(), "label": abusive, "prediction": said,
    })  # fmt: skip
    told = {"text": "text", "label": "label", "prediction": "prediction", "metric": "false-positive",
            "positive": "abusive"}  # fmt: skip
    return [
        Run(name="hate", what="Logistic regression on words and pairs, tweets of Davidson et al. (ICWSM 2017).",
            given=(model, (test["text"].tolist(), test["label"].to_numpy())),
            beside=lambda: by_class(wrong, test["label"], dialect, "words of dialect")),
        Run(name="hate-false-alarms", what="The same predictions, hate and offensive together as abusive: which tweets "
            "that are neither does it call abusive? With the column `dialect`, as an audit would bring it.",
            given=(two,), options=told,
            beside=lambda: by_class(pd.Series(said != abusive), pd.Series(abusive), dialect, "words of dialect")),
        Run(name="hate-dialect", what="The same as an audit asks it, `--methods subgroups`: does any level of the "
            "columns that came with the tweets err more?", given=(two,), options=told | {"methods": ["subgroups"]}),
    ]  # fmt: skip


def by_class(wrong: pd.Series, label: pd.Series, has: pd.Series, what: str) -> list[str]:
    """Error rates of the rows that have something and of those that have not, class by class."""
    wrong, label, has = (np.asarray(one) for one in (wrong, label, has))
    lines = [f"| class | with {what} | wrong | without | wrong |", "|---|---:|---:|---:|---:|"]
    for name in [*np.unique(label), "all"]:
        rows = (label == name) | (name == "all")
        inside, outside = rows & has, rows & ~has
        lines.append(
            f"| {name} | {inside.sum()} | {wrong[inside].mean():.1%} | {outside.sum()} | {wrong[outside].mean():.1%} |"
        )
    return lines


def mnist(folder: Path) -> list[Run]:
    """The network of the contest's mnistfc benchmark on the MNIST test images."""
    with gzip.open(folder / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), dtype=np.uint8, offset=8)
    path = folder / "onnx_vnncomp2021" / "mnist-net_256x2.onnx"
    return [Run(name="mnist", what="mnist-net_256x2.onnx (input [1, 784, 1]) on the MNIST test images.",
                given=(path, (images, labels.astype(np.int64))))]  # fmt: skip


PARTS: dict[str, Callable[[Path], list[Run]]] = {"cifar10": cifar10, "sst2": sst2, "hate": hate, "mnist": mnist}
ORDER = ("cifar10", "cifar10-jpeg", "cifar10-lost", "sst2", "hate", "hate-false-alarms", "hate-dialect", "mnist")
READ = "**Read.**"


def _stored() -> dict[str, str]:
    """The sections of the page, by name."""
    text = TABLE.read_text() if TABLE.exists() else ""
    parts = re.split(r"(?m)^(?=## )", text)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def _page(stored: dict[str, str]) -> str:
    """The whole page; what was read of a run stays below it, marked where other findings were read."""
    before = _stored()
    lines = [
        "# Models of images and texts",
        "",
        f"`python benchmarks/real_models.py`, {time.strftime('%Y-%m-%d')}, errata {errata.__version__}, torch "
        f"{torch.__version__}, numpy {np.__version__}. Titles, predicates and caveats as the report has them, "
        "untouched. Processor seconds, because the machine had other work; one thread.",
        "",
    ]
    for name in sorted(stored, key=lambda one: ORDER.index(one) if one in ORDER else len(ORDER)):
        text, old = stored[name], before.get(name, "")
        if READ not in text and READ in old:
            changed = _digest(old) != _digest(text)
            read = old[old.index(READ) :].replace(f"{READ} (Of earlier findings.)", READ).rstrip()
            text += "\n" + (read.replace(READ, f"{READ} (Of earlier findings.)", 1) if changed else read) + "\n"
        lines.append(text)
    return "\n".join(lines)


def _digest(text: str) -> str:
    found = re.search(r"<!-- findings (\w+) -->", text)
    return "" if found is None else found.group(1)


if __name__ == "__main__":
    main()
