"""What the images carry of SageMaker's own toolkits for handlers to import, as far as they do.

This folder stands last on a serving container's module path, so a real one goes before it. PyPI's
`sagemaker-containers` cannot stand in: its last release does not import on the images' Python.
"""
