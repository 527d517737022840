"""Lambda as its users call it: functions are made, run, changed and deleted through boto3."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from function_fixtures import ECHO, ROLE, Maker, zipped

from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration
Client = Callable[[str], Any]
TOOLBOX = """
    import json, logging, os, subprocess, sys, threading, time
    log = logging.getLogger()
    starts = time.time()

    def handler(event, context):
        what = event["do"]
        if what == "raise":
            raise KeyError("what is missing")
        if what == "exit":
            sys.exit(event["code"])
        if what == "kill":
            os.kill(os.getpid(), event["signal"])
        if what == "sleep":
            time.sleep(event["seconds"])
        if what == "eat":
            eaten = bytearray(b"x") * (event["mb"] << 20)
            time.sleep(5)
        if what == "say":
            print("a printed line")
            log.warning("a warning of %s", event["of"])
            log.info("not to be seen")
        if what == "large":
            return "x" * event["bytes"]
        if what == "set":
            return {1}
        if what == "environment":
            return dict(os.environ)
        if what == "write":
            open(os.path.join(os.environ["LAMBDA_TASK_ROOT"], "new"), "w")
        if what == "child":
            return subprocess.Popen(["sleep", "600"]).pid
        if what == "context":
            return {
                "name": context.function_name,
                "version": context.function_version,
                "arn": context.invoked_function_arn,
                "memory": context.memory_limit_in_mb,
                "id": context.aws_request_id,
                "group": context.log_group_name,
                "stream": context.log_stream_name,
                "left": context.get_remaining_time_in_millis(),
                "custom": context.client_context and context.client_context.custom,
                "app": context.client_context and context.client_context.client.app_title,
            }
        if what == "buckets":
            import boto3
            found = boto3.client("s3").list_buckets()["Buckets"]
            return [bucket["Name"] for bucket in found]
        return {"pid": os.getpid(), "starts": starts}
"""


@pytest.fixture(scope="module")
def maker(client: Client) -> Maker:
    return Maker(client("lambda"))


@pytest.fixture(scope="module")
def toolbox(maker: Maker) -> str:
    maker.make(
        "toolbox", TOOLBOX, Timeout=2, MemorySize=128,
        Environment={"Variables": {"MINE": "yes"}},
    )  # fmt: skip
    return "toolbox"


def lines_of(client: Client, group: str) -> list[str]:
    """The messages of a log group; none if there is no such group yet."""
    logs = client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    try:
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- its life -------------------------------------------------------------------------------------


def test_a_function_is_pending_until_it_takes_events(maker: Maker) -> None:
    made = maker.make("life", ECHO, Description="says what it is told", Tags={"team": "ops"})
    assert made["State"] == "Pending"
    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:life"
    found = maker.client.get_function(FunctionName="life")
    configuration = found["Configuration"]
    assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")
    defaults = {
        "Timeout": 3, "MemorySize": 128, "EphemeralStorage": {"Size": 512}, "PackageType": "Zip",
        "Architectures": ["x86_64"], "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/life"},
        "Version": "$LATEST", "Description": "says what it is told",
    }  # fmt: skip
    assert {name: configuration[name] for name in defaults} == defaults
    assert found["Tags"] == {"team": "ops"}
    assert maker.invoke("life", {"a": [1, "ä"]}).result == {"a": [1, "ä"]}


def test_the_code_can_be_had_back_and_its_hash_is_that_of_the_archive(maker: Maker) -> None:
    maker.make("kept", ECHO)
    found = maker.client.get_function(FunctionName="kept")
    with urllib.request.urlopen(found["Code"]["Location"]) as answer:
        archive = answer.read()
    digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()
    assert digest == found["Configuration"]["CodeSha256"]
    assert zipfile.ZipFile(io.BytesIO(archive)).namelist() == ["app.py"]
    assert len(archive) == found["Configuration"]["CodeSize"]


def test_code_comes_from_a_bucket_too_by_version(client: Client, maker: Maker) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="function-code")
    s3.put_bucket_versioning(Bucket="function-code", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(
        Bucket="function-code", Key="f.zip", Body=zipped({"app.py": "def handler(e, c): return 1"})
    )
    s3.put_object(
        Bucket="function-code", Key="f.zip", Body=zipped({"app.py": "def handler(e, c): return 2"})
    )
    code = {"S3Bucket": "function-code", "S3Key": "f.zip"}
    maker.make("from-s3", ECHO, Code=code)
    assert maker.invoke("from-s3").result == 2
    maker.client.update_function_code(
        FunctionName="from-s3", **code, S3ObjectVersion=old["VersionId"]
    )
    maker.wait("from-s3")
    assert maker.invoke("from-s3").result == 1


def test_changed_code_and_settings_hold_from_the_end_of_the_update_on(maker: Maker) -> None:
    maker.make("changes", "def handler(e, c): return 'old'")
    before = maker.client.get_function_configuration(FunctionName="changes")
    assert maker.invoke("changes").result == "old"
    code = zipped({"other.py": "import os\ndef go(e, c): return os.environ['WORD']"})
    changing = maker.client.update_function_code(FunctionName="changes", ZipFile=code)
    assert changing["LastUpdateStatus"] == "InProgress"
    assert changing["RevisionId"] != before["RevisionId"]
    maker.wait("changes")
    maker.client.update_function_configuration(
        FunctionName="changes", Handler="other.go", Environment={"Variables": {"WORD": "new"}}
    )
    maker.wait("changes")
    after = maker.client.get_function_configuration(FunctionName="changes")
    assert maker.invoke("changes").result == "new"
    assert (after["Timeout"], after["Handler"]) == (3, "other.go")
    maker.client.update_function_configuration(FunctionName="changes", Environment={})
    maker.wait("changes")
    assert "Environment" not in maker.client.get_function_configuration(FunctionName="changes")


def test_events_that_run_are_finished_by_the_old_code_and_none_is_lost(maker: Maker) -> None:
    maker.make("swapped", "import time\ndef handler(e, c): time.sleep(0.1); return 'old'")
    results: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            results.append(maker.invoke("swapped").result)

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        wait_until(lambda: len(results) > 5)
        code = zipped({"app.py": "def handler(e, c): return 'new'"})
        maker.client.update_function_code(FunctionName="swapped", ZipFile=code)
        maker.wait("swapped")
        wait_until(lambda: "new" in results)
        stop.set()
        for each in asking:
            each.result()
    assert set(results) == {"old", "new"}


def test_a_deleted_function_is_gone_and_its_name_is_free(maker: Maker, client: Client) -> None:
    maker.make("gone", "import os\ndef handler(e, c): print('was here'); return os.getpid()")
    pid = maker.invoke("gone").result
    maker.client.delete_function(FunctionName="gone")
    with pytest.raises(maker.client.exceptions.ResourceNotFoundException):
        maker.client.get_function(FunctionName="gone")
    wait_until(lambda: not is_alive(pid))
    assert "was here" in lines_of(client, "/aws/lambda/gone")
    maker.make("gone", "def handler(e, c): return 'another'")
    assert maker.invoke("gone").result == "another"


def test_lists_have_pages_and_no_states(maker: Maker, client: Client) -> None:
    for name in ("list-a", "list-b", "list-c"):
        maker.make(name, ECHO)
    pages = list(client("lambda").get_paginator("list_functions").paginate(
        PaginationConfig={"PageSize": 2}
    ))  # fmt: skip
    found = [each for page in pages for each in page["Functions"]]
    names = [each["FunctionName"] for each in found]
    assert names == sorted(names)
    assert {"list-a", "list-b", "list-c"} <= set(names)
    assert len(pages) > 1
    assert not any("State" in each for each in found)


def test_names_may_be_arns_and_end_with_latest(maker: Maker) -> None:
    arn = maker.make("named", ECHO)["FunctionArn"]
    for name in (arn, f"{arn}:$LATEST", "000000000000:function:named", "function:named"):
        found = maker.client.get_function_configuration(FunctionName=name)
        assert found["FunctionName"] == "named"
    asked = maker.client.get_function_configuration(FunctionName="named", Qualifier="$LATEST")
    assert asked["FunctionArn"] == f"{arn}:$LATEST"


def test_tags_are_added_and_taken_away(maker: Maker) -> None:
    arn = maker.make("tagged", ECHO, Tags={"a": "1"})["FunctionArn"]
    maker.client.tag_resource(Resource=arn, Tags={"b": "2", "a": "3"})
    maker.client.untag_resource(Resource=arn, TagKeys=["b", "never"])
    assert maker.client.list_tags(Resource=arn)["Tags"] == {"a": "3"}


def test_a_policy_has_a_statement_for_each_permission(maker: Maker) -> None:
    arn = maker.make("permitted", ECHO)["FunctionArn"]
    source = "arn:aws:execute-api:us-east-1:000000000000:abc/*"
    added = maker.client.add_permission(
        FunctionName="permitted", StatementId="api", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com", SourceArn=source, SourceAccount="000000000000",
    )  # fmt: skip
    statement = {
        "Sid": "api", "Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction", "Resource": arn,
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "000000000000"},
            "ArnLike": {"AWS:SourceArn": source},
        },
    }  # fmt: skip
    assert json.loads(added["Statement"]) == statement
    found = maker.client.get_policy(FunctionName="permitted")
    assert json.loads(found["Policy"])["Statement"] == [statement]
    maker.client.remove_permission(FunctionName="permitted", StatementId="api")
    with pytest.raises(maker.client.exceptions.ResourceNotFoundException):
        maker.client.get_policy(FunctionName="permitted")


# --- what it runs ---------------------------------------------------------------------------------


def test_the_context_is_that_of_the_event(maker: Maker, toolbox: str) -> None:
    given = {"custom": {"k": "v"}, "client": {"app_title": "App"}}
    context = base64.b64encode(json.dumps(given).encode()).decode()
    found = maker.invoke(toolbox, {"do": "context"}, ClientContext=context).result
    assert found["arn"].endswith(":function:toolbox")
    assert (found["name"], found["version"], found["memory"]) == ("toolbox", "$LATEST", "128")
    assert found["group"] == "/aws/lambda/toolbox"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found["stream"])
    assert re.fullmatch(r"[0-9a-f-]{36}", found["id"])
    assert 1000 < found["left"] <= 2000
    assert (found["custom"], found["app"]) == ({"k": "v"}, "App")


def test_the_environment_is_lambdas_and_leads_to_this_cloud(
    maker: Maker, toolbox: str, cloud: TestCloud, workshop: str
) -> None:
    found = maker.invoke(toolbox, {"do": "environment"}).result
    wanted = {
        "AWS_LAMBDA_FUNCTION_NAME": "toolbox", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "_HANDLER": "app.handler", "MINE": "yes",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "AWS_REGION": "us-east-1", "TZ": ":UTC",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/toolbox",
        "AWS_ENDPOINT_URL": cloud.address.url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": cloud.address.data_url,
    }  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted
    assert "LOCALCLOUD_HOME" not in found
    assert found["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert workshop in maker.invoke(toolbox, {"do": "buckets"}).result


def test_a_process_stays_warm_and_prints_into_the_functions_log(
    maker: Maker, toolbox: str, client: Client
) -> None:
    first = maker.invoke(toolbox, {"do": "who"}).result
    again = maker.invoke(toolbox, {"do": "say", "of": "rain"})
    assert again.result == first
    request_id = re.search(r"START RequestId: (\S+) Version: \$LATEST", again.log)
    assert request_id
    lines = again.log.splitlines()
    assert "a printed line" in lines
    assert any(
        re.fullmatch(rf"\[WARNING\]\t\S+Z\t{request_id[1]}\ta warning of rain", each)
        for each in lines
    )
    assert "not to be seen" not in again.log
    assert f"END RequestId: {request_id[1]}" in lines
    report = re.compile(
        rf"REPORT RequestId: {request_id[1]}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t"
    )
    assert any(report.fullmatch(each) for each in lines)
    found = lines_of(client, "/aws/lambda/toolbox")
    assert set(lines) <= set(found)


def test_a_new_process_tells_how_long_its_start_took(maker: Maker) -> None:
    maker.make("cold", "import time\ntime.sleep(0.2)\ndef handler(e, c): return 1")
    answer = maker.invoke("cold")
    told = re.search(r"Init Duration: ([\d.]+) ms", answer.log)
    assert told
    assert 200 <= float(told[1]) < 2000
    assert "INIT_START" in answer.log
    assert "Init Duration" not in maker.invoke("cold").log


def test_events_at_the_same_time_run_side_by_side_up_to_four(maker: Maker) -> None:
    maker.make("many", "import os, time\ndef handler(e, c): time.sleep(0.3); return os.getpid()")
    with ThreadPoolExecutor(8) as pool:
        pids = list(pool.map(lambda _: maker.invoke("many").result, range(8)))
    assert 2 <= len(set(pids)) <= 4


def test_reserved_concurrency_is_the_number_of_processes(maker: Maker) -> None:
    maker.make("one", "import os, time\ndef handler(e, c): time.sleep(0.1); return os.getpid()")
    maker.client.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=1)
    found = maker.client.get_function_concurrency(FunctionName="one")
    assert found["ReservedConcurrentExecutions"] == 1
    time.sleep(0.5)
    with ThreadPoolExecutor(4) as pool:
        pids = list(pool.map(lambda _: maker.invoke("one").result, range(4)))
    assert len(set(pids)) == 1
    maker.client.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)
    with pytest.raises(maker.client.exceptions.TooManyRequestsException):
        maker.invoke("one")
    maker.client.delete_function_concurrency(FunctionName="one")
    assert maker.invoke("one").status == 200


def test_no_payload_is_an_empty_event(maker: Maker) -> None:
    maker.make("empty", "def handler(event, context): return [event, type(event).__name__]")
    assert maker.invoke("empty").result == [{}, "dict"]


def test_numbers_of_decimal_and_text_of_every_script_come_back(maker: Maker) -> None:
    maker.make(
        "texts", "import decimal\ndef handler(e, c): return [decimal.Decimal('1.5'), e, 'Ünï 日本']"
    )
    assert maker.invoke("texts", "😀").result == [1.5, "😀", "Ünï 日本"]


def test_a_handler_may_stand_in_a_package_or_behind_a_slash(maker: Maker) -> None:
    files = {"api/__init__.py": "", "api/web.py": "def go(e, c): return __name__"}
    maker.make("package", files, Handler="api.web.go")
    assert maker.invoke("package").result == "api.web"
    maker.make("slash", files, Handler="api/web.go")
    assert maker.invoke("slash").result == "api.web"


def test_a_function_may_bring_its_own_version_of_a_library(maker: Maker) -> None:
    files = {
        "six.py": "__version__ = 'mine'",
        "app.py": "import six\ndef handler(e, c): return six.__version__",
    }
    maker.make("own-six", files)
    assert maker.invoke("own-six").result == "mine"


def test_its_code_cannot_be_written(maker: Maker, toolbox: str) -> None:
    answer = maker.invoke(toolbox, {"do": "write"})
    assert answer.error == "Unhandled"
    assert answer.result["errorType"] in ("OSError", "PermissionError")


def test_json_logs_have_objects_of_the_platform_and_of_the_function(
    maker: Maker, client: Client
) -> None:
    code = """
        import logging
        def handler(event, context):
            logging.getLogger("mine").info("hello %s", "there", extra={"colour": "red"})
            logging.debug("hidden")
            raise ValueError("bad")
    """
    maker.make("json-logs", code, LoggingConfig={"LogFormat": "JSON", "LogGroup": "/my/group"})
    maker.invoke("json-logs")
    told = [json.loads(line) for line in lines_of(client, "/my/group")]
    kinds = [each["type"] for each in told if "type" in each]
    assert kinds == ["platform.initStart", "platform.start", "platform.report"]
    (line,) = [each for each in told if each.get("message") == "hello there"]
    assert (line["level"], line["logger"], line["colour"]) == ("INFO", "mine", "red")
    (error,) = [each for each in told if each.get("errorType") == "ValueError"]
    report = told[-1]["record"]
    assert report["requestId"] == line["requestId"] == error["requestId"]
    assert report["metrics"]["memorySizeMB"] == 128


# --- what goes wrong ------------------------------------------------------------------------------


def test_an_exception_is_an_error_with_its_stack(maker: Maker, toolbox: str) -> None:
    answer = maker.invoke(toolbox, {"do": "raise"})
    assert answer.error == "Unhandled"
    assert answer.result["errorType"] == "KeyError"
    assert answer.result["errorMessage"] == "'what is missing'"
    (frame,) = answer.result["stackTrace"]
    assert 'app.py", line' in frame
    assert "in handler" in frame
    (line,) = [each for each in answer.log.split("\n") if each.startswith("[ERROR]")]
    assert line.startswith("[ERROR] KeyError: 'what is missing'\rTraceback")


@pytest.mark.parametrize(
    ("files", "handler", "kind", "message"),
    [
        ({"app.py": ""}, "other.handler", "Runtime.ImportModuleError",
         "Unable to import module 'other': No module named 'other'"),
        ({"app.py": "import nowhere"}, "app.handler", "Runtime.ImportModuleError",
         "Unable to import module 'app': No module named 'nowhere'"),
        ({"app.py": ""}, "app.handler", "Runtime.HandlerNotFound",
         "Handler 'handler' missing on module 'app'"),
        ({"app.py": "def handler(:"}, "app.handler", "Runtime.UserCodeSyntaxError",
         "Syntax error in module 'app': invalid syntax (app.py, line 1)"),
        ({"app.py": ""}, "app", "Runtime.MalformedHandlerName",
         "Bad handler 'app': not enough values to unpack (expected 2, got 1)"),
        ({"app.py": "1 / 0"}, "app.handler", "ZeroDivisionError", "division by zero"),
        ({"app.py": "import sys; sys.exit(4)"}, "app.handler", "Runtime.ExitError",
         "Runtime exited with error: exit status 4"),
    ],
)  # fmt: skip
def test_code_that_cannot_be_had_is_told_by_each_event(
    maker: Maker, files: dict[str, str], handler: str, kind: str, message: str
) -> None:
    name = f"bad-{abs(hash((kind, message))) % 10**8}"
    maker.make(name, files, Handler=handler)
    for _ in range(2):
        answer = maker.invoke(name, {})
        assert answer.error == "Unhandled"
        assert answer.result["errorType"] == kind
        assert message in answer.result["errorMessage"]
        assert f"Error Type: {kind}" in answer.log


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"do": "exit", "code": 1}, "Runtime exited with error: exit status 1"),
        ({"do": "exit", "code": 0}, "Runtime exited without providing a reason"),
        ({"do": "kill", "signal": 9}, "Runtime exited with error: signal: killed"),
        ({"do": "kill", "signal": 11}, "Runtime exited with error: signal: segmentation fault"),
        ({"do": "eat", "mb": 300}, "Runtime exited with error: signal: killed"),
    ],
)
def test_a_process_that_ends_fails_its_event_only(
    maker: Maker, toolbox: str, event: dict[str, Any], message: str
) -> None:
    answer = maker.invoke(toolbox, event)
    assert (answer.error, answer.result["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert re.fullmatch(rf"RequestId: \S+ Error: {message}", answer.result["errorMessage"])
    assert maker.invoke(toolbox, {"do": "who"}).error is None


def test_an_event_that_takes_too_long_ends_with_all_that_it_started(
    maker: Maker, toolbox: str
) -> None:
    child = maker.invoke(toolbox, {"do": "child"}).result
    began = time.monotonic()
    answer = maker.invoke(toolbox, {"do": "sleep", "seconds": 30})
    assert 1.9 < time.monotonic() - began < 5
    assert answer.error == "Unhandled"
    assert "Task timed out after 2.00 seconds" in answer.result["errorMessage"]
    assert "Task timed out after 2.00 seconds" in answer.log
    assert "Status: timeout" in answer.log
    wait_until(lambda: not is_alive(child))


def test_results_that_are_no_json_or_too_large_are_errors(maker: Maker, toolbox: str) -> None:
    answer = maker.invoke(toolbox, {"do": "set"})
    assert answer.result["errorType"] == "Runtime.MarshalError"
    assert "Object of type set is not JSON serializable" in answer.result["errorMessage"]
    most = 6 * 1024 * 1024
    assert len(maker.invoke(toolbox, {"do": "large", "bytes": most - 2}).result) == most - 2
    answer = maker.invoke(toolbox, {"do": "large", "bytes": most})
    assert answer.result["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_event_of_six_megabytes_is_taken_and_no_larger_one(maker: Maker) -> None:
    maker.make("size", "def handler(event, context): return len(event)")
    most = 6 * 1024 * 1024
    assert maker.invoke("size", "x" * (most - 2)).result == most - 2
    with pytest.raises(maker.client.exceptions.RequestTooLargeException) as caught:
        maker.invoke("size", "x" * most)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    with pytest.raises(maker.client.exceptions.RequestTooLargeException):
        maker.client.invoke(
            FunctionName="size", InvocationType="Event", Payload=json.dumps("x" * 1024 * 1024)
        )


# --- events nobody waits for, and other ways to call --------------------------------------------


def test_an_event_is_confirmed_at_once_and_run_later(maker: Maker, client: Client) -> None:
    maker.make("later", "import time\ndef handler(e, c): time.sleep(0.5); print('done', e['n'])")
    began = time.monotonic()
    for n in range(3):
        answer = maker.client.invoke(
            FunctionName="later", InvocationType="Event", Payload=json.dumps({"n": n})
        )
        assert answer["StatusCode"] == 202
    assert time.monotonic() - began < 0.5
    wait_until(lambda: {"done 0", "done 1", "done 2"} <= set(lines_of(client, "/aws/lambda/later")))


def test_a_dry_run_runs_nothing(maker: Maker, client: Client) -> None:
    maker.make("dry", "def handler(e, c): print('ran')")
    assert maker.client.invoke(FunctionName="dry", InvocationType="DryRun")["StatusCode"] == 204
    assert "/aws/lambda/dry" not in [
        group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]
    ]


def test_the_aws_cli_invokes_a_function(maker: Maker, cloud: TestCloud, tmp_path: Path) -> None:
    maker.make("by-cli", ECHO)
    out = tmp_path / "out.json"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("aws"), "lambda", "invoke", "--function-name", "by-cli",
            "--payload", '{"a": 1}', str(out),
        ],
        env=cloud.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads(out.read_text()) == {"a": 1}


def test_status_and_prune_know_functions(maker: Maker, toolbox: str, cloud: TestCloud) -> None:
    assert "function toolbox  Active" in cloud.command("status").stdout
    maker.invoke(toolbox, {"do": "say", "of": "rain"})
    assert cloud.command("prune", "--older-than", "0").returncode == 0
    assert maker.invoke(toolbox, {"do": "who"}).error is None


# --- kills and restarts ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_killed_server_of_a_function_is_back_at_once(maker: Maker) -> None:
    maker.make("killed", "import os\ndef handler(e, c): return [os.getppid(), os.getpid()]")
    server, process = maker.invoke("killed").result
    os.kill(server, signal.SIGKILL)
    after = maker.invoke("killed").result
    assert after[0] != server
    wait_until(lambda: not is_alive(process))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize("how", ["down", "kill"])
def test_functions_events_and_policies_survive_the_gateway(tmp_path: Path, how: str) -> None:
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        maker = Maker(client_of(cloud, "lambda"))
        code = "import os, time\ndef handler(e, c): time.sleep(e.get('s', 0)); return os.getpid()"
        maker.make("stays", code, Timeout=30)
        maker.client.add_permission(
            FunctionName="stays", StatementId="a", Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
        )  # fmt: skip
        pid = maker.invoke("stays").result
        maker.client.invoke(
            FunctionName="stays", InvocationType="Event", Payload=json.dumps({"s": 2})
        )
        if how == "kill":
            os.kill(json.loads((state / "server.json").read_text())["pid"], signal.SIGKILL)
        else:
            cloud.command("down")
        wait_until(lambda: not is_alive(pid))
        assert cloud.command("up").returncode == 0
        assert maker.invoke("stays").result != pid
        assert "Sid" in maker.client.get_policy(FunctionName="stays")["Policy"]
        logs = client_of(cloud, "logs")

        def reports() -> int:
            found = logs.filter_log_events(logGroupName="/aws/lambda/stays")["events"]
            return sum(float(_duration(each["message"])) > 1900 for each in found)

        # The event that was at work when the process ended is run again.
        wait_until(lambda: reports() >= 1)


def _duration(line: str) -> str:
    found = re.search(r"\tDuration: ([\d.]+) ms", line)
    return found[1] if found else "0"


def test_functions_are_of_a_region(cloud: TestCloud, maker: Maker, toolbox: str) -> None:
    import boto3

    there = boto3.client(
        "lambda", endpoint_url=cloud.address.url, region_name="eu-west-1",
        aws_access_key_id="a", aws_secret_access_key="b",
    )  # fmt: skip
    with pytest.raises(ClientError):
        there.get_function(FunctionName=toolbox)
    there.create_function(
        FunctionName=toolbox, Runtime="python3.12", Handler="app.handler", Role=ROLE,
        Code={"ZipFile": zipped({"app.py": "import os\ndef handler(e, c): return os.environ"
                                           "['AWS_REGION']"})},
    )  # fmt: skip
    Maker(there).wait(toolbox)
    assert Maker(there).invoke(toolbox).result == "eu-west-1"
    assert maker.invoke(toolbox, {"do": "environment"}).result["AWS_REGION"] == "us-east-1"
