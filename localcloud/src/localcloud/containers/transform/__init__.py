"""Batch transform: objects become requests to a model's containers, and the answers objects."""
