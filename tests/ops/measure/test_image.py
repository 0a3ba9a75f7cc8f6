"""Every attribute on drawn shapes whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from errata.core.errors import UsageError
from errata.ops.measure.image import ATTRIBUTES, Range, measure, value_range

SIDE = 40
Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)


def disc(x: float = 19.5, y: float = 19.5, radius: float = 8.0) -> NDArray[np.float64]:
    return (np.hypot(X - x, Y - y) <= radius).astype(float)


def ring(x: float = 19.5, y: float = 19.5, outer: float = 10.0, inner: float = 6.0) -> NDArray[np.float64]:
    return disc(x, y, outer) - disc(x, y, inner)


def bar(*, left: int, right: int, top: int = 5, bottom: int = 35) -> NDArray[np.float64]:
    image = np.zeros((SIDE, SIDE))
    image[top:bottom, left:right] = 1.0
    return image


def blurred(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(image, sigma))


def leaning(degrees: float) -> NDArray[np.float64]:
    """A bar whose top is moved to the right by tan(degrees) per pixel of height."""
    middle = 19.5 - np.tan(np.radians(degrees)) * (Y - 19.5)
    return ((np.abs(X - middle) < 3) & (np.abs(Y - 19.5) < 10)).astype(float)


def of(name: str, *images: NDArray[np.generic]) -> NDArray[np.float64]:
    return measure(np.stack(images), names=[f"image.{name}"], value_range=(0, 1))[f"image.{name}"]


def painted(*colour: float) -> NDArray[np.float64]:
    return np.broadcast_to(np.array(colour), (SIDE, SIDE, 3)).copy()


def grain(scale: float) -> NDArray[np.float64]:
    return 0.5 + scale * np.random.default_rng(3).standard_normal((SIDE, SIDE))


BLANK = np.zeros((SIDE, SIDE))


def test_bank_is_large_enough_and_each_attribute_says_itself() -> None:
    assert len(ATTRIBUTES) >= 20
    for name, attribute in ATTRIBUTES.items():
        assert name == attribute.name
        assert name.startswith("image.")
        assert all((attribute.noun, attribute.high, attribute.low))
        assert attribute.explanation.endswith(".")
        assert ". " not in attribute.explanation
        assert (attribute.kind == "category") == bool(attribute.levels)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("brightness", BLANK + 0.2, BLANK + 0.7),
        ("contrast", 0.4 + 0.2 * disc(), disc()),
        ("darkest", BLANK, BLANK + 0.3),
        ("lightest", BLANK + 0.4, disc()),
        ("entropy", disc(), X / (SIDE - 1)),
        ("top_light", Y / SIDE, 1 - Y / SIDE),
        ("left_light", X / SIDE, 1 - X / SIDE),
        ("background_brightness", disc(), 1 - disc()),
        ("background_variation", disc(), grain(0.1)),
        ("foreground_contrast", 0.3 * disc(), 0.9 * disc()),
        ("sharpness", blurred(disc(), 3), disc()),
        ("edge_density", disc(), (X % 4 < 2).astype(float)),
        ("vertical_edges", (Y % 4 < 2).astype(float), (X % 4 < 2).astype(float)),
        ("texture", disc(), grain(0.1)),
        ("fine_detail", blurred(disc(), 2), grain(0.1)),
        ("noise", grain(0.02), grain(0.1)),
        ("foreground_share", disc(radius=5), disc(radius=12)),
        ("foreground_width", bar(left=18, right=22), bar(left=8, right=32)),
        ("foreground_height", bar(left=18, right=22, top=15, bottom=20), bar(left=18, right=22)),
        ("foreground_aspect", bar(left=18, right=22), bar(left=18, right=22).T),
        ("fill", ring(), bar(left=10, right=20)),
        ("position_x", disc(x=12), disc(x=28)),
        ("position_y", disc(y=12), disc(y=28)),
        ("slant", leaning(-25), leaning(25)),
        ("stroke_thickness", bar(left=19, right=21), bar(left=17, right=23)),
        ("symmetry_left_right", leaning(30), disc()),
        ("symmetry_top_bottom", leaning(30), disc()),
        ("strokes_across", disc(), ring()),
        ("strokes_down", disc(), ring()),
        ("touches_border", disc(), bar(left=0, right=40, top=0, bottom=8)),
        ("pieces", disc(), disc(x=10, radius=5) + disc(x=30, radius=5)),
        ("holes", disc(), ring()),
    ],
)
def test_the_higher_image_measures_higher(name: str, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    values = of(name, low, high)
    assert np.isfinite(values).all()
    assert values[1] > values[0] + 1e-3


def test_every_number_is_compared_above_or_below() -> None:
    compared = {
        mark.args[1][i][0]
        for mark in test_the_higher_image_measures_higher.pytestmark  # type: ignore[attr-defined]
        for i in range(len(mark.args[1]))
    }
    elsewhere = {"width", "height", "aspect_ratio", "saturation", "warmth"}
    numbers = {a.name.removeprefix("image.") for a in ATTRIBUTES.values() if a.kind == "number"}
    assert numbers == compared | elsewhere


@pytest.mark.parametrize(("image", "count"), [(disc(), 0), (ring(), 1), (1 - ring(), 1)])
def test_holes_are_counted(image: NDArray[np.float64], count: int) -> None:
    assert of("holes", image) == count


def test_an_eight_has_two_holes_and_one_piece() -> None:
    eight = np.clip(ring(y=12, outer=8, inner=4) + ring(y=26, outer=8, inner=4), 0, 1)
    assert of("holes", eight) == 2
    assert of("pieces", eight) == 1


def test_a_gap_in_a_ring_opens_the_hole() -> None:
    broken = ring()
    broken[:20, 18:22] = 0
    assert of("holes", broken) == 0


def test_a_diagonal_line_is_one_piece() -> None:
    assert of("pieces", np.eye(SIDE)) == 1


def test_specks_are_not_pieces() -> None:
    speckled = disc()
    speckled[2, 2] = speckled[35, 3] = 1
    assert of("pieces", speckled) == 1


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_thickness_of_a_bar_is_its_width(width: int) -> None:
    long = np.zeros((100, 100))
    long[5:95, 40 : 40 + width] = 0.8
    assert of("stroke_thickness", long)[0] == pytest.approx(width, rel=0.12)


def test_thickness_does_not_depend_on_the_direction_or_the_contrast() -> None:
    upright, flat, faint = bar(left=17, right=21), bar(left=17, right=21).T, 0.4 * bar(left=17, right=21)
    values = of("stroke_thickness", upright, flat, faint, 1 - upright)
    assert values == pytest.approx([values[0]] * 4, rel=0.02)


@pytest.mark.parametrize("degrees", [-40, -20, -5, 0, 5, 20, 40])
def test_slant_is_the_angle_of_the_lean(degrees: float) -> None:
    assert of("slant", leaning(degrees))[0] == pytest.approx(degrees, abs=2.5)


def test_slant_of_a_horizontal_line_is_undefined() -> None:
    line = np.zeros((SIDE, SIDE))
    line[20, 5:35] = 1
    assert np.isnan(of("slant", line)[0])


def test_position_is_a_share_of_the_image() -> None:
    at = disc(x=9.5, y=29.5, radius=5)
    assert of("position_x", at)[0] == pytest.approx(0.25, abs=1e-3)
    assert of("position_y", at)[0] == pytest.approx(0.75, abs=1e-3)


def test_symmetry_is_about_the_shape_itself() -> None:
    assert of("symmetry_left_right", disc(x=10, radius=5))[0] == pytest.approx(1, abs=0.02)
    assert of("symmetry_top_bottom", disc(y=10, radius=5))[0] == pytest.approx(1, abs=0.02)
    pointing = np.where((np.abs(Y - 20) < X / 3) & (X < 30), 1.0, 0.0)
    across, down = of("symmetry_left_right", pointing)[0], of("symmetry_top_bottom", pointing)[0]
    assert across < 0.85 < 0.95 < down


def test_noise_recovers_the_planted_grain() -> None:
    assert of("noise", grain(0.05))[0] == pytest.approx(0.05, rel=0.15)
    assert of("noise", X / SIDE)[0] < 1e-6


def test_sharpness_does_not_depend_on_contrast() -> None:
    values = of("sharpness", disc(), 0.3 * disc() + 0.2)
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_blank_images_have_no_shape() -> None:
    values = measure(np.stack([BLANK, BLANK + 0.5]), value_range=(0, 1))
    undefined = {name.removeprefix("image.") for name, v in values.items() if v.dtype != np.int32 and np.isnan(v).all()}
    assert undefined == {
        "foreground_contrast", "saturation", "warmth", "sharpness", "vertical_edges", "fine_detail", "foreground_share",
        "foreground_width", "foreground_height", "foreground_aspect", "fill", "position_x", "position_y", "slant",
        "stroke_thickness", "symmetry_left_right", "symmetry_top_bottom", "strokes_across", "strokes_down",
        "touches_border", "pieces", "holes",
    }  # fmt: skip
    assert (values["image.foreground_colour"] == -1).all()
    assert values["image.contrast"] == pytest.approx([0, 0])


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((1, 0, 0), "red"), ((0, 0.6, 0), "green"), ((0.1, 0.2, 0.9), "blue"), ((1, 1, 0.1), "yellow"),
        ((0, 0, 0), "black"), ((1, 1, 1), "white"), ((0.5, 0.5, 0.5), "grey"), ((1, 0.55, 0), "orange"),
        ((0.4, 0.25, 0.1), "brown"), ((0.5, 0, 0.7), "purple"), ((1, 0.6, 0.8), "pink"), ((0, 0.9, 0.9), "cyan"),
    ],
)  # fmt: skip
def test_colours_are_named(colour: tuple[float, float, float], name: str) -> None:
    levels = ATTRIBUTES["image.dominant_colour"].levels
    image = painted(*colour)
    assert levels[of("dominant_colour", image)[0]] == name
    assert levels[of("background_colour", image)[0]] == name


def test_foreground_and_background_have_their_own_colours() -> None:
    image = painted(0, 0, 1)
    image[disc() > 0] = (1, 0, 0)
    levels = ATTRIBUTES["image.foreground_colour"].levels
    assert levels[of("foreground_colour", image)[0]] == "red"
    assert levels[of("background_colour", image)[0]] == "blue"
    assert levels[of("dominant_colour", image)[0]] == "blue"


def test_saturation_and_warmth() -> None:
    red, pale, blue = painted(1, 0, 0), painted(1, 0.8, 0.8), painted(0, 0, 1)
    assert of("saturation", red, pale) == pytest.approx([1, 0.2], abs=1e-5)
    assert of("warmth", red, pale, blue) == pytest.approx([1, 0.2, -1], abs=1e-5)


def test_size_of_images_of_mixed_sizes() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((5, 8), (20, 10, 3), (5, 8), (1, 1), (2, 3, 4))]
    values = measure(images)
    assert values["image.width"].tolist() == [8, 10, 8, 1, 3]
    assert values["image.height"].tolist() == [5, 20, 5, 1, 2]
    assert values["image.aspect_ratio"] == pytest.approx([1.6, 0.5, 1.6, 1, 1.5])
    alone = measure(images[0][None], value_range=(0, 255))
    assert all(values[name][0] == pytest.approx(alone[name][0], nan_ok=True) for name in ATTRIBUTES)
    assert np.isnan(values["image.saturation"]).tolist() == [True, False, True, True, False]


def test_one_batch_many_batches_and_channel_orders_agree() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2500, 16, 16, 3), dtype=np.uint8)  # more than one block of pixels
    whole = measure(images)
    first_channels = measure(np.moveaxis(images[2000:], -1, 1))
    floats = measure(images[2000:] / 255)
    for name, values in whole.items():
        assert np.array_equal(values[2000:], first_channels[name], equal_nan=True)
        np.testing.assert_allclose(values[2000:], floats[name], atol=1e-5)


def test_large_images_are_measured_in_their_own_pixels() -> None:
    small, large = np.zeros((100, 100)), np.zeros((800, 800))
    small[20:80, 40:50] = 1
    large[160:640, 320:400] = 1
    values = measure([small, large], value_range=(0, 1))
    assert values["image.stroke_thickness"][1] == pytest.approx(8 * values["image.stroke_thickness"][0], rel=0.05)
    for name in ("image.position_x", "image.foreground_share", "image.foreground_height"):
        assert values[name][1] == pytest.approx(values[name][0], rel=0.02)


@pytest.mark.parametrize(
    ("images", "low", "high"),
    [
        (np.array([[[0, 200]]], np.uint8), 0, 255),
        (np.array([[[0.0, 0.9]]]), 0, 1),
        (np.array([[[-0.8, 0.9]]]), -1, 1),
        (np.array([[[0.0, 16.0]]]), 0, 16),
        (np.array([[[0.0, 250.0]]]), 0, 255),
        (np.array([[[True, False]]]), 0, 1),
        (np.array([[[0.0, np.nan, 0.9]]]), 0, 1),
    ],
)
def test_the_range_of_a_dataset_is_recognised(images: NDArray[np.generic], low: float, high: float) -> None:
    assert value_range(images) == Range(low, high)


def test_the_range_is_that_of_the_dataset_not_of_the_batch() -> None:
    bright = measure(np.full((1, 4, 4), 8.0), names=["image.brightness"], value_range=(0, 16))
    assert bright["image.brightness"][0] == pytest.approx(0.5)


def test_a_pixel_that_is_not_a_number_leaves_only_the_size() -> None:
    images = np.stack([disc(), disc()])
    images[1, 3, 3] = np.nan
    values = measure(images, value_range=(0, 1))
    defined = {name for name, v in values.items() if (v[1] >= 0 if v.dtype == np.int32 else np.isfinite(v[1]))}
    assert defined == {"image.width", "image.height", "image.aspect_ratio"}
    assert values["image.holes"][0] == 0


def test_no_images_give_no_values() -> None:
    assert all(v.shape == (0,) for v in measure(np.zeros((0, 8, 8))).values())
    assert all(v.shape == (0,) for v in measure([]).values())


@pytest.mark.parametrize("images", [np.zeros((3, 64)), np.zeros((2, 8, 8, 7)), [np.zeros(5)]])
def test_what_is_not_images_is_refused(images: NDArray[np.float64]) -> None:
    with pytest.raises(UsageError, match="Hint"):
        measure(images)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"image\.brightness"):
        measure(disc()[None], names=["image.brightnes"])


def test_the_digits_of_people_have_the_holes_that_people_see() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    holes = measure(digits.images, names=["image.holes"])["image.holes"]
    mean = [holes[digits.target == c].mean() for c in range(10)]
    assert mean[8] > 1.2 > mean[0] > 0.8
    assert max(mean[1], mean[7]) < 0.2


def test_the_table_in_the_docs_is_the_bank() -> None:
    page = Path(__file__).parents[3] / "docs" / "attributes.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `image.")]
    assert rows == [
        f"| `{a.name}` | {a.noun} | {a.high} / {a.low} | {a.unit or ('name' if a.levels else '')} | {a.explanation} |"
        for a in ATTRIBUTES.values()
    ]
