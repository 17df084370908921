"""How the tests look at pictures: pixels of a PNG, elements of an HTML document."""

from __future__ import annotations

import io
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

_VOID = {"meta", "br", "hr", "img", "input", "link", "rect", "circle", "path", "polyline"}


class Document(HTMLParser):
    """An HTML document whose elements must be closed in the order they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[dict[str, str | None], str]] = []
        """Attributes and text of the spans that have a title."""
        self.cells: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "span" and "title" in attributes:
            self.words.append((attributes, data))
        if tag == "td":
            self.cells.append(data)


def _pixels(content: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def pixels() -> Callable[[bytes], NDArray[Any]]:
    """Return a PNG as [height, width, 3] of 0..255."""
    return _pixels


@pytest.fixture
def where(pixels: Callable[[bytes], NDArray[Any]]) -> Callable[[bytes, str], NDArray[Any]]:
    """Return where a PNG has exactly a colour `#rrggbb`, [height, width]."""
    return lambda content, colour: (pixels(content) == tuple(bytes.fromhex(colour[1:]))).all(axis=2)


@pytest.fixture
def document() -> Callable[[str], Document]:
    """Return a parsed document that refers to nothing outside of itself."""

    def parsed(text: str) -> Document:
        found = Document(text)
        assert not {"script", "link", "img", "iframe", "base"} & {tag for tag, _ in found.elements}
        assert not [attrs for _, attrs in found.elements if {"src", "href", "xlink:href", "data", "style"} & set(attrs)]
        assert not [mark for mark in ("url(", "@import", "http:", "https:") if mark in text]
        assert "default-src 'none'" in text
        return found

    return parsed
