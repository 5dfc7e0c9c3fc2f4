"""Training a network on one's own photos."""
