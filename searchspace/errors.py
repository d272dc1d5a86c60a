"""The one error this package raises for what a person wrote: a genotype, a space file, a choice's parameters."""


class SpaceError(ValueError):
    """A genotype or a space breaks a rule; the message says which, where, and what is allowed."""
