"""Both handlers of an endpoint in one process, without HTTP: the least that a request can cost.

Run by an image's own Python: `floor.py FOLDER`. FOLDER/SIDE/{featurizer,classifier} are unpacked
model archives, FOLDER/payloads.json has a list of csv bodies by their number of rows. Orders come
as JSON lines {"side", "rows", "seconds"}; each is answered by a line {"featurizer", "classifier":
seconds a request, "answers": the classifier's, one for each body}.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_CSV: Final = "text/csv"
_NAMES: Final = ("featurizer", "classifier")
Function = Callable[[Any, str], tuple[Any, str]]


def load(folder: Path) -> Function:
    """The handler of an archive, as a function of a body and its content type."""
    code = str(folder / "code")
    sys.path.insert(0, code)
    # The archives hold modules of the same names.
    for name in [
        each for each in sys.modules if each.partition(".")[0] in {"inference", "pipelines"}
    ]:
        del sys.modules[name]
    importlib.invalidate_caches()
    module = importlib.import_module("inference")
    sys.path.remove(code)
    model = module.model_fn(str(folder))
    if hasattr(module, "transform_fn"):
        transform = module.transform_fn
        return lambda body, content_type: transform(model, body, content_type, _CSV)
    read, predict, write = module.input_fn, module.predict_fn, module.output_fn
    return lambda body, content_type: write(predict(read(body, content_type), model), _CSV)


def measure(chain: list[Function], bodies: list[str], seconds: float) -> dict[str, Any]:
    """Answer the bodies in turn, each at least once, for so long."""
    featurize, classify = chain
    clock = time.perf_counter
    first = second = 0.0
    answers = []
    end = clock() + seconds
    count = 0
    while count < len(bodies) or clock() < end:
        body = bodies[count % len(bodies)]
        began = clock()
        features, content_type = featurize(body, _CSV)
        middle = clock()
        answer, _ = classify(features, content_type)
        ended = clock()
        first += middle - began
        second += ended - middle
        if count < len(bodies):
            answers.append(answer)
        count += 1
    return {"featurizer": first / count, "classifier": second / count, "answers": answers}


def main(folder: Path) -> None:
    """Obey until there are no more orders."""
    payloads = json.loads((folder / "payloads.json").read_text())
    chains: dict[str, list[Function]] = {}
    for line in sys.stdin:
        order = json.loads(line)
        side = order["side"]
        if side not in chains:
            chains[side] = [load(folder / side / name) for name in _NAMES]
        found = measure(chains[side], payloads[str(order["rows"])], order["seconds"])
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
