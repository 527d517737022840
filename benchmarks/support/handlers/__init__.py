"""Handlers to compare with; each file travels in a model archive as its `inference.py`."""
