"""A data scientist's own pipeline, in the SDK's default shapes: `sdk_defaults.py FOLDER BUCKET`.

Prints the execution's ARN. FOLDER has the sources; nothing of this project is used.
"""

import sys

import boto3
from sagemaker.core.processing import FrameworkProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/data-scientist"
INSTANCE = "ml.m5.large"
OFFLINE = {"PIP_NO_INDEX": "1"}


def main(folder: str, bucket: str) -> None:
    boto3.client("s3").create_bucket(Bucket=bucket)
    session = PipelineSession(default_bucket=bucket)
    processor = FrameworkProcessor(
        image_uri=IMAGE, role=ROLE, instance_count=1, instance_type=INSTANCE,
        sagemaker_session=session, env=OFFLINE,
    )  # fmt: skip
    uri, path = f"s3://{bucket}/rows", "/opt/ml/processing/rows"
    target = ProcessingS3Output(s3_uri=uri, local_path=path, s3_upload_mode="EndOfJob")
    prepare = processor.run(
        code="prepare.py",
        source_dir=folder,
        arguments=["--count", "3"],
        outputs=[ProcessingOutput(output_name="rows", s3_output=target)],
    )
    first = ProcessingStep(name="Prepare", step_args=prepare)
    trainer = ModelTrainer(
        training_image=IMAGE,
        role=ROLE,
        sagemaker_session=session,
        source_code=SourceCode(
            source_dir=folder, entry_script="fit.py", requirements="requirements.txt"
        ),
        compute=Compute(instance_type=INSTANCE, instance_count=1, volume_size_in_gb=10),
        hyperparameters={"rounds": 3},
        environment=OFFLINE,
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/models"),
        base_job_name="fit",
    )
    rows = first.properties.ProcessingOutputConfig.Outputs["rows"].S3Output.S3Uri
    fit = trainer.train(
        input_data_config=[InputData(channel_name="rows", data_source=rows)], wait=False
    )
    pipeline = Pipeline(
        name="sdk-defaults",
        steps=[first, TrainingStep(name="Fit", step_args=fit)],
        sagemaker_session=session,
    )
    pipeline.upsert(role_arn=ROLE)
    print(pipeline.start().arn)


if __name__ == "__main__":
    main(*sys.argv[1:])
