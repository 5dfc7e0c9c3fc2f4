"""Training a network on your own photos."""
