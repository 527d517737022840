"""A stage's life by its command line: made, updated, taken back, broken, looked at, deleted."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from handlers import SLOWER
from load import wait_until
from runs import Project
from stage_line import Stages

from deploy_endpoint import capacity, live, stack
from deploy_endpoint.errors import NotDeployedError
from localcloud.testing import localcloud

pytestmark = [pytest.mark.slow, pytest.mark.integration]

STAGE = "trial"
OTHER = ("--parameter", "Seed=1")


@pytest.fixture(scope="module")
def stages(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """Two approved versions, and one that nobody has decided on; no stage yet.

    In a cloud of their own: broken versions are registered here, too.
    """
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        project = Project(cloud, data_folder, tmp_path_factory.mktemp("outcomes"))
        assert project.command("bootstrap").code == 0
        made = Stages(project, tmp_path_factory.mktemp("stages"))
        runs = [project.run(), project.run(*OTHER), project.run(*OTHER)]
        for each in runs[:2]:
            made.approve(each.version)
        yield made


@pytest.fixture(scope="module")
def versions(stages: Stages) -> tuple[int, int]:
    """The two approved versions."""
    numbers = sorted(
        int(arn.rpartition("/")[2])
        for arn, each in stages.account.registry().items()
        if each["ModelApprovalStatus"] == "Approved"
    )
    return numbers[0], numbers[1]


@pytest.fixture
def name(stages: Stages, versions: tuple[int, int]) -> Iterator[str]:
    """The name of a stage that serves the first version; gone afterwards."""
    name = stages.write(STAGE)
    answer = stages("deploy", "--stage", STAGE, "--package", str(versions[0]))
    assert answer.code == 0, answer.text
    yield name
    answer = stages("destroy", "--stage", STAGE, "--captured-data")
    assert answer.code == 0, answer.text
    assert stages.left(name) == {}


def deployed(stages: Stages, stage: str, version: int, folder: Path) -> dict[str, Any]:
    """What `deploy` writes of a stage that serves this version, with its token."""
    output = folder / "deployed.json"
    words = ("--package", str(version), "--output", str(output), "--with-token")
    answer = stages("deploy", "--stage", stage, *words)
    assert answer.code == 0, answer.text
    told: dict[str, Any] = json.loads(output.read_text())
    return told


def prediction(told: dict[str, Any], row: bytes) -> urllib.request.Request:
    headers = {"Authorization": f"Bearer {told['api_token']}", "Content-Type": "text/csv"}
    return urllib.request.Request(f"{told['api_url']}/predict", data=row, headers=headers)


def config_of(stages: Stages, name: str) -> str:
    found = stages.account.client("sagemaker").describe_endpoint(EndpointName=name)
    return str(found["EndpointConfigName"])


def test_a_plan_says_what_would_be_made_and_makes_nothing(
    stages: Stages, versions: tuple[int, int]
) -> None:
    stages.write(STAGE)
    answer = stages("plan", "--stage", STAGE)
    assert answer.code == 0, answer.text
    assert f"Version    {versions[1]}:" in answer.out  # the newest that is approved
    assert "add  Endpoint  " in answer.out
    assert "1 to 2 x ml.m5.large x 730 h x $0.115 = $84 to $168 a month" in answer.out
    assert stages.left(f"predictive-maintenance-{STAGE}") == {}


def test_deploy_makes_a_stage_that_serves_and_tells_where(
    stages: Stages, versions: tuple[int, int], name: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    output.write_text('{"mine": 1}')
    answer = stages(
        "deploy", "--stage", STAGE, "--package", str(versions[0]), "--output", str(output)
    )
    assert answer.code == 0, answer.text
    assert "Nothing had to change." in answer.out
    told = json.loads(output.read_text())
    assert (told["mine"], told["model_version"], told["changed"]) == (1, versions[0], False)
    assert told["api_url"] in answer.out
    assert told["token_secret_arn"] in answer.out
    assert "api_token" not in told
    assert stages.live(name) == ("InService", versions[0])
    status = stages("status", "--stage", STAGE)
    assert status.code == 0, status.text
    assert f"{versions[0]} (Approved)" in status.out


def test_the_token_goes_into_a_file_that_only_its_owner_reads(
    stages: Stages, versions: tuple[int, int], tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    words = ("deploy", "--stage", STAGE, "--package", str(versions[0]), "--with-token")
    assert stages(*words).code == 2
    answer = stages(*words, "--output", str(output))
    assert answer.code == 0, answer.text
    told = json.loads(output.read_text())
    assert output.stat().st_mode & 0o777 == 0o600
    assert told["api_token"] not in answer.text
    request = urllib.request.Request(
        f"{told['api_url']}/schema", headers={"Authorization": f"Bearer {told['api_token']}"}
    )
    with urllib.request.urlopen(request, timeout=30) as schema:
        assert json.load(schema)["columns"]


def test_what_a_caller_sends_is_captured_under_the_requests_id(
    stages: Stages, versions: tuple[int, int], name: str, tmp_path: Path
) -> None:
    told = deployed(stages, STAGE, versions[0], tmp_path)
    row = b"M,297.6,308.8,1453,39.7,69"
    with urllib.request.urlopen(prediction(told, row), timeout=60) as answer:
        score, number = json.load(answer)["predictions"][0], answer.headers["x-request-id"]
    prefix = f"predictive-maintenance/stages/{STAGE}/capture/{name}/main/"

    def captured() -> list[dict[str, Any]]:
        bucket = "sagemaker-mlops-000000000000-us-east-1"
        keys = [key for key in stages.account.objects(bucket) if key.startswith(prefix)]
        lines = [
            line
            for key in keys
            for line in stages.account.read(f"s3://{bucket}/{key}").splitlines()
        ]
        found = [json.loads(line) for line in lines]
        return [each for each in found if each["eventMetadata"].get("inferenceId") == number]

    wait_until(captured, 60)
    (record,) = captured()
    sent, given = (record["captureData"][part] for part in ("endpointInput", "endpointOutput"))
    assert [sent["data"].strip(), sent["encoding"]] == [row.decode(), "CSV"]
    assert given["data"].strip() == f"{score['score']},{score['predicted_label']}"


def test_everything_in_a_stage_has_its_tags(stages: Stages, name: str) -> None:
    assert "scaling policies" in stages.left(name)
    found = stages.account.client("sagemaker").describe_endpoint(EndpointName=name)
    tags = stages.account.client("sagemaker").list_tags(ResourceArn=found["EndpointArn"])["Tags"]
    assert {each["Key"]: each["Value"] for each in tags}.items() >= {
        "Application": "predictive-maintenance",
        "Stage": STAGE,
        "ManagedBy": "deploy_endpoint",
    }.items()


def test_the_smoke_test_passes_and_is_told_to_ci(stages: Stages, name: str, tmp_path: Path) -> None:
    report = tmp_path / "smoke.xml"
    answer = stages("smoke-test", "--stage", STAGE, "--junit", str(report))
    assert answer.code == 0, answer.text
    suite = ET.parse(report).getroot()  # noqa: S314 - we wrote it
    assert (int(suite.attrib["tests"]) >= 10, suite.attrib["failures"]) == (True, "0")


def test_the_smoke_test_finds_what_was_changed_by_hand(
    stages: Stages, name: str, tmp_path: Path
) -> None:
    stages.account.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{name}/variant/main",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=7,
    )
    report = tmp_path / "smoke.xml"
    answer = stages("smoke-test", "--stage", STAGE, "--junit", str(report))
    assert answer.code == 3, answer.text
    assert "autoscaling's bounds must be [(1, 2)], not [(1, 7)]" in answer.out
    (failure,) = ET.parse(report).getroot().iter("failure")  # noqa: S314 - we wrote it
    assert "[(1, 7)]" in failure.attrib["message"]


def test_an_update_replaces_the_version_and_a_rollback_brings_it_back(
    stages: Stages, versions: tuple[int, int], name: str
) -> None:
    """One configuration before the one in use is kept, older ones are not."""
    old, new = versions
    plan = stages("plan", "--stage", STAGE)
    assert "replace  " in plan.out
    assert "Containers (parameter ModelPackageArn)" in plan.out
    assert stages.live(name) == ("InService", old)

    answer = stages("deploy", "--stage", STAGE)
    assert answer.code == 0, answer.text
    assert stages.live(name) == ("InService", new)
    assert len(stages.left(name)["configs"]) == len(stages.left(name)["models"]) == 2

    answer = stages("rollback", "--stage", STAGE)
    assert answer.code == 0, answer.text
    assert stages.live(name) == ("InService", old)
    left = stages.left(name)
    assert len(left["configs"]) == len(left["models"]) == 2
    assert config_of(stages, name) in left["configs"]

    answer = stages("rollback", "--stage", STAGE)
    assert answer.code == 2
    assert f"no approved version before {old}" in answer.err


def test_a_rollback_goes_past_a_version_that_was_rejected_since(
    stages: Stages, versions: tuple[int, int], name: str
) -> None:
    newest = stages.spoilt_version(versions[1], "newest", "")
    for each in (versions[1], newest):
        assert stages("deploy", "--stage", STAGE, "--package", str(each)).code == 0
    stages.project.command("reject", str(versions[1]), "--note", "wrong data")
    try:
        answer = stages("rollback", "--stage", STAGE)
    finally:
        stages.approve(versions[1])
        stages.project.command("reject", str(newest), "--note", "only for this test")
    assert answer.code == 0, answer.text
    assert f"Back       from version {newest} to {versions[0]}" in answer.out
    assert stages.live(name) == ("InService", versions[0])


def test_a_version_that_crashes_is_no_success_and_the_one_before_serves_on(
    stages: Stages, versions: tuple[int, int], name: str
) -> None:
    config = config_of(stages, name)
    bad = stages.crashing_version(versions[1])
    try:
        answer = stages("deploy", "--stage", STAGE)
        assert answer.code == 4, answer.text
        assert "Endpoint UPDATE_FAILED" in answer.err
        assert "the model is broken on purpose" in answer.err
        assert f"InService with version {versions[0]}" in answer.err
    finally:
        stages.project.command("reject", str(bad), "--note", "broken")
    assert stages.live(name) == ("InService", versions[0])
    assert config_of(stages, name) == config
    assert stages("status", "--stage", STAGE).code == 0
    answer = stages("deploy", "--stage", STAGE)
    assert answer.code == 0, answer.text
    assert stages.live(name) == ("InService", versions[1])


def test_a_rollback_that_nobody_told_of_is_no_success(
    stages: Stages, versions: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint is InService on the old configuration though the stack's update succeeded."""
    before, execute = config_of(stages, name), stack.execute
    sagemaker = stages.account.client("sagemaker")
    taken_back = []

    def rolled_back(*arguments: Any) -> Any:
        end = execute(*arguments)
        if not taken_back:
            taken_back.append(end)
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=before)
            sagemaker.get_waiter("endpoint_in_service").wait(
                EndpointName=name, WaiterConfig={"Delay": 1}
            )
        return end

    monkeypatch.setattr(stack, "execute", rolled_back)
    answer = stages("deploy", "--stage", STAGE)
    assert answer.code == 4, answer.text
    assert f"it is InService on {before}" in answer.err
    assert f"InService with version {versions[0]}" in answer.err
    # The stack says again what is there, so the API describes the model that serves.
    assert stages("status", "--stage", STAGE).code == 0
    function = stages.account.client("lambda").get_function_configuration(
        FunctionName=f"{name}-api"
    )
    assert function["Environment"]["Variables"]["MODEL_PACKAGE_ARN"].endswith(f"/{versions[0]}")


def scale(stages: Stages, name: str, count: int) -> None:
    """What autoscaling does."""
    stages.account.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": count}],
    )


def test_a_roll_out_stays_though_autoscaling_is_at_work_before_and_after_it(
    stages: Stages, versions: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SageMaker updates no endpoint that is scaled; one that is scaled was not taken back."""
    execute = stack.execute

    def scaled_then(*arguments: Any) -> Any:
        end = execute(*arguments)
        scale(stages, name, 1)
        return end

    monkeypatch.setattr(stack, "execute", scaled_then)
    scale(stages, name, 2)
    answer = stages("deploy", "--stage", STAGE)
    assert answer.code == 0, answer.text
    assert stages.live(name) == ("InService", versions[1])
    scale(stages, name, 2)
    assert stages("status", "--stage", STAGE).code == 0
    assert stages("smoke-test", "--stage", STAGE).code == 0


def test_a_higher_minimum_comes_to_an_endpoint_that_serves(
    stages: Stages, versions: tuple[int, int], name: str, tmp_path: Path
) -> None:
    """An update keeps the count that is there, and autoscaling looks at the load only."""
    stages.write(STAGE, instances={"minimum": 2, "initial": 2})
    answer = stages("deploy", "--stage", STAGE, "--package", str(versions[0]))
    assert answer.code == 0, answer.text
    assert "Instances  from 1 to 2, the stage's minimum" in answer.out
    assert stages("smoke-test", "--stage", STAGE).code == 0
    scale(stages, name, 1)
    answer = stages("status", "--stage", STAGE)
    assert answer.code == 4, answer.text
    assert "must have at least 2 instances, not 1" in answer.err
    assert stages("deploy", "--stage", STAGE, "--package", str(versions[0])).code == 0
    assert stages("status", "--stage", STAGE).code == 0


def test_a_roll_out_that_cannot_begin_leaves_no_change_set(
    stages: Stages, versions: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise NotDeployedError("there is no capacity")

    monkeypatch.setattr(capacity, "raised", refuse)
    answer = stages("deploy", "--stage", STAGE, "--package", str(versions[1]))
    assert answer.code == 4, answer.text
    cloudformation = stages.account.client("cloudformation")
    sets = cloudformation.list_change_sets(StackName=name)["Summaries"]
    assert "AVAILABLE" not in [each["ExecutionStatus"] for each in sets]
    assert stages.live(name) == ("InService", versions[0])


def test_the_status_of_an_endpoint_that_never_came_up_is_told_in_words(
    stages: Stages, versions: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SageMaker tells no variants of it."""
    read = live.read
    for status, code in (("Creating", 4), ("Failed", 4)):
        gone = {"EndpointStatus": status, "FailureReason": "no room", "ProductionVariants": []}

        def never_ran(*arguments: Any, gone: Any = gone) -> Any:
            found = read(*arguments)
            return found and replace(found, endpoint={**found.endpoint, **gone})

        monkeypatch.setattr(live, "read", never_ran)
        answer = stages("status", "--stage", STAGE)
        assert answer.code == code, answer.text
        assert f"{name}: {status} (no room), 0 x ml.m5.large" in answer.out
        assert f"it is {status} on" in answer.err


def test_an_endpoint_that_was_changed_by_hand_is_no_success(
    stages: Stages, versions: tuple[int, int], name: str
) -> None:
    before = config_of(stages, name)
    assert stages("deploy", "--stage", STAGE).code == 0
    sagemaker = stages.account.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=before)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    answer = stages("deploy", "--stage", STAGE)
    assert answer.code == 4, answer.text
    assert "somebody changed the endpoint by hand" in answer.err
    assert stages("status", "--stage", STAGE).code == 4
    assert before in stages.left(name)["configs"]


def test_another_instance_type_takes_autoscaling_off_for_the_time_being(
    stages: Stages, versions: tuple[int, int], name: str
) -> None:
    """SageMaker refuses another type while the variant is autoscaling's."""
    stages.write(STAGE, instances={"type": "ml.m5.xlarge", "maximum": 3})
    answer = stages("deploy", "--stage", STAGE, "--package", str(versions[0]))
    assert answer.code == 0, answer.text
    assert "off while the instance type changes from ml.m5.large to ml.m5.xlarge" in answer.out
    (target,) = stages.account.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)


def test_autoscaling_is_on_again_when_another_instance_type_fails(
    stages: Stages, versions: tuple[int, int], name: str
) -> None:
    stages.write(STAGE, instances={"type": "ml.m5.xlarge"})
    bad = stages.crashing_version(versions[1])
    answer = stages("deploy", "--stage", STAGE)
    stages.project.command("reject", str(bad), "--note", "broken")
    assert answer.code == 4, answer.text
    assert "Autoscaling is on again." in answer.err
    targets = stages.account.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )["ScalableTargets"]
    assert [each["ResourceId"] for each in targets] == [f"endpoint/{name}/variant/main"]
    assert stages.live(name) == ("InService", versions[0])


def failing(call: int, failure: BaseException) -> Any:
    """`stack.propose` that raises at one of its calls."""
    propose, proposed = stack.propose, []

    def instead(*arguments: Any) -> Any:
        proposed.append(arguments)
        if len(proposed) == call:
            raise failure
        return propose(*arguments)

    return instead


def refusal(code: str) -> ClientError:
    error = {"Error": {"Code": code, "Message": "not now"}}
    return ClientError(error, "CreateChangeSet")


def test_autoscaling_is_on_again_whatever_ends_a_roll_out(
    stages: Stages, versions: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first update takes autoscaling off; the second one is never begun."""
    stages.write(STAGE, instances={"type": "ml.m5.xlarge"})
    for failure, code in (
        (refusal("Throttling"), 5),
        (refusal("LimitExceededException"), 2),
        (EndpointConnectionError(endpoint_url="http://cloud"), 5),
        (KeyboardInterrupt(), 130),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(stack, "propose", failing(2, failure))
            answer = stages("deploy", "--stage", STAGE, "--package", str(versions[0]))
        assert answer.code == code, answer.text
        assert "Autoscaling is on again." in answer.err
        targets = stages.account.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="sagemaker"
        )["ScalableTargets"]
        assert [each["ResourceId"] for each in targets] == [f"endpoint/{name}/variant/main"]


def test_a_stack_that_cannot_be_put_back_is_told_with_what_came_before(
    stages: Stages, versions: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = live.verify

    def taken_back(workspace: Any, name: str, config: str, package_arn: str) -> Any:
        return verify(workspace, name, "config-of-another", package_arn)

    monkeypatch.setattr(live, "verify", taken_back)
    monkeypatch.setattr(stack, "propose", failing(2, refusal("Throttling")))
    answer = stages("deploy", "--stage", STAGE)
    assert answer.code == 4, answer.text
    assert "must be InService on config-of-another" in answer.err
    assert "The stack could not be put back: AWS could not answer CreateChangeSet" in answer.err


def test_a_model_that_hangs_is_a_504_in_words_before_the_api_gives_up(
    stages: Stages, versions: tuple[int, int], tmp_path: Path
) -> None:
    """The first request of all: the function is cold, and has not read what the model is."""
    name = stages.write("hung")
    bad = stages.spoilt_version(versions[0], "hung", SLOWER.format(seconds=35))
    told = deployed(stages, "hung", bad, tmp_path)
    stages.project.command("reject", str(bad), "--note", "hangs")
    request = prediction(told, b"M,297.6,308.8,1453,39.7,69")
    began = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert time.monotonic() - began < 30
    with refused.value as response:
        assert response.status == 504
        document = json.load(response)
    assert document["error"]["message"]
    assert document["request_id"] == response.headers["x-request-id"]
    assert stages("destroy", "--stage", "hung", "--captured-data").code == 0
    assert stages.left(name) == {}


def test_captured_data_stays_unless_it_is_asked_for(
    stages: Stages, versions: tuple[int, int], tmp_path: Path
) -> None:
    name = stages.write("short")
    assert stages("deploy", "--stage", "short", "--package", str(versions[0])).code == 0
    s3 = stages.account.client("s3")
    bucket = "sagemaker-mlops-000000000000-us-east-1"
    key = "predictive-maintenance/stages/short/capture/x/main/2026/01/01/00/a.jsonl"
    s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    answer = stages("destroy", "--stage", "short")
    assert answer.code == 0, answer.text
    assert "1 objects of captured data" in answer.out
    assert s3.head_object(Bucket=bucket, Key=key)
    assert stages("destroy", "--stage", "short", "--captured-data").code == 0
    assert key not in stages.account.objects(bucket)
    assert stages.left(name) == {}


def test_a_version_that_nobody_approved_is_refused(stages: Stages) -> None:
    latest = max(int(arn.rpartition("/")[2]) for arn in stages.account.registry())
    stages.account.client("sagemaker").update_model_package(
        ModelPackageArn=next(
            arn for arn in stages.account.registry() if arn.endswith(f"/{latest}")
        ),
        ModelApprovalStatus="PendingManualApproval",
    )
    answer = stages("deploy", "--stage", STAGE, "--package", str(latest))
    assert answer.code == 2
    assert f"Version {latest} must be Approved to be deployed" in answer.err
    assert stages.left(f"predictive-maintenance-{STAGE}") == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deploy", "--stage", "nowhere"), "--stage must be one of"),
        (("deploy", "--stage", STAGE, "--package", "999"), "There is no model package"),
        (("deploy", "--stage", STAGE, "--package", "latest"), "must be a version's number or its"),
        (("smoke-test", "--stage", STAGE), "There is no stage"),
        (("rollback", "--stage", STAGE), "to go back from"),
        (("destroy", "--stage", "production"), "say --yes; nothing was deleted"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    stages: Stages, words: tuple[str, ...], message: str
) -> None:
    stages.write(STAGE)
    stages.write("production", "production")
    answer = stages(*words)
    assert (answer.code, message in answer.err) == (2, True), answer.text


def test_a_stage_that_is_not_there_is_told_apart_from_one_that_is(stages: Stages) -> None:
    stages.write(STAGE)
    answer = stages("status", "--stage", STAGE)
    assert (answer.code, "`deploy` makes it" in answer.err) == (1, True)


def test_where_nothing_answers_is_told(stages: Stages) -> None:
    stages.write(STAGE)
    answer = stages("plan", "--stage", STAGE, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert answer.code == 5, answer.text
    assert "Nothing answers at http://127.0.0.1:9 (AWS_ENDPOINT_URL)" in answer.err
