"""Detections and sharp maps from score grids."""
