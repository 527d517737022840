"""DataProcessing, JSONPath and payloads: what the model gets of an object, and what is written."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from serving_fixtures import ECHO
from transform_fixtures import BUCKET, Batch

from localcloud.containers.errors import JobNotSupported, RecordError
from localcloud.containers.transform.association import Association
from localcloud.containers.transform.json_path import JsonPath
from localcloud.containers.transform.records import payloads

LINE = {"SplitType": "Line"}
LENGTHS = ECHO.replace(
    "    return body",
    "    import json\n"
    "    if 'csv' in content_type:\n"
    "        body = ''.join(f'{len(x)},\"a\"\"b\"\\n' for x in body.split())\n"
    "    elif 'lines' in content_type:\n"
    "        lines = body.decode().split('\\n')\n"
    "        body = ''.join(json.dumps({'n': len(json.loads(x))}) + '\\n' for x in lines if x)\n"
    "    else:\n"
    "        body = json.dumps({'n': len(json.loads(body))}, indent=1)\n"
    "    return body",
)
"""Answers rows of csv with their length and a quoted field, JSON with how many members it has."""


@pytest.fixture(scope="module")
def batch(client: Callable[[str], Any]) -> Batch:
    s3 = client("s3")
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    made = Batch(client("sagemaker"), s3, client("logs"), f"records-{os.urandom(2).hex()}")
    made.shared = made.model(LENGTHS)
    return made


@pytest.mark.integration
@pytest.mark.parametrize(
    ("kind", "split", "body", "processing", "expected"),
    [
        ("text/csv", True, "x,1,2\n\ny,3,4\r\n", {"JoinSource": "Input"},
         'x,1,2,5,"a""b"\ny,3,4,5,"a""b"\n'),
        ("text/csv", True, "x,1,2\ny,33,4\n", {"InputFilter": "$[1:]", "JoinSource": "Input",
         "OutputFilter": "$[0,-2]"}, "x,3\ny,4\n"),
        ("text/csv", True, '"a,b",12\n', {"InputFilter": "$[0]", "JoinSource": "Input",
         "OutputFilter": "$[1,0,2:]"}, '12,"a,b",5,"a""b"\n'),
        ("text/csv", True, "x,1\ny,1\n", {"OutputFilter": "$[0]"}, "3\n3\n"),
        ("application/jsonlines", True, '{"id": 7, "v": [1, 2]}\n{"id": 8, "v": [1]}',
         {"InputFilter": "$.v", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
         '{"id": 7, "SageMakerOutput": {"n": 2}}\n{"id": 8, "SageMakerOutput": {"n": 1}}\n'),
        ("application/jsonlines", True, "[1, 2]\n", {"JoinSource": "Input"},
         '{"SageMakerInput": [1, 2], "SageMakerOutput": {"n": 2}}\n'),
        ("application/json", False, '{"a": 1,\n"b": "ü"}', {"JoinSource": "Input"},
         '{"a": 1, "b": "ü", "SageMakerOutput": {"n": 2}}'),
        ("application/json", False, '{"a": {"x": 1, "y": 2, "z": 3}}', {"InputFilter": "$.a.*",
         "OutputFilter": "$.n"}, "3"),
    ],
)  # fmt: skip
def test_inferences_are_associated_with_their_records(
    batch: Batch, kind: str, split: bool, body: str, processing: dict[str, str], expected: str
) -> None:
    how = "Line" if split else "None"
    job = batch.run(
        batch.shared, batch.put({"o": body}), DataProcessing=processing,
        given={"ContentType": kind, "SplitType": how}, wanted={"AssembleWith": how, "Accept": kind},
    )  # fmt: skip
    assert job["TransformJobStatus"] == "Completed", job
    assert batch.outputs(job) == {"o.out": expected}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("processing", "said"),
    [
        ({"JoinSource": "Input"}, "it has 3 records for the 2 of the request"),
        ({"InputFilter": "$[5]"}, r"the JSONPath $[5] does not fit a record: index 5 is outside"),
        ({"InputFilter": "$[4:]"}, "a slice has nothing in it: there are 2 items"),
    ],
)
def test_what_does_not_fit_the_records_fails_the_job(
    batch: Batch, processing: dict[str, str], said: str
) -> None:
    more = ECHO.replace("    return body", "    return body + 'one,more\\n'")
    job = batch.run(
        batch.model(more), batch.put({"o": "a,b\nc,d\n"}), DataProcessing=processing,
        given=LINE, wanted={"AssembleWith": "Line"},
    )  # fmt: skip
    assert job["TransformJobStatus"] == "Failed"
    assert said in job["FailureReason"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"DataProcessing": {"InputFilter": "$..a"}}, "must be a JSONPath of"),
        ({"DataProcessing": {"OutputFilter": "a"}}, "OutputFilter must begin with"),
        ({"DataProcessing": {"InputFilter": "$.a"}}, "a filter goes by index"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "needs SplitType and AssembleWith Line"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "given": {"ContentType": "image/png"}},
            "needs a TransformInput.ContentType of text/csv",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "wanted": {"Accept": "application/json"}},
            "needs TransformOutput.Accept to be the ContentType",
        ),
    ],
)
def test_a_filter_that_can_never_fit_is_refused(
    batch: Batch, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match=said):
        batch.start(batch.shared, f"s3://{BUCKET}/any", **more)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", {"a": [10, 11, 12, 13], "b c": {"x": 1, "y": 2}}),
        ("$.a[1]", 11),
        ("$['a'][-1]", 13),
        ("$.a[0,2]", [10, 12]),
        ("$.a[1:2]", [11, 12]),
        ("$.a[2:]", [12, 13]),
        ("$.a[:1]", [10, 11]),
        ("$.a[1:-2]", [11, 12]),
        ("$.a[0,2:]", [10, 12, 13]),
        ("$.a[*]", [10, 11, 12, 13]),
        ("$['b c'].*", [1, 2]),
        ("$['b c']['y','x']", {"y": 2, "x": 1}),
        ("$['b c'].['y','x']", {"y": 2, "x": 1}),
    ],
)
def test_the_documented_json_paths(path: str, expected: Any) -> None:
    record = {"a": [10, 11, 12, 13], "b c": {"x": 1, "y": 2}}
    assert JsonPath.read(path, "it").of(record) == expected


@pytest.mark.parametrize(
    "path",
    ["", "a", "$.", "$..a", "$[?(@.a)]", "$[a]", "$['a',]", "$[1,]", "$[1:2:3]", "$.a()", "$[]"],
)
def test_any_other_json_path_is_refused(path: str) -> None:
    with pytest.raises(JobNotSupported):
        JsonPath.read(path, "it")


@given(
    st.lists(st.text('ab,"\r ', max_size=6).map(str.encode), max_size=30),
    st.integers(8, 40),
    st.booleans(),
)
def test_payloads_hold_every_record_once_in_order_and_no_more_than_the_limit(
    lines: list[bytes], limit: int, single: bool
) -> None:
    records = [line.rstrip(b"\r") for line in lines if line.rstrip(b"\r")]
    text = b"\n".join(lines)
    made = list(payloads(io.BytesIO(text), split=True, single=single, limit=limit))
    found = [line.rstrip(b"\r") for each in made for line in each.split(b"\n")]
    assert [line for line in found if line] == records
    assert all(0 < len(each) <= limit for each in made)
    if single:
        assert made == records


@given(st.integers(1, 20), st.integers(1, 40))
def test_a_record_over_the_limit_is_refused(limit: int, more: int) -> None:
    text = b"a\n" * 3 + b"x" * (limit + more) + b"\nb"
    for single in (True, False):
        with pytest.raises(RecordError, match="line 4 is longer"):
            list(payloads(io.BytesIO(text), split=True, single=single, limit=limit))


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=5)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8))
def test_joined_rows_are_the_rows_with_their_answers(rows: list[tuple[str, ...]]) -> None:
    def text(some: Any) -> bytes:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(some)
        return out.getvalue().encode()

    request = {
        "TransformInput": {"ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"AssembleWith": "Line"},
        "DataProcessing": {"JoinSource": "Input", "InputFilter": "$[1:]"},
    }
    plain = Association.of(request)
    chosen = Association.of(
        request | {"DataProcessing": {"JoinSource": "Input", "OutputFilter": "$[0:]"}}
    )
    assert plain
    assert chosen
    given_text, answers = text(rows), text([[json.dumps(row)] for row in rows])
    expected = [[*row, json.dumps(row)] for row in rows]
    for each in (plain, chosen):
        written = each.written(given_text, answers).decode()
        assert list(csv.reader(io.StringIO(written))) == expected
    sent = plain.sent(given_text).decode()
    assert list(csv.reader(io.StringIO(sent))) == [list(row[1:]) for row in rows]
