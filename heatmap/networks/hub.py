"""Download published weights once, to the caches of torchvision and timm themselves.

Without an internet connection the error comes within seconds and says what to download.
"""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import torch

from ..errors import ModelError, Use, reason_of
from ..progress import downloading

# Seconds without a byte after which a connection counts as dead.
_PATIENCE_S = 15.0


def fetch_url(url: str, name: str) -> Path:
    """Path of a file in torch's checkpoint folder, downloaded if it is not there.

    The SHA-256 prefix in the file's name, where there is one, is checked after a
    download; a file that was put there by hand is taken as it is.

    Raises:
        ModelError: it cannot be downloaded; says what to fetch and where to put it.
    """
    target = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    if target.exists():
        return target
    match = torch.hub.HASH_REGEX.search(target.name)
    hash_prefix = match[1] if match else None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _patience(), downloading(target.name):
            torch.hub.download_url_to_file(url, str(target), hash_prefix, progress=False)
    # RuntimeError is torch's word for a file whose digest is wrong.
    except (OSError, RuntimeError) as error:
        raise _not_downloaded(name, error, f"fetch {url} and put it at {target} or") from error
    return target


def fetch_hub(hub_id: str, name: str, file_name: str = "model.safetensors") -> Path:
    """Path of a Hugging Face hub's file in that library's cache, downloaded if not there.

    Raises:
        ModelError: it cannot be downloaded; says what to fetch and how to give it.
    """
    import huggingface_hub

    cached = huggingface_hub.try_to_load_from_cache(hub_id, file_name)
    if isinstance(cached, str):
        return Path(cached)
    url = huggingface_hub.hf_hub_url(hub_id, file_name)
    try:
        # The library tries again for 23 s when there is no network: look once beforehand.
        _knock(url)
        with downloading(f"{hub_id}/{file_name}"), _without_bars():
            return Path(huggingface_hub.hf_hub_download(hub_id, file_name))
    # It raises its own errors, those of its HTTP client and those of the system.
    except Exception as error:
        raise _not_downloaded(name, error, f"fetch {url} and") from error


def _knock(url: str) -> None:
    """Raise OSError if the server cannot be reached; any answer, even an error, is fine."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=_PATIENCE_S).close()
    except urllib.error.HTTPError:
        return


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep the hub's own progress bars from standard error, which is the caller's."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def _patience() -> Iterator[None]:
    """Set a timeout for sockets, since torch's download has none."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(timeout)


def _not_downloaded(name: str, error: Exception, by_hand: str) -> ModelError:
    """The error for weights that cannot be downloaded; ``by_hand`` says how to get them."""
    # Braces in a path or an address are no places for an option.
    fetching = by_hand.replace("{", "{{").replace("}", "}}")
    return ModelError(
        f"{name}: its weights cannot be downloaded ({_reason(error)})",
        Use("weights", "FILE", text=f"{fetching} give it as {{}}"),
        Use("weights", "random"),
    )


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    return reason_of(cause)
