"""What goes wrong and when: the same for the same seed."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.harness import dms, proxy
from tests.faults.harness.party import CLOCK_NAME
from tests.faults.harness.world import RECIPIENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.harness.world import World

HOUR_MS = 60 * 60 * 1000
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
    what, _, which = fault.kind.partition(" ")
    if what == "DMS":
        path = world.folder / f"{RECIPIENTS[fault.target % len(RECIPIENTS)]}.mood"
        path.write_text(which, "ascii")
        return lambda: path.write_text(dms.OK, "ascii") and None
    if which == "network":
        port = world.cluster.proxies.ports[fault.target % len(world.cluster.proxies.ports)]
        world.cluster.proxies.set(port, what)
        return lambda: world.cluster.proxies.set(port, proxy.PASS)
    if which == "jumps":
        processes = [*world.publishers, *world.consumers]
        folder = processes[fault.target % len(processes)].folder
        assert folder is not None
        file = folder.with_name(f"{folder.name}.{CLOCK_NAME}")
        # A sender's clock that is ahead makes its documents wait for that time, as is specified (C1.21): only back.
        extent = -abs(fault.extent) if processes[fault.target % len(processes)] in world.publishers else fault.extent
        file.write_text(str(int(extent * 6 * HOUR_MS)), "ascii")
        return lambda: file.unlink(missing_ok=True)
    if which == "broker":
        return _broker(world, fault, what)
    several = {"publisher": world.publishers, "consumer": world.consumers, "DMS": world.systems}[which]
    process = several[fault.target % len(several)]
    if what == "kill":
        process.signal(signal.SIGKILL)
        return None
    process.signal(signal.SIGSTOP)
    return lambda: process.signal(signal.SIGCONT)


def _broker(world: World, fault: Fault, what: str) -> Callable[[], None]:
    node = world.cluster.nodes[fault.target % len(world.cluster.nodes)]
    if what == "kill":
        node.kill()
        return node.start
    node.signal(signal.SIGSTOP)
    return lambda: node.signal(signal.SIGCONT)


def brokers_last(faults: list[Fault]) -> Iterator[Fault]:
    """Yield the faults; a broker that is killed stays away long enough for leaders to move."""
    for fault in faults:
        yield fault._replace(lasts=fault.lasts + 3.0) if fault.kind.endswith("broker") else fault
