"""From score grids to detections."""
