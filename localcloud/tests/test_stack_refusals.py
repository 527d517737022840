"""What CloudFormation refuses: valid requests, each with one mistake in it.

Codes are those of AWS's API reference, words its own where users have reported them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest
from botocore.exceptions import ClientError
from stack_fixtures import Builder, get, ref, resource, role, template, topic

from localcloud.testing import localcloud

pytestmark = pytest.mark.integration
INVALID, CAPABILITIES = "ValidationError", "InsufficientCapabilitiesException"
GONE = object()
TEMPLATE: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "valid",
    "Parameters": {
        "Word": {"Type": "String", "Default": "abc", "AllowedPattern": "[a-z]+", "MaxLength": 5},
        "Count": {"Type": "Number", "Default": 2, "MinValue": 1, "MaxValue": 3},
        "Size": {"Type": "String", "Default": "S", "AllowedValues": ["S", "L"]},
    },
    "Mappings": {"Sizes": {"S": {"Days": 7}, "L": {"Days": 30}}},
    "Conditions": {"Large": {"Fn::Equals": [ref("Size"), "L"]}},
    "Resources": {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"DisplayName": {"Fn::Sub": "${Word} of ${AWS::StackName}"}},
        },
        "Group": {
            "Type": "AWS::Logs::LogGroup",
            "DependsOn": "Topic",
            "Properties": {
                "LogGroupName": "/valid",
                "RetentionInDays": {"Fn::FindInMap": ["Sizes", ref("Size"), "Days"]},
            },
        },
        "More": {"Type": "AWS::SNS::Topic", "Condition": "Large"},
    },
    "Outputs": {"Topic": {"Value": get("Topic", "TopicArn")}},
}


@dataclass(frozen=True)
class Mistake:
    """One part of the template put wrong, by its path, and the words of the refusal."""

    where: str
    value: Any
    words: str

    def __str__(self) -> str:
        return f"{self.where}-{'gone' if self.value is GONE else str(self.value)[:30]}"

    def applied(self) -> str:
        wrong = copy.deepcopy(TEMPLATE)
        *path, last = self.where.split("/")
        inner: Any = reduce(lambda value, part: value[part], path, wrong)
        if self.value is GONE:
            del inner[last]
        else:
            inner[last] = self.value
        return json.dumps(wrong)


M = Mistake
NAME = "Resources/Topic/Properties/DisplayName"
MISTAKES = [
    M("AWSTemplateFormatVersion", "2012-12-12", "not a supported value"),
    M("Description", ["a"], "must be a string"),
    M("Extra", {}, "Invalid template property or properties [Extra]"),
    M("Transform", "AWS::Serverless-2016-10-31", "does not emulate the section Transform"),
    M("Rules", {}, "does not emulate the section Rules"),
    M("Hooks", {}, "does not emulate the section Hooks"),
    M("Resources", {}, "At least one Resources member must be defined"),
    M("Resources", [], "Resources must be an object"),
    M("Resources/Bad-Name", topic(), "Resource name Bad-Name is non alphanumeric"),
    M("Resources/Topic/Type", GONE, "must contain a Type member"),
    M("Resources/Topic/Type", "AWS::SNS::Topik", "Unrecognized resource types: [AWS::SNS::Topik]"),
    M("Resources/Topic/Type", "AWS::EC2::Instance", "localcloud emulates AWS::"),
    M("Resources/Topic/Propertys", {}, "Invalid template resource property 'Propertys'"),
    M("Resources/Topic/Properties", [], "Properties must be an object"),
    M("Resources/Topic/DeletionPolicy", "Keep", "DeletionPolicy 'Keep'"),
    M("Resources/Topic/DeletionPolicy", "Snapshot", "localcloud emulates: Delete, Retain"),
    M("Resources/Topic/UpdateReplacePolicy", "Snapshot", "UpdateReplacePolicy 'Snapshot'"),
    M("Resources/Topic/UpdatePolicy", {}, "does not emulate UpdatePolicy of the resource Topic"),
    M("Resources/Topic/CreationPolicy", {}, "does not emulate CreationPolicy"),
    M(
        "Resources/Topic/DependsOn",
        "Group",
        "Circular dependency between resources: [Group, Topic]",
    ),
    M("Resources/Topic/DependsOn", "Nobody", "Unresolved resource dependencies [Nobody]"),
    M("Resources/Topic/DependsOn", {"a": 1}, "DependsOn of the resource Topic must be a string"),
    M("Resources/More/Condition", "Small", "Condition Small of the resource More"),
    M(NAME, ref("Nobody"), "Unresolved resource dependencies [Nobody] in the Resources block"),
    M(NAME, ref("More"), "Unresolved resource dependencies [More] in the Resources block"),
    M(NAME, {"Ref": ["Word"]}, "every Ref object must have a single String value"),
    M(NAME, get("Nobody", "Arn"), "Fn::GetAtt references undefined resource Nobody"),
    M(NAME, get("Group", "Name"), "resource Group does not support attribute type Name"),
    M(NAME, {"Fn::GetAtt": "Group"}, "every Fn::GetAtt object requires two non-empty parameters"),
    M(NAME, {"Fn::Sub": "${No body}"}, "variable names in Fn::Sub syntax must contain only"),
    M(NAME, {"Fn::Sub": "${Nobody}"}, "Unresolved resource dependencies [Nobody]"),
    M(NAME, {"Fn::Sub": "${Group.Arm}"}, "does not support attribute type Arm"),
    M(NAME, {"Fn::Sub": ["a"]}, "Fn::Sub intrinsic functions don't specify expected arguments"),
    M(NAME, {"Fn::Join": ["a"]}, "every Fn::Join object requires two parameters"),
    M(NAME, {"Fn::Join": [",", [{"a": 1}]]}, "every Fn::Join object requires two parameters"),
    M(NAME, {"Fn::Split": ["", "a"]}, "every Fn::Split object requires two parameters"),
    M(NAME, {"Fn::Select": [2, ["a", "b"]]}, "cannot select nonexistent value at index 2"),
    M(NAME, {"Fn::Select": ["x", ["a"]]}, "every Fn::Select object requires two parameters"),
    M(NAME, {"Fn::If": ["Small", "a", "b"]}, "unresolved condition dependency Small in Fn::If"),
    M(NAME, {"Fn::If": ["Large", "a"]}, "every Fn::If object requires a list of three"),
    M(NAME, {"Fn::FindInMap": ["Sizes", "M", "Days"]}, "Unable to get mapping for Sizes::M::Days"),
    M(NAME, {"Fn::FindInMap": ["Sizes", "S"]}, "every Fn::FindInMap object requires three"),
    M(NAME, {"Fn::Base64": ["a"]}, "every Fn::Base64 object must have a String-typed value"),
    M(NAME, {"Fn::ImportValue": "nobodys"}, "No export named nobodys found"),
    M(NAME, {"Fn::Cidr": ["a", 1, 2]}, "does not emulate the function Fn::Cidr"),
    M(NAME, {"Fn::Transform": {"Name": "x"}}, "does not emulate the function Fn::Transform"),
    M(NAME, "{{resolve:ssm:/a}}", "does not emulate dynamic references such as '{{resolve:ssm:/a"),
    M(NAME, {"a": 1}, "#/DisplayName: expected type: string, found: object"),
    M(NAME, None, "'null' values are not allowed in templates"),
    M("Resources/Topic/Properties/Colour", "red", "extraneous key [Colour] is not permitted"),
    M("Resources/Topic/Properties/TopicArn", "a", "the property TopicArn is read only"),
    M("Resources/Topic/Properties/FifoTopic", True, "does not emulate the property FifoTopic"),
    M("Resources/Topic/Properties/Subscription", "a", "expected type: array, found: string"),
    M("Resources/Group/Properties/RetentionInDays", "week", "expected type: integer"),
    M("Resources/Group/Properties/RetentionInDays", 2, "2 is not one of [1, 3, 5"),
    M("Resources/Group/Properties/FieldIndexPolicies", [], "the property FieldIndexPolicies"),
    M("Parameters/Bad-Name", {"Type": "String"}, "Parameter name Bad-Name is non alphanumeric"),
    M("Parameters/Word", {"Default": "a"}, "Every Parameters object must contain a Type member"),
    M("Parameters/Word/Typ", "a", "Invalid template parameter property 'Typ'"),
    M("Parameters/Word/Type", "Text", "Unrecognized parameter type: Text"),
    M("Parameters/Word/Type", "AWS::SSM::Parameter::Value<String>", "Unrecognized parameter type"),
    M("Parameters/Word/Default", GONE, "Parameters: [Word] must have values"),
    M("Parameters/Word/Default", "ABC", "Parameter 'Word' must match pattern [a-z]+"),
    M("Parameters/Word/Default", "abcdef", "Parameter 'Word' must contain at most 5 characters"),
    M("Parameters/Word/MinLength", 4, "Parameter 'Word' must contain at least 4 characters"),
    M("Parameters/Word/MaxLength", "x", "MaxLength of Word is no number"),
    M("Parameters/Count/Default", 4, "Parameter 'Count' must be a number not greater than 3"),
    M("Parameters/Count/Default", 0, "Parameter 'Count' must be a number not less than 1"),
    M("Parameters/Count/Default", "two", "Parameter 'Count' must be a number"),
    M("Parameters/Size/Default", "M", "Parameter 'Size' must be one of AllowedValues"),
    M("Mappings/Sizes", ["a"], "Every Mappings member Sizes must be a map of maps"),
    M("Conditions/Large", {"Fn::Equals": ["a"]}, "requires a list of 2 string parameters"),
    M("Conditions/Large", {"Fn::Not": [True, False]}, "requires a list of 1 boolean parameter"),
    M("Conditions/Large", {"Fn::And": [True]}, "at least 2 and at most 10 boolean parameters"),
    M("Conditions/Large", {"Fn::Or": ["a", "b"]}, "at least 2 and at most 10 boolean parameters"),
    M("Conditions/Large", {"Fn::Equals": [ref("Topic"), "a"]}, "Cannot reference resources in the"),
    M("Conditions/Large", {"Condition": "Large"}, "Circular dependency between conditions"),
    M("Conditions/Large", get("Topic", "TopicArn"), "cannot stand in the Conditions block"),
    M("Conditions/Large", "yes", "the condition Large must be true or false"),
    M("Outputs/Topic", {"Description": "a"}, "Every Outputs member must contain a Value object"),
    M("Outputs/Topic/Value", ref("Nobody"), "[Nobody] in the Outputs block of the template"),
    M("Outputs/Topic/Value", ref("More"), "[More] in the Outputs block of the template"),
    M("Outputs/Topic/Value", ["a"], "The Value field of every Outputs member must evaluate"),
    M("Outputs/Topic/Valu", "a", "Invalid template output property 'Valu' of Topic"),
    M("Outputs/Topic/Export", "a", "the Export of the output Topic must have a Name only"),
    M("Outputs/Topic/Condition", "Small", "Condition Small of the output Topic does not exist"),
    M("Outputs/Bad-Name", {"Value": "a"}, "Output name Bad-Name is non alphanumeric"),
]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """A localcloud with a stack named `there`."""
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        builder = Builder(cloud)
        assert builder.create("there", json.dumps(TEMPLATE)) == "CREATE_COMPLETE"
        yield builder


def refused(stacks: Builder, operation: str, **request: Any) -> tuple[str, str]:
    """Code and message of a refusal, which must change nothing."""
    before = (stacks.describe("there"), stacks.api.list_stacks()["StackSummaries"])
    with pytest.raises(ClientError) as error:
        getattr(stacks.api, operation)(**request)
    told = error.value.response["Error"]
    assert (stacks.describe("there"), stacks.api.list_stacks()["StackSummaries"]) == before
    assert len(told["Message"]) < 2500
    return told["Code"], told["Message"]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_template_with_one_mistake_is_refused_before_anything_is_made(
    stacks: Builder, mistake: Mistake
) -> None:
    code, message = refused(
        stacks, "create_stack", StackName="wrong", TemplateBody=mistake.applied()
    )
    assert code == INVALID
    assert mistake.words in message
    code, message = refused(
        stacks, "create_change_set", StackName="there", ChangeSetName="wrong",
        TemplateBody=mistake.applied(),
    )  # fmt: skip
    assert (code, mistake.words in message) == (INVALID, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", "unsupported structure"),
        ("a: [", "YAML not well-formed"),
        ('{"a": ', "JSON not well-formed. (line 1, column 7)"),
        ('{"Resources": {}, "Resources": {}}', "'Resources' stands twice"),
        ("Resources: {}\nResources: {}", "'Resources' stands twice"),
        ("Resources: &a {}\nOutputs: *a", "YAML aliases are not allowed"),
        ("Resources:\n  A: !!python/object:os.system {}", "YAML not well-formed"),
        ("[" * 5000, "nested deeper than 100 levels"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested deeper than 100 levels"),
    ],
)
def test_a_text_that_is_no_template_is_refused(stacks: Builder, text: str, words: str) -> None:
    code, message = refused(stacks, "validate_template", TemplateBody=text)
    assert (code, words in message) == (INVALID, True), message


@pytest.mark.parametrize(
    ("operation", "request_", "code", "words"),
    [
        ("create_stack", {"StackName": "there"}, "AlreadyExistsException", "already exists"),
        ("create_stack", {"StackName": "1st"}, INVALID, "regular expression"),
        ("create_stack", {"StackName": "x" * 129}, INVALID, "128"),
        ("create_stack", {"NotificationARNs": ["a"]}, INVALID, "NotificationARNs"),
        ("create_stack", {"TimeoutInMinutes": 5}, INVALID, "TimeoutInMinutes"),
        ("create_stack", {"EnableTerminationProtection": True}, INVALID, "TerminationProtection"),
        ("create_stack", {"StackPolicyBody": "{}"}, INVALID, "StackPolicyBody"),
        ("create_stack", {"ResourceTypes": ["AWS::*"]}, INVALID, "ResourceTypes"),
        ("create_stack", {"OnFailure": "DELETE", "DisableRollback": True}, INVALID, "not both"),
        ("create_stack", {"TemplateURL": "https://x"}, INVALID, "Either Template URL or"),
        ("create_stack", {"Tags": [{"Key": "aws:a", "Value": "b"}]}, INVALID, "reserved"),
        ("create_stack", {"Tags": [{"Key": "a", "Value": "b"}] * 2}, INVALID, "Duplicate tag keys"),
        (
            "create_stack",
            {"Parameters": [{"ParameterKey": "Nobody", "ParameterValue": "1"}]},
            INVALID,
            "Parameters: [Nobody] do not exist in the template",
        ),
        (
            "create_stack",
            {"Parameters": [{"ParameterKey": "Word", "UsePreviousValue": True}]},
            INVALID,
            "not in the previous template",
        ),
        ("create_stack", {"TemplateBody": "a" * 51201}, INVALID, "51200"),
        ("update_stack", {"StackName": "nobody"}, INVALID, "Stack with id nobody does not exist"),
        ("update_stack", {"StackName": "there"}, INVALID, "No updates are to be performed"),
        (
            "update_stack",
            {
                "StackName": "there",
                "TemplateBody": template({"Topic": resource("Logs::LogGroup")}),
            },
            INVALID,
            "Update of resource type is not permitted",
        ),
        (
            "update_stack",
            {"StackName": "there", "DisableRollback": True},
            INVALID,
            "DisableRollback of updates",
        ),
        (
            "create_change_set",
            {"StackName": "nobody", "ChangeSetName": "a"},
            INVALID,
            "does not exist",
        ),
        (
            "create_change_set",
            {"StackName": "there", "ChangeSetName": "a", "ChangeSetType": "CREATE"},
            "AlreadyExistsException",
            "already exists",
        ),
        (
            "create_change_set",
            {"StackName": "there", "ChangeSetName": "a", "IncludeNestedStacks": True},
            INVALID,
            "IncludeNestedStacks",
        ),
        (
            "create_change_set",
            {"StackName": "there", "ChangeSetName": "a", "ChangeSetType": "IMPORT"},
            INVALID,
            "IMPORT",
        ),
    ],
)
def test_a_request_with_one_mistake_is_refused_as_aws_does(
    stacks: Builder, operation: str, request_: dict[str, Any], code: str, words: str
) -> None:
    given = {"StackName": "new", "TemplateBody": json.dumps(TEMPLATE)} | request_
    found, message = refused(stacks, operation, **given)
    assert (found, words in message) == (code, True), message


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("describe_stacks", {"StackName": "nobody"}, INVALID),
        ("describe_stack_events", {"StackName": "nobody"}, INVALID),
        ("list_stack_resources", {"StackName": "nobody"}, INVALID),
        ("list_stack_resources", {"StackName": "there", "NextToken": "x"}, INVALID),
        (
            "describe_stack_resource",
            {"StackName": "there", "LogicalResourceId": "Nobody"},
            INVALID,
        ),
        ("get_template", {"StackName": "nobody"}, INVALID),
        ("get_template", {}, INVALID),
        ("describe_change_set", {"ChangeSetName": "nobody"}, INVALID),
        (
            "execute_change_set",
            {"ChangeSetName": "nobody", "StackName": "there"},
            "ChangeSetNotFound",
        ),
        ("cancel_update_stack", {"StackName": "there"}, INVALID),
        ("continue_update_rollback", {"StackName": "there"}, INVALID),
        (
            "set_stack_policy",
            {"StackName": "there", "StackPolicyBody": "{}"},
            "NotImplementedException",
        ),
        ("delete_stack", {"StackName": "there", "RetainResources": ["Topic"]}, INVALID),
        ("delete_stack", {"StackName": "there", "DeletionMode": "FORCE_DELETE_STACK"}, INVALID),
        ("list_imports", {"ExportName": "nobodys"}, INVALID),
        ("detect_stack_drift", {"StackName": "there"}, "NotImplementedException"),
        ("create_stack_set", {"StackSetName": "a"}, "NotImplementedException"),
    ],
)
def test_what_is_not_there_or_not_possible_is_refused(
    stacks: Builder, operation: str, request_: dict[str, Any], code: str
) -> None:
    assert refused(stacks, operation, **request_)[0] == code


def test_roles_need_a_capability_and_named_ones_another(stacks: Builder) -> None:
    plain, named = template({"Role": role()}), template({"Role": role(RoleName="named")})
    code, message = refused(stacks, "create_stack", StackName="new", TemplateBody=plain)
    assert (code, message) == (CAPABILITIES, "Requires capabilities : [CAPABILITY_IAM]")
    code, message = refused(
        stacks, "create_stack", StackName="new", TemplateBody=named, Capabilities=["CAPABILITY_IAM"]
    )
    assert (code, message) == (CAPABILITIES, "Requires capabilities : [CAPABILITY_NAMED_IAM]")


def test_a_deletion_of_nothing_is_no_error(stacks: Builder) -> None:
    stacks.api.delete_stack(StackName="nobody")


def test_the_template_without_a_mistake_is_valid(stacks: Builder) -> None:
    """Else a template might be refused for something else than its mistake."""
    assert stacks.status("there") == "CREATE_COMPLETE"
    assert set(stacks.physical("there")) == {"Topic", "Group"}
