"""Pipelines of this repository: one package per model, and what they share."""
