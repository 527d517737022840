"""Pack the fitted featurizer and its serving code as model.tar.gz, the same bytes every time."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Final

import joblib
from sklearn.preprocessing import FunctionTransformer

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.inference.featurizer import fitted

_PACKAGE: Final = Path(schema.__file__).parent
_REPOSITORY: Final = _PACKAGE.parent.parent
_HANDLER: Final = _PACKAGE / "inference" / "featurizer" / "inference.py"
# What the handler imports, under the same path as in the repository.
_LIBRARY: Final = (
    _PACKAGE.parent / "__init__.py",
    _PACKAGE / "__init__.py",
    _PACKAGE / "features.py",
    _PACKAGE / "inference" / "__init__.py",
    _PACKAGE / "inference" / "matrix.py",
    _PACKAGE / "inference" / "payload.py",
    _HANDLER.with_name("__init__.py"),
    _HANDLER.with_name("fitted.py"),
    _HANDLER.with_name("rows.py"),
    _PACKAGE / "schema.py",
)


def pack(transformer: FunctionTransformer) -> bytes:
    """Give the archive: the transformer at the root, ``code/inference.py`` and what it imports."""
    saved = io.BytesIO()
    joblib.dump(transformer, saved)
    members = {fitted.FILE_NAME: saved.getvalue(), "code/inference.py": _HANDLER.read_bytes()}
    for path in _LIBRARY:
        members[f"code/{path.relative_to(_REPOSITORY).as_posix()}"] = path.read_bytes()
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(members.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
