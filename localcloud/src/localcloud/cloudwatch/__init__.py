"""CloudWatch: metrics that are kept, alarms that really watch them, and dashboards."""
