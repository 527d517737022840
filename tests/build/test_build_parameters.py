"""`--parameter`: whatever the pipeline or a job would refuse is refused before anything starts."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.build import parameters
from pipelines.build.errors import UsageError

NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=30)
DOCUMENT: dict[str, Any] = {
    "Parameters": [
        {"Name": "InputDataUri", "Type": "String", "DefaultValue": "s3://b/k"},
        {"Name": "TrainingInstanceType", "Type": "String", "DefaultValue": "ml.m5.large"},
        {"Name": "TrainingInstanceCount", "Type": "Integer", "DefaultValue": 1},
        {"Name": "TestRatio", "Type": "Float", "DefaultValue": 0.15},
        {"Name": "ValidationRatio", "Type": "Float", "DefaultValue": 0.15},
        {"Name": "MaxDepth", "Type": "Integer", "DefaultValue": 4},
        {"Name": "Eta", "Type": "Float", "DefaultValue": 0.1},
        {"Name": "MinRecall", "Type": "Float", "DefaultValue": 0.7},
        {"Name": "Quick", "Type": "Boolean", "DefaultValue": False},
        {
            "Name": "ModelApprovalStatus",
            "Type": "String",
            "DefaultValue": "PendingManualApproval",
            "EnumValues": ["PendingManualApproval", "Approved", "Rejected"],
        },
    ]
}


@given(st.dictionaries(NAMES, st.text()))
def test_every_assignment_is_read_back(values: dict[str, str]) -> None:
    """Any name and any value, equal signs and line ends included, must come back as given."""
    assert parameters.parse([f"{name}={value}" for name, value in values.items()]) == values


@given(st.text(st.characters(exclude_characters="=")))
def test_without_an_equal_sign_it_is_no_assignment(text: str) -> None:
    with pytest.raises(UsageError, match="must be Name=Value"):
        parameters.parse([text])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Eta is given twice: '0.1' and '0.2'"):
        parameters.parse(["Eta=0.1", "Eta=0.2"])


@given(st.integers(1, 16))
def test_whole_numbers_in_range_are_taken(depth: int) -> None:
    parameters.check({"MaxDepth": str(depth)}, DOCUMENT)


@given(st.integers().filter(lambda depth: not 1 <= depth <= 16))
def test_whole_numbers_out_of_range_are_refused(depth: int) -> None:
    with pytest.raises(UsageError, match="MaxDepth"):
        parameters.check({"MaxDepth": str(depth)}, DOCUMENT)


@given(st.floats(0.001, 1.0))
def test_any_way_to_write_a_number_is_taken(eta: float) -> None:
    for text in (repr(eta), f"{eta:e}", f"{eta:.17f}"):
        parameters.check({"Eta": text}, DOCUMENT)


@given(st.floats().filter(lambda share: not 0 <= share <= 1))
def test_a_threshold_outside_of_0_to_1_is_refused(share: float) -> None:
    """Not a number and infinity count as outside."""
    with pytest.raises(UsageError, match="MinRecall must be"):
        parameters.check({"MinRecall": repr(share)}, DOCUMENT)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("eta", "0.1", "Parameter eta is not one of the pipeline's; did you mean Eta?"),
        ("MaxDept", "3", "did you mean MaxDepth?"),
        ("Zzz", "3", "Zzz is not one of the pipeline's. The pipeline has InputDataUri"),
        ("MaxDepth", "4.0", "MaxDepth must be a whole number, not '4.0'"),
        ("MaxDepth", "1_0", "MaxDepth must be a whole number, not '1_0'"),
        ("MaxDepth", "", "MaxDepth must be a whole number, not ''"),
        ("MaxDepth", "99", "max_depth must be a whole number from 1 to 16, not '99'"),
        ("Eta", "quick", "Eta must be a number, not 'quick'"),
        ("Eta", "0", "eta must be a number from 0.001 to 1.0, not '0'"),
        ("Quick", "yes", "Quick must be true or false, not 'yes'"),
        ("ModelApprovalStatus", "approved", "must be one of PendingManualApproval, Approved"),
        ("TrainingInstanceCount", "0", "TrainingInstanceCount must be at least 1, not 0"),
        ("TrainingInstanceType", "ml.m5.xlarg", "did you mean ml.m5.xlarge?"),
        ("TestRatio", "0.9", "together less than 1, so that rows are left for training"),
        ("TestRatio", "0", "must each be more than 0"),
    ],
)
def test_a_refusal_names_parameter_rule_and_value(name: str, value: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parameters.check({name: value}, DOCUMENT)
    assert message in str(refusal.value)


def test_good_values_pass_together() -> None:
    parameters.check(
        {"TrainingInstanceType": "ml.c5.xlarge", "Quick": "true", "MinRecall": "1", "Eta": ".5"},
        DOCUMENT,
    )
