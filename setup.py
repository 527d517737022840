"""Packaging: exact pins for what breaks when it moves, ranges for the rest; see requirements/."""

from setuptools import find_packages, setup

# xgboost's ordinary Linux wheel brings 300 MB for GPUs; the CPU wheel has no macOS build.
XGBOOST = [
    "xgboost-cpu>=3.2,<3.3; sys_platform == 'linux'",
    "xgboost>=3.2,<3.3; sys_platform != 'linux'",
]

setup(
    name="sagemaker-mlops-template",
    version="0.1.0",
    description="A SageMaker Pipelines-first MLOps template that also runs on a laptop",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["pipelines*", "deploy_endpoint*"]),
    py_modules=["build_pipeline"],
    package_data={
        "": ["*.json", "*.yaml"],
        "deploy_endpoint": ["stacks/*.yaml", "stages/*.json", "web/*"],
    },
    install_requires=[
        "sagemaker==3.27.0",
        "boto3>=1.44,<2",
        "jsonschema>=4.26,<5",
        "urllib3>=2,<3",
        "scikit-learn>=1.9,<1.10",
        "pandas>=2.2,<4",
        "numpy>=2.1,<3",
        "pyarrow>=22,<26",
        *XGBOOST,
    ],
    extras_require={
        "dev": [
            "aws-lambda-powertools>=3.37,<4",
            "awscli>=1.46,<2",
            "cfn-lint>=1.58,<2",
            "hypothesis>=6.170,<7",
            "import-linter>=2.16,<3",
            "matplotlib>=3.10,<4",
            "mypy>=2.4,<3",
            "pandas-stubs",
            "playwright>=1.65,<2",
            "pre-commit>=4.7,<5",
            "psutil>=7,<8",
            "pytest>=9.2,<10",
            "pytest-timeout>=2.4,<3",
            "pytest-xdist>=3.8,<4",
            "ruff>=0.17,<0.18",
            "schemathesis>=4.32,<5",
            "setuptools>=77",
            "types-jsonschema",
        ],
    },
    entry_points={"console_scripts": ["build-pipeline=build_pipeline:main"]},
)
