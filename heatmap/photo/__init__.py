"""Photos: decoded, read row by row, extended to whole windows; what people drew on them."""
