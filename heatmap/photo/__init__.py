"""Photos: decoded, read row by row, and extended to whole windows; ground-truth boxes."""
