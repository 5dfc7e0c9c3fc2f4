"""The one form of an exported network, of which there is nothing in torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..choices import Backend
from ..errors import GeometryError, Use
from ..prepared.exported import ExportedNetwork


@dataclass(frozen=True)
class ExportedForms:
    """The one form of an exported network, as :class:`prepared_forms.PreparedForms` has many.

    Attributes:
        network: the network.
    """

    network: ExportedNetwork = field(repr=False)
    backend: Backend = "onnx"
    alone: bool = True
    note: str = ""

    @property
    def unprepared(self) -> list[int | None]:
        """None: it is prepared."""
        return []

    def insisting(self) -> ExportedForms:
        """Itself: there is no other backend."""
        return self

    def at(self, stride: int | None) -> ExportedNetwork:
        """The network, at the stride of its file.

        Raises:
            GeometryError: the stride is another one.
        """
        own = self.network.slides.native_stride_px
        if stride not in (None, own):
            raise GeometryError(
                f"{self.network.facts.name} was exported for a stride of {own} px, not {stride} px",
                Use("stride", text="leave {} out, export it again with that stride"),
                Use("engine", "crop", "use {} for any stride"),
            )
        return self.network

    def prepare(self, stride: int | None) -> ExportedNetwork:
        """As :meth:`at`."""
        return self.at(stride)
