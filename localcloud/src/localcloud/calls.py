"""What is emulated, call by call, as the page docs/localcloud-calls.md tells it.

`python -m localcloud.calls` prints it: `python -m localcloud.calls > docs/localcloud-calls.md`.
Nothing is listed here. The services' own tables say what there is, the docstrings of the calls what
they do, and botocore's models what AWS has besides.
"""

from __future__ import annotations

import re
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any

from localcloud.addresses import Address
from localcloud.aws_records import SERVICES
from localcloud.cloud import Cloud
from localcloud.dataplane.app import NOT_EMULATED
from localcloud.dataplane.invocation import Invocations
from localcloud.protocol import service_model
from localcloud.s3.app import calls as s3_calls

_HEAD = """\
# The calls that localcloud has

Made from the code by `python -m localcloud.calls`; do not edit. What is not emulated is answered
with status 501 and its name. What the calls do together, and their limits:
[localcloud.md](localcloud.md).
"""
_BY_MOTO = """\
## By moto

Records, kept by [moto](decisions/0003-moto-wrapped-with-snapshots.md). That it has a call does not
say that it has all of it.
"""
_WIDTH = 110
_Call = Callable[..., Any]


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_ours(), _BY_MOTO, *_by_moto()])


def sentence(name: str, call: _Call) -> str:
    """What a call does: the first sentence of its docstring, without the call's own name.

    Raises ValueError for a call that says nothing but its name.
    """
    text = " ".join((call.__doc__ or "").split("\n\n")[0].split())
    text = re.sub(rf"^{name}[.:;,] ?", "", text).partition(". ")[0].rstrip(".")
    if not text:
        raise ValueError(f"The docstring of {name} ({call.__qualname__}) does not say what it does")
    first, _, rest = text.partition(" ")
    return f"{first.lower() if first.istitle() else first} {rest}".strip()


def _ours() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(Address(Path(folder), 1))
        for service in sorted(cloud.gateway.services.values(), key=lambda each: each.name):
            yield from _service(service.name, service.operations)
        cloud.close()
    names = service_model("sagemaker-runtime").operation_names
    invoked = set(names) - set(NOT_EMULATED.values())
    yield from _service("sagemaker-runtime", dict.fromkeys(invoked, Invocations.invoke))
    yield from _service("s3", s3_calls())


def _service(name: str, calls: Mapping[str, _Call]) -> Iterator[str]:
    """A heading, a table of the calls that there are, and the names of the others."""
    yield from _heading(name, set(calls))
    yield "| call | what it does |\n| --- | --- |"
    yield from (f"| `{call}` | {sentence(call, calls[call])} |" for call in sorted(calls))
    yield ""
    yield from _others(name, set(calls))


def _by_moto() -> Iterator[str]:
    for signing, service in SERVICES.items():
        name = service if service == "service-quotas" else signing
        known = _methods(service.replace("-", ""))
        calls = {each for each in service_model(name).operation_names if known(each)}
        yield from _heading(name, calls, level="###")
        yield _wrapped(f"Has {_names(calls)}.")
        yield from _others(name, calls)


def _heading(name: str, calls: set[str], level: str = "##") -> Iterator[str]:
    model = service_model(name)
    title = model.metadata.get("serviceAbbreviation") or model.metadata["serviceFullName"]
    count = f"{len(calls)} of {len(model.operation_names)}"
    yield f"{level} {title}\n\nSigning name `{model.signing_name}`; {count} calls.\n"


def _others(name: str, calls: set[str]) -> Iterator[str]:
    others = set(service_model(name).operation_names) - calls
    if others:
        yield _wrapped(f"Not emulated: {_names(others)}.")


def _names(calls: set[str]) -> str:
    return ", ".join(sorted(calls))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False) + "\n"


def _methods(package: str) -> Callable[[str], bool]:
    """Whether moto has a call of one of its services, by its classes of responses."""
    base = import_module("moto.core.responses").BaseResponse
    snake = import_module("moto.core.utils").camelcase_to_underscores
    own = f"moto.{package}."
    found = {
        method
        for _, each in getmembers(import_module(f"{own}responses"), isclass)
        if issubclass(each, base) and each.__module__.startswith(own)
        for parent in each.__mro__
        if parent.__module__.startswith(own)
        for method in vars(parent)
    }
    return lambda call: snake(call) in found


if __name__ == "__main__":
    sys.stdout.write(page())
