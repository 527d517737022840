"""The operations under way, each in a thread of its own."""

from __future__ import annotations

import threading

from localcloud.addresses import Address
from localcloud.cloudformation.records import StackRecords
from localcloud.cloudformation.resources.services import Services
from localcloud.cloudformation.run import Run
from localcloud.protocol import Caller, Document


class Operations:
    """Begins operations on stacks, cancels them, and resumes what a kill interrupted."""

    def __init__(self, records: StackRecords, address: Address) -> None:
        self._records = records
        self._stopping = threading.Event()
        self._services = Services(address, self._stopping)
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def begin(self, caller: Caller, stack: Document, *, resumed: bool = False) -> None:
        """Carry on with a stack that has been brought into a status IN_PROGRESS."""
        run = Run(self._records, self._services, caller, stack)
        stack_id = stack["StackId"]

        def work() -> None:
            try:
                run.run(resumed=resumed)
            finally:
                with self._lock:
                    if self._runs.get(stack_id) is run:
                        del self._runs[stack_id]

        with self._lock:
            self._runs[stack_id] = run
        threading.Thread(target=work, name=f"stack {stack['StackName']}", daemon=True).start()

    def cancel(self, stack_id: str) -> None:
        """Let the operation on a stack fail."""
        with self._lock:
            run = self._runs.get(stack_id)
        if run is not None:
            run.cancel()

    def resume(self) -> None:
        """Go on with every stack that an earlier process left in the middle of something."""
        for caller, stack in self._records.everywhere():
            status = stack["StackStatus"]
            if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
                self.begin(caller, stack, resumed=True)

    def close(self) -> None:
        """Stop where everything stands; the next start goes on."""
        self._stopping.set()
