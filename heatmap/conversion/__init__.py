"""Conversion of a classifier into a fully convolutional network."""
