"""The preprocessing job: check the raw csv files, split the rows, fit and apply the featurizer.

Bad data ends the job with exit code 1 and one message: on stderr, and in the job's exit message.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from pipelines.predictive_maintenance.preprocess.errors import ArgumentError, PreprocessError

MESSAGE_VARIABLE: Final = "PROCESSING_EXIT_MESSAGE_FILE"
DEFAULT_MESSAGE_FILE: Final = Path("/opt/ml/output/message")
# DescribeProcessingJob's ExitMessage holds no more.
LONGEST_MESSAGE: Final = 1024


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(message)


def main(arguments: list[str] | None = None) -> int:
    """Run the job; gives the exit code."""
    try:
        options = _parse(arguments)
        _run(options)
    except PreprocessError as error:
        message = str(error)
        if len(message) > LONGEST_MESSAGE:
            message = message[: LONGEST_MESSAGE - 3] + "..."
        sys.stderr.write(message + "\n")
        _leave_message(message)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="preprocess.py", description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="folder of raw csv files")
    parser.add_argument("--output", type=Path, required=True, help="folder of the output folders")
    parser.add_argument("--test-ratio", type=float, required=True)
    parser.add_argument("--validation-ratio", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args(arguments)
    test, validation = options.test_ratio, options.validation_ratio
    for name, ratio in (("--test-ratio", test), ("--validation-ratio", validation)):
        if not 0.0 < ratio < 1.0:
            raise ArgumentError(f"{name} must be between 0 and 1, not {ratio}")
    if test + validation >= 1.0:
        raise ArgumentError(
            f"--test-ratio and --validation-ratio must leave rows to train on: "
            f"their sum must be below 1, not {test} + {validation}"
        )
    if options.seed < 0:
        raise ArgumentError(f"--seed must not be negative, not {options.seed}")
    return options


def _run(options: argparse.Namespace) -> None:
    # Arguments are refused before the libraries load.
    from pipelines.predictive_maintenance.preprocess import reader  # noqa: PLC0415
    from pipelines.predictive_maintenance.preprocess.split import split  # noqa: PLC0415

    data = reader.read(options.input)
    if data.ignored:
        _say(f"Ignored columns: {', '.join(data.ignored)}")
    parts = split(
        data.label,
        data.columns["Type"],
        test_ratio=options.test_ratio,
        validation_ratio=options.validation_ratio,
        seed=options.seed,
    )
    # Bad data is told before scikit-learn loads.
    from pipelines.predictive_maintenance.preprocess import writer  # noqa: PLC0415

    writer.write(options.output, data, parts)
    _say(
        f"{data.label.size} rows, {int(data.label.sum())} failures: {parts.train.size} rows to "
        f"train, {parts.validation.size} to validate, {parts.test.size} to test"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _leave_message(message: str) -> None:
    """Write the exit message where SageMaker looks for it, if this is a place that has one."""
    path = Path(os.environ.get(MESSAGE_VARIABLE, DEFAULT_MESSAGE_FILE))
    if path.parent.is_dir():
        path.write_text(message, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
