"""Die everywhere: ``python -m tests.faults.campaign FOLDER JOBS`` kills one journey after the other, and mends each.

It reads a JSON list of ``[journey, name, moment, first or last]`` from its standard input, and answers with one JSON
object in a line: first the writes that each journey has when nothing happens, then what came of each place. ``--all``
in place of the folder takes every place there is; ``--list`` writes the lists of writes anew.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults import everything, trouble
from tests.faults.forking import VICTIM_SECONDS, fork, wait
from tests.faults.killing import inodes
from tests.faults.seams import Place, Seams, all_database_calls
from tests.faults.steps import promised
from tests.support.trial import Exchange

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

Asked = tuple[str, str, str, str]
"""Journey, name and moment of a write, and which time: ``first`` or ``last``."""
ATTEMPTS = 5
"""Journeys in which a place may be missed: how often a batch is sealed, and so how often the last time is, depends on
how fast things go."""
_JOBS = os.cpu_count() or 1
NICENESS = 10
"""Beside other tests: what is measured or awaited there goes first."""
JOURNEYS: dict[str, ModuleType] = {"everything": everything, "trouble": trouble}
"""Each has ``begin``, ``set_up``, ``journey`` and ``check``. A write that one before comes to is not died at again."""
LISTS = {
    "everything": Path(__file__).with_name("writes.txt"),
    "trouble": Path(__file__).with_name("writes_in_trouble.txt"),
}
MAX_LOG_CHARACTERS = 6_000


class Campaign:
    """A founded exchange, copied for every time that a journey is gone.

    Args:
        folder: Everything is made in a folder below it.
        name: Of the journey.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.journey = JOURNEYS[name]
        self._template = self.folder / "template"
        self._genesis = ""

    def found(self) -> None:
        """Found the exchange."""
        self._template.mkdir(parents=True)
        noted = self.folder / "genesis"

        def begin() -> None:
            noted.write_text(asyncio.run(self.journey.begin(self._template)).genesis, "ascii")

        _must(wait(fork(begin, self.folder / "begin.log")), self.folder / "begin.log")
        self._genesis = noted.read_text("ascii")

    def record(self) -> dict[tuple[str, str], int]:
        """Return how often each write comes to each of its moments in a journey that nothing happens to."""
        exchange = self._copy("recorded")
        log = self.folder / "recorded.log"
        _must(wait(fork(lambda: self._travel(exchange, None), log)), log)
        return _counts(exchange)

    def die(self, number: int, asked: Asked, times: int) -> dict[str, Any]:
        """Kill a journey at a place, go it again to its end, and check; return what came of it."""
        _, name, moment, which = asked
        log = self.folder / f"{number}.log"
        nth = 1 if which == "first" else times
        for attempt in range(ATTEMPTS):
            exchange = self._copy(f"{number}-{attempt}")
            place = Place(name, moment, nth)
            status = wait(fork(lambda on=exchange, at=place: self._travel(on, at), log))
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                shown = self._mended(exchange, log)
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

    def _travel(self, exchange: Exchange, place: Place | None) -> None:
        self.journey.set_up(exchange)
        seams = Seams(exchange.folder, place)
        seams.install()
        asyncio.run(self.journey.journey(exchange))
        counts = [[*key, times] for key, times in seams.counts.items()]
        (exchange.folder / "counts.json").write_text(json.dumps(counts), "utf-8")

    def _mended(self, exchange: Exchange, log: Path) -> str | None:
        """Go on where a process has died, as its operators would; return what is wrong then."""
        before, known = inodes(exchange), promised(exchange)

        def go_on() -> None:
            self.journey.set_up(exchange)
            asyncio.run(self.journey.journey(exchange))
            assert before.items() <= inodes(exchange).items(), "what was filed is written again"
            assert known <= promised(exchange)
            asyncio.run(self.journey.check(exchange))

        status = wait(fork(go_on, log))
        return None if status == 0 else f"the next journey ended with {status}\n{_tail(log)}"


def _counts(exchange: Exchange) -> dict[tuple[str, str], int]:
    return {
        (name, moment): times
        for name, moment, times in json.loads((exchange.folder / "counts.json").read_text("utf-8"))
    }


def _must(status: int, log: Path) -> None:
    if status:
        raise RuntimeError(f"ended with {status}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-MAX_LOG_CHARACTERS:]


def run(folder: Path, chosen: Collection[Asked] | None, jobs: int) -> int:
    """Die at every place chosen, or everywhere; return how often something was wrong afterwards."""
    campaigns, counts = begin(folder)
    _say(json.dumps({"writes": {name: sorted(found) for name, found in new_of(counts).items()}}))
    places = (
        chosen
        if chosen is not None
        else [
            (name, *write, which)
            for name, found in new_of(counts).items()
            for write in sorted(found)
            for which in ("first", "last")[: min(counts[name][write], 2)]
        ]
    )
    running: dict[int, Path] = {}
    failed = 0
    for number, asked in enumerate([*places, *[None] * jobs]):
        if len(running) >= jobs or asked is None:
            failed += _print_one(running)
        if asked is not None:
            result = folder / f"{number}.json"
            times = counts[asked[0]].get((asked[1], asked[2]), 1)

            def job(number: int = number, asked: Asked = asked, times: int = times, result: Path = result) -> None:
                result.write_text(json.dumps(campaigns[asked[0]].die(number, asked, times)), "utf-8")

            running[fork(job, folder / f"{number}.log", seconds=ATTEMPTS * 2 * VICTIM_SECONDS)] = result
    return failed


def begin(folder: Path) -> tuple[dict[str, Campaign], dict[str, dict[tuple[str, str], int]]]:
    """Found the exchanges, and go each journey once; return the campaigns, and how often each write came."""
    # Parsed once, and not in every victim.
    all_database_calls()
    gc.collect()
    gc.freeze()
    campaigns = {name: Campaign(folder, name) for name in JOURNEYS}
    for campaign in campaigns.values():
        campaign.found()
    return campaigns, {name: campaign.record() for name, campaign in campaigns.items()}


def new_of(counts: dict[str, dict[tuple[str, str], int]]) -> dict[str, list[tuple[str, str]]]:
    """Return by journey the writes that no journey before it has come to."""
    known: set[tuple[str, str]] = set()
    new = {}
    for name, found in counts.items():
        new[name] = [write for write in found if write not in known]
        known |= found.keys()
    return new


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
    os.nice(NICENESS)
    run(Path(sys.argv[1]), [tuple(one) for one in json.load(sys.stdin)], int(sys.argv[2]))


def _alone(folder: Path, *, everywhere: bool) -> None:
    if everywhere:
        failed = run(folder, None, _JOBS)
        sys.exit(f"{failed} places failed" if failed else 0)
    for name, found in new_of(begin(folder)[1]).items():
        moments: dict[str, list[str]] = {}
        for write, moment in found:
            moments.setdefault(write, []).append(moment)
        order = ("before", "within", "undecided", "after")
        lines = [f"{write}: {' '.join(sorted(known, key=order.index))}\n" for write, known in sorted(moments.items())]
        LISTS[name].write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
