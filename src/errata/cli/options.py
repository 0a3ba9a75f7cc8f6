"""The flags of verbs on data; the library's keyword names are the same words."""

from __future__ import annotations

from typing import Any

import click

from errata.cli.kinds import least, names, seconds, setting, shares
from errata.cli.verb import Flag

__all__ = ["CHECKED", "DIAGNOSED", "FAIL_ON", "OPEN", "QUIET", "variable"]

COLUMNS, MODEL, METRIC, METHODS, PROOF, RUN = "Columns", "Model", "What counts", "Methods", "Proof", "Run"
_FRACTION = click.FloatRange(0, 1, min_open=True, max_open=True)


def flag(word: str, *more: str, section: str, **attributes: Any) -> Flag:
    """A flag that the environment may set."""
    # Click would cut the variable of a flag that may be repeated at blanks; see `config.Configured`.
    alone = None if attributes.get("multiple") else variable(word)
    return Flag(word, *more, section=section, envvar=alone, **attributes)


def variable(word: str) -> str:
    """The environment variable of a flag."""
    return f"ERRATA_{word.removeprefix('--').replace('-', '_').upper()}"


def column(word: str, words: str) -> Flag:
    """A flag that names a column."""
    return flag(word, section=COLUMNS, metavar="COLUMN", help=words)


LABEL = column("--label", "The column that holds the truth; guessed from usual names and said when missing.")
PREDICTION = column("--prediction", "The column that holds what the model said; guessed likewise.")
SCORES = flag(
    "--scores", section=COLUMNS, metavar="PREFIX|COLUMN",
    help="Columns PREFIX<class> with probabilities (`p_` for p_yes, p_no), or the one of the positive class.",
)  # fmt: skip
A_MODEL = flag(
    "--model", section=MODEL, metavar="MODEL",
    help=".onnx, .skops, a Hugging Face folder, .safetensors with module:factory, module:object, or an http(s):// "
    "endpoint (docs/endpoints.md).",
)  # fmt: skip
DEVICE = flag("--device", section=MODEL, metavar="NAME", help="Where a torch model runs, such as cpu or cuda.")
PICKLE = flag(
    "--allow-pickle", section=MODEL, is_flag=True,
    help="Open pickles (joblib, .pkl, .pt): whoever wrote the file can then run any code on this machine.",
)  # fmt: skip
ALPHA = flag(
    "--alpha", section=PROOF, type=_FRACTION, metavar="SHARE", default=0.05, show_default=True,
    help="Expected share of false findings among the confirmed.",
)  # fmt: skip

QUIET = flag("--quiet", section=RUN, is_flag=True, help="Print nothing but errors.")
OPEN = flag("--open", "open_report", section=RUN, is_flag=True, help="Open the report in the browser.")
FAIL_ON = flag(
    "--fail-on", section=RUN, type=least, metavar="any|DIFFERENCE",
    help="End with 1 where a finding is confirmed, or one with at least this difference (0.10 is ten points).",
)  # fmt: skip

DIAGNOSED = (
    LABEL,
    PREDICTION,
    SCORES,
    column("--image", "The column that holds paths of images."),
    column("--text", "The column that holds the texts, which are then the inputs; a model gets them alone."),
    column("--id", "The column that names each row; a hash of the inputs when missing."),
    column("--group", "Rows of one group (patient, writer, recording) stay together and are no independent evidence."),
    column("--time", "The column that orders the rows in time."),
    column("--split", "The column that says train, validation or test."),
    flag("--ignore", section=COLUMNS, type=names, multiple=True, metavar="NAME[,NAME]", help="Leave columns out."),
    flag(
        "--use", section=COLUMNS, type=names, multiple=True, metavar="NAME[,NAME]",
        help="Bring back columns that would be set aside as output or as identifiers.",
    ),
    A_MODEL,
    flag(
        "--out-of-fold", section=MODEL, type=click.IntRange(2), metavar="[K]",
        help="Train the model afresh K times (5), each time without the rows that it then predicts.",
    ),
    flag(
        "--trained-on", section=MODEL, metavar="these|other|PATH",
        help="Which rows the model was trained on: these, other ones, or those in a file, which are then left out.",
    ),
    DEVICE,
    PICKLE,
    flag("--max-calls", section=MODEL, type=click.IntRange(1), metavar="N",
         help="Send endpoints (--model, and --reword with what is left) at most so many requests in all; the same "
              "command with more goes on from there."),
    flag("--task", section=METRIC, type=click.Choice(("classification", "regression")), help="Guessed when missing."),
    flag(
        "--metric", section=METRIC,
        type=click.Choice(("error", "false-positive", "false-negative", "loss", "absolute-error")),
        help="What counts against the model; error, or absolute-error for numbers, when missing.",
    ),
    flag("--positive", section=METRIC, metavar="LABEL", help="The positive class, for false-positive and -negative."),
    flag(
        "--methods", section=METHODS, type=names, multiple=True, metavar="NAME[,NAME]",
        help="Which methods propose; `errata methods` lists them.",
    ),
    flag(
        "--set", "settings", section=METHODS, type=setting, multiple=True, metavar="METHOD.OPTION=VALUE",
        help="A hyper-parameter of a method.",
    ),
    flag(
        "--embedding", section=METHODS, type=names, multiple=True, metavar="NAME[,NAME]",
        help="Embeddings to compute (raw, inputs, encoder, words, penultimate, scores, clip:FOLDER, "
        "sentences:FOLDER); what suits, when missing.",
    ),
    flag("--captions", section=METHODS, metavar="FILE",
         help="Phrases for findings on images, one a line; ours when missing, where --embedding clip:FOLDER is there."),
    flag("--reword", section=METHODS, metavar="URL|FILE",
         help="Put confirmed sentences into other words too, by a language model's endpoint; kept only where they "
              "say the same."),
    flag("--max-proposals", section=METHODS, type=click.IntRange(1), metavar="N", default=100, show_default=True,
         help="Test at most so many proposals."),
    flag("--budget", section=METHODS, type=seconds, metavar="SECONDS", help="Time for the methods: 90, 90s, 5m, 1h."),
    ALPHA,
    flag("--shares", section=PROOF, type=shares, metavar="A/B/C",
         help="Shares of explore, confirm and sealed rows; 50/50/0 below 5,000 rows, 40/40/20 from there on."),
    flag("--split-seed", section=PROOF, type=int, metavar="N", default=0, show_default=True,
         help="Moves the split into explore and confirm rows; counts as a further look at the data."),
    flag("--proof", section=PROOF, type=click.Choice(("split", "cross")),
         help="How proposals are confirmed: on one part of the rows, or across five folds, which takes minutes and "
              "sees more where errors are few; by their number when missing."),
    flag("--multiplicity", section=PROOF, type=click.Choice(("bh", "by", "holm", "maxt")), default="bh",
         show_default=True, help="How many tests are accounted for: Benjamini-Hochberg, -Yekutieli, Holm, or "
         "permutations of all tests together."),
    flag("--calibrate", section=PROOF, is_flag=True,
         help="Say how often this very search reports where nothing is, and finds what is planted: 160 reruns."),
    flag("--min-support", section=PROOF, type=click.IntRange(1), metavar="N",
         help="Least rows (or groups) of a finding among explore and among confirm rows; 10 rows or 5 groups."),
    flag("--min-difference", section=PROOF, type=click.FloatRange(0), metavar="DIFFERENCE", default=0.0,
         show_default=True, help="A finding's difference must exceed this, in the metric's unit."),
    flag("--seed", section=PROOF, type=int, metavar="N", default=0, show_default=True, help="Seed of the methods."),
    flag("--out", section=RUN, metavar="FOLDER",
         help="Where the run goes; errata-runs/NAME-KEY, where the same call resumes, when missing."),
    flag("--force", section=RUN, is_flag=True, help="Replace a different run in that folder; run again what is done."),
    FAIL_ON,
    OPEN,
    QUIET,
)  # fmt: skip

CHECKED = (
    LABEL, PREDICTION, SCORES, A_MODEL, DEVICE, PICKLE,
    flag("--max-calls", section=MODEL, type=click.IntRange(1), metavar="N",
         help="Send an endpoint at most so many requests in all."),
    ALPHA, FAIL_ON, OPEN, QUIET,
)  # fmt: skip
