"""The authorizer: a rotated token works at once, and guessing costs no calls."""

import threading
import time

import pytest
from botocore.exceptions import ClientError
from conftest import TOKEN
from gateway_events import CONTEXT, event

from deploy_endpoint.api import authorizer
from deploy_endpoint.api.errors import TooSlowError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def allowed(token: str) -> bool:
    answered = authorizer.handler(event("GET", "/schema", authorization=f"Bearer {token}"), CONTEXT)
    assert answered.keys() == {"isAuthorized"}
    return bool(answered["isAuthorized"])


def test_a_rotated_token_works_at_once_and_the_old_one_ends(stage, monkeypatch, clock) -> None:
    monkeypatch.setattr(authorizer, "token", authorizer.Token(authorizer._fetch, clock))
    assert allowed(TOKEN)
    stage.rotate("another-token")
    try:
        clock.now = 30.0
        assert allowed(TOKEN), "kept for a minute"
        assert allowed("another-token")
        assert not allowed(TOKEN)
    finally:
        stage.rotate(TOKEN)
    clock.now = 100.0
    assert allowed(TOKEN)


def test_wrong_tokens_make_at_most_one_call_a_second(clock) -> None:
    reads = []
    token = authorizer.Token(lambda: reads.append(clock.now) or "right", clock)
    for tenth in range(100):
        clock.now = tenth / 10
        assert not token.matches("wrong")
    assert len(reads) <= 10


def test_an_empty_secret_opens_nothing(clock) -> None:
    token = authorizer.Token(lambda: "", clock)
    assert not token.matches("")
    assert not token.matches("a")


def test_without_the_secret_nobody_is_let_in(stage, monkeypatch) -> None:
    monkeypatch.setenv("TOKEN_SECRET_ARN", "gone")
    with pytest.raises(ClientError):
        allowed(TOKEN)


def test_a_secret_that_takes_too_long_lets_nobody_in_before_the_functions_time_out(
    stage, monkeypatch
) -> None:
    ended = threading.Event()
    slow = authorizer.Token(lambda: str(ended.wait(60)))
    monkeypatch.setattr(authorizer, "token", slow)
    monkeypatch.setattr(CONTEXT, "remaining", 2_100, raising=False)
    began = time.monotonic()
    try:
        with pytest.raises(TooSlowError):
            allowed(TOKEN)
        assert time.monotonic() - began < 30
    finally:
        ended.set()


def test_no_token_is_logged(stage, written) -> None:
    assert allowed(TOKEN)
    assert not allowed("guessed-token")
    text = written()
    assert "wrong token" in text
    assert TOKEN not in text
    assert "guessed-token" not in text
