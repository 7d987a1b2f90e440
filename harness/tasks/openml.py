"""Data sets of openml.org: downloaded once, kept and checked by scikit-learn."""

import warnings
from typing import Any

from harness.tasks.pooled import unusable


def download(name: str, *, instead: str, **settings: Any) -> Any:
    """A data set of openml.org, as scikit-learn's `fetch_openml` gives it.

    It is kept in scikit-learn's data folder (`SCIKIT_LEARN_DATA`, else `~/scikit_learn_data`). Whenever it is loaded, it is
    checked against the MD5 sum that openml.org states; a damaged copy is removed and downloaded again.

    Args:
        name: of the data set, whose version 1 is taken, or its number.
        instead: what to use without a network.
        **settings: for `fetch_openml`; its default parser fails with pandas 3.1 on categories that are whole numbers, such
            as the classes of MNIST (scikit-learn issue 34892).

    Raises:
        InvalidStudy: it cannot be had; the problem's path is `source`.
    """
    # Imported here: scikit-learn takes a second.
    from sklearn.datasets import fetch_openml  # type: ignore[import-untyped,unused-ignore]

    which = {"data_id": int(name)} if name.isascii() and name.isdigit() else {"name": name, "version": 1}
    with warnings.catch_warnings(record=True) as said:  # "retrying", "Invalid cache": the problem below says it
        warnings.simplefilter("always")
        try:
            return fetch_openml(**which, n_retries=1, delay=0.1, **settings)
        except Exception as error:  # of many kinds: network, proxy, disk, damage, an unknown name, a missing parser
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
    damaged = any("Invalid cache" in str(warning.message) for warning in said)
    removed = "; the copy that was kept is damaged and has been removed" if damaged else ""
    message = f"openml.org did not give {name!r}{removed}; without a network use {instead}"
    raise unusable("source", message, reason)
