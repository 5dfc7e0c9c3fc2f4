"""A network that scores: in ONNX Runtime where it is prepared for that, and in torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Self

from ..choices import Backend, Sliding
from ..errors import ResultError
from ..prepared.facts import NetworkFacts, SlidingFacts
from ..prepared.network import PreparedNetwork
from ..strides import check_stride
from ..threads import thread_count
from .boxes import CropNetwork
from .device import Compute
from .in_torch import InTorch
from .prepared_forms import Forms

if TYPE_CHECKING:
    from torch import nn

    from ..conversion.network import FullyConvolutional
    from ..networks.classifier import Classifier

# Default stride of networks that cannot slide and so have no native stride.
CROP_STRIDE_PX = 32


@dataclass(eq=False)
class ScoringNetwork:
    """A classifier as it scores photos.

    Attributes:
        facts: what is known of the classifier: classes, preprocessing, weights.
        engine: how it scores: "slide" or "crop".
        slides: how the network slides.
        in_torch: the network in torch, which is loaded when it is first needed.
        forms: its forms for ONNX Runtime; None where torch scores everything.
        compute: device and number format.
        steady: whether the bits of a photo's scores are independent of photos scored before.
    """

    facts: NetworkFacts
    engine: Literal["slide", "crop"]
    slides: SlidingFacts
    in_torch: InTorch = field(repr=False)
    forms: Forms | None = field(default=None, repr=False)
    compute: Compute = field(default_factory=Compute)
    steady: bool = False

    @property
    def sliding(self) -> Sliding:
        """Whether sliding is "exact", "inexact", or "refused"."""
        return self.slides.sliding

    @property
    def why_not(self) -> str:
        """Why sliding is not exact, or ""."""
        return self.slides.why_not

    @property
    def classifier(self) -> Classifier:
        """The original, unconverted classifier, in torch."""
        return self.in_torch.get().classifier

    @property
    def network(self) -> FullyConvolutional | None:
        """The converted form at the native stride, on the CPU in float32, or None."""
        networks = self.in_torch.get().networks
        return None if networks is None else networks.native

    @property
    def native_stride_px(self) -> int:
        """The default distance between neighbouring windows, px."""
        return self.slides.native_stride_px or CROP_STRIDE_PX

    def checked_stride(self, stride_px: int | None) -> int:
        """The stride to slide at; None is the native one.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        if self.forms is not None and self.forms.alone:
            self.forms.at(stride_px)
        return check_stride(stride_px, self.native_stride_px)

    def prepared_at(self, stride_px: int) -> PreparedNetwork | None:
        """What scores windows at this stride in ONNX Runtime; None where torch scores them."""
        return None if self.forms is None else self.forms.at(self._form_at(stride_px))

    @property
    def backend(self) -> Backend:
        """What was asked to run it: "auto", "torch" or "onnx"."""
        return "torch" if self.forms is None else self.forms.backend

    @property
    def cache_notes(self) -> tuple[str, ...]:
        """Why nothing is kept for the next start, for the user, if that was not asked for."""
        note = "" if self.forms is None else self.forms.note
        return (note,) if note else ()

    def on(self, backend: Literal["torch", "onnx"]) -> Self:
        """The same, scoring all photos in torch, or in ONNX Runtime all that fit."""
        if self.forms is None or backend == self.forms.backend:
            return self
        return replace(self, forms=None if backend == "torch" else self.forms.insisting())

    def ready_at(self, stride_px: int, *, keep: bool = False) -> Literal["torch", "onnx"]:
        """Make ready what scores at this stride, which may take some seconds, and say what it is.

        Args:
            stride_px: distance between windows, px.
            keep: whether to prepare the network for ONNX Runtime if it was not before.

        Raises:
            ModelError: the network does not run in ONNX Runtime, and that was insisted on.
        """
        if keep and self.prepared_at(stride_px) is None:
            # On a full disk torch scores.
            with suppress(ResultError):
                self.keep()
        if self.prepared_at(stride_px) is not None:
            return "onnx"
        if self.engine == "slide":
            self.network_at(stride_px)
            self.positions_at(stride_px)
        return "torch"

    @property
    def unprepared(self) -> list[int | None]:
        """What :meth:`keep` would prepare: strides, px; None is the native one."""
        return [] if self.forms is None else self.forms.unprepared

    def keep(self) -> bool:
        """Prepare what torch scored so far for ONNX Runtime, and keep it for later processes.

        Where ONNX Runtime is the faster one on this machine, this scorer uses it from now on.

        Returns:
            Whether there was anything to prepare.

        Raises:
            ModelError: the network does not run in ONNX Runtime, and the backend is "onnx".
            ResultError: it cannot be written; torch goes on scoring.
        """
        strides = self.unprepared
        for stride in strides:
            assert self.forms is not None
            self.forms.prepare(stride)
        return bool(strides)

    def _form_at(self, stride_px: int) -> int | None:
        """The stride under which a form is kept: None is the native one, and single windows."""
        native = stride_px == self.native_stride_px
        return None if native or self.engine == "crop" else stride_px

    def notes_at(self, stride_px: int) -> tuple[str, ...]:
        """What the user should know of how the model was loaded and scores at this stride.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        notes = self.facts.notes
        if self.engine == "slide" and self.slides.statistics == "local":
            notes = (*notes, f"approximate: {self.slides.why_not}")
        if self.engine == "crop" and (why_not := self.slides.why_not):
            inexact = "sliding would be inexact: " if self.slides.sliding == "inexact" else ""
            return (*notes, f"scored crop by crop: {inexact}{why_not}")
        if self.engine == "crop" or self.prepared_at(stride_px) is not None:
            return notes
        if reason := self.network_at(stride_px).one_pass:
            return (*notes, f"scored in one pass over the whole photo: {reason}")
        return notes

    def network_at(self, stride_px: int) -> FullyConvolutional:
        """The converted form that scores windows at this stride, on the scorer's device, in torch.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        networks = self.in_torch.get().networks
        assert networks is not None
        network = networks.windows(stride_px)
        return network.steady() if self.steady else network

    def positions_at(self, stride_px: int) -> FullyConvolutional | None:
        """The converted form that scores single positions of the feature map, in torch.

        None if the engine is "crop", or single positions have no scores.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        networks = self.in_torch.get().networks
        if self.engine != "slide" or networks is None:
            return None
        network = networks.positions(stride_px)
        return network.steady() if self.steady and network is not None else network

    def why_no_positions(self, stride_px: int) -> str:
        """Why single positions have no scores where the network slides; "" where they have.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        if (prepared := self.prepared_at(stride_px)) is not None:
            return prepared.slides.why_no_positions
        networks = self.in_torch.get().networks
        slides = self.engine == "slide" and networks is not None
        return networks.why_no_positions(stride_px) if slides and networks else ""

    def map_hw_at(self, stride_px: int) -> tuple[int, int] | None:
        """Rows and columns of positions in a window, where single ones can be scored."""
        if (prepared := self.prepared_at(stride_px)) is not None:
            return prepared.slides.map_hw
        network = self.positions_at(stride_px)
        return None if network is None else network.plan.map_hw

    def crop_network(self, *, profiles: bool) -> CropNetwork:
        prepared = self.prepared_at(self.native_stride_px)
        # Prepared networks give feature maps where boxes are refined by them, and only there.
        if prepared is not None and (not profiles or prepared.facts.box_regression is not None):
            threads = thread_count()
            return lambda windows, features: prepared.crops(windows, threads, features=features)
        from .crop import crop_network

        loaded = self.in_torch.get()
        if self.engine == "slide":
            module: nn.Module = self.network_at(self.native_stride_px)
        else:
            module = self.compute.moved(loaded.classifier.module)
        return crop_network(module, self.facts.preprocessing, self.compute)
