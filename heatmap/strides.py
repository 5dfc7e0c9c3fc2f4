"""The strides that a network can slide at."""

from __future__ import annotations

from .errors import GeometryError, Use


def allowed_strides(native_px: int) -> list[int]:
    """The strides that a network can slide at, px: the divisors of its own, coarsest first."""
    return [stride for stride in range(native_px, 0, -1) if native_px % stride == 0]


def check_stride(stride_px: int | None, native_px: int) -> int:
    """The stride to slide at; None is the native one.

    Raises:
        GeometryError: the stride is not a divisor of the native one; the error lists those.
    """
    allowed = allowed_strides(native_px)
    if stride_px is None:
        return native_px
    if stride_px not in allowed:
        raise GeometryError(
            f"stride is {stride_px} px, the network slides at {', '.join(map(str, allowed))} px",
            Use("stride", min(allowed, key=lambda stride: abs(stride - stride_px))),
            Use("engine", "crop", "use {} for any stride"),
        )
    return stride_px
