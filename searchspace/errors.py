"""The one error this package raises for what a person wrote: a genotype, a space file, a choice's parameters."""


class SpaceError(ValueError):
    """Error about a genotype or a space that breaks a rule; the message says which, where, and what is allowed."""
