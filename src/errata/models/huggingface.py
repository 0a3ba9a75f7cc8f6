"""Classifiers of texts and images from a Hugging Face folder on disk: no code of its own, no pickle, no network."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.errors import UsageError, require
from errata.core.model import Inputs, ModelSpec, Output, Task
from errata.models import fingerprint
from errata.models.form import AS_GIVEN, Form
from errata.models.hooks import Shown, evaluating, given_by, read_by_last
from errata.models.huggingface_inputs import Images, Piece, Prepares, Texts, in_order
from errata.models.reading import Answer, Reading, Settled, as_answer, classes_in_words_of, read, settle

__all__ = [
    "HuggingFaceModel",
    "from_folder",
    "images_for",
    "is_folder",
    "mark_of",
    "offline_and_quiet",
    "reading",
    "refuse_code",
    "texts_for",
    "weights_of",
]

CONFIGS = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
HEADS = {"ForSequenceClassification": "text", "ForImageClassification": "image"}


@dataclass(frozen=True, kw_only=True, eq=False)
class HuggingFaceModel:
    """A classifier of texts or images, with the tokenizer or the image processor that lies beside it."""

    spec: ModelSpec
    module: Any
    prepare: Prepares
    device: str
    named: tuple[str, ...] = ()
    form: Form = AS_GIVEN
    reading: Reading | None = None

    def predict(self, inputs: Inputs) -> Output:
        """The model's output for a batch of inputs."""
        return read(self.answer(inputs), self.reading, named=self.named, task=self.spec.task)

    def answer(self, inputs: Inputs) -> Answer:
        """The probabilities of the classes; a single logit or value as it is."""
        return as_answer(self._each(inputs, lambda tensors, rows: _scores(self._logits(tensors))), len(inputs))

    def embed(self, inputs: Inputs, layer: str | None = None) -> NDArray[np.float32]:
        """(b, d) what the classifying layer reads, or what the module of that name gives, averaged over its tokens.

        Raises UsageError for a name that the module does not have.
        """
        return self._each(inputs, lambda tensors, rows: self._shown(tensors, layer, rows).layer)

    def showing(self, inputs: Inputs, layer: str | None = None) -> Output:
        """What `predict` and `embed` give, from one run of the model."""
        width = 0

        def one(tensors: dict[str, Any], rows: int) -> NDArray[np.float32]:
            nonlocal width
            shown = self._shown(tensors, layer, rows)
            scores = _scores(shown.answer)
            width = scores.shape[1]
            return np.concatenate([scores, shown.layer], axis=1)

        both = self._each(inputs, one)
        answer = as_answer(np.ascontiguousarray(both[:, :width]), len(inputs))
        output = read(answer, self.reading, named=self.named, task=self.spec.task)
        return replace(output, layer=np.ascontiguousarray(both[:, width:]))

    def _shown(self, tensors: dict[str, Any], layer: str | None, rows: int) -> Shown:
        def run() -> Any:
            return self._logits(tensors)

        if layer is not None:
            return given_by(self.module, layer, run, rows=rows)
        return read_by_last(self.module, run, rows=rows, name=self.spec.name)

    def variants(self, inputs: Inputs) -> Sequence[HuggingFaceModel]:
        """The same model, told how to read the range of these inputs."""
        return [replace(self, form=self.prepare.form(inputs))]

    def settled(self, inputs: Inputs, *, levels: Sequence[Level] = (), task: Task | None = None) -> Settled:
        """The same model with the reading of its answers settled on these inputs.

        levels  the labels of the data, sorted
        """
        answer, named = self.answer(inputs), self.named
        told: tuple[str, ...] = ()
        if levels and classes_in_words_of(named, levels) is None and _are_numbers(levels, len(named)):
            # The numbers of the classes are what the configuration lists their names by.
            pairs = [f"{number} is `{name}`" for number, name in enumerate(named) if name != _unnamed(number)]
            more = f" and {len(pairs) - 6} more" if len(pairs) > 6 else ""
            told = (f"Labels are the numbers of the model's classes: {', '.join(pairs[:6])}{more}.",) if pairs else ()
            named = ()
        elif _nameless(named) and classes_in_words_of(named, levels) is None:
            named = ()
        settled = settle(replace(self, named=named), answer, named=named, levels=levels, task=task)
        return replace(settled, caveats=(*told, *settled.caveats, *self.prepare.notes(inputs)))

    def _each(self, inputs: Inputs, one: Callable[[dict[str, Any], int], NDArray[Any]]) -> NDArray[Any]:
        """What `one` gives for every piece of a batch, in the order of the inputs."""
        import torch

        with evaluating(self.module), torch.inference_mode():
            pieces = self.prepare.pieces(inputs, self.form)
            found = in_order(pieces, lambda piece: one(self._moved(piece), len(piece.rows)))
        return np.zeros((0, len(self.named)), dtype=np.float32) if found is None else found

    def _moved(self, piece: Piece) -> dict[str, Any]:
        return {name: tensor.to(self.device) for name, tensor in piece.tensors.items()}

    def _logits(self, tensors: dict[str, Any]) -> Any:
        return self.module(**tensors).logits


def _scores(raw: Any) -> NDArray[np.float32]:
    # These modules give logits by contract, also where all of a batch lie between 0 and 1.
    logits = raw.float()
    return np.asarray((logits if logits.shape[1] == 1 else logits.softmax(dim=1)).cpu().numpy())


def is_folder(path: Path) -> bool:
    """Whether a folder is one that `save_pretrained` writes."""
    return path.is_dir() and (path / "config.json").is_file()


def from_folder(path: Path, *, allow_pickle: bool = False, device: str | None = None) -> HuggingFaceModel:
    """A model from a folder with `config.json`, `*.safetensors` and a tokenizer or an image processor.

    device  where to run, the first GPU when there is one and None is given
    Raises UsageError for a folder that wants to run code of its own, for weights in a pickle without `allow_pickle`,
    for weights that are not those of a whole classifier, and for what is no classifier of texts or images.
    """
    config = refuse_code(path)
    kind = _kind(path, config)
    weights = weights_of(path, allow_pickle=allow_pickle)
    torch = require("torch", feature=f"`{path}`", extra="torch")
    library = require("transformers", feature=f"`{path}`", extra="huggingface")
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with offline_and_quiet():
        module = _module(path, kind, library, safe=weights != "pickle")
        named = _names(module.config)
        prepare = texts_for(path, module, library) if kind == "text" else images_for(path, module, library)
    task: Task | None = "classification" if len(named) > 1 else None
    task = "regression" if module.config.problem_type == "regression" else task
    spec = ModelSpec(
        name=path.resolve().name, kind="huggingface", task=task, classes=() if _nameless(named) else named,
        fingerprint=mark_of(path),
    )  # fmt: skip
    return HuggingFaceModel(spec=spec, module=module.to(where), prepare=prepare, device=where, named=named)


def refuse_code(path: Path) -> dict[str, Any]:
    """The configuration; refused is a folder in which any file names code to run."""
    found: dict[str, Any] = {}
    for name in CONFIGS:
        file = path / name
        if not file.is_file():
            continue
        try:
            read = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"`{file}` is not whole: {error}.", hint="copy the folder again.") from error
        if not isinstance(read, dict):
            raise UsageError(f"`{file}` is no configuration.", hint="copy the folder again.")
        if "auto_map" in read:
            raise UsageError(
                f"`{file}` names code of its own to run (`auto_map`), which is refused.",
                hint="load the model yourself, and connect a function: MODULE:OBJECT.",
            )
        found.setdefault(name, read)
    config: dict[str, Any] = found["config.json"]
    return config


def _kind(path: Path, config: dict[str, Any]) -> str:
    """ "text" or "image", by the architecture."""
    named = [str(name) for name in config.get("architectures") or ()]
    kinds = {kind for name in named for head, kind in HEADS.items() if head in name}
    if not named:  # a configuration written by hand: what lies beside it tells
        image = (path / "preprocessor_config.json").is_file()
        kinds = {"image"} if image else {"text"} if any((path / name).is_file() for name in TOKENIZERS) else set()
    if len(kinds) != 1:
        holds = ", ".join(f"`{name}`" for name in named) or "no architecture that is known"
        raise UsageError(
            f"`{path}` holds {holds}, expected a classifier of texts or images.",
            hint="such as BertForSequenceClassification or ViTForImageClassification; for others connect a function.",
        )
    if config.get("problem_type") == "multi_label_classification":
        raise UsageError(
            f"`{path}` gives several labels at once, expected one.", hint="connect one function per label."
        )
    return kinds.pop()


def weights_of(path: Path, *, allow_pickle: bool) -> str:
    """ "safetensors" or "pickle"; what an index names must be safetensors in this folder."""
    index = path / "model.safetensors.index.json"
    if index.is_file():
        names = set(_index(index).values())
        strange = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
        lost = [name for name in names if not (path / name).is_file()]
        if strange or lost:
            named = f"names `{sorted(strange or lost)[0]}`, expected a safetensors file of this folder."
            raise UsageError(f"`{index}` {named}", hint="copy the whole folder again.")
        return "safetensors"
    if (path / "model.safetensors").is_file():
        return "safetensors"
    pickled = next((path / name for name in PICKLES if (path / name).is_file()), None)
    if pickled is None:
        raise UsageError(f"`{path}` holds no weights.", hint="`model.safetensors` must lie beside `config.json`.")
    if not allow_pickle:
        raise UsageError(
            f"`{pickled}` is a pickle, and opening a pickle can run any code that someone put into it.",
            hint="save the model with `model.save_pretrained(folder, safe_serialization=True)`, or add --allow-pickle "
            "if you trust it.",
        )
    return "pickle"


def _index(path: Path) -> dict[str, str]:
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return {str(key): str(value) for key, value in named.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"`{path}` is not whole: {error}.", hint="copy the folder again.") from error


def _module(path: Path, kind: str, library: Any, *, safe: bool) -> Any:
    """The module with all its weights; a head that was never trained is refused, not filled with chance."""
    auto = {"text": library.AutoModelForSequenceClassification, "image": library.AutoModelForImageClassification}
    with reading(path, "its weights"):
        module, loaded = auto[kind].from_pretrained(
            str(path), local_files_only=True, trust_remote_code=False, use_safetensors=safe, output_loading_info=True,
            dtype="float32",
        )  # fmt: skip
    for what, keys in (("lack", loaded["missing_keys"]), ("have other shapes in", loaded["mismatched_keys"])):
        names = sorted(key if isinstance(key, str) else str(key[0]) for key in keys)
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            raise UsageError(
                f"The weights in `{path}` {what} {', '.join(f'`{name}`' for name in names[:4])}{more}.",
                hint="is this the folder of the trained classifier, or of the model that it was started from?",
            )
    return module.eval()


def texts_for(path: Path, module: Any, library: Any) -> Texts:
    """How texts become tokens for a module, by the tokenizer in its folder."""
    if not any((path / name).is_file() for name in TOKENIZERS):
        raise UsageError(
            f"`{path}` holds no tokenizer.", hint="save it there too: `tokenizer.save_pretrained(folder)`."
        )
    with reading(path, "its tokenizer"):
        tokenizer = library.AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    size = getattr(module.config, "vocab_size", None)
    if size is not None and len(tokenizer) > module.get_input_embeddings().num_embeddings:
        raise UsageError(
            f"The tokenizer in `{path}` knows {len(tokenizer):,} tokens, and the model {size:,}.",
            hint="is it the tokenizer that the model was trained with?",
        )
    limits = [limit for limit in (_places(module), tokenizer.model_max_length) if limit is not None and limit < 1e9]
    taken = frozenset(inspect.signature(module.forward).parameters)
    pads = tokenizer.pad_token is not None and module.config.pad_token_id is not None
    return Texts(tokenizer=tokenizer, longest=min(limits, default=None), pads=pads, taken=taken, who=f"`{path.name}`")


def _places(module: Any) -> int | None:
    """How many tokens the model has places for."""
    import torch

    for name, part in module.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "wpe") and isinstance(part, torch.nn.Embedding):
            # Some number their places from behind that of the padding.
            return int(part.num_embeddings - (0 if part.padding_idx is None else part.padding_idx + 1))
    most = getattr(module.config, "max_position_embeddings", None)
    return None if most is None else int(most)


def images_for(path: Path, module: Any, library: Any) -> Images:
    """How images become pixels for a module, by the processor in its folder."""
    if not any((path / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise UsageError(
            f"`{path}` holds no `preprocessor_config.json`, which says how images are prepared.",
            hint="save it there too: `processor.save_pretrained(folder)`.",
        )
    with reading(path, "its image processor"):
        processor = library.AutoImageProcessor.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=False, backend="pil"
        )
    channels = 1 if getattr(module.config, "num_channels", 3) == 1 else 3
    return Images(processor=processor, channels=channels, who=f"`{path.name}`")


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """What the library raises on a damaged or unknown folder, as an error of ours."""
    safetensors = require("safetensors", feature=f"`{path}`", extra="huggingface")
    try:
        yield
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError,
            ImportError, IndexError) as error:  # fmt: skip
        said = " ".join(str(error).split())[:300]
        raise UsageError(
            f"`{path}`: {what} cannot be read: {type(error).__name__}: {said}",
            hint="is the folder whole, and not newer than the installed `transformers`?",
        ) from error


@contextmanager
def offline_and_quiet() -> Iterator[None]:
    """Nothing is fetched and nothing printed while a folder is read, whatever its files ask for."""
    constants: Any = require("huggingface_hub.constants", feature="A Hugging Face folder", extra="huggingface")
    logging: Any = require("transformers.utils.logging", feature="A Hugging Face folder", extra="huggingface")
    offline, verbosity, bars = constants.HF_HUB_OFFLINE, logging.get_verbosity(), logging.is_progress_bar_enabled()
    constants.HF_HUB_OFFLINE = True
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _names(config: Any) -> tuple[str, ...]:
    """The classes in the order of the logits; those that the configuration does not name are called `LABEL_0`, ..."""
    known = {int(number): str(name) for number, name in (config.id2label or {}).items()}
    return tuple(known.get(number, _unnamed(number)) for number in range(config.num_labels))


def _unnamed(number: int) -> str:
    return f"LABEL_{number}"


def _nameless(named: Sequence[str]) -> bool:
    """Whether the names say no more than the numbers do."""
    return all(name == _unnamed(number) for number, name in enumerate(named))


def _are_numbers(levels: Sequence[Level], k: int) -> bool:
    """Whether the labels of the data are numbers of k classes."""
    return all(str(level).removesuffix(".0").isdigit() and int(float(str(level))) < k for level in levels)


def mark_of(path: Path) -> str:
    """The hash of every file of the folder that decides what the model says."""
    ends = (".json", ".txt", ".model", ".safetensors", ".bin")
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(ends))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {fingerprint.of_file(file)}\n".encode())
    return digest.hexdigest()
