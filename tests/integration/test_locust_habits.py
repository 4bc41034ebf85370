"""What users of Locust bring along: classes, shapes and options of their own, beside banksim's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.commands import ROOT, TIMEOUT_S, environment, results_in

SCENARIO = """\
name: Five seconds
duration_hours: {hours}
speed_multiplier: 60
start_at: 2026-01-05 10:00:00
customers: 20
transaction_rate: {{peak_tps: 20, off_peak_tps: 20, business_hours: [0, 24]}}
fraud: {{rate: 0.05}}
"""
#: Of a file that has banksim's cast, and more.
OURS = """\
import sys
sys.path.insert(0, {root!r})
from locust import HttpUser, User, TaskSet, task, tag, constant, LoadTestShape
from banksim.load import AcceleratedClockShape, CampaignUser, PersonaUser
from locustfiles.banking import *
from locustfiles.banking import BankCustomer
"""


class Bench:
    """A folder with a locustfile and a scenario of five wall seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports = folder / "reports"
        (folder / "s.yaml").write_text(SCENARIO.format(hours=5 / 60))

    def command(self, code: str, *arguments: str) -> list[str]:
        (self.folder / "file.py").write_text(OURS.format(root=str(ROOT)) + code)
        own = ("--scenario", "s.yaml", "--dry-run", "--headless")
        return [sys.executable, "-m", "locust", "-f", "file.py", *own, *arguments]

    def run(self, code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(code, *arguments),
            cwd=self.folder,
            env=environment(**env),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


NO_SHAPE = "del BankDay, AcceleratedClockShape\n"


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        pytest.param(NO_SHAPE, (), "no load shape", id="no shape"),
        pytest.param(
            NO_SHAPE + "class Steps(LoadTestShape):\n    def tick(self): return (5, 5)\n",
            (),
            "Steps is none of ours",
            id="another shape",
        ),
        pytest.param(
            "class Vip(BankCustomer): abstract = False\n", (), "class Vip has no persona", id="no persona"
        ),
        pytest.param(
            "class Idle(PersonaUser): persona = 'vip'\n", (), "class Idle has no task", id="no task"
        ),
        pytest.param("", ("--tags", "purchase"), "be left without bill_payment", id="tags"),
        pytest.param(
            "class Mine(BankCustomer):\n    persona = 'student'\n"
            "    @tag('slow')\n    @task\n    def purchase(self): pass\n",
            ("--exclude-tags", "slow"),
            "Mine would be left without purchase",
            id="exclude tags",
        ),
        pytest.param("", ("-H", "http://my-bank"), "--nexum-url", id="host"),
        pytest.param(
            "",
            ("--config-users", '{"user_class_name": "Student", "weight": 5}'),
            "--config-users: Student",
            id="config users",
        ),
        pytest.param(
            "class Web(User):\n    @task\n    def t(self): pass\n",
            ("Web",),
            "None of the user classes",
            id="nobody",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    bench: Bench, code: str, arguments: tuple[str, ...], said: str
) -> None:
    done = bench.run(code, *arguments)
    assert done.returncode == 2, done.stderr[-2000:]
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not bench.reports.exists()


OVERRIDES = """\
class Salaried(BankCustomer):
    persona = "salaried"
    def __init__(self, environment):
        super().__init__(environment)
        self.mine = 0
    def on_start(self):
        self.mine = 1
    @task
    def purchase(self):
        print("MINE", self.mine)
        self.carry_out()
    def withdrawal(self):
        print("UNDECORATED")
        self.carry_out()

class Student(BankCustomer):
    persona = "student"
    @task
    def purchase(self):
        raise ValueError("a mistake of mine")

class Family(BankCustomer):
    persona = "family"
    @task
    def purchase(self):
        self.carry_out()
        self.carry_out()

class Retiree(BankCustomer):
    persona = "retiree"
    @task
    class purchase(TaskSet):
        @task
        def once(self):
            print("NESTED")
            self.user.carry_out()

class SmallBusiness(BankCustomer):
    persona = "small_business"
    weight = 50
    @task
    def purchase(self):
        pass
"""


def test_users_classes_of_ones_own_are_called_and_nothing_is_uncounted(bench: Bench) -> None:
    scenario = bench.folder / "s.yaml"  # five seconds at the others' rate often have no withdrawal
    scenario.write_text(scenario.read_text().replace("_tps: 20", "_tps: 100") + "seed: 3\n")
    done = bench.run(OVERRIDES, "--exit-code-on-error", "0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "MINE 1" in done.stdout
    assert "UNDECORATED" in done.stdout
    assert "NESTED" in done.stdout
    counts = results_in(bench.reports)["transactions"]
    assert counts["offered"] == counts["sent"] + counts["dropped"]
    assert counts["drop_reasons"]["Student did not carry it out"]
    assert counts["drop_reasons"]["SmallBusiness did not carry it out"]
    assert set(counts["drop_reasons"]) <= {
        "Student did not carry it out",
        "SmallBusiness did not carry it out",
    }
    # One traceback per arrival at most, and one line for what is said once.
    assert done.stderr.count("Traceback") <= counts["drop_reasons"]["Student did not carry it out"]
    assert done.stderr.count("calls carry_out() again") <= 2


BESIDE = """\
class Web(HttpUser):
    host = "http://127.0.0.1:9"
    weight = 50
    wait_time = constant(0.5)
    @task
    def page(self):
        self.client.get("/nobody")

class Busy(User):
    fixed_count = 2
    wait_time = constant(0.5)
    @task
    def think(self):
        print("BUSY")
"""


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--exit-code-on-error", "7"), 7)])
def test_users_beside_ours_take_no_seats_and_their_failures_count(
    bench: Bench, arguments: tuple[str, ...], code: int
) -> None:
    done = bench.run(BESIDE, *arguments, "--users", "4")
    assert done.returncode == code, done.stderr[-3000:]
    assert '"Web": 2' in done.stderr  # of four, two are fixed
    assert "BUSY" in done.stdout
    results = results_in(bench.reports)
    assert results["transactions"]["dropped"] == 0
    beside, load = results["run"]["beside"], results["verdict"]["words"][0]
    assert beside["classes"] == ["Busy", "Web"]
    assert beside["failed_requests"] > 0 and beside["first_error"].startswith("GET /nobody: ")
    assert (load["kind"], load["word"]) == ("fail", "users failed")
    assert results["verdict"]["overall"] == "FAILED"
    assert "requests of users beside banksim's failed" in done.stdout
    assert any("(Busy, Web)" in sentence for sentence in results["limits"])


def test_json_is_json(bench: Bench) -> None:
    done = bench.run("", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["num_requests"]
    assert "transactions" in done.stderr or "sent" in done.stderr


def test_run_time_is_a_cap_and_variables_are_options(bench: Bench) -> None:
    (bench.folder / "s.yaml").write_text(SCENARIO.format(hours=1))
    begun_s = time.monotonic()
    done = bench.run(
        "",
        "-t",
        "3s",
        "-r",
        "2",
        LOCUST_SEED="4711",
        LOCUST_SPEED="120",
        LOCUST_THRESHOLD="[transactions >= 1]",
    )
    assert time.monotonic() - begun_s < 25.0
    assert done.returncode == 0, done.stderr[-2000:]
    run = results_in(bench.reports)["run"]
    assert (run["seed"], run["speed"], run["end"]) == (4711, 120.0, "stopped")
    assert "will be ignored" not in done.stderr
    assert "--spawn-rate has no effect" in done.stderr


@pytest.mark.parametrize("picked", ["Student FraudActor", "Student"])
def test_who_is_not_picked_is_said_and_dropped_in_time(bench: Bench, picked: str) -> None:
    done = bench.run("", *picked.split())
    assert done.returncode == 0, done.stderr[-2000:]
    assert "No user class plays" in done.stderr
    assert "no user class plays salaried" in results_in(bench.reports)["transactions"]["drop_reasons"]


NOBODY_TAKES = """\
class FraudActor(CampaignUser):
    @task
    def next_step(self): self.carry_out()
    def on_start(self):
        import gevent; gevent.sleep(1000)
"""


def test_what_nobody_takes_is_a_drop_after_its_bound(bench: Bench) -> None:
    done = bench.run(NOBODY_TAKES)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "no user took it within 10 s" in results_in(bench.reports)["transactions"]["drop_reasons"]


def test_a_signal_cuts_a_drain(bench: Bench) -> None:
    code = (
        "class FraudActor(CampaignUser):\n    @task\n    def next_step(self):\n"
        "        import gevent; gevent.sleep(60); self.carry_out()\n"
    )
    with subprocess.Popen(
        bench.command(code),
        cwd=bench.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(16.0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        begun_s = time.monotonic()
        assert process.wait(timeout=60.0) == 130
        assert time.monotonic() - begun_s < 28.0
    assert results_in(bench.reports)
