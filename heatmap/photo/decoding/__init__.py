"""Photo files become upright 8-bit sRGB, or are refused."""
