"""What AWS refuses, localcloud refuses: valid requests, each with one mistake in it.

The codes are those of AWS's API reference and of answers that users have reported. Nothing stands
between the test and the wire: boto3 would refuse half of these requests itself.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest
from botocore.model import OperationModel
from clients import client_of
from definitions import IMAGE, RESOURCES, ROLE, definition, fail, processing
from raw_calls import call

from localcloud.protocol import service_model
from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration

ARN = "arn:aws:sagemaker:us-east-1:000000000000:"
FOREIGN = "arn:aws:sagemaker:us-east-1:111111111111:"
ELSEWHERE = "arn:aws:sagemaker:eu-west-1:000000000000:"
INVALID, WRONG_TYPE, NOT_FOUND, IN_USE, CONFLICT, UNKNOWN = (
    "ValidationException",
    "SerializationException",
    "ResourceNotFound",
    "ResourceInUse",
    "ConflictException",
    "UnknownOperationException",
)
PARAMETER, LOGS_NOT_FOUND = "InvalidParameterException", "ResourceNotFoundException"
NOBODY = f"{ARN}pipeline/there/execution/abcdefghijkl"
GONE = object()
"""Stands for a member that is taken away."""
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
TEXT = definition(
    fail("Stop", {"Get": "Parameters.Words"}),
    parameters=[{"Name": "Words", "Type": "String", "DefaultValue": "no"}],
)
TAG = {"Key": "team", "Value": "ops"}
TAGS_51 = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
DEEP = "[" * 10_000
INPUT = {
    "InputName": "data",
    "S3Input": {
        "S3Uri": "s3://workshop/model.tar.gz",
        "LocalPath": "/opt/ml/processing/input",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    },
}

# A valid request of each operation. What a test creates with one must not be there yet.
BASE: dict[str, dict[str, Any]] = {
    "CreateProcessingJob": {
        "ProcessingJobName": "new",
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", "print(1)"],
        },
        "ProcessingResources": RESOURCES,
        "ProcessingInputs": [INPUT],
        "Environment": {"A": "1"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Tags": [TAG],
    },
    "CreateTrainingJob": {
        "TrainingJobName": "new",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://workshop/model.tar.gz",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://workshop/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "HyperParameters": {"eta": "0.1", "sagemaker_program": "train.py"},
    },
    "CreatePipeline": {
        "PipelineName": "new",
        "PipelineDefinition": TEXT,
        "RoleArn": ROLE,
        "ClientRequestToken": "x" * 32,
    },
    "UpdatePipeline": {"PipelineName": "there", "PipelineDefinition": TEXT, "RoleArn": ROLE},
    "DeletePipeline": {"PipelineName": "there", "ClientRequestToken": "x" * 32},
    "DescribePipeline": {"PipelineName": "there"},
    "ListPipelines": {"MaxResults": 10},
    "StartPipelineExecution": {
        "PipelineName": "there",
        "PipelineParameters": [{"Name": "Words", "Value": "never"}],
        "ClientRequestToken": "x" * 32,
    },
    "StopPipelineExecution": {"ClientRequestToken": "x" * 32},  # of the one that is there
    "RetryPipelineExecution": {
        "ClientRequestToken": "x" * 32,
        "ParallelismConfiguration": {"MaxParallelExecutionSteps": 1},
    },
    "UpdatePipelineExecution": {
        "PipelineExecutionDisplayName": "renamed",
        "PipelineExecutionDescription": "why",
        "ParallelismConfiguration": {"MaxParallelExecutionSteps": 1},
    },
    "DescribePipelineExecution": {},
    "DescribePipelineDefinitionForExecution": {},
    "ListPipelineParametersForExecution": {"MaxResults": 10},
    "ListPipelineExecutionSteps": {},
    "ListPipelineExecutions": {"PipelineName": "there"},
    "CreateModelPackageGroup": {
        "ModelPackageGroupName": "new",
        "ModelPackageGroupDescription": "models",
        "Tags": [TAG],
    },
    "DescribeModelPackageGroup": {"ModelPackageGroupName": "there"},
    "DeleteModelPackageGroup": {"ModelPackageGroupName": "there"},
    "CreateModelPackage": {
        "ModelPackageGroupName": "there",
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://workshop/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        },
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataProperties": {"GitCommit": "abc"},
    },
    "UpdateModelPackage": {
        "ModelPackageArn": f"{ARN}model-package/there/1",
        "ModelApprovalStatus": "Rejected",
    },
    "DescribeModelPackage": {"ModelPackageName": f"{ARN}model-package/there/1"},
    "DeleteModelPackage": {"ModelPackageName": f"{ARN}model-package/there/1"},
    "ListModelPackages": {"ModelPackageGroupName": "there", "CreationTimeAfter": 0},
    "DescribeProcessingJob": {"ProcessingJobName": "there"},
    "StopProcessingJob": {"ProcessingJobName": "there"},
    "ListProcessingJobs": {"StatusEquals": "Failed"},
    "DescribeTrainingJob": {"TrainingJobName": "there"},
    "ListTrainingJobs": {"SortBy": "CreationTime"},
    "AddTags": {"ResourceArn": f"{ARN}pipeline/there", "Tags": [TAG]},
    "ListTags": {"ResourceArn": f"{ARN}pipeline/there"},
    "DeleteTags": {"ResourceArn": f"{ARN}pipeline/there", "TagKeys": ["team"]},
    "GetLogEvents": {"logGroupName": LOG_GROUP, "logStreamName": "there"},
    "FilterLogEvents": {"logGroupName": LOG_GROUP, "limit": 10},
    "DescribeLogStreams": {"logGroupName": LOG_GROUP},
    "DescribeLogGroups": {"limit": 10},
}
LOGS = ("GetLogEvents", "FilterLogEvents", "DescribeLogStreams", "DescribeLogGroups")


@dataclass(frozen=True)
class Mistake:
    """One member of a valid request put wrong, and how AWS refuses that."""

    operation: str
    where: str
    value: Any
    code: str
    word: str

    def __str__(self) -> str:
        value = "gone" if self.value is GONE else repr(self.value)
        return f"{self.operation}-{self.where}-{value[:30]}"

    def applied_to(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with the mistake in it."""
        wrong = copy.deepcopy(request)
        *path, last = [int(part) if part.isdigit() else part for part in self.where.split(".")]
        inner: Any = reduce(lambda value, part: value[part], path, wrong)
        if self.value is GONE:
            del inner[last]
        else:
            inner[last] = self.value
        return wrong


M = Mistake
MISTAKES = [
    # CreateProcessingJob
    M("CreateProcessingJob", "ProcessingJobName", GONE, INVALID, "'processingJobName'"),
    M("CreateProcessingJob", "ProcessingJobName", None, INVALID, "must not be null"),
    M("CreateProcessingJob", "ProcessingJobName", "my_job!", INVALID, "regular expression"),
    M("CreateProcessingJob", "ProcessingJobName", "x" * 64, INVALID, "or equal to 63"),
    M("CreateProcessingJob", "ProcessingJobName", "", INVALID, "or equal to 1"),
    M("CreateProcessingJob", "ProcessingJobName", 5, WRONG_TYPE, "a string"),
    M("CreateProcessingJob", "ProcessingJobName", "there", IN_USE, "already exists"),
    M("CreateProcessingJob", "RoleArn", "arn:aws:iam::1:role/x", INVALID, "'roleArn'"),
    M("CreateProcessingJob", "RoleArn", "pipeline", INVALID, "equal to 20"),
    M("CreateProcessingJob", "AppSpecification.ImageUri", "busybox:1", INVALID, "cannot run"),
    M("CreateProcessingJob", "AppSpecification.ImageUri", IMAGE[:-1], INVALID, "cannot run"),
    M("CreateProcessingJob", "AppSpecification.ImageUri", "x" * 256, INVALID, "equal to 255"),
    M("CreateProcessingJob", "AppSpecification", GONE, INVALID, "'appSpecification'"),
    M("CreateProcessingJob", "AppSpecification", [], WRONG_TYPE, "an object"),
    M("CreateProcessingJob", "AppSpecification.ContainerEntrypoint", "p", WRONG_TYPE, "a list"),
    M("CreateProcessingJob", "AppSpecification.ContainerEntrypoint", [], INVALID, "equal to 1"),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceType",
        "ml.m5.xlargee",
        INVALID,
        "enum value set",
    ),
    M("CreateProcessingJob", "ProcessingResources.ClusterConfig.InstanceCount", 0, INVALID, "1"),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceCount",
        -1,
        INVALID,
        "greater than or equal to 1",
    ),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceCount",
        101,
        INVALID,
        "less than or equal to 100",
    ),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceCount",
        1.5,
        WRONG_TYPE,
        "an integer",
    ),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceCount",
        True,
        WRONG_TYPE,
        "an integer",
    ),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceCount",
        2**40,
        WRONG_TYPE,
        "32 bits",
    ),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceCount",
        GONE,
        INVALID,
        "InstanceCount",
    ),
    M(
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.VolumeSizeInGB",
        0,
        INVALID,
        "greater than or equal to 1",
    ),
    M("CreateProcessingJob", "ProcessingInputs", [INPUT] * 11, INVALID, "or equal to 10"),
    M("CreateProcessingJob", "ProcessingInputs.0.S3Input.S3Uri", "http://x", INVALID, "s3Uri"),
    M("CreateProcessingJob", "ProcessingInputs.0.S3Input.S3DataType", "File", INVALID, "enum"),
    M("CreateProcessingJob", "ProcessingInputs.0.S3Input.LocalPath", "/etc", INVALID, "/opt/ml"),
    M("CreateProcessingJob", "ProcessingInputs.0.InputName", GONE, INVALID, "inputName"),
    M("CreateProcessingJob", "Environment", {"A-B": "1"}, INVALID, "regular expression"),
    M("CreateProcessingJob", "Environment", {"A": 1}, WRONG_TYPE, "a string"),
    M("CreateProcessingJob", "StoppingCondition.MaxRuntimeInSeconds", 0, INVALID, "equal to 1"),
    M("CreateProcessingJob", "Tags", TAGS_51, INVALID, "less than or equal to 50"),
    M("CreateProcessingJob", "Tags.0.Key", "x" * 129, INVALID, "less than or equal to 128"),
    M("CreateProcessingJob", "Tags.0.Value", "ö?", INVALID, "regular expression"),
    M("CreateProcessingJob", "Tags.0", None, WRONG_TYPE, "an object"),
    # CreateTrainingJob
    M("CreateTrainingJob", "TrainingJobName", "a_b", INVALID, "regular expression"),
    M("CreateTrainingJob", "RoleArn", GONE, INVALID, "'roleArn'"),
    M("CreateTrainingJob", "AlgorithmSpecification.TrainingInputMode", "Files", INVALID, "enum"),
    M("CreateTrainingJob", "AlgorithmSpecification.TrainingImage", "a b", INVALID, "cannot run"),
    M("CreateTrainingJob", "AlgorithmSpecification.TrainingImage", "x:1", INVALID, "cannot run"),
    M("CreateTrainingJob", "OutputDataConfig.S3OutputPath", "/out", INVALID, "s3OutputPath"),
    M("CreateTrainingJob", "ResourceConfig.InstanceType", "ml.m5.xlargee", INVALID, "enum"),
    M("CreateTrainingJob", "ResourceConfig.InstanceCount", -1, INVALID, "or equal to 0"),
    M("CreateTrainingJob", "ResourceConfig.VolumeSizeInGB", -1, INVALID, "or equal to 0"),
    M("CreateTrainingJob", "HyperParameters", GONE, INVALID, "built-in algorithm"),
    M("CreateTrainingJob", "AlgorithmSpecification", GONE, INVALID, "TrainingImage"),
    M("CreateTrainingJob", "ResourceConfig", GONE, INVALID, "InstanceType"),
    M("CreateTrainingJob", "HyperParameters", {"k": 1}, WRONG_TYPE, "a string"),
    M("CreateTrainingJob", "HyperParameters", {"k": "x" * 2501}, INVALID, "equal to 2500"),
    M("CreateTrainingJob", "InputDataConfig.0.ChannelName", "a b", INVALID, "regular expression"),
    M("CreateTrainingJob", "InputDataConfig", [], INVALID, "greater than or equal to 1"),
    M("CreateTrainingJob", "StoppingCondition.MaxRuntimeInSeconds", "60", WRONG_TYPE, "integer"),
    # Pipelines
    M("CreatePipeline", "PipelineName", "my_pipeline!", INVALID, "regular expression"),
    M("CreatePipeline", "PipelineName", "x" * 257, INVALID, "less than or equal to 256"),
    M("CreatePipeline", "PipelineName", "there", INVALID, "already exists"),
    M("CreatePipeline", "RoleArn", GONE, INVALID, "'roleArn'"),
    M("CreatePipeline", "RoleArn", "x" * 19, INVALID, "greater than or equal to 20"),
    M("CreatePipeline", "RoleArn", f"{ARN}pipeline/there", INVALID, "regular expression"),
    M("CreatePipeline", "PipelineDefinition", GONE, INVALID, "PipelineDefinition"),
    M("CreatePipeline", "PipelineDefinition", "{", INVALID, "not JSON"),
    M("CreatePipeline", "PipelineDefinition", "[]", INVALID, "Version"),
    M("CreatePipeline", "PipelineDefinition", DEEP, INVALID, "not JSON"),
    M("CreatePipeline", "PipelineDefinition", {}, WRONG_TYPE, "a string"),
    M("CreatePipeline", "PipelineDefinition", "x" * 1048577, INVALID, "equal to 1048576"),
    M("CreatePipeline", "ClientRequestToken", "short", INVALID, "greater than or equal to 32"),
    M(
        "CreatePipeline",
        "PipelineDefinitionS3Location",
        {"Bucket": "workshop", "ObjectKey": "d.json"},
        INVALID,
        "Exactly one",
    ),
    M("UpdatePipeline", "PipelineName", "nobody", NOT_FOUND, "does not exist"),
    M("UpdatePipeline", "PipelineDefinition", "nonsense", INVALID, "not JSON"),
    M("UpdatePipeline", "RoleArn", "nobody" * 5, INVALID, "regular expression"),
    M("UpdatePipeline", "ParallelismConfiguration", {}, INVALID, "maxParallelExecutionSteps"),
    M(
        "UpdatePipeline",
        "ParallelismConfiguration",
        {"MaxParallelExecutionSteps": 0},
        INVALID,
        "greater than or equal to 1",
    ),
    M("DeletePipeline", "PipelineName", "nobody", NOT_FOUND, "does not exist"),
    M("DescribePipeline", "PipelineName", "nobody", NOT_FOUND, "does not exist"),
    M("DescribePipeline", "PipelineName", f"{FOREIGN}pipeline/there", INVALID, "account"),
    M("DescribePipeline", "PipelineName", f"{ELSEWHERE}pipeline/there", INVALID, "us-east-1"),
    M("ListPipelines", "MaxResults", 0, INVALID, "greater than or equal to 1"),
    M("ListPipelines", "MaxResults", 101, INVALID, "less than or equal to 100"),
    M("ListPipelines", "NextToken", "!!!", INVALID, "NextToken"),
    M("ListPipelines", "NextToken", "LTU=", INVALID, "NextToken"),
    M("ListPipelines", "NextToken", "x" * 8193, INVALID, "less than or equal to 8192"),
    M("ListPipelines", "SortBy", "Date", INVALID, "enum value set"),
    M("ListPipelines", "SortOrder", "Up", INVALID, "enum value set"),
    M("ListPipelines", "CreatedAfter", "yesterday", WRONG_TYPE, "seconds since 1970"),
    M("ListPipelines", "CreatedAfter", "2026-01-01T00:00:00Z", WRONG_TYPE, "seconds since"),
    # Executions
    M("StartPipelineExecution", "PipelineName", "nobody", NOT_FOUND, "does not exist"),
    M("StartPipelineExecution", "PipelineParameters.0.Name", "Nobody", INVALID, "no parameter"),
    M("StartPipelineExecution", "PipelineParameters.0.Value", 5, WRONG_TYPE, "a string"),
    M("StartPipelineExecution", "PipelineParameters.0.Value", GONE, INVALID, "value"),
    M(
        "StartPipelineExecution",
        "PipelineParameters",
        [{"Name": f"N{number}", "Value": ""} for number in range(201)],
        INVALID,
        "less than or equal to 200",
    ),
    M("StartPipelineExecution", "PipelineExecutionDisplayName", "a b", INVALID, "regular"),
    M("StopPipelineExecution", "PipelineExecutionArn", f"{ARN}pipeline/x", INVALID, "regular"),
    M(
        "StopPipelineExecution",
        "PipelineExecutionArn",
        NOBODY,
        NOT_FOUND,
        "does not exist",
    ),
    M("StopPipelineExecution", "ClientRequestToken", "x" * 31, INVALID, "or equal to 32"),
    M(
        "DescribePipelineExecution",
        "PipelineExecutionArn",
        NOBODY,
        NOT_FOUND,
        "does not exist",
    ),
    M(
        "DescribePipelineExecution",
        "PipelineExecutionArn",
        f"{FOREIGN}pipeline/there/execution/abcdefghijkl",
        INVALID,
        "account",
    ),
    *(
        mistake
        for operation in (
            "RetryPipelineExecution",
            "UpdatePipelineExecution",
            "DescribePipelineDefinitionForExecution",
            "ListPipelineParametersForExecution",
        )
        for mistake in (
            M(operation, "PipelineExecutionArn", GONE, INVALID, "'pipelineExecutionArn'"),
            M(operation, "PipelineExecutionArn", f"{ARN}pipeline/x", INVALID, "regular"),
            M(operation, "PipelineExecutionArn", 5, WRONG_TYPE, "a string"),
            M(operation, "PipelineExecutionArn", NOBODY, NOT_FOUND, "does not exist"),
            M(
                operation,
                "PipelineExecutionArn",
                f"{FOREIGN}pipeline/there/execution/abcdefghijkl",
                INVALID,
                "account",
            ),
        )
    ),
    M("RetryPipelineExecution", "ClientRequestToken", "short", INVALID, "or equal to 32"),
    *(
        M(operation, "ParallelismConfiguration.MaxParallelExecutionSteps", *wrong)
        for operation in ("RetryPipelineExecution", "UpdatePipelineExecution")
        for wrong in (
            (0, INVALID, "greater than or equal to 1"),
            ("2", WRONG_TYPE, "an integer"),
            (GONE, INVALID, "maxParallelExecutionSteps"),
        )
    ),
    M("UpdatePipelineExecution", "PipelineExecutionDisplayName", "a b", INVALID, "regular"),
    M("UpdatePipelineExecution", "PipelineExecutionDescription", "x" * 3073, INVALID, "3072"),
    M("ListPipelineParametersForExecution", "NextToken", "MTA=x", INVALID, "NextToken"),
    M("ListPipelineParametersForExecution", "MaxResults", 0, INVALID, "or equal to 1"),
    M("ListPipelineExecutionSteps", "NextToken", "MTA=x", INVALID, "NextToken"),
    M("ListPipelineExecutions", "PipelineName", "nobody", NOT_FOUND, "does not exist"),
    M("ListPipelineExecutions", "SortBy", "Name", INVALID, "enum value set"),
    # The registry
    M("CreateModelPackageGroup", "ModelPackageGroupName", "a_b", INVALID, "regular expression"),
    M("CreateModelPackageGroup", "ModelPackageGroupName", "-a", INVALID, "regular expression"),
    M("CreateModelPackageGroup", "ModelPackageGroupName", "there", INVALID, "already exists"),
    M(
        "CreateModelPackageGroup",
        "ModelPackageGroupDescription",
        "x" * 1025,
        INVALID,
        "less than or equal to 1024",
    ),
    M("CreateModelPackageGroup", "Tags", TAGS_51, INVALID, "less than or equal to 50"),
    M("CreateModelPackageGroup", "Tags.0.Value", GONE, INVALID, "value"),
    M("DescribeModelPackageGroup", "ModelPackageGroupName", "nobody", INVALID, "does not exist"),
    M("DeleteModelPackageGroup", "ModelPackageGroupName", "nobody", INVALID, "does not exist"),
    M("DeleteModelPackageGroup", "ModelPackageGroupName", "there", CONFLICT, "1 model package"),
    M("CreateModelPackage", "ModelApprovalStatus", "Aproved", INVALID, "enum value set"),
    M("CreateModelPackage", "ModelPackageGroupName", "nobody", INVALID, "does not exist"),
    M("CreateModelPackage", "ModelPackageName", "both", INVALID, "ModelPackageGroupName"),
    M("CreateModelPackage", "ModelPackageGroupName", GONE, INVALID, "ModelPackageGroupName"),
    M(
        "CreateModelPackage",
        "ModelPackageGroupName",
        f"{ELSEWHERE}model-package-group/there",
        INVALID,
        "us-east-1",
    ),
    M("CreateModelPackage", "CustomerMetadataProperties", {"a": '{"b": 1}'}, INVALID, "regular"),
    M("CreateModelPackage", "CustomerMetadataProperties", {"a": "x" * 257}, INVALID, "256"),
    M(
        "CreateModelPackage",
        "CustomerMetadataProperties",
        {f"k{number}": "v" for number in range(51)},
        INVALID,
        "less than or equal to 50",
    ),
    M("CreateModelPackage", "InferenceSpecification.Containers", [], INVALID, "or equal to 1"),
    M(
        "CreateModelPackage",
        "InferenceSpecification.Containers.0.ModelDataUrl",
        "s3://workshop/nothing",
        INVALID,
        "Could not find model data",
    ),
    M(
        "CreateModelPackage",
        "InferenceSpecification.Containers.0.ModelDataUrl",
        "https://example.org/model.tar.gz",
        INVALID,
        "not an S3 URI",
    ),
    M(
        "CreateModelPackage",
        "InferenceSpecification.SupportedRealtimeInferenceInstanceTypes",
        ["ml.m5.xlargee"],
        INVALID,
        "enum value set",
    ),
    M("CreateModelPackage", "Tags", [TAG], INVALID, "Tags"),
    M("UpdateModelPackage", "ModelApprovalStatus", "approved", INVALID, "enum value set"),
    M("UpdateModelPackage", "ModelPackageArn", "there/1", INVALID, "regular expression"),
    M("UpdateModelPackage", "ModelPackageArn", GONE, INVALID, "'modelPackageArn'"),
    M(
        "UpdateModelPackage",
        "ModelPackageArn",
        f"{ARN}model-package/there/2",
        INVALID,
        "does not exist",
    ),
    M("UpdateModelPackage", "ApprovalDescription", "x" * 1025, INVALID, "or equal to 1024"),
    M("DescribeModelPackage", "ModelPackageName", "nobody", INVALID, "does not exist"),
    M(
        "DescribeModelPackage",
        "ModelPackageName",
        f"{FOREIGN}model-package/there/1",
        INVALID,
        "account",
    ),
    M("DeleteModelPackage", "ModelPackageName", "there/7", INVALID, "does not exist"),
    M("ListModelPackages", "ModelApprovalStatus", "Aproved", INVALID, "enum value set"),
    M("ListModelPackages", "ModelPackageGroupName", "nobody", INVALID, "does not exist"),
    M("ListModelPackages", "CreationTimeAfter", "2026-01-01", WRONG_TYPE, "seconds since"),
    M("ListModelPackages", "NextToken", "bm8=", INVALID, "NextToken"),
    M("ListModelPackages", "MaxResults", "10", WRONG_TYPE, "an integer"),
    # Jobs that are there, or not
    M("DescribeProcessingJob", "ProcessingJobName", "nobody", NOT_FOUND, "nobody"),
    M("StopProcessingJob", "ProcessingJobName", "nobody", NOT_FOUND, "nobody"),
    M("StopProcessingJob", "ProcessingJobName", "there", INVALID, "Failed"),
    M("ListProcessingJobs", "StatusEquals", "Done", INVALID, "enum value set"),
    M("DescribeTrainingJob", "TrainingJobName", "nobody", INVALID, "not found"),
    M("ListTrainingJobs", "SortBy", "Age", INVALID, "enum value set"),
    # Tags
    M("AddTags", "ResourceArn", f"{ARN}pipeline/nobody", INVALID, "does not exist"),
    M("AddTags", "ResourceArn", f"{FOREIGN}pipeline/there", INVALID, "account"),
    M("AddTags", "ResourceArn", "there", INVALID, "regular expression"),
    M("AddTags", "Tags", GONE, INVALID, "'tags'"),
    M("AddTags", "Tags", TAGS_51, INVALID, "50"),
    M("ListTags", "ResourceArn", f"{ARN}model-package/there/9", INVALID, "does not exist"),
    M("DeleteTags", "TagKeys", [], INVALID, "greater than or equal to 1"),
    M("DeleteTags", "ResourceArn", f"{ARN}nothing", INVALID, "does not exist"),
    # Logs
    M("GetLogEvents", "logGroupName", "/no/such", LOGS_NOT_FOUND, "log group"),
    M("GetLogEvents", "logGroupName", "a b", PARAMETER, "regular expression"),
    M("GetLogEvents", "logGroupName", GONE, PARAMETER, "logGroupName"),
    M("GetLogEvents", "logStreamName", "nobody", LOGS_NOT_FOUND, "log stream"),
    M("GetLogEvents", "logStreamName", "a:b", PARAMETER, "regular expression"),
    M("GetLogEvents", "limit", 10_001, PARAMETER, "less than or equal to 10000"),
    M("GetLogEvents", "nextToken", "x/1", PARAMETER, "nextToken"),
    M("GetLogEvents", "nextToken", "f/²", PARAMETER, "nextToken"),
    M("GetLogEvents", "startTime", -1, PARAMETER, "greater than or equal to 0"),
    M("FilterLogEvents", "limit", 0, PARAMETER, "greater than or equal to 1"),
    M("FilterLogEvents", "nextToken", "f/-1", PARAMETER, "nextToken"),
    M("FilterLogEvents", "startTime", "now", WRONG_TYPE, "an integer"),
    M("DescribeLogStreams", "orderBy", "Age", PARAMETER, "enum value set"),
    M("DescribeLogGroups", "limit", 51, PARAMETER, "less than or equal to 50"),
]


@dataclass(frozen=True)
class World:
    """A localcloud with one of each thing, all named `there`."""

    cloud: TestCloud
    requests: Mapping[str, dict[str, Any]]

    def state(self) -> list[Any]:
        """All that the list calls and the descriptions tell."""
        sagemaker = client_of(self.cloud, "sagemaker")
        answers = [
            sagemaker.list_pipelines(),
            sagemaker.describe_pipeline(PipelineName="there"),
            sagemaker.list_pipeline_executions(PipelineName="there"),
            sagemaker.list_model_package_groups(),
            sagemaker.list_model_packages(ModelPackageGroupName="there"),
            sagemaker.describe_model_package(ModelPackageName=f"{ARN}model-package/there/1"),
            sagemaker.list_model_packages(),
            sagemaker.list_processing_jobs(),
            sagemaker.list_training_jobs(),
            sagemaker.list_tags(ResourceArn=f"{ARN}pipeline/there"),
        ]
        for answer in answers:
            del answer["ResponseMetadata"]
        return answers


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        sagemaker, s3 = client_of(cloud, "sagemaker"), client_of(cloud, "s3")
        s3.create_bucket(Bucket="workshop")
        s3.put_object(Bucket="workshop", Key="model.tar.gz", Body=b"model")
        sagemaker.create_pipeline(PipelineName="there", PipelineDefinition=TEXT, RoleArn=ROLE)
        sagemaker.add_tags(ResourceArn=f"{ARN}pipeline/there", Tags=[TAG])
        sagemaker.create_model_package_group(ModelPackageGroupName="there")
        sagemaker.create_model_package(**BASE["CreateModelPackage"])
        failing = copy.deepcopy(BASE["CreateProcessingJob"]) | {"ProcessingJobName": "there"}
        failing["ProcessingInputs"][0]["S3Input"]["S3Uri"] = "s3://workshop/nothing"
        sagemaker.create_processing_job(**failing)
        started = sagemaker.start_pipeline_execution(PipelineName="there")
        arn = started["PipelineExecutionArn"]
        requests = copy.deepcopy(BASE)
        for operation in (
            "StopPipelineExecution",
            "RetryPipelineExecution",
            "UpdatePipelineExecution",
            "DescribePipelineExecution",
            "DescribePipelineDefinitionForExecution",
            "ListPipelineParametersForExecution",
            "ListPipelineExecutionSteps",
        ):
            requests[operation]["PipelineExecutionArn"] = arn
        requests["GetLogEvents"]["logStreamName"] = client_of(cloud, "logs").describe_log_streams(
            logGroupName=LOG_GROUP
        )["logStreams"][0]["logStreamName"]
        settled(sagemaker, arn)
        yield World(cloud, requests)


def settled(sagemaker: Any, execution_arn: str) -> None:
    """Wait until the job and the execution that were begun have failed, as they must."""
    deadline = time.monotonic() + 60
    while {
        sagemaker.describe_processing_job(ProcessingJobName="there")["ProcessingJobStatus"],
        sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)[
            "PipelineExecutionStatus"
        ],
    } != {"Failed"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_request_with_one_mistake_is_refused_as_aws_does_and_changes_nothing(
    world: World, mistake: Mistake
) -> None:
    before = world.state()
    service = "logs" if mistake.operation in LOGS else "sagemaker"
    wrong = mistake.applied_to(world.requests[mistake.operation])
    answer = call(world.cloud.address, mistake.operation, wrong, service=service)
    assert (answer.status, answer.code) == (400, mistake.code), answer.body
    assert mistake.word in answer.message
    assert answer.headers["x-amzn-ErrorType"] == mistake.code
    assert len(answer.message) < 1500
    assert world.state() == before


def test_every_operation_with_a_mistake_has_a_base_that_is_valid(world: World) -> None:
    """Else a request might be refused for something else than its mistake."""
    reading = [name for name in world.requests if name.startswith(("Describe", "List", "Get"))]
    reading.remove("DescribeTrainingJob")  # there is none
    for name in [*reading, "FilterLogEvents"]:
        service = "logs" if name in LOGS else "sagemaker"
        answer = call(world.cloud.address, name, world.requests[name], service=service)
        assert answer.status == 200, (name, answer.body)
    for mistake in MISTAKES:
        model: OperationModel = service_model(
            "logs" if mistake.operation in LOGS else "sagemaker"
        ).operation_model(mistake.operation)
        assert set(world.requests[mistake.operation]) <= set(model.input_shape.members)


def test_a_running_or_ended_execution_cannot_be_stopped_twice(world: World) -> None:
    request = world.requests["StopPipelineExecution"]
    answer = call(world.cloud.address, "StopPipelineExecution", request)
    assert (answer.status, answer.code) == (400, INVALID)
    assert "cannot be stopped" in answer.message


def test_nulls_and_members_that_aws_does_not_know_are_ignored(world: World) -> None:
    name = "with-nulls"
    request = {
        "PipelineName": name,
        "PipelineDefinition": definition(processing("A", "print(1)")),
        "PipelineDefinitionS3Location": None,
        "RoleArn": ROLE,
        "ClientRequestToken": "x" * 32,
        "PipelineStatus": "Deleting",
        "CreationTime": 5,
        "Nonsense": [[[]]],
    }
    assert call(world.cloud.address, "CreatePipeline", request).status == 200
    found = call(world.cloud.address, "DescribePipeline", {"PipelineName": name}).json
    assert found["PipelineStatus"] == "Active"
    assert found["CreationTime"] > 5
    assert "Nonsense" not in found
    assert (
        call(
            world.cloud.address,
            "DeletePipeline",
            {"PipelineName": name, "ClientRequestToken": "x" * 32},
        ).status
        == 200
    )
