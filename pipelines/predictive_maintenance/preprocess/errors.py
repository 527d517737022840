"""What stops the preprocessing job with a sentence instead of a stack trace."""


class PreprocessError(ValueError):
    """The job cannot do its work; the message says what to change."""


class ArgumentError(PreprocessError):
    """An argument is outside what it may be."""


class DataError(PreprocessError):
    """The raw data breaks the contract."""
