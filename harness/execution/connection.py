"""The connection to a Ray cluster: how it is made, and whether there is still somebody at its other end."""

import atexit
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import ray

from harness.settings import InvalidStudy, Problem
from harness.settings.patience import Stopped

T = TypeVar("T")

REACHED_IN_S = 5
"""How long an address may take to answer."""

ASKED_EVERY_S = 5.0
"""How often to ask whether the cluster is there."""

LOST_AFTER_S = 30.0
"""Seconds without an answer of the cluster's head after which it is lost: hosts train on for a minute without it."""


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
        self._asked_s = time.monotonic()

    def ask(self, request: Callable[[], T]) -> T:
        """The cluster's answer to a request, for which Ray itself would wait however long.

        Raises:
            Stopped: there is none in half a minute; the request waits on, in a thread of its own.
        """
        answer: Future[T] = Future()

        def wait() -> None:
            try:
                answer.set_result(request())
            except BaseException as error:
                answer.set_exception(error)

        Thread(target=wait, daemon=True).start()
        try:
            return answer.result(LOST_AFTER_S)
        except TimeoutError:
            raise Stopped(f"the cluster is lost: {self.address} does not answer") from None

    def check(self) -> None:
        """Look now and then whether the cluster is there.

        Raises:
            Stopped: it does not answer.
        """
        if time.monotonic() - self._asked_s >= ASKED_EVERY_S:
            self.hosts()
            self._asked_s = time.monotonic()

    def hosts(self) -> list[dict[str, float]]:
        """What each host of the cluster has: `CPU` and `GPU`, in numbers.

        Raises:
            Stopped: the cluster does not answer.
        """
        return [host["Resources"] for host in self.ask(ray.nodes) if host["Alive"]]

    def end(self) -> None:
        """End it, and with it all that was asked of the cluster; one that does not answer is not waited for."""
        atexit.unregister(ray.shutdown)
        with suppress(Stopped):
            self.ask(ray.shutdown)


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
