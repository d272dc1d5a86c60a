"""The one error this package raises for what a person provided: a data set, encoder weights, a checkpoint."""


class DataError(ValueError):
    """Data or weights are missing or wrong; the message says what, where it was, and what to do."""
