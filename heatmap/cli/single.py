"""One photo of `heatmap run`: from where it comes, and where its result goes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ..errors import PhotoError
from ..progress import print_text

if TYPE_CHECKING:
    from ..photo.given import Spooled
    from ..runs.request import Request
    from ..runs.result import Result

# Where results go that nothing was said of.
RESULTS = Path("results")


def given_photo(name: str) -> Path | Spooled:
    """The photo that was typed; "-" is read from standard input, up to a limit.

    Raises:
        PhotoError: there is nothing to read, or too much.
    """
    if name != "-":
        return Path(name)
    from ..photo.given import Spooled

    if sys.stdin is None or sys.stdin.isatty():
        raise PhotoError(
            "- reads a photo from standard input, and none is piped in: give its path, or pipe it "
            "in as in `heatmap run - < cat.jpg`"
        )
    return Spooled(sys.stdin.buffer)


def check_output(photo: Path | Spooled, output: Path | None, request: Request) -> None:
    """Refuse what can be refused before a network is loaded.

    Raises:
        ResultError: what is asked for cannot be written there, or needs a folder.
    """
    from ..runs.one_picture import check_no_more_files, check_picture, is_picture
    from ..runs.possible import check_known

    if output is None:
        check_no_more_files(request, "no file is written")
    elif is_picture(output):
        check_picture(output, photo if isinstance(photo, Path) else "", request)
    elif isinstance(photo, Path):
        check_known(photo, output, request)


def json_of(done: Result) -> str:
    """The JSON of a result: the content of its file, or where none was written what it would be."""
    if done.saved is not None:
        return done.saved.description.read_text(encoding="utf-8")
    text = json.dumps(done.to_dict(), indent=2, ensure_ascii=False)
    return f"{text}\n".encode("utf-8", "backslashreplace").decode("utf-8")


def print_settings(console: Console, done: Result) -> None:
    """Print with what settings a result was made, by what, and with which versions."""
    told = done.to_dict()
    listed = {
        "settings": told["settings"],
        "reading": told["photo"]["reading"],
        "computed with": told["origin"]["computation"],
        "versions": told["origin"]["versions"],
    }
    for heading, values in listed.items():
        words = ", ".join(f"{name} {_word(value)}" for name, value in values.items())
        print_text(console, f"{heading}: {words}", indent=2)


def _word(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
