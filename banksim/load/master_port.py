"""A master whose port is taken says so in one line.

Locust binds the port before anybody is asked, and what it raises ends in a traceback.  So
the call that binds is wrapped, and only that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from locust.env import Environment
from locust.exception import RPCError

from banksim.domain import ExitCode


def explain_taken_port() -> None:
    """Wrap the call; harmless when called again."""
    original = Environment.create_master_runner
    if not hasattr(original, "banksim_original"):
        Environment.create_master_runner = _explained(original)


def _explained(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def create(environment: Environment, master_bind_host: str = "*", master_bind_port: int = 5557) -> Any:
        try:
            return original(environment, master_bind_host, master_bind_port)
        except RPCError as error:
            host = "every address" if master_bind_host == "*" else master_bind_host
            print(
                f"The master cannot listen to its workers on port {master_bind_port} of {host}: {error}. "
                "Choose another port with --master-bind-port, and give it to the workers with --master-port.",
                file=sys.stderr,
            )
            raise SystemExit(int(ExitCode.ERROR)) from None

    create.banksim_original = original  # type: ignore[attr-defined]
    return create
