"""The score grid: its scores, its files, and heatmaps from it."""
