"""The colour scale of all pictures: one hue from paper to ink, in equal steps of OKLab.

OKLab (Ottosson, 2020, "A perceptual color space for image processing") is a space in which equal distances look
equally large, so a straight line through it is perceptually uniform. Lightness alone orders the colours, so the order
survives every form of colour blindness and a grey print. Two lines: one for a light page and one for a dark page.
"""

from __future__ import annotations

import numpy as np
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


def levels(values: ArrayLike, top: float) -> NDArray[np.int64]:
    """Return the place of each value on the scale from 0 to `top`, 0..100."""
    shares = np.asarray(values, dtype=np.float64) / (top if top > 0 else 1.0)
    return np.rint(np.clip(shares, 0.0, 1.0) * (STEPS - 1)).astype(np.int64)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours `#rrggbb` as WCAG 2.2 defines it, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def ink(background: str) -> str:
    """Return black or white, whichever reads better on a background: the contrast is at least 4.58."""
    return max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, background))


def _luminance(colour: str) -> float:
    return float(np.dot([0.2126, 0.7152, 0.0722], _linear(colour)))


def _linear(colour: str) -> NDArray[np.float64]:
    values = np.frombuffer(bytes.fromhex(colour[1:]), dtype=np.uint8) / 255.0
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _scale(low: str, high: str) -> tuple[str, ...]:
    """Return the colours on the straight line through OKLab between two colours."""
    first, last = (np.cbrt(_linear(colour) @ _TO_CONES.T) @ _TO_LAB.T for colour in (low, high))
    line = first + np.linspace(0.0, 1.0, STEPS)[:, None] * (last - first)
    linear = (line @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(f"#{bytes(row).hex()}" for row in np.rint(encoded * 255.0).astype(np.uint8))


LIGHT = _scale("#f2f6fc", "#08338a")
"""For a light page, and for PNG: a high value is dark."""
DARK = _scale("#1d2633", "#d9e8ff")
"""For a dark page: a high value is bright."""
