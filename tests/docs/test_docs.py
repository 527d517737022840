"""The documentation says what the code has: every name is read from the code, never listed here."""

import argparse
import ast
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import build_pipeline
from deploy_endpoint import __main__ as deploy_endpoint
from deploy_endpoint import parameters, stack, stage  # stack has an error class of its own
from deploy_endpoint.api.errors import ApiError
from deploy_endpoint.errors import DeployError
from localcloud import calls, cli
from localcloud.cloudformation.resources.table import KINDS
from localcloud.cloudformation.templates.functions import _FUNCTIONS
from localcloud.sagemaker.workflow import conditions, definition
from pipelines.build import progress  # noqa: F401 - it has an error class of its own
from pipelines.build.errors import BuildError
from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.features import FEATURE_NAMES, MONOTONE
from pipelines.predictive_maintenance.train.hyperparameters import HYPERPARAMETERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "deploy_endpoint" / "README.md",
        ROOT / "localcloud" / "README.md",
    ]
)
GOLDEN = ROOT / "tests" / "pipelines" / "golden" / "definition.json"
SCHEMA = ROOT / "deploy_endpoint" / "deployment.schema.json"
WHERE_VARIABLES_ARE_READ = ("build_pipeline.py", "pipelines", "deploy_endpoint", "localcloud/src")
DEPLOY = "deploy_endpoint/README.md"
VARIABLE = re.compile(r"(AWS|PIPELINE|LOCALCLOUD|AI4I|MODEL_PACKAGE)_[A-Z0-9_]+|NO_COLOR|NO_PROXY")
NO_VARIABLES = {"AWS_IAM", "AWS_PROXY"}
"""API Gateway's own words, which look like variables."""
OURS = (
    (["python", "build_pipeline.py"], build_pipeline._parser),
    (["python", "-m", "deploy_endpoint"], deploy_endpoint.parser),
    (["localcloud"], cli._parser),
)
IN_TEXT = [["make"], *(start for start, _ in OURS if start != ["localcloud"])]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """The text below a heading, to the next one of its level or a higher one."""
    text = page(name)
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"{name} has no section {title!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without heads and rulers."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("| ---"):
            rows.pop()
        elif line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def names(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def first_names(text: str) -> set[str]:
    """What stands in backticks in the first column of a text's tables."""
    return {name for row in table(text) for name in names(row[0])}


@cache
def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return loaded


def steps(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield item
        for branch in ("IfSteps", "ElseSteps"):
            yield from steps(item.get("Arguments", {}).get(branch) or [])


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError


def options(parser: argparse.ArgumentParser) -> set[str]:
    found = {word for action in parser._actions for word in action.option_strings}
    return found - {"-h", "--help"}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", page("Makefile"), re.MULTILINE))


def variables() -> set[str]:
    """The environment variables that the code names, as texts of their own."""
    found = set()
    for place in WHERE_VARIABLES_ARE_READ:
        path = ROOT / place
        for source in path.rglob("*.py") if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                value = node.value if isinstance(node, ast.Constant) else None
                if isinstance(value, str) and VARIABLE.fullmatch(value):
                    found.add(value)
    return found


def exit_codes(kind: type[BuildError | DeployError] = BuildError) -> set[int]:
    return {kind.exit_code}.union(*(exit_codes(each) for each in kind.__subclasses__()))


def api_errors(kind: type[ApiError] = ApiError) -> set[type[ApiError]]:
    return {kind}.union(*(api_errors(each) for each in kind.__subclasses__()))


def shell_lines() -> Iterator[tuple[str, str]]:
    """Each command line of the shell blocks, with the page it stands on."""
    for path in PAGES:
        for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
            if language in {"bash", "sh", "console"}:
                for line in block.replace("\\\n", " ").splitlines():
                    yield path.relative_to(ROOT).as_posix(), line


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_make_target_is_in_the_readme_and_no_other() -> None:
    told = {
        name.removeprefix("make ") for name in first_names(section("README.md", "Make targets"))
    }
    assert told == targets()


def test_every_command_and_option_of_build_pipeline_is_documented() -> None:
    text = page("docs/build-pipeline.md")
    told = first_names(text)
    for name, parser in commands(build_pipeline._parser()).items():
        uses = [each for each in told if each.split()[0] == name]
        assert uses, f"docs/build-pipeline.md does not say what {name} does"
        for option in options(parser):
            shown = any(option in each for each in uses) or f"{option} " in text
            assert shown, f"docs/build-pipeline.md does not say what {name} {option} does"


def test_every_command_of_localcloud_is_documented_and_no_other() -> None:
    told = first_names(section("docs/localcloud.md", "Commands"))
    assert {each.split()[1] for each in told} == set(commands(cli._parser()))


@pytest.mark.parametrize("name", ["README.md", "docs/build-pipeline.md"])
def test_every_exit_code_is_documented_and_no_other(name: str) -> None:
    told = {int(code) for code in first_names(section(name, "Exit codes"))}
    assert told == exit_codes() | {0, 130}


def test_every_exit_code_of_the_deploy_project_is_documented_and_no_other() -> None:
    assert issubclass(stack.Interrupted, DeployError)
    told = {int(code) for code in first_names(section(DEPLOY, "Exit codes"))}
    assert told == exit_codes(DeployError) | {0}


def test_every_command_and_option_of_the_deploy_project_is_documented() -> None:
    text = section(DEPLOY, "Commands")
    told = first_names(text)
    for name, parser in commands(deploy_endpoint.parser()).items():
        uses = [each for each in told if each.split()[0] == name]
        assert uses, f"{DEPLOY} does not say what {name} does"
        for option in options(parser) - {"--stage"}:
            shown = any(option in each for each in uses) or f"`{name} {option}" in text
            assert shown, f"{DEPLOY} does not say what {name} {option} does"


def test_every_key_of_a_stage_file_is_documented_and_no_other() -> None:
    found = json.loads((stage.FOLDER / "staging.json").read_text(encoding="utf-8"))
    keys = {
        f"{section}.{key}"
        for section, value in found.items()
        if isinstance(value, dict)
        for key in value
    } | {name for name, value in found.items() if not isinstance(value, dict) or not value}
    assert first_names(section(DEPLOY, "Stage files")) == keys


def test_every_output_of_a_stage_is_documented_and_no_other() -> None:
    outputs = parameters.TEMPLATE.read_text(encoding="utf-8").partition("\nOutputs:\n")[2]
    declared = set(re.findall(r"^  (\w+):$", outputs, re.MULTILINE))
    assert first_names(section(DEPLOY, "The stack")) == declared


def test_every_variable_that_the_code_names_is_documented() -> None:
    told = names(section("README.md", "Environment variables"))
    told |= names(section("docs/localcloud.md", "Environment"))
    told |= first_names(section(DEPLOY, "The functions"))
    assert variables() - told - NO_VARIABLES == set()


def test_every_variable_and_status_of_the_functions_is_documented_and_no_other() -> None:
    told = first_names(section("deploy_endpoint/README.md", "The functions"))
    read = {
        node.slice.value
        for name in ("settings", "authorizer")
        for node in ast.walk(ast.parse(page(f"deploy_endpoint/api/{name}.py")))
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and re.fullmatch(r"[A-Z]+(_[A-Z]+)+", str(node.slice.value))
    }
    assert told == read | {"POWERTOOLS_SERVICE_NAME"}
    statuses = {
        int(status)
        for row in table(section("deploy_endpoint/README.md", "The API"))
        for status in row[0].split(", ")
        if status.isdigit()
    }
    of_gateway = {401, 403}
    assert statuses == {each.status for each in api_errors()} | of_gateway


def test_every_parameter_is_documented_with_its_default() -> None:
    told = {row[0].strip("`"): row for row in table(section("docs/pipeline.md", "Parameters"))}
    declared = {each["Name"]: each for each in golden()["Parameters"]}
    assert set(told) == set(declared)
    for name, each in declared.items():
        if name != "InputDataUri":  # whose default is the hash of the data
            assert told[name][1] == f"`{each['DefaultValue']}`", name


def test_every_hyperparameter_is_documented_with_its_range() -> None:
    told = {row[0].strip("`"): row for row in table(section("docs/pipeline.md", "Parameters"))}
    for each in HYPERPARAMETERS:
        lowest, highest = told[each.parameter][2].split(" to ")
        assert (float(lowest), float(highest)) == (each.minimum, each.maximum), each.parameter


def test_every_step_with_its_outputs_and_the_metadata_is_documented() -> None:
    rows = {row[0].strip("`"): row for row in table(section("docs/pipeline.md", "Steps"))[:6]}
    found = {step["Name"]: step for step in steps(golden()["Steps"])}
    registered = next(name for name in found if name.startswith("Register"))
    assert set(rows) == {name.removesuffix("-RegisterModel") for name in found}
    for name, step in found.items():
        for output in step["Arguments"].get("ProcessingOutputConfig", {}).get("Outputs", []):
            assert f"`{output['OutputName']}`" in rows[name][4]
    told = first_names(section("docs/pipeline.md", "What is registered"))
    assert told == set(found[registered]["Arguments"]["CustomerMetadataProperties"])


def test_every_key_of_the_contract_is_documented_and_no_other() -> None:
    told = first_names(section("docs/pipeline.md", "The contract"))
    assert told == set(json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"])


def test_every_feature_is_documented_with_its_sign() -> None:
    rows = table(section("docs/model.md", "Features"))
    signs = tuple((row[0].strip("`"), int(row[1])) for row in rows)
    assert signs == tuple(zip(FEATURE_NAMES, MONOTONE, strict=True))


def test_every_column_is_documented_with_its_range() -> None:
    rows = {row[0].strip("`"): row for row in table(section("docs/data.md", "What it looks like"))}
    for column in schema.COLUMNS:
        allowed = rows[column.name][2]
        if column.minimum is None or column.maximum is None:
            assert allowed == ", ".join(column.categories)
        else:
            assert allowed == f"{column.minimum:g} to {column.maximum:g} {column.unit}"
    everything = names(" ".join(row[0] for row in rows.values())) | set(rows)
    assert {schema.LABEL, *schema.IDENTIFIERS, *schema.LABEL_PARTS} <= everything


def test_the_page_of_calls_is_what_the_code_says() -> None:
    told = page("docs/localcloud-calls.md") == calls.page()
    assert told, "run: python -m localcloud.calls > docs/localcloud-calls.md"


def test_a_call_that_is_answered_is_told_as_one_and_another_is_not() -> None:
    text = page("docs/localcloud-calls.md")
    here = first_names(text)
    assert {"StartPipelineExecution", "GetLogEvents", "PutObject", "InvokeEndpoint"} <= here
    others = set(re.findall(r"\w+", " ".join(re.findall(r"Not emulated: ([^.]+)\.", text))))
    assert {"CreateDomain", "StartLiveTail", "PutBucketAcl", "InvokeEndpointAsync"} <= others
    assert not {"CreateDomain", "PutBucketAcl"} & here
    (iam,) = re.findall(r"^### IAM$.*?^Has (.*?)\.$", text, re.MULTILINE | re.DOTALL)
    assert "CreateRole" in iam


def test_every_service_is_in_the_summary() -> None:
    titles = re.findall(r"^###? (.+)$", page("docs/localcloud-calls.md"), re.MULTILINE)
    told = " ".join(row[0] for row in table(section("docs/localcloud.md", "What it emulates")))
    for title in titles:
        name = title.removeprefix("Amazon ").removeprefix("AWS ")
        assert name == "By moto" or name in told, title


def test_every_type_of_resource_is_documented_with_its_service_and_no_other() -> None:
    text = section("docs/localcloud.md", "Stacks")
    told = {row[0].strip("`"): row[1] for row in table(text)}
    assert told == {kind.type: kind.service for kind in KINDS.values()}
    assert set(_FUNCTIONS) <= names(text)


def test_all_that_runs_of_a_definition_is_documented() -> None:
    text = section("docs/localcloud.md", "A pipeline's definition")
    told = {row[0]: names(row[1]) for row in table(text)}
    assert told["steps"] == set(definition.STEP_TYPES)
    assert told["conditions"] == set(conditions.MEMBERS)
    assert told["execution variables"] == set(definition.VARIABLES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link}: there is no such file"
        if anchor:
            assert anchor in headings(target), f"{link}: there is no such heading"


def test_every_page_can_be_found_from_the_index() -> None:
    index = page("docs/README.md")
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"({name})" in index, f"docs/README.md does not name {name}"


def test_commands_in_shell_blocks_are_ones_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    checked = 0
    for where, line in shell_lines():
        words = shlex.split(line, comments=True)
        while words and _is_assignment(words[0]):
            del words[0]
        if words[:3] == ["localcloud", "exec", "--"]:
            words = words[3:]
        if not words:
            continue
        problem = _problem(words)
        said = capsys.readouterr().err
        assert not problem, f"{where}: {line}: {problem} {said}"
        checked += 1
    assert checked > 20


def test_commands_in_the_text_are_ones_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for path in PAGES:
        for text in names(FENCE.sub("", path.read_text(encoding="utf-8"))):
            words = text.split()
            program = next((each for each in IN_TEXT if words[: len(each)] == each), None)
            if program is not None and words[len(program) :]:
                problem = _problem(shlex.split(text))
                said = capsys.readouterr().err
                assert not problem, f"{path.relative_to(ROOT)}: {text}: {problem} {said}"


def test_python_blocks_compile() -> None:
    for path in PAGES:
        for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
            if language == "python":
                ast.parse(block, str(path))


def _is_assignment(word: str) -> bool:
    return re.match(r"[A-Za-z_][A-Za-z0-9_]*=", word) is not None


def _problem(words: list[str]) -> str:
    """What is wrong with a command line of ours; nothing for other people's programs."""
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    for start, parser in OURS:
        if [program, *rest][: len(start)] == start:
            return _refused(parser(), words[len(start) :])
    if program == "make":
        wanted = {word for word in rest if not _is_assignment(word)}
        return "" if wanted <= targets() else "there is no such target"
    if program not in {"python", "python3"}:
        known = {"source", "export", "eval", "aws", "pre-commit"}
        return "" if program in known else "this program is not part of the set-up"
    rest = rest[2:] if rest[:2] == ["-m", "pdb"] else rest
    if rest[:1] == ["-m"]:
        module = rest[1].replace(".", "/")
        paths = [word for word in rest[2:] if word.startswith(("tests", "localcloud/"))]
        missing = [word for word in paths if not (ROOT / word).exists()]
        there = rest[1] == "pytest" or (ROOT / f"{module}.py").is_file()
        return "" if there and not missing else "there is no such module or folder"
    return "" if (ROOT / rest[0]).is_file() else "there is no such script"


def _refused(parser: argparse.ArgumentParser, arguments: list[str]) -> str:
    try:
        parser.parse_args(arguments)
    except SystemExit as leaving:
        return "" if leaving.code == 0 else "it is refused"
    return ""
