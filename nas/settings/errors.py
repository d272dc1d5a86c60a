"""The errors of commands: of what a person asked (a setting, a run directory, a preset), and of arithmetic."""


class RunError(ValueError):
    """A command cannot go on; the message says what was wrong, where, and what to do."""


class NonFiniteError(ArithmeticError):
    """A loss, a gradient or a logit became infinite or NaN; nothing was made of it, no step and no score."""


def require(condition: bool, rule: str, value: object) -> None:
    """Raise RunError with the rule and what was given, unless the rule holds."""
    if not condition:
        raise RunError(f"{rule}, but got {value!r}")
