"""`connections`: where the systems under test are, and how patient a client is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from banksim.scenario.fields import Block, KafkaServers, Number, Url


class Connections(Block):
    """Addresses and limits of the clients.  An empty address switches that system off."""

    nexum_url: Url = Field(
        default="http://localhost:8090", description="Address of the Nexum core-banking API; '' for none."
    )
    bastion_url: Url = Field(
        default="http://localhost:8080",
        description="Address of the Bastion fraud-detection API; '' for no scoring.",
    )
    kafka_bootstrap_servers: KafkaServers | None = Field(
        default="localhost:9092",
        description="Kafka brokers as host:port, several with commas; 'embedded' for a test broker inside "
        "this process; null for no events. Without an answer from a broker the run goes on without events.",
    )
    kafka_format: Literal["flat", "envelope"] = Field(
        default="flat",
        description="Form of our events: flat (fields at the top) or envelope (fields under data, as the "
        "core bank's own event bridge writes and reads them).",
    )
    timeout_seconds: Annotated[float, Number(above=0, high=600)] = Field(
        default=30.0, description="Longest wait for an answer, in wall-clock seconds."
    )
    max_retries: Annotated[int, Number(0, 20)] = Field(
        default=3, description="How often a call that failed is tried again."
    )
