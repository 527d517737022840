"""The whole way of a model: from `run --wait` to an approved version."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import jsonschema
import pytest
from command_line import ROOT, Account, CommandLine
from runs import Finished, Project

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration

SCHEMA = ROOT / "pipelines/predictive_maintenance/evaluate/deployment.schema.json"
JOBS = {"Preprocess", "Train", "Evaluate"}
METRICS = {"average_precision", "auc", "f1", "precision", "recall", "accuracy", "logloss"}


def test_the_first_run_goes_through_every_step_and_registers_version_1(first: Finished) -> None:
    steps = first.outcome["steps"]
    assert {name: step["status"] for name, step in steps.items()} == dict.fromkeys(
        [*JOBS, "CheckQuality", "Register"], "Succeeded"
    )
    assert first.cached == set()
    assert first.version == 1
    assert "Registered version 1" in first.answer.out
    assert first.answer.err == ""
    assert set(first.outcome["metrics"]) > METRICS


def test_a_version_waits_for_approval_with_two_containers_and_all_that_describes_it(
    first: Finished, account: Account
) -> None:
    package = account.registry()[first.outcome["model_package_arn"]]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelPackageStatus"] == "Completed"
    containers = package["InferenceSpecification"]["Containers"]
    assert [each["ContainerHostname"] for each in containers] == ["featurizer", "classifier"]
    for kind in ("ModelMetrics", "DriftCheckBaselines"):
        quality = package[kind]["ModelQuality"]
        for each in ("Statistics", "Constraints"):
            assert json.loads(account.read(quality[each]["S3Uri"])), kind
    metadata = package["CustomerMetadataProperties"]
    assert set(metadata) == {
        "ContractVersion",
        "DeploymentUri",
        "GitCommit",
        "InputDataUri",
        "PipelineExecutionArn",
        "ReportUri",
        "TrainingJobName",
    }
    assert metadata["PipelineExecutionArn"] == first.outcome["execution_arn"]
    assert b"<html" in account.read(metadata["ReportUri"])
    assert account.read(metadata["InputDataUri"])
    jobs = account.client("sagemaker")
    assert jobs.describe_training_job(TrainingJobName=metadata["TrainingJobName"])
    assert account.read(package["SamplePayloadUrl"])


def test_each_container_has_its_archive_with_the_handler_where_the_image_looks_for_it(
    first: Finished, account: Account
) -> None:
    package = account.registry()[first.outcome["model_package_arn"]]
    for container in package["InferenceSpecification"]["Containers"]:
        content = account.read(container["ModelDataUrl"])
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            names = archive.getnames()
        assert "code/inference.py" in names, container["ContainerHostname"]


def test_deployment_json_is_what_its_schema_says(first: Finished, account: Account) -> None:
    package = account.registry()[first.outcome["model_package_arn"]]
    metadata = package["CustomerMetadataProperties"]
    deployment = json.loads(account.read(metadata["DeploymentUri"]))
    jsonschema.validate(deployment, json.loads(SCHEMA.read_text()))
    assert deployment["contract_version"] == metadata["ContractVersion"]


def test_the_same_run_again_is_all_cached_and_registers_the_next_version(
    first: Finished, project: Project
) -> None:
    before = project.account.registry()
    again = project.run()
    assert again.cached == JOBS
    assert again.version > max(each["ModelPackageVersion"] for each in before.values())
    after = project.account.registry()
    assert {arn: after[arn] for arn in before} == before
    old, new = (
        [
            container["ModelDataUrl"]
            for container in after[run.outcome["model_package_arn"]]["InferenceSpecification"][
                "Containers"
            ]
        ]
        for run in (first, again)
    )
    assert old == new
    assert again.outcome["metrics"] == first.outcome["metrics"]


def test_a_changed_hyperparameter_trains_and_evaluates_again_and_preprocesses_not(
    first: Finished, project: Project
) -> None:
    changed = project.run("--parameter", "MaxDepth=3")
    assert changed.cached == {"Preprocess"}
    assert changed.outcome["metrics"] != first.outcome["metrics"]


def test_changed_sources_of_one_job_run_that_job_alone_again(
    first: Finished, project: Project, tmp_path: Path
) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(
        ROOT / "pipelines", copy / "pipelines", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "build_pipeline.py", copy)
    script = copy / "pipelines/predictive_maintenance/evaluate/evaluate.py"
    script.write_text(script.read_text() + "\n# changed\n")
    changed = project.run(folder=copy)
    assert changed.cached == JOBS - {"Evaluate"}
    assert "uploaded: evaluate\n" in changed.answer.out


def test_a_decision_and_its_reason_are_in_the_registry_for_every_aws_client(
    first: Finished, command: CommandLine, cloud: TestCloud
) -> None:
    arn = first.outcome["model_package_arn"]
    for words, approval, note in (
        ("approve", "Approved", "seen by two of us"),
        ("reject", "Rejected", "too many false alarms on line 3"),
    ):
        answer = command(words, "1", "--note", note)
        assert answer.code == 0, answer.text
        aws = ["aws", "sagemaker", "describe-model-package", "--model-package-name", arn]
        done = cloud.command("exec", "--", *aws)
        assert done.returncode == 0, done.stderr
        package = json.loads(done.stdout)
        assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == (approval, note)
