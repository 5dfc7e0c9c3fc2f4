"""Running a trunk over a photo in bands of rows, within a memory limit."""
