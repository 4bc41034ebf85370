"""Clients of the systems under test: the core bank (Nexum) and the fraud detector (Bastion).

Over HTTP or inside this process, with the same replies either way.
"""

from banksim.systems.bank_line import Books
from banksim.systems.bastion import BastionClient
from banksim.systems.calls import Call, Observer, ignore_call
from banksim.systems.directory import AccountDirectory
from banksim.systems.health import Health
from banksim.systems.http_transport import HttpTransport
from banksim.systems.inprocess_transport import InProcessTransport
from banksim.systems.lean_transport import LeanTransport
from banksim.systems.login import Login
from banksim.systems.nexum import NexumClient, OpeningFailed
from banksim.systems.nexum_banking import NexumBanking, RequestFailed
from banksim.systems.sandbox_process import SandboxFailed, SandboxProcess
from banksim.systems.targets import (
    BASTION_TOKEN,
    CA_FILE,
    HTTP_CLIENT,
    NEXUM_PASSWORD,
    NEXUM_TOKEN,
    NEXUM_USERNAME,
    ClientSettings,
    Targets,
    http_targets,
    in_process_targets,
    probe,
)
from banksim.systems.transport import Reply, Transport

__all__ = [
    "BASTION_TOKEN",
    "CA_FILE",
    "HTTP_CLIENT",
    "NEXUM_PASSWORD",
    "NEXUM_TOKEN",
    "NEXUM_USERNAME",
    "AccountDirectory",
    "BastionClient",
    "Books",
    "Call",
    "ClientSettings",
    "Health",
    "HttpTransport",
    "InProcessTransport",
    "LeanTransport",
    "Login",
    "NexumBanking",
    "NexumClient",
    "Observer",
    "OpeningFailed",
    "Reply",
    "RequestFailed",
    "SandboxFailed",
    "SandboxProcess",
    "Targets",
    "Transport",
    "http_targets",
    "ignore_call",
    "in_process_targets",
    "probe",
]
