"""Packaging of localcloud, a project of its own inside the repository."""

from setuptools import find_packages, setup

setup(
    name="localcloud",
    version="0.1.0",
    description="A small AWS for a laptop: SageMaker pipelines really run, without Docker",
    license="Apache-2.0",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={
        "localcloud": ["py.typed"],
        "localcloud.containers": ["images/*"],
        "localcloud.cloudformation.resources": ["schemas.json"],
    },
    python_requires=">=3.11,<3.14",
    install_requires=[
        "boto3>=1.44",
        "cheroot>=11.1,<12",
        "cloudpickle>=3.1,<4",
        # Templates of CloudFormation: their text, and what the properties of a resource may be.
        "jsonschema>=4.26,<5",
        "pyyaml>=6,<7",
        # Its backends are pickled by their internals, so only one version is known to work.
        "moto[kms,sns,sqs,ssm,secretsmanager,iam,sts,server]==5.2.5",
        # The search of Bayesian tuning jobs.
        "optuna>=5,<6",
        "regex>=2024.11",
        "urllib3>=2",
        "uv>=0.13",
        # The data plane: a raw ASGI application on them carries a hundred times what WSGI would.
        "httptools>=0.7,<1",
        "uvicorn>=0.54,<1",
        "uvloop>=0.22,<1",
    ],
    entry_points={"console_scripts": ["localcloud=localcloud.cli:main"]},
)
