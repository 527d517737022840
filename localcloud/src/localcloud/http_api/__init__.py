"""API Gateway's HTTP APIs: their records. The data plane answers their requests."""
