"""Clients of the systems under test: the core bank (Nexum) and the fraud detector (Bastion).

Over HTTP or inside this process, with the same replies either way.
"""

from __future__ import annotations

from banksim.sandbox.processes import SandboxFailed, SandboxProcess
from banksim.targets.auth import Login
from banksim.targets.bastion import BastionClient
from banksim.targets.calls import Call, Health, Observer, Reply, Request, Transport, ignore_call
from banksim.targets.connect import (
    BASTION_TOKEN,
    CA_FILE,
    NEXUM_PASSWORD,
    NEXUM_TOKEN,
    NEXUM_USERNAME,
    ClientSettings,
    Targets,
    http_targets,
    in_process_targets,
    probe,
)
from banksim.targets.http.connection import HttpTransport
from banksim.targets.in_process import InProcessTransport
from banksim.targets.nexum import AccountDirectory, Books, NexumClient, OpeningFailed
