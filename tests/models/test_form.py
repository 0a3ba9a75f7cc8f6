"""Layouts, ranges and dataframes in which inputs are handed over."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.models.form import Form, columns_of, forms_for, is_frame, matrix, select

GREY = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
COLOUR = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        ((1, 4, 4), (2, 1, 4, 4)), ((4, 4, 1), (2, 4, 4, 1)), ((16,), (2, 16)), ((16, 1), (2, 16, 1)),
        ((4, 4), (2, 4, 4)), ((None, None, None), (2, 1, 4, 4)), ((None,), (2, 16)), ((1, 1, 16), (2, 1, 1, 16)),
    ],
)  # fmt: skip
def test_grey_images_fit_what_a_model_states(dims, shape):
    form = forms_for(GREY, dims=dims, dtype="float32", network=True)[0]
    given = form.apply(GREY)
    assert given.shape == shape
    assert given.dtype == np.float32
    np.testing.assert_allclose(given.ravel(), GREY.ravel() / 255, atol=1e-6)


def test_colour_images_change_the_place_of_their_channels():
    first = forms_for(COLOUR, dims=(3, 4, 4), dtype="float32", network=True)[0].apply(COLOUR)
    np.testing.assert_allclose(first[1, 2], COLOUR[1, :, :, 2] / 255, atol=1e-6)
    last = forms_for(COLOUR, dims=(4, 4, 3), dtype="float32", network=True)[0].apply(COLOUR)
    np.testing.assert_allclose(last, COLOUR / 255, atol=1e-6)


def test_flat_colour_images_have_two_readings():
    layouts = {form.layout for form in forms_for(COLOUR, dims=(48,), dtype="float32", network=True)}
    assert layouts == {"flat", "flat channels first"}


def test_channels_that_are_first_stay_first():
    images = np.moveaxis(COLOUR, -1, 1)
    form = forms_for(images, dims=(3, 4, 4), dtype="float32", network=True)[0]
    np.testing.assert_allclose(form.apply(images), images / 255, atol=1e-6)


def test_flat_rows_become_images():
    flat = GREY.reshape(2, 16) / 255
    assert forms_for(flat, dims=(1, 4, 4), dtype="float32", network=True)[0].apply(flat).shape == (2, 1, 4, 4)


def test_images_of_another_size_are_refused_with_both_sizes():
    with pytest.raises(UsageError, match=r"\(4, 4\).*\(1, 28, 28\)"):
        forms_for(GREY, dims=(1, 28, 28), dtype="float32", network=True)


@pytest.mark.parametrize(
    ("inputs", "network", "factors"),
    [
        (GREY, True, [1 / 255, 1]), (GREY, False, [1, 1 / 255]), (GREY / 255, True, [1, 255]),
        (GREY / 31 * 16, True, [1, 1 / 16]), (GREY / 255 - 0.5, True, [1]), (np.ones((2, 5)), True, [1]),
    ],
)  # fmt: skip
def test_ranges_to_try(inputs, network, factors):
    forms = [form for form in forms_for(inputs, dims=None, dtype="", network=network) if not form.normal]
    assert list(dict.fromkeys(form.factor for form in forms)) == pytest.approx(factors)


def test_normalisations_are_the_usual_ones():
    forms = [form for form in forms_for(COLOUR, dims=(3, 4, 4), dtype="float32", network=True) if form.normal]
    assert [form.normal for form in forms] == ["-1 to 1", "CIFAR-10", "ImageNet"]
    np.testing.assert_allclose(forms[0].apply(COLOUR), np.moveaxis(COLOUR, -1, 1) / 127.5 - 1, atol=1e-6)
    green = (COLOUR[..., 1] / 255 - 0.456) / 0.224
    np.testing.assert_allclose(forms[2].apply(COLOUR)[:, 1], green, atol=1e-5)
    first = np.moveaxis(COLOUR, -1, 1)
    as_given = [form for form in forms_for(first, dims=(3, 4, 4), dtype="float32", network=True) if form.normal]
    np.testing.assert_allclose(as_given[2].apply(first)[:, 1], green, atol=1e-5)
    grey = [form.normal for form in forms_for(GREY, dims=(1, 4, 4), dtype="float32", network=True) if form.normal]
    assert grey == ["-1 to 1", "MNIST", "Fashion-MNIST"]


@pytest.mark.parametrize("inputs", [GREY / 255 - 0.5, np.ones((2, 5))])
def test_what_is_normalised_already_or_no_image_is_left_alone(inputs):
    assert not [form for form in forms_for(inputs, dims=None, dtype="float32", network=True) if form.normal]


def test_a_model_of_bytes_gets_bytes():
    forms = forms_for(GREY, dims=(4, 4, 1), dtype="uint8", network=True)
    assert [form.factor for form in forms] == [1]
    assert forms[0].apply(GREY).dtype == np.uint8


def test_the_form_is_said_only_where_values_change():
    assert Form(layout="flat").words == ""
    assert Form(factor=1 / 255).words == "divided by 255"
    assert Form(factor=255).words == "multiplied by 255"


def test_mixed_sizes_go_to_functions_as_they_are():
    mixed = [np.zeros((3, 4)), np.zeros((5, 5))]
    assert forms_for(mixed, dims=None, dtype="", network=False) == [Form()]
    with pytest.raises(CannotRunError, match="different sizes"):
        forms_for(mixed, dims=None, dtype="float32", network=True)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_of_every_library(library):
    module = pytest.importorskip(library)
    data = {"a": [1, 2], "b": [0.5, None], "c": ["x", "y"]}
    frame = module.table(data) if library == "pyarrow" else module.DataFrame(data)
    assert is_frame(frame)
    assert columns_of(frame) == ["a", "b", "c"]
    chosen = select(frame, ["b", "a"], who="`m`")
    assert columns_of(chosen) == ["b", "a"]
    assert type(chosen) is type(frame)
    numbers = matrix(chosen, who="`m`")
    assert numbers[:, 1].tolist() == [1, 2]
    assert np.isnan(numbers[1, 0])
    with pytest.raises(UsageError, match="`c`"):
        matrix(frame, who="`m`")
    with pytest.raises(UsageError, match=r"(?s)`aa`.*`a`"):
        select(frame, ["aa"], who="`m`")


def test_arrow_tables_are_tried_as_frames_first():
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    table = pa.table({"a": [1, 2]})
    forms = forms_for(table, dims=None, dtype="", network=False)
    assert isinstance(forms[0].framed(table), pd.DataFrame)
    assert forms[-1].framed(table) is table


def test_numbers_are_never_cut_to_whole_ones():
    whole = Form(dtype="int64")
    assert whole.apply(np.array([[1.0, 2.0]])).dtype == np.int64
    for value in (1.5, np.nan, np.inf):
        with pytest.raises(UsageError, match=r"whole numbers \(`int64`\), and the inputs hold"):
            whole.apply(np.array([[1.0, value]]))
