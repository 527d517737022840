"""The functions behind a stage's HTTP API; in their zip this package is called ``api``.

Python 3.12 as Lambda has it: the standard library, boto3, and what requirements/lambda.txt pins.
"""
