"""Runs on one photo or many, and the files they write."""
