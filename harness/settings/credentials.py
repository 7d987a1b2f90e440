"""Credentials in URIs are blanked wherever a URI may be seen: messages, tables, records, reports."""

import re

SECRET_NAMES = r"[\w.-]*(?:pass|pwd|secret|token|key|credential)[\w.-]*"


def without_credentials(text: str) -> str:
    """The text with user and password of every URI in it blanked, and what its query calls a password or key.

    What follows `://` goes up to the last `@` of the line: a password may itself hold any character, `@` and `/` included.
    Only the address of a SQLite file has neither user nor password, and may have an `@` in the path.
    So may one in a query, which ends before `&`, `;`, a space, or a quote that ends the word.

    >>> without_credentials("cannot open postgresql://me:p@ss/word@db/runs?sslpassword=secret&x=1")
    'cannot open postgresql://***@db/runs?sslpassword=***&x=1'
    >>> without_credentials("cannot open 'sqlite:///runs.db?password=it's secret', nor 'db://host?token=it's'.")
    "cannot open 'sqlite:///runs.db?password=*** secret', nor 'db://host?token=***'."
    """
    text = re.sub(r"(?<!sqlite)://.*@", "://***@", text)
    return re.sub(
        rf"([?&;]{SECRET_NAMES}=)[^&;\s]+?(?=(['\"][^\w&;\s]*)?([&;\s]|$))", r"\1***", text, flags=re.IGNORECASE
    )


def holds_password(text: str) -> bool:
    """Whether the text has a URI with a password in it.

    >>> holds_password("postgresql://me:secret@db/runs"), holds_password("see https://example.org/@me")
    (True, False)
    """
    return re.search(r"://[^/?#\s]*:.*@", text) is not None or re.search(
        rf"://\S*[?&;]{SECRET_NAMES}=", text, flags=re.IGNORECASE
    ) is not None  # fmt: skip


def ambiguous(uri: str) -> bool:
    """Whether a URI has several `@` before its query: what stands between them would be taken for a host, and shown.

    >>> ambiguous("postgresql://me:p@ss@db/runs"), ambiguous("postgresql://me:p%40ss@db/runs?options=a@b")
    (True, False)
    """
    return uri.partition("://")[2].partition("?")[0].count("@") > 1
