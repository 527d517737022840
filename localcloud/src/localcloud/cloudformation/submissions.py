"""What a request submits: a template with values, checked as AWS checks before it begins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from localcloud.cloudformation.changes import Change, Forecast, check_types
from localcloud.cloudformation.errors import InsufficientCapabilities, ValidationError
from localcloud.cloudformation.plans import Plan
from localcloud.cloudformation.records import StackRecords, live
from localcloud.cloudformation.resources.table import KINDS
from localcloud.cloudformation.templates.evaluation import Evaluation
from localcloud.cloudformation.templates.parameters import Parameters
from localcloud.cloudformation.templates.template import Template
from localcloud.cloudformation.templates.values import is_unknown
from localcloud.protocol import Caller, Document
from localcloud.s3.errors import NotFound
from localcloud.s3.objects import ObjectStore

MAX_BODY = 51_200
MAX_OBJECT = 1024 * 1024
_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")
_LOCAL = re.compile(r"(?:(?P<bucket>.+)\.)?(?:localhost|s3\.localhost|127\.0\.0\.1)")
_REFUSED = (
    "NotificationARNs",
    "ResourceTypes",
    "ResourcesToImport",
    "ImportExistingResources",
    "IncludeNestedStacks",
    "RetainExceptOnCreate",
    "StackPolicyBody",
    "StackPolicyURL",
    "StackPolicyDuringUpdateBody",
    "StackPolicyDuringUpdateURL",
    "TimeoutInMinutes",
    "EnableTerminationProtection",
    "DeploymentMode",
)


class Submissions:
    """Reads templates of requests, and says what they would change."""

    def __init__(self, records: StackRecords, objects: ObjectStore) -> None:
        self._records = records
        self._objects = objects

    def refuse_others(self, request: Document) -> None:
        """Raise ValidationError that names what AWS would do and localcloud does not."""
        given = [name for name in _REFUSED if request.get(name)]
        if (request.get("RollbackConfiguration") or {}).get("RollbackTriggers"):
            given.append("RollbackConfiguration")
        if given:
            raise ValidationError(f"localcloud does not emulate {', '.join(given)} of stacks")

    def text(self, request: Document, stack: Document | None = None) -> str:
        """The template's text, of the body, of the object at the URL, or the one that is there."""
        ways = [name for name in ("TemplateBody", "TemplateURL") if name in request]
        if request.get("UsePreviousTemplate"):
            if ways or stack is None or "Current" not in stack:
                raise ValidationError(
                    "UsePreviousTemplate needs a stack that has a template, and no other template"
                )
            text: str = stack["Current"]["Template"]
            return text
        if len(ways) != 1:
            raise ValidationError("Either Template URL or Template Body must be specified.")
        if ways == ["TemplateURL"]:
            return self._object(request["TemplateURL"])
        body: str = request["TemplateBody"]
        if len(body.encode()) > MAX_BODY:
            raise ValidationError(
                f"1 validation error detected: Value at 'templateBody' failed to satisfy "
                f"constraint: Member must have length less than or equal to {MAX_BODY}"
            )
        return body

    def plan(self, request: Document, stack: Document | None = None) -> Plan:
        """The template with the values that a request gives, and what it takes of the stack."""
        text = self.text(request, stack)
        template = Template(text)
        check_types(template)
        current = stack.get("Current") if stack else None
        parameters = Parameters(
            template.parameters,
            request.get("Parameters", []),
            current["Parameters"] if current else None,
        )
        capabilities = request.get("Capabilities", [])
        _check_capabilities(template, capabilities)
        tags = request.get("Tags")
        if tags is None:
            tags = current["Tags"] if current else []
        _check_tags(tags)
        return Plan(text, parameters.texts, tags, capabilities)

    def changes(self, caller: Caller, stack: Document, plan: Plan) -> list[Change]:
        """What bringing a stack to a plan would change; every rule is held that needs no calls."""
        there = live(self._records.resources(caller, stack["StackId"]))
        before = self._before(caller, stack, there)
        forecast = Forecast(there, before, plan.tag_map)
        evaluation = plan.evaluation(caller, stack, forecast.resource, self._imported(caller))
        found = forecast.changes(evaluation)
        self._outputs(caller, stack, evaluation)
        return found

    def is_changed(
        self, caller: Caller, stack: Document, plan: Plan, changes: list[Change]
    ) -> bool:
        """Whether there is anything to do: for resources, outputs or tags."""
        if changes or plan.tags != stack["Current"]["Tags"]:
            return True
        there = live(self._records.resources(caller, stack["StackId"]))
        forecast = Forecast(there, None, {})
        evaluation = plan.evaluation(caller, stack, forecast.resource, self._imported(caller))
        outputs = [
            (each.key, each.value, each.description, each.export) for each in evaluation.outputs()
        ]
        shown = [
            (
                each["OutputKey"],
                each["OutputValue"],
                each.get("Description"),
                each.get("ExportName"),
            )
            for each in stack.get("Outputs", [])
        ]
        return outputs != shown

    def _before(
        self, caller: Caller, stack: Document, there: Mapping[str, Document]
    ) -> Evaluation | None:
        if "Current" not in stack:
            return None
        plan = Plan.of(stack["Current"])
        return plan.evaluation(
            caller, stack, Forecast(there, None, {}).resource, self._imported(caller)
        )

    def _outputs(self, caller: Caller, stack: Document, evaluation: Evaluation) -> None:
        names = [each.export for each in evaluation.outputs() if each.export is not None]
        known = [name for name in names if not is_unknown(name)]
        twice = sorted({name for name in known if known.count(name) > 1})
        if twice:
            raise ValidationError(f"Template error: the export {twice[0]} stands twice")
        exports = self._records.exports(caller)
        for name in known:
            owner = exports.get(name, (stack, ""))[0]
            if owner["StackId"] != stack["StackId"]:
                raise ValidationError(
                    f"Export with name {name} is already exported by stack {owner['StackName']}"
                )

    def _imported(self, caller: Caller) -> Callable[[str], str]:
        return lambda name: Plan.imported(self._records, caller, name)

    def _object(self, url: str) -> str:
        bucket, key, version = _place(url)
        try:
            found = self._objects.get(bucket, key, version)
        except NotFound as error:
            raise ValidationError(
                f"S3 error: The specified key does not exist: {url} ({error})"
            ) from error
        size = found.path.stat().st_size
        if size > MAX_OBJECT:
            raise ValidationError(
                f"Template may not exceed {MAX_OBJECT} bytes in size; {url} has {size}"
            )
        try:
            return found.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValidationError(f"Template format error: {url} is not UTF-8 text") from error


def capabilities_of(template: Template) -> list[str]:
    """The capabilities that a template requires."""
    roles = [each for each in template.resources.values() if each.type == "AWS::IAM::Role"]
    if not roles:
        return []
    named = any(KINDS[role.type].name in role.properties for role in roles)
    return ["CAPABILITY_NAMED_IAM"] if named else ["CAPABILITY_IAM"]


def _check_capabilities(template: Template, given: list[str]) -> None:
    needed = capabilities_of(template)
    enough = {*needed, "CAPABILITY_NAMED_IAM"}
    if needed and not enough & set(given):
        raise InsufficientCapabilities(f"Requires capabilities : [{', '.join(needed)}]")


def _check_tags(tags: list[Document]) -> None:
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) < len(keys):
        raise ValidationError(f"Duplicate tag keys in {keys}")
    reserved = [key for key in keys if key.lower().startswith("aws:")]
    if reserved:
        raise ValidationError(
            f"Tag keys must not begin with aws:, which is reserved: {', '.join(reserved)}"
        )


def _place(url: str) -> tuple[str, str, str | None]:
    """Bucket, key and version of an object's URL, of S3's or of localcloud's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    found = _HOST.fullmatch(host) or _LOCAL.fullmatch(host)
    path = unquote(parts.path).lstrip("/")
    bucket, key = "", ""
    if found:
        bucket, key = (found["bucket"], path) if found["bucket"] else path.partition("/")[::2]
    if parts.scheme not in ("http", "https") or not bucket or not key:
        raise ValidationError(
            f"TemplateURL must be the URL of an object in S3, such as "
            f"https://BUCKET.s3.REGION.amazonaws.com/KEY, not {url[:200]!r}"
        )
    version = re.search(r"(?:^|&)versionId=([^&]+)", parts.query)
    return bucket, key, version[1] if version else None
