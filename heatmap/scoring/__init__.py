"""From a photo and a network to its score grid."""
