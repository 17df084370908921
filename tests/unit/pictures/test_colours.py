from __future__ import annotations

import itertools

import numpy as np
import pytest

from gazetune.pictures.colours import DARK, LIGHT, choose_ink, contrast_ratio, find_colour_steps


def cielab(colour: str) -> np.ndarray:
    """Return L*, a*, b* (CIE 1976, D65): another space than the scale was made in."""
    rgb = np.frombuffer(bytes.fromhex(colour[1:]), dtype=np.uint8) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]] @ linear
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("scale", "direction"), [(LIGHT, -1), (DARK, 1)])
def test_lightness_alone_orders_the_colours(scale: tuple[str, ...], direction: int) -> None:
    lightness = [cielab(colour)[0] for colour in scale]
    assert len(scale) == 101
    assert all(direction * (after - before) > 0.2 for before, after in itertools.pairwise(lightness))
    assert abs(lightness[-1] - lightness[0]) > 60


@pytest.mark.parametrize("scale", [LIGHT, DARK])
def test_equal_steps_look_equally_large(scale: tuple[str, ...]) -> None:
    colours = np.array([cielab(colour) for colour in scale[::10]])
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.6


def test_contrast_is_that_of_wcag() -> None:
    assert contrast_ratio("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast_ratio("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scale", [LIGHT, DARK])
def test_the_ink_can_be_read_on_every_colour(scale: tuple[str, ...]) -> None:
    assert min(contrast_ratio(choose_ink(colour), colour) for colour in scale) >= 4.5


def test_steps_are_percents_of_the_top_within_the_scale() -> None:
    assert find_colour_steps([0.0, 1.0, 2.5, 5.0, 7.0, -1.0], 5.0).tolist() == [0, 20, 50, 100, 100, 0]
    assert find_colour_steps([0.0, 0.0], 0.0).tolist() == [0, 0]
