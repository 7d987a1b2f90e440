"""`duration`: seconds in words."""


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(0.2), duration(5), duration(130), duration(7300)
    ('less than a second', '5 s', '2 min 10 s', '2 h 1 min')
    """
    s = round(seconds)
    if not s:
        return "less than a second"
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"
