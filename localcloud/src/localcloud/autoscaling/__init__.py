"""Application Auto Scaling: what shall scale and by which policies, as records."""
