"""Evaluation: sliding against cropping, and heatmaps against ground-truth boxes."""
