"""Requests to a stage's public API, as any caller makes them."""

from dataclasses import dataclass
from typing import Final

from deploy_endpoint.errors import UnreachableError

_OWN: Final = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    content_type: str


class WebClient:
    """Sends to one API, with its token unless another one, or None, is named."""

    def __init__(self, url: str, token: str | None) -> None:
        import urllib3  # noqa: PLC0415 - only the smoke test needs it

        self._url = url.rstrip("/")
        self._token = token
        # The API itself gives up after 30 seconds.
        self._pool = urllib3.PoolManager(timeout=35, retries=False)

    def get(self, path: str, token: object = _OWN) -> Answer:
        """Send a GET. Raises UnreachableError if nothing answers."""
        return self._send("GET", path, None, {}, token)

    def post(self, path: str, body: str, content_type: str, token: object = _OWN) -> Answer:
        """Send a POST. Raises UnreachableError if nothing answers."""
        return self._send("POST", path, body.encode(), {"Content-Type": content_type}, token)

    def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], token: object
    ) -> Answer:
        import urllib3  # noqa: PLC0415

        shown = self._token if token is _OWN else token
        if shown is not None:
            headers = {**headers, "Authorization": f"Bearer {shown}"}
        try:
            answer = self._pool.request(method, self._url + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(
                f"{method} {self._url}{path} was not answered: {error}"
            ) from error
        return Answer(answer.status, answer.data, answer.headers.get("Content-Type", ""))
