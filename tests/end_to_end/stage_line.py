"""`python -m deploy_endpoint` on stages of the tests' own, and what is in the account of them."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from command_line import ROOT, Account, Answer, CommandLine
from runs import Project
from stage import repacked

from deploy_endpoint import __main__ as deploy_endpoint
from deploy_endpoint import stage

GROUP = "predictive-maintenance"
_CRASHES = "def model_fn(folder):\n    raise RuntimeError('the model is broken on purpose')\n"
_PROCESS = """
import sys
from pathlib import Path
from deploy_endpoint import stage
from deploy_endpoint.__main__ import main
stage.FOLDER = Path(sys.argv[1])
sys.exit(main(sys.argv[2:]))
"""
_FAILS = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    raise RuntimeError('every request fails on purpose')
"""


@dataclass(frozen=True)
class Stages:
    """The command line on a folder of stage files."""

    project: Project
    folder: Path

    @property
    def account(self) -> Account:
        return self.project.account

    @property
    def line(self) -> CommandLine:
        return replace(self.project.command, main=deploy_endpoint.main)

    def __call__(self, *words: str, **changes: str | None) -> Answer:
        with mock.patch.object(stage, "FOLDER", self.folder), mock.patch("builtins.input", _no_one):
            return self.line(*words, **changes)

    def process(self, *words: str) -> Answer:
        """The same in a process of its own, beside which others may run."""
        done = subprocess.run(
            [sys.executable, "-c", _PROCESS, str(self.folder), *words],
            cwd=ROOT,
            env=dict(self.line.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, like: str = "staging", **sections: Mapping[str, Any]) -> str:
        """Write the file of a stage that differs from one of the project's in these keys."""
        found: dict[str, Any] = json.loads((stage.FOLDER / f"{like}.json").read_text())
        found["stage"] = name
        for section, keys in sections.items():
            found[section] |= keys
        (self.folder / f"{name}.json").write_text(json.dumps(found))
        return f"{found['project']}-{name}"

    def approve(self, version: int) -> None:
        assert self.project.command("approve", str(version)).code == 0

    def live(self, endpoint: str) -> tuple[str, int]:
        """The endpoint's status and the version that it serves."""
        sagemaker = self.account.client("sagemaker")
        found = sagemaker.describe_endpoint(EndpointName=endpoint)
        config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        arn = model["Containers"][0]["ModelPackageName"]
        return found["EndpointStatus"], int(arn.rpartition("/")[2])

    def crashing_version(self, like: int) -> int:
        """Register and approve a version whose classifier dies while it loads."""
        return self._bad_version(like, "crashing", _CRASHES)

    def failing_version(self, like: int) -> int:
        """Register and approve a version that loads well and fails on every request."""
        return self._bad_version(like, "failing", _FAILS)

    def spoilt_version(self, like: int, what: str, code: str) -> int:
        """Register and approve a version whose classifier's handler ends with this code."""
        return self._bad_version(like, what, code, more=True)

    def _bad_version(self, like: int, what: str, source: str, *, more: bool = False) -> int:
        sagemaker = self.account.client("sagemaker")
        (arn,) = [arn for arn in self.account.registry() if arn.endswith(f"/{like}")]
        found = sagemaker.describe_model_package(ModelPackageName=arn)
        containers = found["InferenceSpecification"]["Containers"]
        uri = containers[-1]["ModelDataUrl"]
        body = repacked(self.account.read(uri), source) if more else _archive(source)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        key = f"{key.split('/')[0]}/{what}/model.tar.gz"
        self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        containers[-1]["ModelDataUrl"] = f"s3://{bucket}/{key}"
        for container in containers:
            for told in ("ImageDigest", "ModelDataETag"):
                container.pop(told, None)
        made = sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            InferenceSpecification=found["InferenceSpecification"],
            CustomerMetadataProperties=found["CustomerMetadataProperties"],
            ModelApprovalStatus="Approved",
        )
        return int(made["ModelPackageArn"].rpartition("/")[2])

    def left(self, name: str) -> dict[str, list[str]]:
        """All that is in the account of a stage, by kind."""
        client = self.account.client
        sagemaker, logs = client("sagemaker"), client("logs")
        found = {
            "endpoints": [e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]],
            "configs": [
                e["EndpointConfigName"]
                for e in sagemaker.list_endpoint_configs()["EndpointConfigs"]
            ],
            "models": [e["ModelName"] for e in sagemaker.list_models()["Models"]],
            "alarms": [
                e["AlarmName"] for e in client("cloudwatch").describe_alarms()["MetricAlarms"]
            ],
            "dashboards": [
                e["DashboardName"]
                for e in client("cloudwatch").list_dashboards()["DashboardEntries"]
            ],
            "log groups": [e["logGroupName"] for e in logs.describe_log_groups()["logGroups"]],
            "functions": [
                e["FunctionName"] for e in client("lambda").list_functions()["Functions"]
            ],
            "roles": [e["RoleName"] for e in client("iam").list_roles()["Roles"]],
            "topics": [e["TopicArn"] for e in client("sns").list_topics()["Topics"]],
            "secrets": [e["ARN"] for e in client("secretsmanager").list_secrets()["SecretList"]],
            "APIs": [e["Name"] for e in client("apigatewayv2").get_apis()["Items"]],
            "scaling": [
                e["ResourceId"]
                for e in client("application-autoscaling").describe_scalable_targets(
                    ServiceNamespace="sagemaker"
                )["ScalableTargets"]
            ],
            "scaling policies": [
                e["ResourceId"]
                for e in client("application-autoscaling").describe_scaling_policies(
                    ServiceNamespace="sagemaker"
                )["ScalingPolicies"]
            ],
            "stacks": [
                e["StackName"] for e in client("cloudformation").describe_stacks()["Stacks"]
            ],
        }
        own = {kind: [each for each in names if name in each] for kind, names in found.items()}
        # The token's secret has a name of CloudFormation's, with the stack's name at its start.
        return {kind: names for kind, names in own.items() if names}


def _no_one(prompt: str = "") -> str:
    raise EOFError


def _archive(source: str) -> bytes:
    content, packed = source.encode(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("code/inference.py")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
