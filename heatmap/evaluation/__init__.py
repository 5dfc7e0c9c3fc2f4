"""Sliding against cropping, and heatmaps against boxes that people drew."""
