"""Fast implementations of convolutions and matrix products, with prepared weights."""
