#!/bin/sh
# Resolves setup.py and localcloud/setup.py for Python 3.11 to 3.13, with hashes.
set -eu
uv=build/uv/bin/uv
options="--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate"
"$uv" pip compile $options --extra dev -o requirements/project.txt setup.py localcloud/setup.py
# What the functions' zip carries beside Lambda's own boto3: the versions that the tests ran with.
echo "aws-lambda-powertools" |
    "$uv" pip compile $options -c requirements/project.txt -o requirements/lambda.txt -
echo "uv==$("$uv" --version | cut -d' ' -f2)" | "$uv" pip compile $options -o requirements/uv.txt -
"$uv" pip compile $options -o requirements/templates.txt requirements/templates.in
