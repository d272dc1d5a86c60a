"""The one error that commands raise for what a person asked: a setting, a run directory, a preset."""


class RunError(ValueError):
    """A command cannot go on; the message says what was wrong, where, and what to do."""
