"""SageMaker: the registry, jobs, pipelines and their executions, one noun per module."""
