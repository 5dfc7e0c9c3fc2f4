"""The notes on how many photos were read, in few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# So many different notes are told.
MOST_NOTES = 10


def gathered_notes(notes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The notes on several photos, each once, with how many photos have it and the first of them.

    >>> gathered_notes({"a.jpg": ["damaged"], "b.jpg": ["damaged"], "c.png": ["16-bit"]})
    ('2 photos: damaged (first a.jpg)', 'c.png: 16-bit')

    Args:
        notes: those on each photo by its name.

    Returns:
        At most ``MOST_NOTES`` of them, those of most photos first, and how many there are beside.
    """
    photos: dict[str, list[str]] = {}
    for name, of_photo in notes.items():
        for note in of_photo:
            photos.setdefault(note, []).append(name)
    ranked = sorted(photos.items(), key=lambda item: -len(item[1]))
    lines = [
        f"{len(names)} photos: {note} (first {names[0]})" if names[1:] else f"{names[0]}: {note}"
        for note, names in ranked[:MOST_NOTES]
    ]
    beside = {name for _, names in ranked[MOST_NOTES:] for name in names}
    return (*lines, *([f"{len(beside)} photos have further notes"] if beside else []))
