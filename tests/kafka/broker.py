"""Run a command with a real Apache Kafka broker beside it: ``python -m tests.kafka.broker make test``.

Needs Java 17 and Maven, nothing else: the server's jars come from Maven (pom.xml beside this
file), once.  One node in KRaft mode on free ports of this machine, its data in a temporary
folder.  The command finds the broker's address in BANKSIM_TEST_KAFKA, and in
BANKSIM_TEST_KAFKA_SECURE the one with TLS and a login, with the file of its authority behind
it.  The exit code is the command's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
JARS = HERE / "target" / "jars"
READY_TIMEOUT_S = 60.0
CLUSTER_ID = "banksimtestsAAAAAAAAAA"
USER, PASSWORD = "banksim", "a-secret-of-the-tests"
CA_NAME = "ca.pem"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \\
  required user_{user}="{password}";
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={folder}/keystore.pem
log.dirs={folder}/data
num.partitions=3
auto.create.topics.enable=true
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


def fetch() -> None:
    """Download the server's jars unless they are there."""
    done = JARS / "complete"
    if not done.exists():
        target = f"-DoutputDirectory={JARS}"
        subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", target], cwd=HERE, check=True)
        done.touch()


def start(folder: Path, port: int, properties: str = "", secure: int = 0) -> subprocess.Popen[bytes]:
    """A broker on ``port``, that accepts connections when this returns.  Raises RuntimeError otherwise.

    It also has TLS and a login, on the port ``secure`` (0: any).  ``properties`` replaces our own settings.
    """
    make_certificate(folder)
    settings = folder / "server.properties"
    ports = {"port": port, "secure": secure or free_port(), "controller": free_port()}
    ours = PROPERTIES.format(**ports, folder=folder, user=USER, password=PASSWORD)
    settings.write_text(properties or ours)
    java = ["java", "-Xmx512m", "-cp", f"{JARS}/*"]
    storage = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
    subprocess.run([*java, *storage], check=True, stdout=subprocess.DEVNULL)
    with (folder / "broker.log").open("wb") as log:
        broker = subprocess.Popen([*java, "kafka.Kafka", str(settings)], stdout=log, stderr=log)
    until_s = time.monotonic() + READY_TIMEOUT_S
    while broker.poll() is None and time.monotonic() < until_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return broker
        time.sleep(0.1)
    broker.kill()
    broker.wait()
    raise RuntimeError(f"Kafka did not start:\n{(folder / 'broker.log').read_text()[-3000:]}")


def make_certificate(folder: Path) -> None:
    """A certificate for this machine alone: ca.pem for clients, keystore.pem for the broker."""
    cert, key = folder / CA_NAME, folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "keystore.pem").write_text(key.read_text() + cert.read_text())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(command: list[str]) -> int:
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    fetch()
    with tempfile.TemporaryDirectory(prefix="banksim-kafka-") as folder:
        port, secure = free_port(), free_port()
        broker = start(Path(folder), port, secure=secure)
        try:
            environment = {
                **os.environ,
                "BANKSIM_TEST_KAFKA": f"127.0.0.1:{port}",
                "BANKSIM_TEST_KAFKA_SECURE": f"127.0.0.1:{secure} {Path(folder) / CA_NAME}",
            }
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            broker.kill()
            broker.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
