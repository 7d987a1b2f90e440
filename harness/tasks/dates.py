"""What is written as a date or a time: texts for sure, numbers perhaps."""

import numpy as np
import pandas as pd

from harness.tasks.numerals import Numbers

_NAMES = (
    "january february march april may june july august september october november december jan feb mar apr jun jul aug sept? oct nov dec "
    "januar februar märz mai juni juli oktober dezember mär okt dez "
    "janvier février mars avril juin juillet août septembre octobre novembre décembre janv févr avr juil déc "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre ene abr ago dic "
    "gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre"
)  # fmt: skip
"""Months; not the short Italian ones, since "set 3" and "gen 2" are no dates."""
_MONTH = rf"(?i:{'|'.join(_NAMES.split())})\.?"
_WEEKDAYS = (
    "(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)? montag dienstag mittwoch donnerstag freitag samstag sonntag "
    "lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miércoles jueves viernes sábado domingo "
    "lunedì martedì mercoledì giovedì venerdì sabato domenica"
)
_BEFORE = rf"(?:(?i:the|am|le|el|il) +)?(?:(?i:{'|'.join(_WEEKDAYS.split())})\.?,? +)?"
_YEAR, _IN_YEAR = "(?:1[5-9]|20|21)[0-9]{2}", "(?:0?[1-9]|1[0-2])"
_CLOCK = "[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
_NTH, _OF = "[0-9]{1,2}(?i:st|nd|rd|th|er|º|°)?", " +(?i:of|del?) +"
_DAY = (
    rf"{_NTH}(?:[-/. ]*|{_OF}){_MONTH}(?:[-/., ]*|{_OF})(?:[0-9]{{4}}|[0-9]{{2}})",
    rf"{_MONTH}[-/. ]*{_NTH},? +(?:{_CLOCK}.* +)?[0-9]{{4}}",
    rf"[0-9]{{4}}[-/. ]{_MONTH}[-/. ][0-9]{{1,2}}",
    r"[0-9]{4}[-/.] ?[0-9]{1,2}[-/.] ?[0-9]{1,2}\.?",
    r"[0-9]{1,2}[-/.] ?[0-9]{1,2}[-/.] ?(?:[0-9]{4}|[0-9]{2})",
    rf"{_YEAR} [01][0-9] [0-3][0-9]|[0-3][0-9] [0-3][0-9] {_YEAR}",
)
"""Days of a year, after which a time may follow."""

_OF_NO_YEAR = rf"{_NTH}(?:[-. ]+|{_OF}){_MONTH}|{_MONTH}[-. ,]*{_NTH}"
"""Days of any year."""

_OTHERS = (
    rf"{_CLOCK}(?: ?(?i:[ap]\.?m\.?))?(?: ?(?:Z|UTC|GMT|[+-][0-9]{{2}}:?[0-9]{{2}}))?",
    "[0-9]{1,2} ?h ?[0-5][0-9](?: ?m(?:in)?)?(?: ?[0-9]{1,2} ?s)?",
    rf"{_YEAR}[-/]{_IN_YEAR}|{_IN_YEAR}[-/]{_YEAR}",
    rf"{_YEAR}[- ]?W[0-9]{{1,2}}(?:-?[1-7])?",
    rf"{_YEAR}[-/ ]?[QHqh][1-4]|[QHqh][1-4][-/ ]*{_YEAR}",
    rf"{_YEAR}[- ]?M(?:0[1-9]|1[0-2])",
    rf"{_MONTH}(?:[-. ,]*|{_OF})(?:{_YEAR}|'?[0-9]{{1,2}})|{_YEAR}[-. ]*{_MONTH}",
    rf"{_YEAR}[0-9]{{4}}[T_ -][0-9]{{4,6}}.*",
    f"{_YEAR} ?[年년].*",
)
"""Times of a day, and what is longer."""

DATE = rf"{_BEFORE}(?:(?:{'|'.join(_DAY)})(?:(?:[T ,Z+]|:{_CLOCK}).*)?|{_OF_NO_YEAR})|{'|'.join(_OTHERS)}"
"""Pattern of a text that is a date or a time and nothing else, whatever the order of day and month."""

WITH_POINT = rf"{_YEAR}\.(?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])\.{_YEAR}"
"""Pattern of a number that may be a month of a year."""

UNITS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
"""In which times are counted from 1970 on, and how many are a second."""

CALENDAR = {6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""By the number of digits, how whole numbers are written that are dates."""

YEARS = (1900, 2100)
"""From which to which dates are looked for in numbers."""


def like_dates(numbers: Numbers) -> str:
    """As which dates all numbers, float64 (n,), NaN where missing, may be meant, in words; "" if one cannot, or all are the same.

    >>> like_dates(np.array([20210723.0, 20211231.0])), like_dates(np.array([20210723.0, 20219999.0]))
    ('dates written in 8 digits', '')
    """
    known = np.unique(numbers[np.isfinite(numbers)])
    if len(known) < 2:
        return ""
    for unit, a_second in UNITS.items():
        if known[0] >= 1e9 * a_second and known[-1] <= 2.5e9 * a_second:  # from 2001 to 2049
            return f"times in {unit} since 1970"
    texts = pd.Series(known).map("{:.15g}".format)
    digits = len(texts[0])
    if digits not in CALENDAR or (known % 1).any():
        return ""
    dates = pd.to_datetime(texts, format=CALENDAR[digits], errors="coerce", exact=True).dt.year
    return f"dates written in {digits} digits" if dates.between(*YEARS).all() else ""
