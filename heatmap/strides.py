"""The strides that a network can slide at, and where its windows lie among positions."""

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


def middle_windows(
    positions_hw: tuple[int, int], map_hw: tuple[int, int], k: int = 1
) -> tuple[slice, slice]:
    """Which rows and columns of positions lie in the middle of a window of the grid.

    The window around a position is a window of the grid where the position is in its middle, the
    earlier one of two.

    Args:
        positions_hw: rows and columns of positions.
        map_hw: rows and columns of positions in a window.
        k: native stride / stride of the positions.

    >>> middle_windows((9, 4), (7, 2))
    (slice(3, 6, None), slice(0, 3, None))
    """
    rows, columns = (
        slice((side - 1) // 2 * k, length - side // 2 * k)
        for length, side in zip(positions_hw, map_hw, strict=True)
    )
    return rows, columns
