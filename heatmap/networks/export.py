"""Write the fully convolutional network as a file for other programs: ONNX or torch.export.

The file is loaded again and compared with the network in torch, on photos of two sizes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..choices import Statistics, check_statistics
from ..contents import digest_of
from ..conversion.check import relative_difference
from ..conversion.convert import convert_usable
from ..conversion.cut import cut_to_windows
from ..conversion.network import FullyConvolutional
from ..errors import ConversionError, HeatmapError, ResultError, reason_of
from ..files import Change, changing
from ..geometry import whole_windows
from ..grid.outputs import activation_of
from ..keywords import among, check_keywords
from ..localization.auto_scales import described_rule
from ..marks import MARK
from ..ownership import Ownership
from ..progress import Progress, reporting
from ..quiet import quiet
from ..room import named_error
from ..temporary import recover
from ..versions import package_versions
from .classifier import Classifier
from .exported import FACTS_NAME
from .load import Model, load_classifier
from .load_options import LoadOptions
from .model_names import DEFAULT_MODEL
from .onnx import RunProgram, data_file, is_large, onnx_model, onnx_runner
from .record import recorded

ProgramFormat = Literal["onnx", "torch"]
PROGRAM_SUFFIXES: dict[ProgramFormat, str] = {"onnx": ".onnx", "torch": ".pt2"}
# Largest relative difference from the network in torch that counts as rounding.
EXPORT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class ProgramCheck:
    """The comparison of an exported file with the network in torch.

    Attributes:
        photos: shape (B, C, H, W) of the photos.
        scores: shape (B, K, N, M) of the scores.
        relative: largest absolute difference / largest absolute score.
    """

    photos: tuple[int, ...]
    scores: tuple[int, ...]
    relative: float


@dataclass(frozen=True)
class Program:
    """An exported network.

    Attributes:
        path: the file.
        size: size of it and ``data`` in bytes.
        data: the file of the weights beside it, if they do not fit into one file.
        to: "onnx" or "torch".
        opset: ONNX opset version; None for torch.
        facts: the metadata stored in the file; see :func:`export`.
        checks: comparisons on one window, and on a larger photo that is not square.
    """

    path: Path
    size: int
    data: Path | None
    to: ProgramFormat
    opset: int | None
    facts: dict[str, Any]
    checks: tuple[ProgramCheck, ...]


def export(
    model: Model = DEFAULT_MODEL,
    output: str | Path = "heatmap.onnx",
    *,
    to: ProgramFormat = "onnx",
    stride: int | None = None,
    statistics: Statistics | None = None,
    overwrite: bool = False,
    progress: Progress = False,
    **options: Unpack[LoadOptions],
) -> Program:
    """Write the fully convolutional network to a file that runs without this package.

    Its input "photos" is float32 (B, C, H, W), (pixel/255 - mean) / std, for any B, and any H and
    W from the window up; C is 3, or 1 for grey photos. Its output "scores" is float32
    (B, K, N, M), as in :func:`convert`. The file has metadata as JSON under the name
    "heatmap.json": model, weights and their digest, classes, window_px, stride_px, mean, std,
    channel_order, outputs (what the scores are, as in :attr:`heatmap.ScoreGrid.kind`), activation
    ("softmax", "sigmoid" or "none", over the classes, makes probabilities of them), scales (how
    large the things were that it learned from, :class:`auto_scales.ScaleRule`), sliding ("exact",
    or "inexact" with its ``statistics``), versions, notes; a metadata property in ONNX, an extra
    file for ``torch.export.load(path, extra_files=...)``. ONNX has weights above 2 GB in PATH.data.

    Args:
        model, options: as in :func:`heatmap.load_classifier`.
        output: the file, .onnx or, for torch, .pt2.
        to: "onnx", for ONNX Runtime and others, or "torch" (``torch.export.save``).
        stride: distance between windows, px; None is the native stride.
        statistics: as in :func:`heatmap.prepare`; None refuses networks that need them.
        overwrite: also replace files that were not exported by this tool.
        progress: as in :func:`heatmap.score`; only stages and notes.

    Returns:
        The paths of the files, the metadata, and the checks.

    Raises:
        ConversionError: the network does not slide, or only inexactly; it cannot be exported; or
            scores from the file differ by more than 1e-4 of the largest score.
        GeometryError: the network cannot slide at this stride.
        ModelError: as :func:`heatmap.load_classifier`.
        ResultError: the path cannot be written, has another suffix, or is a stranger's file.
    """
    check_keywords(export, options, LoadOptions)
    target = Path(output)
    _check_suffix(target, to)
    owner = _owner(target, model, options, overwrite=overwrite)
    # Networks cannot be recorded in inference mode.
    with reporting(progress) as reporter, torch.inference_mode(False), torch.no_grad():
        reporter.stage("loading the network")
        classifier = load_classifier(model, **among(options, LoadOptions))
        reporter.notes(classifier.notes)
        reporter.stage(f"converting {classifier.name}")
        network = _converted(classifier, stride, check_statistics(statistics))
        reporter.stage(f"writing {target}")
        write = _write_onnx if to == "onnx" else _write_torch
        with _one_line(classifier.name), quiet(), changing(target.parent) as change:
            facts = _facts(classifier, network)
            program = write(_recorded(network), network, change, target, facts)
            change.put(owner, _stale(target, owner))
            return program


def _check_suffix(target: Path, to: ProgramFormat) -> None:
    """Refuse an unknown format, and a file whose name says another one.

    Raises:
        ResultError: it is one of these.
    """
    if to not in get_args(ProgramFormat):
        raise ResultError(f"format is {to!r}: choose one of {', '.join(get_args(ProgramFormat))}")
    if target.suffix != PROGRAM_SUFFIXES[to]:
        kinds = " and ".join(f"{suffix} for {kind}" for kind, suffix in PROGRAM_SUFFIXES.items())
        raise ResultError(f"{target}: name it {kinds}; this one would be for {to}")


def _stale(target: Path, owner: Ownership) -> dict[str, str]:
    """The separate weights of an earlier export, which was larger, with their SHA-256."""
    data = data_file(target)
    return {data.name: digest_of(data)} if owner.owns(data) else {}


def _owner(
    target: Path, model: object, options: Mapping[str, Any], *, overwrite: bool
) -> Ownership:
    """Which files may be replaced; refused before the network is loaded."""
    owner = Ownership.of((model, *options.values()), overwrite=overwrite)
    with named_error(target.parent):
        recover(target.parent)
    owner.check([target])
    return owner


def _converted(
    classifier: Classifier, stride: int | None, statistics: Statistics | None
) -> FullyConvolutional:
    module, own = classifier.module, classifier.preprocessing
    if any(tensor.device.type != "cpu" for tensor in module.state_dict().values()):
        # Exported programs keep the device that they were recorded on.
        module = copy.deepcopy(module).cpu()
    network = convert_usable(
        module, own.window_px, stride, channels=own.channels, statistics=statistics
    )
    if network.stitched:
        raise ConversionError(
            f"{classifier.name} cannot be exported at a stride of {network.stride_px} px: it takes "
            f"a pass for every shift; its own stride is {network.native_stride_px} px"
        )
    return network


def _facts(classifier: Classifier, network: FullyConvolutional) -> dict[str, Any]:
    """The metadata needed to use the file without this package."""
    pixels = "pixel" if network.channels == 3 else "grey"
    return {
        "model": classifier.name,
        "weights": classifier.weights,
        "weights_digest": classifier.weights_digest,
        "input": f"photos: float32 (B, {network.channels}, H, W), ({pixels} / 255 - mean) / std, "
        "H, W >= window_px",
        "output": "scores: float32 (B, K, N, M); scores[:, :, i, j] are of the window whose "
        "top-left pixel is (i, j) * stride_px",
        **asdict(classifier.preprocessing),
        "stride_px": network.stride_px,
        "sliding": network.sliding,
        "statistics": network.statistics,
        "outputs": classifier.outputs,
        "activation": activation_of(classifier.outputs),
        "scales": described_rule(classifier.scale_rule),
        "classes": list(classifier.classes.names),
        "versions": package_versions(),
        "notes": list(classifier.notes),
    }


class _Recordable(nn.Module):
    """:class:`FullyConvolutional` with sizes computed so that they can be symbolic."""

    def __init__(self, network: FullyConvolutional) -> None:
        super().__init__()
        self.trunk, self.head = network.trunk, network.head
        self.window_px, self.stride_px = network.window_px, network.stride_px

    def forward(self, photos: Tensor) -> Tensor:
        rows, columns = (
            whole_windows(side, self.window_px, self.stride_px) for side in photos.shape[2:]
        )
        whole = cut_to_windows(photos, self.window_px, self.stride_px)
        scores: Tensor = self.head(self.trunk(whole))
        return scores.narrow(2, 0, rows).narrow(3, 0, columns)


def _recorded(network: FullyConvolutional) -> ExportedProgram:
    """The network recorded for batches of photos of any size."""
    window, step = network.window_px, network.native_stride_px
    sizes = {
        0: Dim("batch", min=1),
        2: Dim("height", min=window),
        3: Dim("width", min=window),
    }
    example = torch.zeros(2, network.channels, window + 2 * step + 1, window + 3 * step + 2)
    return recorded(_Recordable(network), "photos", example, sizes)


def _write_torch(
    program: ExportedProgram,
    network: FullyConvolutional,
    change: Change,
    target: Path,
    facts: dict[str, Any],
) -> Program:
    temporary = change.making / target.name
    torch.export.save(program, temporary, extra_files={FACTS_NAME: json.dumps(facts), MARK: ""})
    checks = _checked(network, torch.export.load(temporary).module())
    change.take(target.name)
    return Program(target, temporary.stat().st_size, None, "torch", None, facts, checks)


def _write_onnx(
    program: ExportedProgram,
    network: FullyConvolutional,
    change: Change,
    target: Path,
    facts: dict[str, Any],
) -> Program:
    data = data_file(target) if is_large(program) else None
    least = (network.channels, network.window_px, network.window_px)
    model = onnx_model(program, network.classes, least, {FACTS_NAME: json.dumps(facts)})
    # Separate weights are written beside the file, which names them as its neighbour.
    names = [path.name for path in (data, target) if path]
    temporary = change.making / target.name
    model.save(temporary, external_data=data is not None)
    checks = _checked(network, onnx_runner(temporary))
    for name in names:
        change.take(name)
    size = sum((change.making / name).stat().st_size for name in names)
    return Program(target, size, data, "onnx", model.model.opset_imports[""], facts, checks)


def _checked(network: FullyConvolutional, run: RunProgram) -> tuple[ProgramCheck, ...]:
    """Compare the file with the network, on one window and on a larger photo.

    Raises:
        ConversionError: the scores differ.
    """
    window, step = network.window_px, network.native_stride_px
    # The larger photo is not a whole number of windows wide, to test the cut.
    sizes = ((1, window, window), (2, window + step, window + 2 * step + network.stride_px // 2))
    return tuple(_check(network, run, size) for size in sizes)


def _check(network: FullyConvolutional, run: RunProgram, size: Sequence[int]) -> ProgramCheck:
    count, height, width = size
    noise = torch.Generator().manual_seed(0)
    photos = torch.randn(count, network.channels, height, width, generator=noise)
    expected, scores = network(photos), run(photos)
    where = f"{count} x {network.channels} x {height} x {width}"
    if scores.shape != expected.shape:
        raise ConversionError(
            f"the written file gives {tuple(scores.shape)} scores for {where}, "
            f"the network {tuple(expected.shape)}"
        )
    difference = relative_difference(scores, expected)
    if not difference <= EXPORT_TOLERANCE:
        raise ConversionError(
            f"the written file differs from the network by {difference:.1e} of its largest score "
            f"on {where}, more than {EXPORT_TOLERANCE:.0e}"
        )
    return ProgramCheck(tuple(photos.shape), tuple(expected.shape), difference)


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Turn any exception of torch and ONNX Runtime into a one-line error."""
    try:
        yield
    except HeatmapError:
        raise
    except OSError as error:
        raise ResultError(f"{name}: its file cannot be written: {reason_of(error)}") from error
    except Exception as error:
        raise ConversionError(f"{name} cannot be exported: {reason_of(error)}") from error
