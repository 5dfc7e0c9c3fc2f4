"""What counts as rounding."""

from __future__ import annotations

# Largest relative difference between the converted and the original head on slices that counts as
# rounding; it is of the order of 1e-6 in float32.
ROUNDING_TOLERANCE = 1e-5
