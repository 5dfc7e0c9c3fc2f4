"""A classifier as a fully convolutional network: trace, follow its axes, cut at the head."""
