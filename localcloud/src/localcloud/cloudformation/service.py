"""CloudFormation as the front door knows it: one service of several parts."""

from __future__ import annotations

from localcloud.addresses import Address
from localcloud.cloudformation.change_set_records import ChangeSetRecords
from localcloud.cloudformation.change_sets import ChangeSets
from localcloud.cloudformation.descriptions import Descriptions
from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.operations import Operations
from localcloud.cloudformation.records import StackRecords
from localcloud.cloudformation.stacks import Stacks
from localcloud.cloudformation.submissions import Submissions
from localcloud.protocol import Operation, Service
from localcloud.s3.objects import ObjectStore
from localcloud.store import Store


class CloudFormation:
    """Stacks whose resources are made by calls to the other services at `address`."""

    def __init__(self, store: Store, objects: ObjectStore, address: Address) -> None:
        records = StackRecords(store)
        change_sets = ChangeSetRecords(records)
        submissions = Submissions(records, objects)
        self._operations = Operations(records, address)
        stacks = Stacks(records, submissions, self._operations)
        operations: dict[str, Operation] = {}
        parts = (
            stacks,
            ChangeSets(records, change_sets, submissions, stacks, self._operations),
            Descriptions(records, change_sets, submissions),
        )
        for part in parts:
            operations |= part.operations()
        self.service = Service(
            "cloudformation",
            operations,
            ValidationError,
            # The model's statuses of events lack those that only stacks have.
            beyond=frozenset({"DescribeStackEvents"}),
        )

    def start(self) -> None:
        """Go on with what an earlier process left in the middle, once the services answer."""
        self._operations.resume()

    def close(self) -> None:
        """Stop where everything stands."""
        self._operations.close()
