"""The colour scale of all pictures: one hue from paper to ink, in equal steps of OKLab.

OKLab (Ottosson, 2020, "A perceptual color space for image processing") is a space in which equal distances look
equally large, so a straight line through it is perceptually uniform. Lightness alone orders the colours, so the order
survives every form of colour blindness and a grey print. Two lines: one for a light page and one for a dark page.

matplotlib reads and writes the colours and normalises the values. Its own colour maps are not used:
`LinearSegmentedColormap` interpolates in sRGB, where equal steps do not look equal; its uniform maps (viridis, cividis)
change their hue and are made for areas, not for text to be read on them; and none has a twin for a dark page. Nor does
it compute the contrast of WCAG, which decides the ink.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize, to_hex, to_rgb
from numpy.typing import ArrayLike, NDArray

STEPS = 101
"""Colours of a scale: one for each percent of the highest value."""

# sRGB (linear) -> cone responses -> OKLab, from the paper.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def find_colour_steps(values: ArrayLike, highest: float) -> NDArray[np.int64]:
    """Return the step of each value on the scale from 0 to `highest`: the nearest percent, 0 where `highest` is 0.

    Values beyond the ends of the scale get its first or last step.

    Examples
    --------
    >>> find_colour_steps([0.0, 2.5, 7.0], highest=5.0).tolist()
    [0, 50, 100]
    """
    shares = Normalize(0.0, highest, clip=True)(np.asarray(values, dtype=np.float64))
    return np.rint(np.asarray(shares) * (STEPS - 1)).astype(np.int64)


def contrast_ratio(one: str, other: str) -> float:
    """Return the contrast of two colours `#rrggbb` as WCAG 2.2 defines it, 1 to 21.

    Examples
    --------
    >>> round(contrast_ratio("#ffffff", "#767676"), 2)
    4.54
    """
    darker, lighter = sorted((_relative_luminance(one), _relative_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def choose_ink(background: str) -> str:
    """Return black or white, whichever reads better on a background: the contrast is at least 4.58.

    Examples
    --------
    >>> choose_ink("#f2f6fc"), choose_ink("#08338a")
    ('#000000', '#ffffff')
    """
    return max(("#000000", "#ffffff"), key=lambda colour: contrast_ratio(colour, background))


def _relative_luminance(colour: str) -> float:
    """Return the luminance as WCAG 2.2 defines it: 0 for black to 1 for white."""
    return float(np.dot([0.2126, 0.7152, 0.0722], _linear_rgb(colour)))


def _linear_rgb(colour: str) -> NDArray[np.float64]:
    """Return the intensities [3] of light, 0 to 1, that an sRGB colour stands for."""
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _build_scale(low: str, high: str) -> tuple[str, ...]:
    """Return the colours on the straight line through OKLab between two colours."""
    first, last = (np.cbrt(_linear_rgb(colour) @ _TO_CONES.T) @ _TO_LAB.T for colour in (low, high))
    line = first + np.linspace(0.0, 1.0, STEPS)[:, None] * (last - first)
    linear = (line @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(to_hex((red, green, blue)) for red, green, blue in encoded.tolist())


LIGHT = _build_scale("#f2f6fc", "#08338a")
"""For a light page, and for PNG: a high value is dark."""
DARK = _build_scale("#1d2633", "#d9e8ff")
"""For a dark page: a high value is bright."""
WARM_LIGHT = _build_scale("#f8f4ef", "#8a3a08")
"""The other side of zero, where values have a sign: orange where `LIGHT` is blue, as light at each step."""
WARM_DARK = _build_scale("#2b241d", "#ffe2cc")
