"""The second container of the endpoint: features in, scores out."""
