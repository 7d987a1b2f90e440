"""A part of a user's own that does not do what the engine asks of it."""


class Misfit(TypeError):
    """What a clipping rule or an optimizer gives is not what it must be; the text says what, and of which class."""
