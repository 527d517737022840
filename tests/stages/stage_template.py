"""The stage's template as CloudFormation would see it: conditions decided, references filled in."""

import copy
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

from deploy_endpoint import parameters, stage
from deploy_endpoint.package import Package
from deploy_endpoint.stage import Stage

ACCOUNT, REGION, BUCKET = "123456789012", "eu-west-1", "the-bucket"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:token-abcdef"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/abc"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "stack",
}
PACKAGE = Package(
    {
        "ModelPackageArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/group/7",
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataProperties": {
            "ContractVersion": "1",
            "DeploymentUri": f"s3://{BUCKET}/predictive-maintenance/run/deployment.json",
        },
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/first:1",
                    "ModelDataUrl": f"s3://{BUCKET}/predictive-maintenance/run/model.tar.gz",
                }
            ]
        },
    }
)
_NOTHING = object()


@cache
def _loaded() -> dict[str, Any]:
    loaded: dict[str, Any] = cfn_yaml.load(str(parameters.TEMPLATE))
    return loaded


def document() -> dict[str, Any]:
    """The template as it is written."""
    return copy.deepcopy(_loaded())


def values(of: Stage) -> dict[str, str]:
    """The parameters of a stage that serves PACKAGE."""
    return parameters.values(
        of,
        PACKAGE,
        bucket=BUCKET,
        code_key="code.zip",
        repositories=parameters.repositories(PACKAGE),
    )


def resources(of: str | Stage, **changes: str) -> dict[str, Any]:
    """The resources of a stage; a reference to one is `<Name>`, to its attribute `<Name.Att>`."""
    read = stage.read(of) if isinstance(of, str) else of
    template = Resolved(values(read) | changes)
    return {
        name: template.resolve(each)
        for name, each in document()["Resources"].items()
        if template.holds(each.get("Condition"))
    }


class Resolved:
    """The template with values for its parameters."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given
        self.conditions = document()["Conditions"]
        self.types = {name: each["Type"] for name, each in document()["Parameters"].items()}

    def holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self.conditions[condition]))

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            found = [self.resolve(each) for each in value]
            return [each for each in found if each is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            call = getattr(self, "_" + name.replace("Fn::", "").lower(), None)
            if call is not None and (name == "Ref" or name.startswith("Fn::")):
                return call(argument)
        found = {name: self.resolve(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if each is not _NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if self.types.get(name) == "CommaDelimitedList":
            return self.given[name].split(",")
        return {**PSEUDO, **self.given}.get(name, f"<{name}>")

    def _getatt(self, argument: Any) -> str:
        return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"

    def _if(self, argument: Any) -> Any:
        return self.resolve(argument[1] if self.holds(argument[0]) else argument[2])

    def _equals(self, argument: Any) -> bool:
        first, second = (str(self.resolve(each)) for each in argument)
        return first == second

    def _not(self, argument: Any) -> bool:
        return not self.resolve(argument[0])

    def _sub(self, argument: Any) -> str:
        text, more = argument if isinstance(argument, list) else (argument, {})
        own = {name: self.resolve(each) for name, each in more.items()}

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            return str(own[name] if name in own else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)


def policies(of: str | Stage, **changes: str) -> dict[str, dict[str, Any]]:
    """The policies of all roles, by the role's logical name."""
    return {
        name: each["Properties"]["Policies"][0]["PolicyDocument"]
        for name, each in resources(of, **changes).items()
        if each["Type"] == "AWS::IAM::Role"
    }


def as_list(value: Any) -> list[Any]:
    """A policy's member that is one thing or a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def write_policies(folder: Path) -> None:
    """Write every policy of every stage as a file of its own, for a linter of policies."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in stage.FOLDER.glob("*.json"):
        for role, policy in policies(path.stem, KmsKeyArn=KEY).items():
            text = json.dumps(policy, indent=2).replace("<TokenSecret>", SECRET)
            (folder / f"{path.stem}-{role}.json").write_text(text)


if __name__ == "__main__":
    write_policies(Path(sys.argv[1]))
