"""The score grid: its geometry's scores, files and heatmaps."""
