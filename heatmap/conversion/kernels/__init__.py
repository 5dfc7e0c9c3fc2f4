"""Fast forms of convolutions and matrix products, with weights laid out once."""
