"""The part of PyPI's `sagemaker-containers` that handlers use: content types, codecs, Response."""
