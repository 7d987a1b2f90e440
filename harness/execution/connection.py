"""The connection to a Ray cluster: how it is made, and whether there is still somebody at its other end."""

import logging
import os
import socket
import time
from typing import Any

import ray

from harness.settings import InvalidStudy, Problem
from harness.settings.patience import Stopped

REACHED_IN_S = 5
"""How long an address may take to answer."""

ASKED_EVERY_S = 5.0
"""How often to ask whether the cluster is there."""

MISSES = 6
"""So many times in a row nobody answers before the cluster is lost: hosts train on for a minute without its head."""


class Connection:
    """Connects this process to a Ray cluster, until the process ends or `ray.shutdown` is called.

    Args:
        address: `auto` (the cluster that this host is part of, or `RAY_ADDRESS`), `host:port`, `ray://host:port`, or
            `local` for one that is started on this host and ends with the thread that connects to it.
        folder: what every process of the cluster shall find in its working directory.

    Raises:
        InvalidStudy: there is no such cluster, or it refuses.
    """

    def __init__(self, address: str, folder: str) -> None:
        settings: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        if address not in ("auto", "local"):
            place = _host_and_port(address)
            try:
                socket.create_connection(place, REACHED_IN_S).close()
            except OSError as error:
                raise _unreachable(address, error) from None
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "300")  # then Ray itself ends this process
        if address != "local":  # else Ray waits for minutes
            os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
            os.environ.setdefault("RAY_py_gcs_connect_timeout_s", str(REACHED_IN_S))
        environment = {"working_dir": folder}
        try:
            ray.init(address, runtime_env=environment, logging_level=logging.ERROR, log_to_driver=False, **settings)
        except Exception as error:
            if address == "auto" and "any running Ray" in str(error):
                message = "there is no cluster here; start one with `ray start --head`, or give host:port"
                raise InvalidStudy([Problem("--ray", message, address)]) from None
            raise _unreachable(address, error, "; if the cluster asks for a token, set RAY_AUTH_MODE=token") from None
        self.address = address if address.startswith(CLIENT) else ray.get_runtime_context().gcs_address
        self._asked_s, self._missed = time.monotonic(), 0

    def check(self) -> None:
        """Look now and then whether the cluster is there.

        Raises:
            Stopped: nobody has answered for half a minute.
        """
        if time.monotonic() - self._asked_s < ASKED_EVERY_S:
            return
        self._asked_s = time.monotonic()
        self._missed = 0 if self.there() else self._missed + 1
        if self._missed >= MISSES:
            raise Stopped(f"the cluster is lost: {self.address} does not answer")

    def there(self) -> bool:
        """Whether somebody answers now."""
        try:
            socket.create_connection(_host_and_port(self.address), REACHED_IN_S).close()
        except OSError:
            return False
        return True


def hosts() -> list[dict[str, float]]:
    """What each host of the cluster has: `CPU` and `GPU`, in numbers."""
    return [host["Resources"] for host in ray.nodes() if host["Alive"]]  # type: ignore[no-untyped-call]


CLIENT = "ray://"


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not (colon and port.isdigit()):
        raise InvalidStudy([Problem("--ray", "needs auto, local, host:port or ray://host:port", address)])
    return host.strip("[]"), int(port)


def _unreachable(address: str, error: Exception, hint: str = "") -> InvalidStudy:
    return InvalidStudy([Problem("--ray", f"cannot connect: {_said(error)}{hint}", address)])


def _said(error: Exception) -> str:
    """The first line of what an error says."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0]
