"""`duration`, `about`: seconds in words."""


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(5), duration(130), duration(7300)
    ('5 s', '2 min 10 s', '2 h 1 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


def about(seconds: float) -> str:
    """Seconds that are not known exactly, in words.

    >>> about(0.2), about(130)
    ('less than a second', 'about 2 min 10 s')
    """
    return f"about {duration(seconds)}" if seconds >= 1 else "less than a second"
