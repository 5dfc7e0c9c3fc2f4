"""Scoring: a photo goes through a network and becomes a score grid."""
