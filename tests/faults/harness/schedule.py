"""What goes wrong and when: the same for the same seed."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tests.faults.harness import attack, dms, proxy
from tests.faults.harness.agencies import RECIPIENTS
from tests.faults.harness.party import CLOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.faults.harness.world import Process, World

T = TypeVar("T")

HOUR_MS = 60 * 60 * 1000
BETWEEN = {"cut off": proxy.CUT, "hold up": proxy.STALL}
"""What may be done to the connections of other nodes to one."""
LONGER_SECONDS = {"broker": 3.0, "fill": 8.0}
KINDS = (
    "kill publisher",
    "kill consumer",
    "kill DMS",
    "kill broker",
    "stop publisher",
    "stop consumer",
    "stop broker",
    "cut network",
    "stall network",
    "delay network",
    *(f"DMS {mood}" for mood in dms.MOODS),
    "clock jumps",
    *(f"{what} broker" for what in BETWEEN),
    "fill publisher",
    "fill consumer",
    *(f"attacker {way}" for way in attack.WAYS),
)


class Fault(NamedTuple):
    """One fault.

    Attributes:
        at: Seconds after the start.
        kind: One of :data:`KINDS`.
        target: Which of the possible ones.
        lasts: Seconds until it is taken away, for those that last.
        extent: From -1 to 1, for clocks.
    """

    at: float
    kind: str
    target: int
    lasts: float
    extent: float


def faults_of(seed: int, count: int, spacing: float) -> list[Fault]:
    """Return the faults of a seed: every kind comes before any comes again, in ever other order."""
    dice = random.Random(f"{seed}/faults")  # noqa: S311 - to be repeated
    faults: list[Fault] = []
    at = 0.0
    while len(faults) < count:
        round_of = list(KINDS)
        dice.shuffle(round_of)
        for kind in round_of[: count - len(faults)]:
            at += dice.uniform(0.5, 1.5) * spacing
            faults.append(Fault(at, kind, dice.randrange(1 << 16), dice.uniform(0.5, 6.0), dice.uniform(-1, 1)))
    return faults


def inflict(world: World, fault: Fault) -> Callable[[], None] | None:
    """Let a fault happen; return what takes it away, if it does not go by itself.

    At most one broker is away at a time: a majority has to be left, or nothing is ever acknowledged.
    """
    what, _, which = fault.kind.rpartition(" ")
    if what == "attacker":
        world.attacker.ask(fault)
        return None
    if what == "DMS":
        return _mood(world, fault, which)
    if which == "network":
        return _turn(world, (_of(world.cluster.outside, fault),), what)
    if which == "jumps":
        return _jump(world, fault)
    if which == "broker":
        return _broker(world, fault, what)
    return _process(world, fault, what, which)


def _of(several: Sequence[T], fault: Fault) -> T:
    return several[fault.target % len(several)]


def _mood(world: World, fault: Fault, mood: str) -> Callable[[], None]:
    path = world.folder / f"{_of(RECIPIENTS, fault)}.mood"
    path.write_text(mood, "ascii")
    return lambda: path.write_text(dms.OK, "ascii") and None


def _turn(world: World, ports: Sequence[int], mode: str) -> Callable[[], None]:
    """Let proxies fail."""

    def turn(mode: str) -> None:
        for port in ports:
            world.cluster.proxies.set(port, mode)

    turn(mode)
    return lambda: turn(proxy.PASS)


def _jump(world: World, fault: Fault) -> Callable[[], None]:
    process = _of([*world.publishers, *world.consumers], fault)
    assert process.folder is not None
    file = process.folder.with_name(f"{process.folder.name}.{CLOCK_NAME}")
    # A sender's clock that is ahead makes its documents wait for that time, as is specified (C1.21): only back.
    extent = -abs(fault.extent) if process in world.publishers else fault.extent
    file.write_text(str(int(extent * 6 * HOUR_MS)), "ascii")
    return lambda: file.unlink(missing_ok=True)


def _process(world: World, fault: Fault, what: str, which: str) -> Callable[[], None] | None:
    process = _of({"publisher": world.publishers, "consumer": world.consumers, "DMS": world.systems}[which], fault)
    if what == "kill":
        process.signal(signal.SIGKILL)
        return None
    if what == "fill":
        return _fill(world, process)
    process.signal(signal.SIGSTOP)
    return lambda: process.signal(signal.SIGCONT)


def _broker(world: World, fault: Fault, what: str) -> Callable[[], None]:
    if what in BETWEEN:
        # No other node reaches its broker and its controller; it still reaches them, and clients reach it.
        return _turn(world, _of(world.cluster.between, fault), BETWEEN[what])
    node = _of(world.cluster.nodes, fault)
    if what == "kill":
        node.kill()
        return node.start
    node.signal(signal.SIGSTOP)
    return lambda: node.signal(signal.SIGCONT)


def _fill(world: World, process: Process) -> Callable[[], None] | None:
    """Take all space of a process's disk; when it is given back, note whether the process has complained."""
    if process.folder not in world.disks:
        return None
    disk, logged = world.disks[process.folder], process.log.stat().st_size
    disk.fill()

    def empty() -> None:
        disk.empty()
        with process.log.open("rb") as log:
            log.seek(logged)
            role = process.name.partition(" ")[0]
            world.effects[f"{role} said that no space was left"] += b"no space left" in log.read()

    return empty


def prolonged(faults: list[Fault]) -> Iterator[Fault]:
    """Yield the faults; some last longer.

    A broker that is killed or cut off stays away long enough for leaders to move. A full disk is not noticed before
    SQLite has used up the log that it has already, some megabytes.
    """
    for fault in faults:
        what, _, which = fault.kind.rpartition(" ")
        longer = LONGER_SECONDS.get(what, 0.0) or LONGER_SECONDS.get(which, 0.0)
        yield fault._replace(lasts=fault.lasts + longer)
