"""Rendering: overlays, comparisons, pyramids, and pages for the browser."""
