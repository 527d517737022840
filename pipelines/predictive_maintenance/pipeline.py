"""The pipeline: Preprocess -> Train -> Evaluate -> CheckQuality -> { Register | QualityTooLow }.

Beside `pipelines.sdk` the only module that imports the SageMaker SDK. What it compiles to is the
contract: the same sources and settings give the same bytes on every machine, without an account or
a network.

Two rules keep step caching honest. An input's key is its content (sources here, data by whoever
uploads it). And a step finds what another step wrote by that step's properties, never by the
execution's id: a cached step wrote below the id of an earlier execution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines import bundle
from pipelines.predictive_maintenance import data, schema
from pipelines.predictive_maintenance.train.hyperparameters import HYPERPARAMETERS
from pipelines.sdk import compiling_session, no_telemetry, sdk_environment
from pipelines.settings import Settings

with sdk_environment(region="us-east-1"):  # any: the SDK makes clients while it is imported
    from sagemaker.core import image_uris, shapes
    from sagemaker.core.drift_check_baselines import DriftCheckBaselines
    from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
    from sagemaker.core.network import NetworkConfig
    from sagemaker.core.processing import Processor
    from sagemaker.core.resources import Model
    from sagemaker.core.training import configs
    from sagemaker.core.workflow import (
        ConditionGreaterThanOrEqualTo,
        ExecutionVariables,
        Join,
        JsonGet,
        Parameter,
        ParameterFloat,
        ParameterInteger,
        ParameterString,
        PropertyFile,
    )
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.mlops.workflow import (
        CacheConfig,
        ConditionStep,
        FailStep,
        ModelStep,
        Pipeline,
        ProcessingStep,
        TrainingStep,
        retry,
    )
    from sagemaker.serve.model_builder import ModelBuilder
    from sagemaker.train.model_trainer import ModelTrainer

SKLEARN: Final = ("sklearn", "1.9-0")
XGBOOST: Final = ("xgboost", "3.2-0")

# Metric in metrics.json -> parameter that says how high it must be at least.
QUALITY_GATE: Final = {
    "average_precision": "MinAveragePrecision",
    "recall": "MinRecall",
    "precision": "MinPrecision",
}
# What train.py prints, as `name=number`.
TRAINING_METRICS: Final = (
    "validation:average_precision",
    "validation:f1",
    "validation:logloss",
    "train:logloss",
)
CONTENT_TYPES: Final = ["text/csv", "application/json"]

# Script mode installs the user's code with pip, and pip would fetch its build tools from an index.
# As a variable, 0 switches the isolated build off; 1 does not.
_OFFLINE_PIP: Final = {"PIP_NO_BUILD_ISOLATION": "0"}
_SERVING: Final = {
    **_OFFLINE_PIP,
    "SAGEMAKER_PROGRAM": "inference.py",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
}
_INPUT: Final = "/opt/ml/processing/input"
_OUTPUT: Final = "/opt/ml/processing/output"
_VOLUME_GB: Final = 30
_MAX_RUNTIME_SECONDS: Final = 3600

_CACHE = CacheConfig(enable_caching=True, expire_after="P30D")
_STEP_RETRIES = [
    retry.StepRetryPolicy(
        [retry.StepExceptionTypeEnum.SERVICE_FAULT, retry.StepExceptionTypeEnum.THROTTLING],
        interval_seconds=5,
        max_attempts=5,
    )
]
_JOB_RETRIES = [
    *_STEP_RETRIES,
    # Another job holds the quota: wait for it. A fault of the platform: a few times soon.
    retry.SageMakerJobStepRetryPolicy(
        [retry.SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
        interval_seconds=60,
        backoff_rate=1.5,
        expire_after_mins=120,
    ),
    retry.SageMakerJobStepRetryPolicy(
        failure_reason_types=[
            retry.SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
            retry.SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
        ],
        interval_seconds=60,
        max_attempts=3,
    ),
]


def compile_definition(settings: Settings, root: Path = bundle.ROOT) -> str:
    """Return the definition as JSON, as CreatePipeline takes it. Raises what `build` raises."""
    pipeline = build(settings, root)
    with sdk_environment(settings.region):
        definition: str = pipeline.definition()
    return definition


def build(settings: Settings, root: Path = bundle.ROOT) -> Pipeline:
    """Build the pipeline for the sources at ``root``; nothing is uploaded, nobody is called.

    Raises BundleError when a source is missing.
    """
    with sdk_environment(settings.region):
        parameters = _parameters(settings)
        step = Steps(settings, parameters, bundle.collect(root), compiling_session(settings))

        preprocess = step.preprocess()
        train = step.train(preprocess)
        evaluate = step.evaluate(preprocess, train)
        register = step.register(preprocess, train, evaluate)
        check_quality = step.check_quality(evaluate, register, step.quality_too_low())

        return Pipeline(
            name=settings.pipeline_name,
            parameters=list(parameters.values()),
            steps=[preprocess, train, evaluate, check_quality],
            sagemaker_session=step.session,
            # The SDK's default makes an experiment and a trial of every execution, in some regions.
            pipeline_experiment_config=None,
        )


def _parameters(settings: Settings) -> dict[str, Parameter]:
    number = {int: ParameterInteger, float: ParameterFloat}
    parameters = (
        ParameterString("InputDataUri", settings.uri("data", data.SHA256, data.FILE_NAME)),
        ParameterString("ProcessingInstanceType", "ml.m5.large"),
        ParameterInteger("ProcessingInstanceCount", 1),
        ParameterString("TrainingInstanceType", "ml.m5.large"),
        ParameterInteger("TrainingInstanceCount", 1),
        ParameterFloat("TestRatio", 0.2),
        ParameterFloat("ValidationRatio", 0.2),
        *(number[type(each.default)](each.parameter, each.default) for each in HYPERPARAMETERS),
        ParameterFloat("MinAveragePrecision", 0.8),
        ParameterFloat("MinRecall", 0.7),
        ParameterFloat("MinPrecision", 0.9),
        ParameterString(
            "ModelApprovalStatus",
            "PendingManualApproval",
            enum_values=["PendingManualApproval", "Approved", "Rejected"],
        ),
        ParameterString("GitCommit", "unknown"),
    )
    return {parameter.name: parameter for parameter in parameters}


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps, one method each; a step is given the steps whose results it uses.

    What jobs write is encrypted by the bucket's default, and their volumes by the service's keys.
    """

    settings: Settings
    parameters: Mapping[str, Parameter]
    bundles: Mapping[str, bundle.Bundle]
    session: PipelineSession

    def preprocess(self) -> ProcessingStep:
        """Check, split and featurise the raw data; fit the featurizer."""
        return self._processing(
            "Preprocess",
            image=self._image(*SKLEARN),
            instance_count=self.parameters["ProcessingInstanceCount"],
            inputs={"data": self.parameters["InputDataUri"]},
            arguments=[
                *("--input", f"{_INPUT}/data"),
                *("--output", _OUTPUT),
                *("--test-ratio", self.parameters["TestRatio"].to_string()),
                *("--validation-ratio", self.parameters["ValidationRatio"].to_string()),
                *("--seed", self.parameters["Seed"].to_string()),
            ],
            outputs=("train", "validation", "test", "baseline", "featurizer", "schema"),
        )

    def train(self, preprocess: ProcessingStep) -> TrainingStep:
        """Train the classifier in the XGBoost image's script mode."""
        parameters = self.parameters
        trainer = ModelTrainer(
            sagemaker_session=self.session,
            role=self.settings.role_arn,
            training_image=self._image(*XGBOOST),
            compute=configs.Compute(
                instance_type=parameters["TrainingInstanceType"],
                instance_count=parameters["TrainingInstanceCount"],
                volume_size_in_gb=_VOLUME_GB,
            ),
            stopping_condition=configs.StoppingCondition(
                max_runtime_in_seconds=_MAX_RUNTIME_SECONDS
            ),
            environment=_OFFLINE_PIP,
            # The container itself fetches the submit directory: no network isolation here.
            hyperparameters={
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": self.settings.uri(self.bundles["train"].key),
                "sagemaker_region": self.settings.region,
                **{each.name: parameters[each.parameter].to_string() for each in HYPERPARAMETERS},
            },
            output_data_config=configs.OutputDataConfig(
                s3_output_path=self._destination("Train", "model")
            ),
        ).with_metric_definitions(
            [
                configs.MetricDefinition(name=name, regex=f"{name}=([0-9.eE+-]+)")
                for name in TRAINING_METRICS
            ]
        )
        channels = [
            configs.InputData(
                channel_name=name,
                data_source=configs.S3DataSource(
                    s3_data_type="S3Prefix",
                    s3_uri=_output_of(preprocess, name),
                    s3_data_distribution_type="FullyReplicated",
                ),
            )
            for name in ("train", "validation")
        ]
        with no_telemetry(self.session):
            step_args = trainer.train(input_data_config=channels)
        return TrainingStep(
            name="Train",
            step_args=step_args,
            cache_config=_CACHE,
            retry_policies=_JOB_RETRIES,
        )

    def evaluate(self, preprocess: ProcessingStep, train: TrainingStep) -> ProcessingStep:
        """Measure the model on the test part, which no other step reads."""
        return self._processing(
            "Evaluate",
            image=self._image(*XGBOOST),
            instance_count=1,
            inputs={
                "model": _model_of(train),
                "test": _output_of(preprocess, "test"),
                "schema": _output_of(preprocess, "schema"),
            },
            arguments=[
                *("--model", f"{_INPUT}/model"),
                *("--test", f"{_INPUT}/test"),
                *("--schema", f"{_INPUT}/schema"),
                *("--output", _OUTPUT),
            ],
            outputs=("evaluation",),
            property_files=[PropertyFile("metrics", "evaluation", "metrics.json")],
        )

    def check_quality(
        self, evaluate: ProcessingStep, register: ModelStep, quality_too_low: FailStep
    ) -> ConditionStep:
        """Register only if every metric of the gate reaches its threshold."""
        return ConditionStep(
            name="CheckQuality",
            conditions=[
                ConditionGreaterThanOrEqualTo(
                    left=JsonGet(evaluate.name, property_file="metrics", json_path=metric),
                    right=self.parameters[threshold],
                )
                for metric, threshold in QUALITY_GATE.items()
            ],
            if_steps=[register],
            else_steps=[quality_too_low],
        )

    def register(
        self, preprocess: ProcessingStep, train: TrainingStep, evaluate: ProcessingStep
    ) -> ModelStep:
        """Register featurizer and classifier as one package with all it takes to deploy it."""
        evaluation = _output_of(evaluate, "evaluation")
        quality = {
            "model_statistics": _json(_in(evaluation, "evaluation.json")),
            "model_constraints": _json(_in(evaluation, "constraints.json")),
        }
        featurizer = shapes.ContainerDefinition(
            container_hostname="featurizer",
            image=self._image(*SKLEARN),
            model_data_url=_in(_output_of(preprocess, "featurizer"), "model.tar.gz"),
            environment=_SERVING,
        )
        classifier = shapes.ContainerDefinition(
            container_hostname="classifier",
            image=self._image(*XGBOOST),
            model_data_url=_model_of(train),
            environment=_SERVING,
        )
        builder = ModelBuilder(
            model=[
                Model(model_name=container.container_hostname, primary_container=container)
                for container in (featurizer, classifier)
            ],
            role_arn=self.settings.role_arn,
            sagemaker_session=self.session,
            instance_type="ml.m5.large",  # not registered; without it the SDK looks for one
        )
        with no_telemetry(self.session):
            step_args = builder.register(
                model_package_group_name=self.settings.model_package_group_name,
                description="Risk that a machine fails: featurizer and classifier",
                approval_status=self.parameters["ModelApprovalStatus"],
                content_types=CONTENT_TYPES,
                response_types=CONTENT_TYPES,
                inference_instances=["ml.t2.medium", "ml.m5.large", "ml.m5.xlarge", "ml.c5.large"],
                transform_instances=["ml.m5.large", "ml.m5.xlarge"],
                model_metrics=ModelMetrics(**quality),
                drift_check_baselines=DriftCheckBaselines(**quality),
                domain="MACHINE_LEARNING",
                task="CLASSIFICATION",
                sample_payload_url=_in(evaluation, "sample_payload.tar.gz"),
                customer_metadata_properties={
                    "ContractVersion": schema.CONTRACT_VERSION,
                    "DeploymentUri": _in(evaluation, "deployment.json"),
                    "ReportUri": _in(evaluation, "report.html"),
                    "InputDataUri": self.parameters["InputDataUri"],
                    "GitCommit": self.parameters["GitCommit"],
                    "TrainingJobName": train.properties.TrainingJobName,
                    "PipelineExecutionArn": ExecutionVariables.PIPELINE_EXECUTION_ARN,
                },
            )
        return ModelStep(name="Register", step_args=step_args, retry_policies=_STEP_RETRIES)

    def quality_too_low(self) -> FailStep:
        """End the execution as failed and say what was asked for."""
        # Parameters only: it is not documented that JsonGet may stand in this message.
        rules = [
            part
            for metric, threshold in QUALITY_GATE.items()
            for part in (", ", f"{metric} >= ", self.parameters[threshold])
        ]
        return FailStep(
            name="QualityTooLow",
            error_message=Join(
                on="",
                values=[
                    "The model is not registered: on the test data it must reach ",
                    *rules[1:],
                    ". What it reached stands in metrics.json, which step Evaluate wrote.",
                ],
            ),
        )

    def _processing(
        self,
        name: str,
        *,
        image: str,
        instance_count: Any,
        inputs: Mapping[str, Any],
        arguments: Sequence[Any],
        outputs: Sequence[str],
        property_files: Sequence[PropertyFile] = (),
    ) -> ProcessingStep:
        """Make a step that runs the script of the job ``name``; a folder per input and output."""
        job = name.lower()
        processor = Processor(
            sagemaker_session=self.session,
            role=self.settings.role_arn,
            image_uri=image,
            instance_type=self.parameters["ProcessingInstanceType"],
            instance_count=instance_count,
            volume_size_in_gb=_VOLUME_GB,
            max_runtime_in_seconds=_MAX_RUNTIME_SECONDS,
            entrypoint=["python3", f"{_INPUT}/code/{job}.py"],
            # The platform moves inputs and outputs; the script itself needs no network.
            network_config=NetworkConfig(enable_network_isolation=True),
        )
        sources = {"code": self.settings.uri(self.bundles[job].key), **inputs}
        return ProcessingStep(
            name=name,
            step_args=processor.run(
                inputs=[_processing_input(*item) for item in sources.items()],
                outputs=[
                    shapes.ProcessingOutput(
                        output_name=output,
                        s3_output=shapes.ProcessingS3Output(
                            s3_uri=self._destination(name, output),
                            local_path=f"{_OUTPUT}/{output}",
                            s3_upload_mode="EndOfJob",
                        ),
                    )
                    for output in outputs
                ],
                arguments=list(arguments),
            ),
            property_files=list(property_files),
            cache_config=_CACHE,
            retry_policies=_JOB_RETRIES,
        )

    def _image(self, framework: str, version: str) -> str:
        image: str = image_uris.retrieve(
            framework, self.settings.region, version=version, image_scope="inference"
        )
        return image

    def _destination(self, step: str, output: str) -> Join:
        executions = self.settings.uri("executions")
        execution = ExecutionVariables.PIPELINE_EXECUTION_ID
        return Join(on="/", values=[executions, execution, step, output])


def _processing_input(name: str, uri: Any) -> shapes.ProcessingInput:
    return shapes.ProcessingInput(
        input_name=name,
        s3_input=shapes.ProcessingS3Input(
            s3_uri=uri,
            local_path=f"{_INPUT}/{name}",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
        ),
    )


def _output_of(step: ProcessingStep, name: str) -> Any:
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _model_of(step: TrainingStep) -> Any:
    return step.properties.ModelArtifacts.S3ModelArtifacts


def _in(folder: Any, file_name: str) -> Join:
    return Join(on="/", values=[folder, file_name])


def _json(uri: Join) -> MetricsSource:
    return MetricsSource(content_type="application/json", s3_uri=uri)
