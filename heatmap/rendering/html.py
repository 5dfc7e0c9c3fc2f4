"""What the pages have in common: files of the package put into one that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def asset(folder: str, name: str) -> str:
    """A text file of a page, out of the package."""
    return (files("heatmap.rendering") / folder / name).read_text("utf-8")


def embedded(data: Mapping[str, Any]) -> str:
    """Data as JSON that stands in an element of a page."""
    # "<" as an escape: nothing in the data can end its element.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def policy(style: str, script: str, *, images: str) -> str:
    """The content security policy of a page with one style and one script of its own.

    ``images`` are the sources that pictures may come from.
    """
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src {images}; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )


def _hash(content: str) -> str:
    """As a content security policy names what it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
