"""DataProcessing: which part of a record the model sees, and what is written beside its answer.

Source: "Associate Prediction Results with Input Records" of the SageMaker Developer Guide.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.containers.errors import JobNotSupported, RecordError
from localcloud.containers.inputs import Request
from localcloud.containers.transform.json_path import JsonPath

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
_OUTPUT, _INPUT = "SageMakerOutput", "SageMakerInput"


@dataclass(frozen=True)
class Association:
    """The filters and the join of a job whose records are of one content type."""

    content_type: str
    before: JsonPath
    after: JsonPath
    join: bool

    @classmethod
    def of(cls, request: Request) -> Association | None:
        """What a CreateTransformJob request asks for; None if that is nothing.

        Raises:
            JobNotSupported: a filter is no JSONPath that AWS documents, or the content types are
                not those that it can be applied to.
        """
        asked = request.get("DataProcessing", {})
        before = JsonPath.read(asked.get("InputFilter") or "$", "DataProcessing.InputFilter")
        after = JsonPath.read(asked.get("OutputFilter") or "$", "DataProcessing.OutputFilter")
        join = asked.get("JoinSource", "None") == "Input"
        if before.everything and after.everything and not join:
            return None
        kind = _media_type(request["TransformInput"].get("ContentType"))
        accept = _media_type(request["TransformOutput"].get("Accept")) or kind
        if kind not in (CSV, JSON, JSON_LINES):
            raise JobNotSupported(
                f"DataProcessing needs a TransformInput.ContentType of {CSV}, {JSON} or "
                f"{JSON_LINES}, not {kind or 'none'}"
            )
        if accept != kind:
            raise JobNotSupported(
                "DataProcessing needs TransformOutput.Accept to be the ContentType of "
                f"TransformInput, {kind}, not {accept}"
            )
        for path in (before, after):
            if kind == CSV and not path.of_rows:
                raise JobNotSupported(
                    f"A row of {CSV} is a list, so a filter goes by index, such as $[1:], "
                    f"not {path.text!r}"
                )
        if kind == CSV and join:
            splits = request["TransformInput"].get("SplitType", "None")
            assembled = request["TransformOutput"].get("AssembleWith", "None")
            if (splits, assembled) != ("Line", "Line"):
                raise JobNotSupported(
                    f"JoinSource Input with {CSV} needs SplitType and AssembleWith Line, "
                    f"not {splits} and {assembled}"
                )
        return cls(kind, before, after, join)

    def sent(self, payload: bytes) -> bytes:
        """The body that the model gets for a payload."""
        if self.before.everything:
            return payload
        return self._write(self.before.of(each) for each in self._read(payload, "the object"))

    def written(self, payload: bytes, answer: bytes) -> bytes:
        """What goes into the output for a payload and the model's answer to it.

        Raises:
            RecordError: they do not have as many records, or cannot be read.
        """
        if not self.join:
            if self.after.everything:
                return answer
            return self._write(self.after.of(each) for each in self._read(answer, "the answer"))
        if self.content_type == CSV and self.after.everything:
            pairs = _pairs(_lines(payload, "the object"), _lines(answer, "the answer"))
            return "\n".join(f"{given},{found}" for given, found in pairs).encode()
        pairs = _pairs(self._read(payload, "the object"), self._read(answer, "the answer"))
        joined = _join_rows if self.content_type == CSV else _join_objects
        return self._write(self.after.of(joined(given, found)) for given, found in pairs)

    def _read(self, text: bytes, what: str) -> list[Any]:
        if self.content_type == CSV:
            return [next(csv.reader([line])) for line in _lines(text, what)]
        if self.content_type == JSON:
            with contextlib.suppress(ValueError):
                return [json.loads(text)]
        return [_parsed(line, what) for line in _lines(text, what)]

    def _write(self, records: Iterable[Any]) -> bytes:
        if self.content_type != CSV:
            return "\n".join(json.dumps(each, ensure_ascii=False) for each in records).encode()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows(each if isinstance(each, list) else [each] for each in records)
        return out.getvalue().removesuffix("\n").encode()


def _media_type(header: str | None) -> str:
    return (header or "").partition(";")[0].strip().lower()


def _lines(text: bytes, what: str) -> list[str]:
    """The lines that are not empty."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as exc:
        raise RecordError(f"{what} must be UTF-8 for DataProcessing: {exc}") from exc
    return [line.removesuffix("\r") for line in lines if line.strip("\r")]


def _pairs(given: Sequence[Any], found: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    if len(given) != len(found):
        raise RecordError(
            f"the model's answer cannot be joined: it has {len(found)} records for the "
            f"{len(given)} of the request"
        )
    return zip(given, found, strict=True)


def _join_rows(given: list[str], found: list[str]) -> list[str]:
    return given + found


def _join_objects(given: Any, found: Any) -> dict[str, Any]:
    return {**(given if isinstance(given, dict) else {_INPUT: given}), _OUTPUT: found}


def _parsed(line: str, what: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise RecordError(f"{what} must be JSON for DataProcessing: {exc}") from exc
