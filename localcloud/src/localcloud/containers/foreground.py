"""A job in the foreground, run by the image's own Python: `foreground.py JOB.json run|debug`.

One file of the standard library only, beside `warm.py`, whose way to lay out a job it shares. A
Python program that fails leads into pdb where it failed. A program that catches its error, says so
and leaves with an exit code leads to where that error was raised.
"""

from __future__ import annotations

import importlib.util
import json
import linecache
import os
import pdb  # noqa: T100 - a debugger is what this is for
import runpy
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

_TOOL = 3
"""A number of sys.monitoring's that no kind of tool claims."""


class Interpreter:
    """Runs a Python program as `python` does, and stays when it fails."""

    def __init__(self) -> None:
        self._image = (sys.prefix, sys.base_prefix, str(Path(__file__).parent), "<frozen")
        self._raised: BaseException | None = None

    def run(self, program: Callable[[], object]) -> int:
        """Run to the program's end; returns its exit code after the debugger was left."""
        self._watch()
        try:
            program()
        except SystemExit as exc:
            if exc.code in (None, 0):
                return 0
            code = exc.code if isinstance(exc.code, int) else 1
            if not isinstance(exc.code, int):
                print(exc.code, file=sys.stderr)
            error = self._raised or exc
            print(f"Exit code {code}. The last error: {type(error).__name__}: {error}")
            self._stay(error)
            return code & 0xFF
        except BaseException as exc:  # noqa: BLE001 - as Python does at its outermost level
            traceback.print_exception(exc.with_traceback(self._own(exc)))
            self._stay(exc)
            return 1
        return 0

    def _watch(self) -> None:
        """Remember the last error that the job's own code raised, also if it is caught later."""
        monitoring = getattr(sys, "monitoring", None)
        if monitoring is None:  # before Python 3.12
            return

        def raised(code: types.CodeType, _offset: int, error: BaseException) -> None:
            own = not code.co_filename.startswith(self._image)
            if own and not isinstance(error, SystemExit | StopIteration | GeneratorExit):
                self._raised = error

        monitoring.use_tool_id(_TOOL, "localcloud")
        monitoring.register_callback(_TOOL, monitoring.events.RAISE, raised)
        monitoring.set_events(_TOOL, monitoring.events.RAISE)

    def _own(self, error: BaseException) -> types.TracebackType | None:
        """The error's frames from the job's first on."""
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename.startswith(self._image[2:]):
            frames = frames.tb_next
        return frames

    def _stay(self, error: BaseException) -> None:
        frames = self._own(error)
        if frames is None:
            return
        print("The debugger is where it failed: w shows the way there, q leaves.", flush=True)
        pdb.post_mortem(frames)


def main() -> None:
    """Become the job that the file describes."""
    warm = _warm()
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    debug = sys.argv[2] == "debug"
    warm.lay_out(job, mounts=warm.LINUX and warm._try_namespace()[0])
    os.environ.update(job["environment"])
    os.chdir(job["directory"])
    program, *words = job["command"]
    python = None
    if debug and warm._PYTHON.fullmatch(program):
        sys.path_importer_cache.clear()  # it knows no /opt/ml yet
        python = _program([word for n, word in enumerate(words) if n or word != "-u"])
    if python is None:
        os.execvp(program, job["command"])  # noqa: S606 - the job's own command
    sys.exit(Interpreter().run(python))


def _warm() -> Any:
    path = Path(__file__).with_name("warm.py")
    spec = importlib.util.spec_from_file_location("_localcloud_warm", path)
    assert spec is not None  # noqa: S101 - the file stands beside this one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _program(words: list[str]) -> Callable[[], object] | None:
    """What runs a script, a module or a text in this interpreter, as `python WORDS` would."""
    if words[:1] == ["-m"] and len(words) > 1:
        sys.path[0] = str(Path.cwd())
        sys.argv = ["-m", *words[2:]]
        return lambda: runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
    if words[:1] == ["-c"] and len(words) > 1:
        sys.path[0] = ""
        return _text("-c", "<job>", words[1].encode(), words[2:])
    if words and not words[0].startswith("-") and Path(words[0]).is_file():
        path = Path(words[0])
        sys.path[0] = str(path.resolve().parent)
        return _text(words[0], words[0], path.read_bytes(), words[1:])
    return None


def _text(name: str, shown: str, source: bytes, arguments: list[str]) -> Callable[[], object]:
    sys.argv = [name, *arguments]
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    if name != "-c":
        main.__file__ = name
    sys.modules["__main__"] = main
    lines = source.decode(errors="replace").splitlines(keepends=True)
    linecache.cache[shown] = (len(source), None, lines, shown)

    def run() -> None:
        exec(compile(source, shown, "exec", dont_inherit=True), main.__dict__)  # noqa: S102

    return run


if __name__ == "__main__":
    main()
