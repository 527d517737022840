"""The errors that handlers raise or meet."""


class ClientError(Exception):
    """An error of the user's code, not of the framework."""


class UnsupportedFormatError(Exception):
    """A content type that the framework's own functions do not know."""

    def __init__(self, content_type: str) -> None:
        self.message = (
            f"Content type {content_type} is not supported by this framework. Implement input_fn "
            "to read the request or output_fn to write the response."
        )
        super().__init__(self.message)
