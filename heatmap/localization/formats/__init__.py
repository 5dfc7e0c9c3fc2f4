"""Detections as other programs and libraries have them: tables, datasets, annotations."""
