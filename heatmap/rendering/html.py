"""Helpers for self-contained HTML pages: assets, embedded data, and the security policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def asset(folder: str, name: str) -> str:
    """The content of a text file of a page, from the package data."""
    return (files("heatmap.rendering") / folder / name).read_text("utf-8")


def embedded(data: Mapping[str, Any]) -> str:
    """Data as JSON for an element of a page."""
    # "<" is escaped, so that nothing in the data can end its element.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def policy(style: str, script: str = "", *, images: str) -> str:
    """The content security policy of a page with one inline style and at most one inline script.

    ``images`` are the allowed sources of images.
    """
    scripts = f"'{_hash(script)}'" if script else "'none'"
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src {images}; "
        f"style-src '{_hash(style)}'; script-src {scripts}"
    )


def _hash(content: str) -> str:
    """The hash of an inline style or script in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
