"""Ray: imported where it is installed, and connected to, or started for a batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import ModelError, reason_of


def imported_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ModelError("Ray is not installed: pip install ray") from error
    return ray


@contextmanager
def connected(ray: Any, address: str | None, cpus: int) -> Iterator[None]:
    """Connect to Ray, or start it for the block."""
    if ray.is_initialized():
        yield
        return
    where: dict[str, Any] = {"address": address}
    if address is None:
        where = {
            "address": "local",
            "num_cpus": max(cpus, os.cpu_count() or 1),
            "include_dashboard": False,
        }
    try:
        ray.init(**where, log_to_driver=False, logging_level="error")
    except (ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
        raise _unreachable(error, address or "this machine") from error
    try:
        yield
    finally:
        ray.shutdown()


def _unreachable(error: BaseException, address: str) -> ModelError:
    """Why there is no connection; Ray says only in the cause that a token is missing or wrong."""
    said: BaseException | None = error
    while said is not None:
        if "authentication" in f"{type(said).__name__} {said}".lower():
            return ModelError(
                f"Ray at {address} asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN "
                "(or RAY_AUTH_TOKEN_PATH, a file) to the cluster's token"
            )
        said = said.__cause__ or said.__context__
    return ModelError(f"Ray at {address} cannot be reached: {reason_of(error)}")
