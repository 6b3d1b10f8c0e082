"""Die everywhere: ``python -m tests.faults.campaign FOLDER`` kills one journey after the other, and mends each.

It reads a JSON list of ``[name, moment, first or last]`` from its standard input, and answers with one JSON object in a
line: first the writes that a journey has when nothing happens, then what came of each place. ``--all`` in place of the
folder takes every place there is; ``--list`` writes the list of writes anew.

Each journey is a process forked from this one, in which everything is imported already: so a death costs what the
journey costs, and no more. This process itself starts no thread.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults import everything, invariants
from tests.faults.everything import PUBLISHED, REFUSED, journey, promised, set_up
from tests.faults.killing import inodes
from tests.faults.seams import Place, Seams
from tests.support.trial import HANOI, TAY_NINH, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

Asked = tuple[str, str, str]
"""Name and moment of a write, and which time: ``first`` or ``last``."""
ATTEMPTS = 5
"""Journeys in which a place may be missed: how often a batch is sealed, and so how often the last time is, depends on
how fast things go."""
VICTIM_SECONDS = 50
"""After which a journey that neither ends nor dies is ended, by SIGALRM."""
_JOBS = os.cpu_count() or 1
LIST = Path(__file__).with_name("writes.txt")
MAX_LOG_CHARACTERS = 6_000


class Campaign:
    """A founded exchange, copied for every journey.

    Args:
        folder: Empty; everything is made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._template = folder / "template"
        self._genesis = ""

    def found(self) -> None:
        """Found the exchange."""
        self._template.mkdir()
        noted = self.folder / "genesis"

        def begin() -> None:
            noted.write_text(asyncio.run(everything.begin(self._template)).genesis, "ascii")

        _must(_wait(_fork(begin, self.folder / "begin.log")), self.folder / "begin.log")
        self._genesis = noted.read_text("ascii")

    def record(self) -> dict[tuple[str, str], int]:
        """Return how often each write comes to each of its moments in a journey that nothing happens to."""
        exchange = self._copy("recorded")
        log = self.folder / "recorded.log"
        _must(_wait(_fork(lambda: _travel(exchange, None), log)), log)
        return _counts(exchange)

    def die(self, number: int, asked: Asked, times: int) -> dict[str, Any]:
        """Kill a journey at a place, go it again to its end, and check; return what came of it."""
        name, moment, which = asked
        log = self.folder / f"{number}.log"
        nth = 1 if which == "first" else times
        for attempt in range(ATTEMPTS):
            exchange = self._copy(f"{number}-{attempt}")
            place = Place(name, moment, nth)
            status = _wait(_fork(lambda on=exchange, at=place: _travel(on, at), log))
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                shown = _mended(exchange, log)
                shutil.rmtree(exchange.folder, ignore_errors=shown is None)
                return {"place": asked, "nth": nth, "error": shown}
            if status != 0:
                return {"place": asked, "nth": nth, "error": f"ended with {status}\n{_tail(log)}"}
            nth = min(nth, _counts(exchange).get((name, moment), 0)) or 1
            shutil.rmtree(exchange.folder)
        return {"place": asked, "nth": nth, "error": f"was not reached in {ATTEMPTS} journeys"}

    def _copy(self, name: str) -> Exchange:
        # Nothing of the template is open, and no outbox is made yet that could take itself for a copy.
        return Exchange(Path(shutil.copytree(self._template, self.folder / name)), self._genesis)


def _travel(exchange: Exchange, place: Place | None) -> None:
    set_up(exchange)
    seams = Seams(exchange.folder, place)
    seams.install()
    asyncio.run(journey(exchange))
    counts = [[*key, times] for key, times in seams.counts.items()]
    (exchange.folder / "counts.json").write_text(json.dumps(counts), "utf-8")


def _counts(exchange: Exchange) -> dict[tuple[str, str], int]:
    return {
        (name, moment): times
        for name, moment, times in json.loads((exchange.folder / "counts.json").read_text("utf-8"))
    }


def _mended(exchange: Exchange, log: Path) -> str | None:
    """Go on where a process has died, as its operators would; return what is wrong then."""
    before, known = inodes(exchange), promised(exchange)

    def go_on() -> None:
        set_up(exchange)
        asyncio.run(journey(exchange))
        assert before.items() <= inodes(exchange).items(), "what was filed is written again"
        assert known <= promised(exchange)
        asyncio.run(
            invariants.check(
                exchange,
                sender=HANOI,
                recipient=TAY_NINH,
                published=PUBLISHED,
                forged=1,
                redelivered=[REFUSED],
                withdrawn=1,
            )
        )
        asyncio.run(everything.check(exchange))

    status = _wait(_fork(go_on, log))
    return None if status == 0 else f"the next journey ended with {status}\n{_tail(log)}"


def _fork(job: Callable[[], object], log: Path) -> int:
    """Run a job in a process of its own; return its id. What it prints goes into the log."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        signal.alarm(VICTIM_SECONDS)
        job()
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it must not go on in a copy of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(process: int) -> int:
    return os.waitpid(process, 0)[1]


def _must(status: int, log: Path) -> None:
    if status:
        raise RuntimeError(f"ended with {status}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-MAX_LOG_CHARACTERS:]


def run(folder: Path, chosen: list[Asked] | None, jobs: int) -> int:
    """Die at every place chosen, or everywhere; return how often something was wrong afterwards."""
    gc.collect()
    gc.freeze()
    campaign = Campaign(folder)
    campaign.found()
    counts = campaign.record()
    _say(json.dumps({"writes": sorted(counts)}))
    places = (
        chosen
        if chosen is not None
        else [
            (name, moment, which)
            for (name, moment), times in sorted(counts.items())
            for which in ("first", "last")[: min(times, 2)]
        ]
    )
    running: dict[int, Path] = {}
    failed = 0
    for number, asked in enumerate([*places, *[None] * jobs]):
        if len(running) >= jobs or asked is None:
            failed += _print_one(running)
        if asked is not None:
            result = folder / f"{number}.json"
            times = counts.get((asked[0], asked[1]), 1)

            def job(number: int = number, asked: Asked = asked, times: int = times, result: Path = result) -> None:
                result.write_text(json.dumps(campaign.die(number, asked, times)), "utf-8")

            running[_fork(job, folder / f"{number}.log")] = result
    return failed


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _print_one(running: dict[int, Path]) -> int:
    if not running:
        return 0
    ended, _ = os.waitpid(-1, 0)
    text = running.pop(ended).read_text("utf-8")
    _say(text)
    return int(json.loads(text)["error"] is not None)


def main() -> None:
    """Do what is asked for."""
    if sys.argv[1:] in (["--list"], ["--all"]):
        with tempfile.TemporaryDirectory(prefix="docbus-campaign-") as made:
            _alone(Path(made), everywhere=sys.argv[1] == "--all")
        return
    run(Path(sys.argv[1]), [tuple(one) for one in json.load(sys.stdin)], _JOBS)


def _alone(folder: Path, *, everywhere: bool) -> None:
    if everywhere:
        failed = run(folder, None, _JOBS)
        sys.exit(f"{failed} places failed" if failed else 0)
    campaign = Campaign(folder)
    campaign.found()
    moments: dict[str, list[str]] = {}
    for name, moment in campaign.record():
        moments.setdefault(name, []).append(moment)
    order = ("before", "within", "undecided", "after")
    lines = [f"{name}: {' '.join(sorted(found, key=order.index))}\n" for name, found in sorted(moments.items())]
    LIST.write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
