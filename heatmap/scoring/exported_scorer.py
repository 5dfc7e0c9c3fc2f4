"""Make a scorer of an exported network, which runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from ..choices import Backend, Engine
from ..errors import ConversionError, ModelError, Use
from ..networks.exported import Exported, read_exported
from ..prepared.exported import exported_network
from ..prepared.network import Form
from .device import Compute
from .exported_forms import ExportedForms
from .in_torch import InTorch
from .scorer import Scorer


def exported_scorer(
    path: str | Path, engine: Engine, backend: Backend, compute: Compute, options: dict[str, Any]
) -> Scorer:
    """A scorer of an exported network.

    Args:
        path: the file.
        engine, backend, compute: as in :func:`heatmap.prepare`.
        options: further arguments of :func:`heatmap.load_classifier`.

    Raises:
        ModelError: the file cannot be used, or runs nowhere but in ONNX Runtime.
        ConversionError: the engine is "slide", and the network cannot.
    """
    _check(path, backend, compute)
    exported = read_exported(path, **options)
    form = _form(exported, engine)
    network = exported_network(exported.file, exported.facts, exported.slides, form)
    given = (each for each in (path, *options.values()) if isinstance(each, str | Path))
    return Scorer(
        exported.facts,
        form,
        exported.slides,
        InTorch(lambda: _not_in_torch(path)),
        ExportedForms(network),
        compute,
        files=tuple(given),
    )


def _check(path: str | Path, backend: Backend, compute: Compute) -> None:
    if backend == "torch":
        raise ModelError(
            f"{path} is an exported network, which runs in ONNX Runtime only",
            Use("backend", "onnx"),
        )
    if not compute.is_plain:
        raise ModelError(
            f"{path} is an exported network, which runs in float32 on the CPU only, not in "
            f"{compute.dtype} on {compute.device}: leave these settings out"
        )


def _form(exported: Exported, engine: Engine) -> Form:
    if exported.slides.native_stride_px is not None:
        return "crop" if engine == "crop" else "slide"
    if engine == "slide":
        raise ConversionError(
            f"{exported.facts.name} cannot slide: {exported.slides.why_not}", Use("engine", "crop")
        )
    return "crop"


def _not_in_torch(path: str | Path) -> NoReturn:
    raise ModelError(
        f"{path} is an exported network, which runs in ONNX Runtime only: give the network that it "
        "was exported from for what needs torch"
    )
