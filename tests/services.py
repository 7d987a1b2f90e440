"""Real services for tests: an MLflow server and a PostgreSQL on this machine, which can be stopped and started again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from pathlib import Path

import sqlalchemy

PATIENCE_S = 300
"""A service that has not started after so many seconds never will, however loaded the machine is."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class MlflowServer:
    """`mlflow server` on loopback."""

    def __init__(self, store: str, artifacts: Path) -> None:
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        self._command += [
            "--port",
            str(self._port),
            "--backend-store-uri",
            store,
            "--artifacts-destination",
            str(artifacts),
        ]

    def start(self) -> "MlflowServer":
        """Returns once the server answers."""
        environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | environment,
        )
        deadline, said = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return self
            except OSError as error:
                said = repr(error)
                assert self._process.poll() is None, "the server did not start"
                time.sleep(0.2)
        raise AssertionError(f"the server did not start in time: {said}")

    def kill(self) -> None:
        """SIGKILL, to the server and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Postgres:
    """A PostgreSQL on a Unix socket. Its folder is not below pytest's, which only the present user may enter."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of the runtime folder that it falls back to
            from pgserver import postgres_server

        pg_ctl = postgres_server.pg_ctl  # waits itself; the library gives it ten seconds, too few on a loaded machine
        postgres_server.pg_ctl = lambda *arguments, timeout=None, **options: pg_ctl(*arguments, **options)
        os.environ["PGCTLTIMEOUT"] = str(PATIENCE_S)
        self._folder, self._get_server = Path(tempfile.mkdtemp()), postgres_server.get_server
        self.start()
        self._server.psql("ALTER SYSTEM SET fsync = off")  # it need not survive a power failure
        self._server.psql("SELECT pg_reload_conf()")
        self.create("trials")
        self.create("tracking")

    def create(self, database: str) -> None:
        self._server.psql(f"CREATE DATABASE {database}")

    def uri(self, database: str) -> str:
        return str(self._server.get_uri(database))

    def query(self, database: str, sql: str) -> str:
        """The single value that a query finds."""
        engine = sqlalchemy.create_engine(self.uri(database), poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return str(connection.execute(sqlalchemy.text(sql)).scalar())

    def stop(self) -> None:
        """At once: connections break."""
        self._server.cleanup()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        self._server = self._get_server(self._folder, cleanup_mode="stop")
