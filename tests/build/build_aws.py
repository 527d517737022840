"""A scripted SageMaker for executions, and the names that the tests share."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCOUNT = "123456789012"
REGION = "eu-west-1"
BUCKET = f"sagemaker-mlops-{ACCOUNT}-{REGION}"
PIPELINE_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/predictive-maintenance"
EXECUTION_ARN = f"{PIPELINE_ARN}/execution/abc123def456"
GROUP_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/predictive-maintenance"
HEADER = (
    "UDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],"
    "Torque [Nm],Tool wear [min],Machine failure,TWF,HDF,PWF,OSF,RNF\n"
)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An error that the scripted SageMaker answers with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Scripted:
    """A SageMaker whose answers a test writes; it keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((operation, request))
                try:
                    status, answer = 200, outer.answers[operation](request)
                except Refusal as refusal:
                    status, answer = 400, {"__type": refusal.code, "message": str(refusal)}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.requests if name == operation]

    def deploy(self, document: dict[str, Any]) -> None:
        """Have the pipeline deployed with this definition, ready to start."""
        text = json.dumps(document)
        role = f"arn:aws:iam::{ACCOUNT}:role/sagemaker-mlops-pipeline"
        self.answers |= {
            "DescribePipeline": lambda _: {
                "PipelineArn": PIPELINE_ARN,
                "PipelineName": "predictive-maintenance",
                "PipelineDefinition": text,
                "RoleArn": role,
            },
            "StartPipelineExecution": lambda _: {"PipelineExecutionArn": EXECUTION_ARN},
            "ListPipelineExecutions": lambda _: {
                "PipelineExecutionSummaries": [{"PipelineExecutionArn": EXECUTION_ARN}]
            },
            "DescribePipelineDefinitionForExecution": lambda _: {"PipelineDefinition": text},
            "ListPipelineParametersForExecution": lambda _: {
                "PipelineParameters": (self.asked("StartPipelineExecution") or [{}])[-1].get(
                    "PipelineParameters", []
                )
            },
            "DescribeProcessingJob": lambda request: {
                "ProcessingJobName": request["ProcessingJobName"],
                "ProcessingOutputConfig": {
                    "Outputs": [
                        {
                            "OutputName": "evaluation",
                            "S3Output": {
                                "S3Uri": f"s3://{BUCKET}/out/evaluation",
                                "LocalPath": "/opt/ml/processing/output/evaluation",
                                "S3UploadMode": "EndOfJob",
                            },
                        }
                    ]
                },
            },
        }

    def play(self, *moments: tuple[str, list[dict[str, Any]]], reason: str = "") -> None:
        """Have the execution go through moments, one more at each look; it stays in the last."""
        begun = time.time()
        left = list(moments)

        def describe(_: dict[str, Any]) -> dict[str, Any]:
            if len(left) > 1 and self.asked("ListPipelineExecutionSteps"):
                left.pop(0)
            answer: dict[str, Any] = {
                "PipelineExecutionArn": EXECUTION_ARN,
                "PipelineExecutionStatus": left[0][0],
                "CreationTime": begun,
                "LastModifiedTime": begun + 90,
            }
            return answer | ({"FailureReason": reason} if left[0][0] == "Failed" else {})

        self.answers["DescribePipelineExecution"] = describe
        self.answers["ListPipelineExecutionSteps"] = lambda _: {
            "PipelineExecutionSteps": left[0][1]
        }


def step(name: str, status: str, job: str = "", **more: Any) -> dict[str, Any]:
    """A step as ListPipelineExecutionSteps gives it, twelve seconds long when ended."""
    begun = 1_790_000_000
    answer: dict[str, Any] = {"StepName": name, "StepStatus": status, "StartTime": begun}
    if status not in {"Starting", "Executing", "Stopping"}:
        answer["EndTime"] = begun + 12.25
    if job:
        name = f"pipelines-abc123def456-{name}"
        kind = "processing-job" if job == "ProcessingJob" else "training-job"
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"
        answer["Metadata"] = {job: {"Arn": arn}}
    return answer | more


class Result:
    """What a command left: exit code, standard output, standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
