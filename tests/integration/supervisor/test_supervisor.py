"""The supervisor with real processes: nothing of a task outlives what it must not outlive."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kestrapy.adapters.process.launcher import SupervisorLauncher, serve_launcher
from kestrapy.adapters.system import SystemClock
from kestrapy.ports.processes import LeaseOver

WORKER = Path(__file__).with_name("obedient_worker.py")
PATH = os.environ["PATH"]
FAMILY = ["sh", "-c", "sleep 1000 & setsid sleep 2000 & (setsid sleep 3000 &) ; echo $$; wait"]
"""A task of four processes, two of them in sessions of their own, one without its parent."""


def wait_for(condition: Callable[[], bool]) -> None:
    """The test's own time limit ends a condition that never comes."""
    tick = threading.Event()
    while not condition():
        tick.wait(0.005)


def stat(pid: int) -> list[str]:
    """State, parent, group, ... of a process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    return stat(pid)[:1] not in ([], ["Z"])


class Marked:
    """Processes that carry a mark in their environment."""

    def __init__(self, mark: str):
        self._entry = f"KESTRAPY_TEST={mark}".encode()
        self.env = {"PATH": PATH, "KESTRAPY_TEST": mark}

    def alive(self) -> list[int]:
        return [int(it.name) for it in Path("/proc").glob("[0-9]*") if self._is_marked(it)]

    def _is_marked(self, process: Path) -> bool:
        try:
            entries = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return self._entry in entries and alive(int(process.name))


class Supervised:
    """A supervisor with an obedient worker."""

    def __init__(self, *options: str):
        command = [sys.executable, "-m", "kestrapy.supervisor", *options, "--"]
        self.process = subprocess.Popen(
            [*command, sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.worker = 0
        self.gone: list[str] = []

    def next_worker(self) -> list[str]:
        """-> the ids that a new worker was told, once it is there."""
        event = self.hear("worker")
        self.worker = event["worker"]
        gone: list[str] = event["gone"]
        return gone

    def hear(self, key: str) -> dict[str, Any]:
        """The next event that has this key."""
        assert self.process.stdout
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if key in event:
                return event
        raise AssertionError(f"the supervisor ended before an event {key}")

    def tell(self, **order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def do(self, **order: Any) -> None:
        self.tell(**order)
        self.hear("done")

    def spawn_family(self, marked: Marked) -> int:
        """-> pid of the task, when all of its four processes run."""
        self.tell(spawn=FAMILY, env=marked.env)
        task = int(self.hear("said")["said"])
        wait_for(lambda: len(marked.alive()) == 4)
        return task

    def await_turn(self) -> None:
        """Until the supervisor has read all that it was told: it starts a task only then."""
        self.tell(spawn=["echo"], env={"PATH": PATH})
        self.hear("said")

    def signal(self, how: signal.Signals) -> None:
        self.process.send_signal(how)


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[Marked]:
    marked = Marked(str(tmp_path))
    yield marked
    for pid in marked.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervised]]:
    made: list[Supervised] = []

    def make(*options: str) -> Supervised:
        it = Supervised(*options)
        made.append(it)
        it.gone = it.next_worker()
        return it

    yield make
    for it in made:
        it.process.kill()
        it.process.wait()
        assert it.process.stdin and it.process.stdout
        it.process.stdin.close()
        it.process.stdout.close()


@pytest.fixture
def launcher() -> Iterator[SupervisorLauncher]:
    launcher = serve_launcher()
    yield launcher
    launcher.close()


Supervise = Callable[..., Supervised]

# -- the worker dies -------------------------------------------------------------------------------


def test_a_killed_worker_comes_back_after_its_tasks_are_dead(
    supervise: Supervise, marked: Marked
) -> None:
    it = supervise()
    assert it.gone == []
    it.do(announce="worker-1")
    it.spawn_family(marked)
    os.kill(it.worker, signal.SIGKILL)
    assert it.next_worker() == ["worker-1"]
    assert marked.alive() == []


def test_gone_workers_are_named_until_they_are_settled(supervise: Supervise) -> None:
    it = supervise()
    for number, told in ((1, ["w1"]), (2, ["w1", "w2"])):
        it.do(announce=f"w{number}")
        os.kill(it.worker, signal.SIGKILL)
        assert it.next_worker() == told
    it.do(settle=["w1"])
    it.do(announce="w3")
    it.tell(exit=4)
    assert it.next_worker() == ["w2", "w3"]


def test_a_worker_that_ends_well_ends_the_supervisor(supervise: Supervise, marked: Marked) -> None:
    it = supervise()
    it.spawn_family(marked)
    it.tell(exit=0)
    assert it.process.wait() == 0
    assert marked.alive() == []


# -- the lease -------------------------------------------------------------------------------------

LONG_ENOUGH_TO_START = 3_000
"""ms: a family of tasks is up before, on a busy machine too."""


def test_the_lease_ends_tasks_and_a_stopped_worker(supervise: Supervise, marked: Marked) -> None:
    it = supervise()
    it.do(announce="worker-1")
    it.spawn_family(marked)
    before = it.worker
    it.tell(stop_with_lease=300)
    assert it.next_worker() == ["worker-1"]
    assert marked.alive() == []
    assert not alive(before)


def test_the_lease_ends_tasks_of_a_stopped_supervisor(supervise: Supervise, marked: Marked) -> None:
    it = supervise()
    it.do(announce="worker-1")
    it.do(lease=LONG_ENOUGH_TO_START)
    it.spawn_family(marked)
    it.signal(signal.SIGSTOP)
    wait_for(lambda: not marked.alive())
    it.signal(signal.SIGCONT)
    assert it.next_worker() == ["worker-1"]


def test_a_renewal_reaches_the_guardians(supervise: Supervise, marked: Marked) -> None:
    it, clock = supervise(), SystemClock()
    it.do(lease=LONG_ENOUGH_TO_START)
    over = clock.boottime() + LONG_ENOUGH_TO_START
    it.spawn_family(marked)
    it.do(lease=3_600_000)
    it.await_turn()
    it.signal(signal.SIGSTOP)
    wait_for(lambda: clock.boottime() > over + 200)
    assert len(marked.alive()) == 4


def test_the_next_worker_has_no_lease_yet(supervise: Supervise, marked: Marked) -> None:
    it = supervise()
    it.tell(lease=1)
    it.next_worker()
    it.spawn_family(marked)


def test_a_lease_only_grows(launcher: SupervisorLauncher, marked: Marked) -> None:
    now = SystemClock().boottime()
    launcher.renew(now + 3_600_000)
    launcher.renew(now - 1)
    process = launcher.spawn(["echo", "on"], env=marked.env, cwd=Path("/"), name="test")
    assert (process.stdout.read(), process.wait(None)) == (b"on\n", 0)


def test_a_lease_that_is_over_stays_over(launcher: SupervisorLauncher, marked: Marked) -> None:
    process = launcher.spawn(FAMILY, env=marked.env, cwd=Path("/"), name="test")
    now = SystemClock().boottime()
    launcher.renew(now)
    assert process.wait(None) == -signal.SIGKILL
    assert marked.alive() == []
    launcher.renew(now + 3_600_000)
    with pytest.raises(LeaseOver):
        launcher.spawn(["true"], env=marked.env, cwd=Path("/"), name="test")


# -- the supervisor or a guardian dies -------------------------------------------------------------


def test_nothing_outlives_a_killed_supervisor(supervise: Supervise, marked: Marked) -> None:
    it = supervise()
    it.spawn_family(marked)
    worker = it.worker
    it.signal(signal.SIGKILL)
    wait_for(lambda: not marked.alive() and not alive(worker))


def test_nothing_outlives_a_killed_guardian(supervise: Supervise, marked: Marked) -> None:
    it = supervise()
    guardian = int(stat(it.spawn_family(marked))[1])
    os.kill(guardian, signal.SIGKILL)
    it.hear("done")
    it.tell(**{"await": True})
    assert it.hear("code")["code"] == -signal.SIGKILL
    assert marked.alive() == []
    assert alive(it.worker)


def test_a_stopped_guardian_does_not_save_its_task(
    launcher: SupervisorLauncher, marked: Marked
) -> None:
    process = launcher.spawn(FAMILY, env=marked.env, cwd=Path("/"), name="test")
    task = int(process.stdout.readline())
    os.kill(int(stat(task)[1]), signal.SIGSTOP)
    process.kill(0)
    assert process.wait(None) == -signal.SIGKILL
    assert marked.alive() == []


def test_nothing_outlives_a_killed_process_that_serves_itself(marked: Marked) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from kestrapy.adapters.process.launcher import serve_launcher\n"
        f"where = {{'env': {marked.env}, 'cwd': Path('/')}}\n"
        f"process = serve_launcher().spawn({FAMILY}, name='test', **where)\n"
        "print(process.stdout.readline(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout and owner.stdout.readline()
        wait_for(lambda: len(marked.alive()) == 4)
        owner.kill()
    wait_for(lambda: not marked.alive())


# -- being told to stop ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_may_stop_by_itself(
    supervise: Supervise, marked: Marked, how: signal.Signals
) -> None:
    it = supervise()
    it.spawn_family(marked)
    it.signal(how)
    assert it.hear("terminated")["terminated"] == it.worker
    assert len(marked.alive()) == 4
    it.tell(exit=3)
    assert it.process.wait() == 3
    assert marked.alive() == []


def test_a_worker_that_does_not_stop_in_time_is_killed(
    supervise: Supervise, marked: Marked
) -> None:
    it = supervise("--grace", "200")
    it.spawn_family(marked)
    it.signal(signal.SIGTERM)
    assert it.process.wait() == 128 + signal.SIGKILL
    assert marked.alive() == []


def test_a_second_signal_ends_everything_at_once(supervise: Supervise, marked: Marked) -> None:
    it = supervise("--grace", "3600000")
    it.spawn_family(marked)
    it.signal(signal.SIGTERM)
    it.hear("terminated")
    it.signal(signal.SIGTERM)
    assert it.process.wait() == 128 + signal.SIGKILL
    assert marked.alive() == []


# -- tasks -----------------------------------------------------------------------------------------


def test_leftovers_end_with_the_task(launcher: SupervisorLauncher, marked: Marked) -> None:
    argv = ["sh", "-c", "sleep 1000 & setsid sleep 2000 & exit 7"]
    process = launcher.spawn(argv, env=marked.env, cwd=Path("/"), name="test")
    assert process.wait(None) == 7
    assert marked.alive() == []
    assert process.stdout.read() == b""


def test_grace_is_given_and_taken(launcher: SupervisorLauncher, marked: Marked) -> None:
    polite = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done"
    stubborn = "trap '' TERM; echo up; while :; do sleep 0.01; done"
    child_says_bye = f"trap 'exit 6' TERM; sh -c \"{polite}\" & wait"
    for script, grace, code, said in (
        (polite, 60, 5, b"bye\n"),
        (stubborn, 0.05, -signal.SIGKILL, b""),
        (child_says_bye, 60, 6, b"bye\n"),
    ):
        argv = ["sh", "-c", script]
        process = launcher.spawn(argv, env=marked.env, cwd=Path("/"), name="test")
        assert process.stdout.readline() == b"up\n"
        process.kill(grace)
        assert process.wait(None) == code
        assert process.stdout.read() == said


def test_a_second_kill_can_shorten_the_grace(launcher: SupervisorLauncher, marked: Marked) -> None:
    argv = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done"]
    process = launcher.spawn(argv, env=marked.env, cwd=Path("/"), name="test")
    assert process.stdout.readline() == b"up\n"
    process.kill(3600)
    assert process.wait(0) is None
    process.kill(0)
    assert process.wait(None) == -signal.SIGKILL


def test_what_can_not_be_started(launcher: SupervisorLauncher, tmp_path: Path) -> None:
    for argv, cwd in ((["/no/such"], tmp_path), (["true"], tmp_path / "none"), (["/"], tmp_path)):
        with pytest.raises(OSError):
            launcher.spawn(argv, env={"PATH": PATH}, cwd=cwd, name="test")


def test_a_task_gets_just_what_it_is_given(launcher: SupervisorLauncher, tmp_path: Path) -> None:
    script = (
        "ls -l /proc/self/fd | tail -n +2 | wc -l; pwd; env | sort; grep SigIgn /proc/self/status"
    )
    env = {"PATH": PATH, "A": "b"}
    process = launcher.spawn(["bash", "-c", script], env=env, cwd=tmp_path, name="test")
    lines = process.stdout.read().decode().splitlines()
    assert lines[:2] == ["4", str(tmp_path)]  # stdin, stdout, stderr, and that of ls itself
    assert {it.partition("=")[0] for it in lines[2:-1]} == {"A", "PATH", "PWD", "SHLVL", "_"}
    own = 0b11 << 31  # signals 32 and 33 are the C library's: what they are at stays as it was
    assert int(lines[-1].split()[1], 16) & ~own == 0
    assert process.wait(None) == 0


def test_many_threads_spawn_at_once(launcher: SupervisorLauncher, marked: Marked) -> None:
    codes: dict[int, int | None] = {}

    def run(number: int) -> None:
        argv = ["sh", "-c", f"echo {number}; exit {number}"]
        process = launcher.spawn(argv, env=marked.env, cwd=Path("/"), name="test")
        assert process.stdout.read() == f"{number}\n".encode()
        codes[number] = process.wait(None)

    threads = [threading.Thread(target=run, args=[number]) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: number for number in range(40)}


def test_without_its_supervisor_a_launcher_says_so() -> None:
    launcher = serve_launcher()
    process = launcher.spawn(["sleep", "1000"], env={"PATH": PATH}, cwd=Path("/"), name="test")
    launcher.close()
    assert process.wait(None) == -signal.SIGKILL
    process.kill(0)
    with pytest.raises(OSError, match="the supervisor is gone"):
        launcher.spawn(["true"], env={"PATH": PATH}, cwd=Path("/"), name="test")
