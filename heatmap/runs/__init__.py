"""Runs over one photo or many, and the files they leave."""
