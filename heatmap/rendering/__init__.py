"""Pictures: overlays, comparisons, pyramids, pages."""
