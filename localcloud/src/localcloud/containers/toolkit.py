"""Script mode: the command, the arguments and the SM_* variables of a user's training script.

They are those that the images' own starter sets (PyPI `sagemaker-training`: `environment.py`,
`mapping.py`, `params.py`).
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CODE = "/opt/ml/code"
_PREFIX = "sagemaker_"
_PARAMETERS = {
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "default_user_module_name",
    "_tuning_objective_metric",
    "sagemaker_s3_output",
}
_GROUP = "homogeneousCluster"


class ScriptMode:
    """The starter's reading of a training job's hyperparameters and configuration files."""

    def __init__(
        self,
        hyperparameters: Mapping[str, str],
        resources: Mapping[str, Any],
        inputs: Mapping[str, Any],
        environment: Mapping[str, str],
        cpus: int,
    ) -> None:
        everything = {name: _decode(value) for name, value in hyperparameters.items()}
        self._settings = {
            name: value
            for name, value in everything.items()
            if name in _PARAMETERS or name.startswith(_PREFIX)
        }
        self.hyperparameters = {
            name: value for name, value in everything.items() if name not in self._settings
        }
        self._resources = resources
        self._inputs = inputs
        self._environment = environment
        self._cpus = cpus
        program = environment.get("SAGEMAKER_PROGRAM") or self._settings.get("sagemaker_program")
        self.program: str | None = None if program is None else str(program)
        directory = self._settings.get("sagemaker_submit_directory")
        self.submit_directory = str(
            directory or environment.get("SAGEMAKER_SUBMIT_DIRECTORY") or CODE
        )

    def command(self, code: Path) -> tuple[str, ...]:
        """How the script is started, `code` being the folder seen as /opt/ml/code.

        As a module if the folder is a package with a setup.py; what is not Python as a program,
        by its own first line, through a shell that quotes nothing more than the words.
        """
        program = self.program or ""
        if self._is_package(code):
            return ("python3", "-m", program.removesuffix(".py").replace("/", "."), *self.arguments)
        if program.endswith(".py"):
            return ("python3", f"{CODE}/{program}", *self.arguments)
        (code / program).chmod(0o777)
        return ("/bin/sh", "-c", shlex.join((f"./{program}", *self.arguments)))

    def installs(self, code: Path) -> bool:
        """Whether the starter installs something first: a package, or a script's requirements."""
        return self._is_package(code) or (
            (self.program or "").endswith(".py") and (code / "requirements.txt").is_file()
        )

    def _is_package(self, code: Path) -> bool:
        return not (self.program or "").endswith(".sh") and (code / "setup.py").exists()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The hyperparameters as ``--name value``, in the order of their names."""
        words: list[str] = []
        for name, value in sorted(self.hyperparameters.items()):
            words.append(f"--{name}" if len(name) > 1 else f"-{name}")
            if isinstance(value, dict):
                words.append(",".join(f"{key}={item}" for key, item in sorted(value.items())))
            else:
                words.append("" if value is None else str(value))
        return tuple(words)

    def variables(self) -> dict[str, str]:
        """The environment that the starter adds to the container's own."""
        described = self._described()
        channels = described["channel_input_dirs"]
        values: dict[str, Any] = {
            "hps": self.hyperparameters,
            "framework_params": described["additional_framework_parameters"],
            "channels": sorted(channels),
            "training_env": described,
            "user_args": self.arguments,
        }
        values |= {name: value for name, value in described.items() if name not in _ONLY_DESCRIBED}
        values |= {f"channel_{name}": path for name, path in channels.items()}
        values |= {f"hp_{name}": value for name, value in self.hyperparameters.items()}
        return {
            **{f"SM_{name.upper()}": _encode(value) for name, value in values.items()},
            "SAGEMAKER_JOB_NAME": str(self._settings.get("sagemaker_job_name", "")),
            "SAGEMAKER_REGION": str(
                self._settings.get("sagemaker_region", self._environment.get("AWS_REGION", ""))
            ),
            "CURRENT_HOST": self._resources["current_host"],
            "PYTHONPATH": ":".join(filter(None, (CODE, self._environment.get("PYTHONPATH")))),
        }

    def _described(self) -> dict[str, Any]:
        hosts, host = self._resources["hosts"], self._resources["current_host"]
        groups = self._resources["instance_groups"]
        return {
            "additional_framework_parameters": {
                name: value for name, value in self._settings.items() if name not in _PARAMETERS
            },
            "channel_input_dirs": {name: f"/opt/ml/input/data/{name}" for name in self._inputs},
            "current_host": host,
            "current_instance_group": _GROUP,
            "current_instance_group_hosts": hosts,
            "current_instance_type": self._resources["current_instance_type"],
            "distribution_hosts": [],
            "distribution_instance_groups": [],
            "framework_module": self._environment.get("SAGEMAKER_TRAINING_MODULE"),
            "hosts": hosts,
            "hyperparameters": self.hyperparameters,
            "input_config_dir": "/opt/ml/input/config",
            "input_data_config": self._inputs,
            "input_dir": "/opt/ml/input",
            "instance_groups": [group["instance_group_name"] for group in groups],
            "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
            "is_hetero": False,
            "is_master": host == hosts[0],
            "is_modelparallel_enabled": None,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "job_name": self._environment.get("TRAINING_JOB_NAME"),
            "log_level": self._settings.get("sagemaker_container_log_level", logging.INFO),
            "master_hostname": hosts[0],
            "model_dir": "/opt/ml/model",
            "module_dir": self.submit_directory,
            "module_name": (self.program or "").removesuffix(".py"),
            "network_interface_name": self._resources["network_interface_name"],
            "num_cpus": self._cpus,
            "num_gpus": 0,
            "num_neurons": 0,
            "output_data_dir": "/opt/ml/output/data",
            "output_dir": "/opt/ml/output",
            "output_intermediate_dir": "/opt/ml/output/intermediate",
            "resource_config": self._resources,
            "topology": [],
            "user_entry_point": self.program,
        }


_ONLY_DESCRIBED = {
    "additional_framework_parameters", "channel_input_dirs", "distribution_hosts",
    "hyperparameters", "is_master", "is_modelparallel_enabled", "is_smddpmprun_installed",
    "is_smddprun_installed", "job_name", "master_hostname", "topology",
}  # fmt: skip
"""Stand in SM_TRAINING_ENV, but have no variable of their own or one by another name."""


def _decode(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _encode(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
