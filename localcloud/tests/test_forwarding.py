"""Requests to endpoints through the gateway's own address, for clients that know no other."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hosting_fixtures import House, says

from localcloud.addresses import HOST
from localcloud.errors import ServiceError
from localcloud.forward import Busy, forward_to
from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
HANDLER = """
from werkzeug.wrappers import Response

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    if body in ("bad", b"bad"):
        return Response("row 3 is bad", status=400, content_type="text/plain")
    return body, content_type
"""


@pytest.fixture(scope="module")
def house(cloud: TestCloud) -> Iterator[House]:
    made = House(cloud)
    made.model("forwarded-echo", HANDLER)
    made.model("forwarded-other", says("other"))
    variants = [
        {
            "VariantName": name,
            "ModelName": f"forwarded-{name}",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }
        for name, weight in (("echo", 1.0), ("other", 0.0))
    ]
    made.sagemaker.create_endpoint_config(
        EndpointConfigName="forwarded", ProductionVariants=variants
    )
    made.endpoint("forwarded", "forwarded")
    yield made
    made.drop("forwarded")


def test_an_answer_comes_through_with_all_that_belongs_to_it(house: House) -> None:
    answer = house.patient.invoke_endpoint(
        EndpointName="forwarded",
        Body=b"1,2",
        ContentType="text/csv",
        Accept="text/csv",
        InferenceId="id-1",
        CustomAttributes="why=test",
    )
    assert answer["Body"].read() == b"1,2"
    assert answer["InvokedProductionVariant"] == "echo"
    assert answer["ContentType"].startswith("text/csv")
    aimed = house.patient.invoke_endpoint(
        EndpointName="forwarded", Body=b"1,2", ContentType="text/csv", TargetVariant="other"
    )
    assert (aimed["Body"].read(), aimed["InvokedProductionVariant"]) == (b"other", "other")


@pytest.mark.parametrize(
    ("request_", "code", "status"),
    [
        ({"Body": b"bad"}, "ModelError", 424),
        ({"Body": b"x" * (6 * 1024 * 1024 + 1)}, "413", 413),
        ({"Body": b"1", "TargetVariant": "nobody"}, "ValidationError", 400),
        ({"Body": b"1", "InferenceId": "x" * 65}, "ValidationError", 400),
        ({"Body": b"1", "EndpointName": "nowhere"}, "ValidationError", 400),
    ],
)
def test_a_refusal_is_the_same_at_both_addresses(
    house: House, request_: dict[str, Any], code: str, status: int
) -> None:
    told = []
    for client in (house.patient, house.runtime):
        with pytest.raises(ClientError) as refused:
            client.invoke_endpoint(
                **{"EndpointName": "forwarded", "ContentType": "text/csv", **request_}
            )
        response = refused.value.response
        assert response["Error"]["Code"] == code
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        told.append({key: response[key] for key in response if key != "ResponseMetadata"})
    assert told[0] == told[1]


def test_requests_that_wait_leave_the_gateway_room_for_other_calls() -> None:
    """Of too many at a time one is refused, with the address that carries more."""
    with socket.create_server((HOST, 0), backlog=64) as silent:
        application = forward_to(silent.getsockname()[1])

        def ask() -> list[bytes]:
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/endpoints/e/invocations",
                "wsgi.input": io.BytesIO(b"1"),
            }
            return list(application(environ, lambda *_: lambda _: None))

        def wait() -> None:
            with pytest.raises(ServiceError, match="does not answer"):
                ask()

        for _ in range(2):  # when all have ended there is room again
            waiting = [threading.Thread(target=wait) for _ in range(24)]
            for thread in waiting:
                thread.start()
            silent.settimeout(10)
            connections = [silent.accept()[0] for _ in waiting]
            with pytest.raises(Busy, match="24 requests to endpoints are under way") as refused:
                ask()
            assert refused.value.status == 503
            for each in connections:
                each.close()
            for thread in waiting:
                thread.join()
