"""Predictive maintenance on the AI4I 2020 data: a team replaces this package by its own model."""
