"""What serves is told from what is under way: scaling and patching are no rollback."""

import pytest
from scripted import CONFIG, NAME, PACKAGE, workspace

from deploy_endpoint import live, pauses
from deploy_endpoint.errors import NotDeployedError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "_SHORTEST", 0.01)


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack"])
def test_an_endpoint_that_is_scaled_or_patched_is_waited_for_and_told(status: str) -> None:
    step = {"Status": "Updating", "StatusMessage": "Scaling out"}
    variant = {"CurrentInstanceCount": 1, "DesiredInstanceCount": 2, "VariantStatus": [step]}
    found = workspace(status, status, "InService", ProductionVariants=[variant])
    assert live.verify(found, NAME, CONFIG, PACKAGE).status == "InService"
    line = f"Waiting    until endpoint {NAME} is settled: {status}: Updating, Scaling out\n"
    assert found.terminal.out.getvalue() == line


def test_an_endpoint_that_is_scaled_for_too_long_serves_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "SETTLING_SECONDS", 0.1)
    assert live.verify(workspace("Updating"), NAME, CONFIG, PACKAGE).status == "Updating"


@pytest.mark.parametrize("statuses", [("InService",), ("Updating", "InService")])
def test_another_configuration_or_package_is_never_what_was_asked_for(
    statuses: tuple[str, ...],
) -> None:
    for config, package in (("config-3", PACKAGE), (CONFIG, f"{PACKAGE}9")):
        with pytest.raises(NotDeployedError, match=f"it is InService on {CONFIG}"):
            live.verify(workspace(*statuses), NAME, config, package)


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_that_does_not_serve_is_not_what_was_asked_for(status: str) -> None:
    with pytest.raises(NotDeployedError, match=rf"it is {status} on .* \(no room\)"):
        live.verify(workspace(status, FailureReason="no room"), NAME, CONFIG, PACKAGE)


def test_while_it_is_scaled_the_count_is_the_one_to_come() -> None:
    for status, count in (("InService", 1), ("Updating", 2)):
        found = live.read(workspace(status), NAME)
        assert found is not None
        assert found.instances == count
        live.check(found, CONFIG, PACKAGE, minimum=count)
        with pytest.raises(NotDeployedError, match=f"at least 3 instances, not {count}"):
            live.check(found, CONFIG, PACKAGE, minimum=3)


@pytest.mark.parametrize("status", ["Creating", "Failed"])
def test_an_endpoint_that_never_ran_has_no_variants_and_is_read_all_the_same(status: str) -> None:
    asked = workspace(status)
    described = asked.sagemaker.describe_endpoint
    asked.sagemaker.describe_endpoint = lambda **words: {
        name: value for name, value in described(**words).items() if name != "ProductionVariants"
    }
    found = live.read(asked, NAME)
    assert found is not None
    assert (found.status, found.instances, found.variant) == (status, 0, {})
