"""A function's own end before Lambda's: the caller gets an answer in words, whatever is slow.

What is slow may be a call of AWS that hangs, a body that trickles, a name that is not resolved, or
several of them one after the other: no sum of time-outs is sure to be less than the function's.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final, TypeVar

from .errors import TooSlowError

# For the answer itself; and API Gateway's 30 seconds run while a new function starts, too.
SPARE_SECONDS: Final = 2.0

T = TypeVar("T")


def before(context: Any, work: Callable[[], T]) -> T:
    """Give what ``work`` gives, or raise what it raises.

    Raises TooSlowError two seconds before the function's time-out. Nobody waits for the work then;
    the time-outs of its calls end it.
    """
    pending: Future[T] = Future()

    def run() -> None:
        try:
            pending.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            pending.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    left = context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    wait((pending,), timeout=max(0.0, left))
    if not pending.done():
        raise TooSlowError("There was no answer in time; try again.")
    return pending.result()
