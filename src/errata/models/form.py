"""The form in which inputs are handed to a model: which columns, which layout of pixels, which range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import CannotRunError, UsageError, nearest
from errata.core.model import Inputs

__all__ = ["AS_GIVEN", "Form", "columns_of", "forms_for", "frame_of_texts", "is_frame", "is_texts", "matrix", "select"]

Layout = Literal["as given", "flat", "flat channels first", "channels first", "channels last"]
Library = Literal["", "pandas", "polars"]
Normal = Literal["", "-1 to 1", "MNIST", "Fashion-MNIST", "CIFAR-10", "ImageNet"]
NORMALS: dict[Normal, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "-1 to 1": ((0.5,), (0.5,)),
    "MNIST": ((0.1307,), (0.3081,)),
    "Fashion-MNIST": ((0.286,), (0.353,)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Means and standard deviations of the channels by which networks' inputs are usually normalised."""
Dims = Sequence[int | None]


@dataclass(frozen=True, kw_only=True)
class Form:
    """How an array of inputs (b, ...) is changed before the model sees it.

    layout   of images: (b, h, w, c) to (b, c, h, w) for "channels first", to (b, h w c) for "flat", ...
    factor   what values are multiplied by: 1 / 255 brings bytes to 0 to 1
    normal   the usual means and standard deviations by which images between 0 and 1 are then normalised, "" for none
    shape    the shape of one input after that, () leaves it
    dtype    the type the model takes, "" leaves it
    library  of dataframes that a frame is turned into, "" leaves it
    """

    layout: Layout = "as given"
    factor: float = 1.0
    normal: Normal = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    library: Library = ""

    def framed(self, frame: Any) -> Any:
        """A dataframe in the library of this form."""
        import narwhals as nw

        if self.library == "pandas":
            return nw.from_native(frame, eager_only=True).to_pandas()
        if self.library == "polars":
            return nw.from_native(frame, eager_only=True).to_polars()
        return frame

    def apply(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """The inputs in this form, (b, ...)."""
        array = inputs
        if self.factor != 1.0:
            array = np.multiply(array, self.factor, dtype=np.float64 if array.dtype == np.float64 else np.float32)
        if self.normal:
            array = _normalised(array, self.normal)
        array = _laid_out(array, self.layout)
        if self.shape:
            array = array.reshape(len(array), *self.shape)
        if self.dtype:
            _check_whole(array, self.dtype)
            array = array.astype(self.dtype, copy=False)
        return np.ascontiguousarray(array)

    @property
    def words(self) -> str:
        """What is done to the values of the inputs, for a caveat; "" when nothing is."""
        said = []
        if self.factor != 1.0:
            said.append(f"divided by {1 / self.factor:g}" if self.factor < 1 else f"multiplied by {self.factor:g}")
        if self.normal == "-1 to 1":
            said.append("moved to -1 to 1")
        elif self.normal:
            said.append(f"normalised by the means and deviations of {self.normal}")
        return " and ".join(said)


AS_GIVEN = Form()


def _check_whole(array: NDArray[Any], dtype: str) -> None:
    """Raises UsageError where numbers would be cut to whole ones: the model would be asked about other inputs."""
    if np.dtype(dtype).kind not in "iu" or array.dtype.kind != "f":
        return
    broken = array[~(np.isfinite(array) & (array == np.floor(array)))]
    if broken.size:
        raise UsageError(
            f"The model takes whole numbers (`{dtype}`), and the inputs hold `{float(broken[0]):g}`.",
            hint="name the columns that it takes, or connect a function that prepares them.",
        )


def forms_for(inputs: Inputs, *, dims: Dims | None, dtype: str, network: bool) -> list[Form]:
    """The forms in which a model could want these inputs, the most usual first.

    dims     the shape of one input that the model states, None where it leaves it open; None when it says nothing
    dtype    the type that the model takes, "" when it takes any
    network  a network usually wants pictures between 0 and 1; a function or an estimator takes what it was trained on
    Raises UsageError when no layout of the inputs has the stated shape.
    """
    if is_frame(inputs):
        return [Form(library=library) for library in _libraries(inputs)]
    if is_texts(inputs) and network:
        raise UsageError(
            "The inputs are texts, and this model takes numbers.",
            hint="connect a Hugging Face folder, a pipeline with a vectoriser, or a function that prepares them.",
        )
    if isinstance(inputs, list):  # images of mixed sizes
        if not network:
            return [AS_GIVEN]
        raise CannotRunError(
            "Images of different sizes cannot be given to this model in one batch.",
            hint="bring the images to the size that the model was trained on.",
        )
    array = np.asarray(inputs)
    fitting = [form for layout in _layouts(array, network) for form in _fitting(array, layout, dims, dtype)]
    # Cutting a flat row anew is for shapes that no layout has.
    unique = [form for form in fitting if not form.shape] or fitting
    if not unique:
        wanted = tuple("any" if d is None else d for d in dims or ())
        raise UsageError(
            f"An input has shape `{array.shape[1:]}`, and the model takes `{wanted}`.",
            hint="bring the data to the size that the model was trained on.",
        )
    factors = _factors(array, dtype, network)
    plain = [replace(form, factor=factor) for form in unique for factor in factors]
    normals = _normals(array, dtype) if network else []
    # What brings the values to 0 to 1 is the first factor for bytes, the last for other large numbers.
    unit = factors[0] if array.dtype == np.uint8 or factors[-1] > 1 else factors[-1]
    return [*plain, *(replace(form, factor=unit, normal=normal) for form in unique for normal in normals)]


def is_frame(inputs: Inputs) -> bool:
    """Whether a batch is a dataframe of any library rather than an array."""
    return not isinstance(inputs, np.ndarray) and (hasattr(inputs, "columns") or hasattr(inputs, "column_names"))


def is_texts(inputs: Inputs) -> bool:
    """Whether a batch is a list of texts rather than of images."""
    return isinstance(inputs, list) and all(isinstance(item, str) for item in inputs[:1])


def columns_of(frame: Any) -> list[str]:
    """The names of the columns of a dataframe of any library."""
    import narwhals as nw

    return list(nw.from_native(frame, eager_only=True).columns)


def frame_of_texts(texts: list[str], column: str) -> Any:
    """Texts as the one column of a dataframe, pandas where it is installed, else polars, else Arrow."""
    from importlib import import_module

    if find_spec("pandas") is not None:
        return import_module("pandas").DataFrame({column: texts})
    if find_spec("polars") is not None:
        return import_module("polars").DataFrame({column: texts})
    return import_module("pyarrow").table({column: texts})


def select(frame: Any, names: Sequence[str], *, who: str) -> Any:
    """Columns of a dataframe in the order the model wants them; raises UsageError for one that is missing."""
    import narwhals as nw

    wide = nw.from_native(frame, eager_only=True)
    for name in names:
        if name not in wide.columns:
            raise UsageError(f"{who} takes the column `{name}`, which the data lack.", hint=nearest(name, wide.columns))
    return frame if list(names) == list(wide.columns) else wide.select(*names).to_native()


def matrix(frame: Any, *, who: str) -> NDArray[Any]:
    """The columns of a dataframe side by side, (b, d) float64; raises UsageError for a column of words."""
    import narwhals as nw

    wide = nw.from_native(frame, eager_only=True)
    parts = []
    for name in wide.columns:
        values = np.asarray(wide.get_column(name).to_numpy())
        if values.dtype.kind not in "biuf":
            raise UsageError(
                f"{who} takes numbers, and the column `{name}` holds `{values.dtype}`.",
                hint="leave the column out with --ignore, or connect a function or pipeline that encodes it.",
            )
        parts.append(values.astype(np.float64))
    return np.stack(parts, axis=1) if parts else np.empty((len(wide), 0))


def _libraries(frame: Any) -> list[Library]:
    """In which libraries a model could want a frame: its own first, except that Arrow tables are seldom meant."""
    own = type(frame).__module__.partition(".")[0]
    others: list[Library] = [name for name in ("pandas", "polars") if name != own and find_spec(name) is not None]
    return [*others, ""] if own == "pyarrow" else ["", *others]


def _layouts(array: NDArray[Any], network: bool) -> list[Layout]:
    if array.ndim <= 2:
        return ["as given"]
    colour = array.ndim == 4 and array.shape[-1] in (3, 4)
    pictures: list[Layout] = ["channels first", "as given", "channels last", "flat"]
    if not network:
        pictures = ["as given", "flat", "channels first", "channels last"]
    return [*pictures, "flat channels first"] if colour else pictures


def _laid_out(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    if layout == "flat":
        return array.reshape(len(array), -1)
    if layout == "flat channels first":
        return np.moveaxis(array, -1, 1).reshape(len(array), -1)
    if layout == "channels first":
        return array[:, None] if array.ndim == 3 else np.moveaxis(array, -1, 1)
    if layout == "channels last":
        return array[..., None] if array.ndim == 3 else array
    return array


def _fitting(array: NDArray[Any], layout: Layout, dims: Dims | None, dtype: str) -> list[Form]:
    """The form of one layout, if it has the stated shape or can be brought to it without moving a pixel."""
    if layout == "channels first" and array.ndim == 4 and array.shape[-1] not in (1, 2, 3, 4):
        return []  # the channels are first already
    form = Form(layout=layout, dtype=dtype)
    if dims is None:
        return [form]
    shape = _laid_out(array[:1], layout).shape[1:]
    if len(shape) == len(dims) and all(d is None or d == s for d, s in zip(dims, shape, strict=True)):
        return [form]
    known = [d for d in dims if d is not None]
    size = int(np.prod(shape))
    if not layout.startswith("flat") and array.ndim > 2:
        return []  # only a flat row of pixels is cut into another shape: the layouts above say which row
    if len(known) == len(dims) and int(np.prod(known)) == size:
        return [Form(layout=layout, dtype=dtype, shape=tuple(known))]
    if len(known) == len(dims) - 1 and known and size % int(np.prod(known)) == 0:
        filled = tuple(size // int(np.prod(known)) if d is None else d for d in dims)
        return [Form(layout=layout, dtype=dtype, shape=filled)]
    return []


def _factors(array: NDArray[Any], dtype: str, network: bool) -> list[float]:
    """By what the values could have to be multiplied, the most usual first."""
    picture = array.ndim > 2 or array.dtype == np.uint8
    if not picture or array.size == 0 or array.dtype.kind not in "uif" or (dtype and np.dtype(dtype).kind in "ui"):
        return [1.0]
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    top = float(finite.max()) if finite.size else 1.0
    if array.dtype == np.uint8 or 128 < top <= 255:
        top = 255.0
    if top <= 1.0:
        return [1.0, 255.0] if finite.size and float(finite.min()) >= 0 else [1.0]
    return [1.0 / top, 1.0] if network and array.dtype == np.uint8 else [1.0, 1.0 / top]


def _normals(array: NDArray[Any], dtype: str) -> list[Normal]:
    """The usual normalisations of images with as many channels; none of what holds negative numbers already."""
    if array.ndim < 3 or array.size == 0 or array.dtype.kind not in "uif" or (dtype and np.dtype(dtype).kind in "ui"):
        return []
    if array.dtype.kind != "u" and float(np.nanmin(array)) < 0:
        return []
    channels = 1 if array.ndim == 3 or _channel_axis(array) is None else 3
    return ["-1 to 1", "MNIST", "Fashion-MNIST"] if channels == 1 else ["-1 to 1", "CIFAR-10", "ImageNet"]


def _channel_axis(array: NDArray[Any]) -> int | None:
    """Where the three channels of (b, h, w, 3) or (b, 3, h, w) images are, None where there are none."""
    if array.ndim != 4:
        return None
    return 3 if array.shape[3] == 3 else 1 if array.shape[1] == 3 else None


def _normalised(array: NDArray[Any], normal: Normal) -> NDArray[Any]:
    means, deviations = (np.asarray(part, dtype=np.float32) for part in NORMALS[normal])
    if len(means) > 1 and _channel_axis(array) == 1:
        means, deviations = means[:, None, None], deviations[:, None, None]
    return (array - means) / deviations
