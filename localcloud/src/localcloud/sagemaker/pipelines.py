"""Pipelines: definitions, kept with a version for every change."""

from __future__ import annotations

from localcloud.errors import ResourceNotFound, ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn, resource_name
from localcloud.sagemaker.listing import Listing, choose
from localcloud.sagemaker.locations import require_object
from localcloud.sagemaker.request_tokens import RequestTokens
from localcloud.sagemaker.tags import Tags
from localcloud.sagemaker.workflow.definition import read_definition
from localcloud.store import Store

KIND = "pipeline"
_PIPELINES = Listing(
    answer="PipelineSummaries",
    name="PipelineName",
    summary=lambda pipeline: choose(
        pipeline,
        "PipelineArn",
        "PipelineName",
        "PipelineDisplayName",
        "PipelineDescription",
        "RoleArn",
        "CreationTime",
        "LastModifiedTime",
        "LastExecutionTime",
    ),
    sort_fields={"Name": "PipelineName", "CreationTime": "CreationTime"},
)


class Pipelines:
    """Create, update, describe, list and delete pipelines."""

    def __init__(self, store: Store, objects: ObjectStore, tags: Tags) -> None:
        self._store = store
        self._objects = objects
        self._tags = tags
        self._tokens = RequestTokens(store)

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreatePipeline": self.create,
            "UpdatePipeline": self.update,
            "DescribePipeline": self.describe,
            "ListPipelines": self.list_pipelines,
            "DeletePipeline": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreatePipeline; a definition that cannot be run is refused here."""
        name = request["PipelineName"]
        known = self._tokens.answer(caller, "CreatePipeline", request)
        if known is not None and self._store.get(caller, KIND, name):
            return known
        definition = self._definition(request)
        pipeline_arn = arn(caller, KIND, name)
        now = self._store.clock.now()
        with self._store.transaction():
            if self._store.get(caller, KIND, name):
                # Not a ConflictException: the SDK's upsert goes by this code and these words.
                raise ValidationException(
                    f"Pipeline names must be unique within an AWS account and region. "
                    f"Pipeline with name ({name}) already exists."
                )
            pipeline = {
                **choose(request, "PipelineDescription", "RoleArn", "ParallelismConfiguration"),
                "PipelineArn": pipeline_arn,
                "PipelineName": name,
                "PipelineDisplayName": request.get("PipelineDisplayName", name),
                "PipelineDefinition": definition,
                "PipelineStatus": "Active",
                "CreationTime": now,
                "LastModifiedTime": now,
                "CreatedBy": {},
                "LastModifiedBy": {},
            }
            self._store.put(caller, KIND, name, pipeline)
            self._tags.set(caller, pipeline_arn, request.get("Tags"))
            answer = {"PipelineArn": pipeline_arn}
            self._tokens.keep(caller, "CreatePipeline", request, answer)
        return answer

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdatePipeline; executions that run keep the definition they started with."""
        changes = choose(
            request,
            "PipelineDisplayName",
            "PipelineDescription",
            "RoleArn",
            "ParallelismConfiguration",
        )
        if "PipelineDefinition" in request or "PipelineDefinitionS3Location" in request:
            changes["PipelineDefinition"] = self._definition(request)
        with self._store.transaction():
            pipeline = self.find(caller, request["PipelineName"])
            now = self._store.clock.after(pipeline["LastModifiedTime"])
            pipeline |= changes | {"LastModifiedTime": now}
            self._store.put(caller, KIND, pipeline["PipelineName"], pipeline)
        return {"PipelineArn": pipeline["PipelineArn"]}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribePipeline: with its definition."""
        return self.find(caller, request["PipelineName"])

    def list_pipelines(self, caller: Caller, request: Document) -> Document:
        """ListPipelines: by name or time, in pages."""
        renamed = dict(request)
        if "PipelineNamePrefix" in renamed:
            prefix = renamed.pop("PipelineNamePrefix")
            return _PIPELINES.page(renamed, self._store.documents(caller, KIND, prefix))
        return _PIPELINES.page(renamed, self._store.documents(caller, KIND))

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeletePipeline; its executions stay readable, as they do on AWS for a while."""
        with self._store.transaction():
            pipeline = self.find(caller, request["PipelineName"])
            self._store.delete(caller, KIND, pipeline["PipelineName"])
            self._tags.forget(caller, pipeline["PipelineArn"])
        return {"PipelineArn": pipeline["PipelineArn"]}

    def find(self, caller: Caller, name_or_arn: str) -> Document:
        """A pipeline by name or ARN. Raises ResourceNotFound."""
        name = resource_name(caller, KIND, name_or_arn)
        pipeline = self._store.get(caller, KIND, name)
        if pipeline is None:
            raise ResourceNotFound(f"Pipeline '{arn(caller, KIND, name)}' does not exist.")
        return pipeline

    def mark_executed(self, caller: Caller, name: str, when: float) -> None:
        """Note when an execution of a pipeline was started last."""
        with self._store.transaction():
            self._store.put(
                caller, KIND, name, self.find(caller, name) | {"LastExecutionTime": when}
            )

    def _definition(self, request: Document) -> str:
        inline = request.get("PipelineDefinition")
        location = request.get("PipelineDefinitionS3Location")
        if (inline is None) == (location is None):
            raise ValidationException(
                "Exactly one of PipelineDefinition and PipelineDefinitionS3Location must be given"
            )
        if location is not None:
            uri = f"s3://{location['Bucket']}/{location['ObjectKey']}"
            inline = require_object(self._objects, uri, "pipeline definition").path.read_text()
        text = str(inline)
        read_definition(text)
        return text
