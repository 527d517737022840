"""What is deployed knows nothing of the laptop's AWS: the environment alone leads there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("pipelines", "deploy_endpoint", "infrastructure")
# The one mention that helps: an error may say how to start what does not answer.
HELP = "`localcloud up`"


def files() -> Iterator[Path]:
    yield ROOT / "build_pipeline.py"
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
            if path.is_file() and not hidden and path.suffix != ".md":
                yield path


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_knows_which_aws_it_talks_to(path: Path) -> None:
    """No port, no address of this machine, no import, name or setting of localcloud's."""
    text = path.read_bytes().decode(errors="replace")
    lowered = text.lower()
    for address in ("4566", "127.0.0.1", "localhost:"):
        assert address not in lowered
    if "localcloud" in lowered:
        assert path.suffix == ".py", "only an error's text may mention localcloud"
        assert list(knowing(ast.parse(text))) == []


def knowing(tree: ast.Module) -> Iterator[str]:
    """Say where code, not prose, mentions localcloud."""
    prose = {id(part) for node in ast.walk(tree) for part in literals_that_may(node)}
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            for text in value if isinstance(value, list) else [value]:
                if (
                    isinstance(text, str)
                    and "localcloud" in text.lower()
                    and not (id(node) in prose and name == "value")
                ):
                    yield f"line {getattr(node, 'lineno', '?')}: {text!r}"


def literals_that_may(node: ast.AST) -> Iterator[ast.AST]:
    """Give docstrings, and the parts of a text that tells how to start localcloud."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.JoinedStr | ast.Constant):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        for part in parts:
            if isinstance(part, ast.Constant) and HELP in str(part.value):
                yield part
