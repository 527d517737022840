"""The training job: one entry script and what only it needs."""
