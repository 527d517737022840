"""The part of PyPI's `sagemaker-inference` that handlers use: content types and codecs."""
