"""Give back what came: what a request costs beside its handler."""


def model_fn(model_dir: str) -> None:
    """There is nothing to load."""


def transform_fn(
    model: None,  # noqa: ARG001 - the toolkit passes it
    body: str | bytes,
    content_type: str,
    accept: str,  # noqa: ARG001 - the toolkit passes it
) -> tuple[str | bytes, str]:
    """Answer with the request's body and type."""
    return body, content_type
