"""One door for every kind of model: a path, `module:object`, or an object in memory."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errata.core.errors import UsageError, nearest, require
from errata.core.model import Model
from errata.models import huggingface, onnx, sklearn, torch
from errata.models.function import from_function, from_predictor

__all__ = ["connect", "load_object"]

PICKLES = (".pkl", ".pickle", ".joblib")
TORCH_PICKLES = (".pt", ".pth", ".pt2", ".ckpt", ".bin")
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

ENDPOINTS = (".toml", ".json")
KINDS = (
    "a `.onnx` or `.skops` file, a Hugging Face folder, MODULE:FACTORY@WEIGHTS.safetensors, MODULE:OBJECT, or an "
    "endpoint: http(s)://... or its settings in a `.toml` file"
)


def connect(
    target: Any, *, allow_pickle: bool = False, device: str | None = None, max_calls: int | None = None
) -> Model:
    """A model from what the user gave: a path, `module:object`, or an object in memory. Nothing is predicted yet.

    `model.onnx`, `model.skops`, a folder that `save_pretrained` of Hugging Face wrote;
    `nets:build@weights.safetensors`, where `build()` gives the empty module; `nets:object` or `folder/nets.py:object`,
    where the object is a function, an estimator, a torch module or an ONNX model; pickles and joblib files with
    `allow_pickle` only; `http(s)://host/path`, or a `.toml` or `.json` file of an endpoint's settings.

    max_calls  how many requests an endpoint may get in all
    Raises UsageError for what is none of these.
    """
    found = _endpoint(target, max_calls)
    if found is not None:
        return found
    if max_calls is not None:
        raise UsageError(
            "`--max-calls` limits the calls to an endpoint, and this model is none.", hint="leave --max-calls out."
        )
    if isinstance(target, str | Path) and huggingface.is_folder(Path(target)):
        return huggingface.from_folder(Path(target), allow_pickle=allow_pickle, device=device)
    if isinstance(target, Path) or (isinstance(target, str) and _looks_like_file(target)):
        return _from_path(Path(target), allow_pickle=allow_pickle, device=device)
    if not isinstance(target, str):
        return _from_object(target, name=None, device=device)
    code, _, weights = target.partition("@")
    if weights:
        path = Path(weights)
        if path.suffix.lower() in TORCH_PICKLES:
            return _from_object(_torch_pickle(path, load_object(code), allow_pickle), name=path.stem, device=device)
        return torch.from_safetensors(_present(path), factory=_factory(code), device=device)
    if ":" not in target:
        if Path(target).exists():
            raise UsageError(f"`{target}` is no model that is known here.", hint=f"a model is {KINDS}.")
        raise UsageError(f"There is no model `{target}`.", hint=f"a model is {KINDS}.")
    return _from_object(load_object(target), name=target.rpartition(":")[2], device=device)


def load_object(spec: str) -> Any:
    """The object that `module:name` or `file.py:name` names; modules are looked for in the working folder too.

    Importing a module runs it, as it does in Python. Raises UsageError when there is no such module or name.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise UsageError(f"`{spec}` names no object.", hint="write MODULE:OBJECT, such as `nets:build`.")
    module = _module_from_file(Path(place)) if place.endswith(".py") else _module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [entry for entry in dir(found) if not entry.startswith("_")]
            raise UsageError(f"`{place}` has no `{part}`.", hint=nearest(part, known))
        found = getattr(found, part)
    return found


def _endpoint(target: Any, max_calls: int | None) -> Model | None:
    """The model at an endpoint, None where the target names none."""
    if isinstance(target, str) and target.lower().startswith(("http://", "https://")):
        from errata.models import http

        return http.from_url(target, max_calls=max_calls)
    if isinstance(target, str | Path) and Path(target).suffix.lower() in ENDPOINTS and Path(target).is_file():
        from errata.models import http

        return http.from_file(Path(target), max_calls=max_calls)
    if isinstance(target, Model) and not isinstance(target, type) and hasattr(target, "limit"):
        target.limit(max_calls)
        return target
    return None


def _looks_like_file(target: str) -> bool:
    suffix = Path(target).suffix.lower()
    known = (*ENDPOINTS, ".onnx", ".skops", ".safetensors", *PICKLES, *TORCH_PICKLES)
    return ":" not in target.replace(":\\", "") and (suffix in known or Path(target).is_file())


def _from_path(path: Path, *, allow_pickle: bool, device: str | None) -> Model:
    _present(path)
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return onnx.from_file(path)
    if suffix == ".skops":
        return sklearn.from_skops(path)
    if suffix == ".safetensors":
        raise UsageError(
            f"`{path}` holds weights only; the code that builds the network is missing.",
            hint=f"write MODULE:FACTORY@{path}, where FACTORY() returns the empty module.",
        )
    if suffix in TORCH_PICKLES:
        return _from_object(_torch_pickle(path, None, allow_pickle), name=path.stem, device=device)
    if suffix in PICKLES or _starts_like_pickle(path):
        return _from_object(sklearn.from_pickle(path, allow_pickle=allow_pickle), name=None, device=device)
    raise UsageError(f"`{path}` is no model that is known here.", hint=f"a model is {KINDS}.")


def _from_object(value: Any, *, name: str | None, device: str | None) -> Model:
    if isinstance(value, Model) and not isinstance(value, type):
        return value
    if torch.is_module(value):
        return torch.from_module(value, name=name, device=device)
    if type(value).__name__ == "ModelProto":
        return onnx.from_proto(value, name=name)
    if isinstance(value, type):
        raise UsageError(
            f"`{name or value.__name__}` is a class, expected a model.", hint="name an instance, or a function."
        )
    if hasattr(value, "predict"):
        if hasattr(value, "get_params"):
            return sklearn.from_estimator(value, name=None)
        return from_predictor(value, name=name)
    return from_function(value, name=name)


def _present(path: Path) -> Path:
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        raise UsageError(
            f"There is no file `{path}`.", hint=nearest(path.name, [p.name for p in folder.iterdir() if p.is_file()])
        )
    return path


def _starts_like_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in PICKLE_STARTS


def _torch_pickle(path: Path, factory: Any, allow_pickle: bool) -> Any:
    """The module in a torch file, which is a pickle: refused, with nothing executed, unless allowed."""
    _present(path)
    if not allow_pickle:
        raise UsageError(
            f"`{path}` is a pickle, and opening a pickle can run any code that someone put into it.",
            hint="save the weights with `safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')`, "
            "or add --allow-pickle if you trust it.",
        )
    library = require("torch", feature=f"`{path}`", extra="torch")
    if path.suffix.lower() == ".pt2":
        return library.export.load(str(path)).module()
    found = library.load(str(path), map_location="cpu", weights_only=False)
    if torch.is_module(found):
        return found
    if not isinstance(found, dict) or factory is None:
        raise UsageError(
            f"`{path}` holds a `{type(found).__name__}`, expected a whole torch module.",
            hint=f"write MODULE:FACTORY@{path}, where FACTORY() returns the empty module.",
        )
    module = factory()
    module.load_state_dict(found.get("state_dict", found))
    return module


def _factory(code: str) -> Callable[[], Any]:
    found = load_object(code)
    if torch.is_module(found):
        return lambda: found
    if not callable(found):
        raise UsageError(
            f"`{code}` is a `{type(found).__name__}`, expected a function that builds the module.",
            hint="name a function or class that needs no arguments and returns the module.",
        )
    return found  # type: ignore[no-any-return]


@contextmanager
def _working_folder_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _module(name: str) -> Any:
    try:
        with _working_folder_first():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"There is no module `{name}`.", hint="run from the folder that holds it, or write FILE.py:OBJECT."
            ) from error
        raise _needy(name, error) from error


def _needy(name: str, error: ModuleNotFoundError) -> UsageError:
    return UsageError(
        f"The module `{name}` needs `{error.name}`, which is not installed.",
        hint="install it where Errata is installed, or run Errata from the model's own environment.",
    )


def _module_from_file(path: Path) -> Any:
    _present(path)
    name = f"errata_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"`{path}` is no Python file.", hint="write FILE.py:OBJECT.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that classes defined there find their own source and can be pickled
    try:
        with _working_folder_first():
            spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise _needy(str(path), error) from error
    return module
