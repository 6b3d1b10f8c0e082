"""Measures docbus against raw aiokafka on the same broker in the same run, and writes ``build/bench.json``.

``make bench`` starts a Kafka of its own; ``make bench KAFKA=host:port`` uses a given one. Figures of one run may be
compared with each other; those of two machines may not. ``--only documents`` and ``--only content`` run one half.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import content, exchange, raw, signing  # noqa: E402 - the checkout is put on the path first
from docbus.client.running import relax_collector  # noqa: E402
from tests.support.kafka import FAST_JVM, running_kafka  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

DOCUMENTS, CONTENT = "documents", "content"
KIB = 1024
COUNTS = {1 * KIB: 40_000, 10 * KIB: 8_000}
"""Documents of one pass, by size: seconds of work each."""
PASSES = 3
"""Passes of each measurement; the median counts."""


def machine() -> str:
    """Return one line about this machine."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{os.cpu_count()} × {model}, Python {platform.python_version()}, {platform.system()} {platform.release()}"


async def measure(bootstrap: str, size: int, count: int, number: int, folder: Path) -> dict[str, float]:
    """Return rates in documents or records per second of one pass."""
    topic = f"raw.{size}.{number}"
    await raw.make_topic(bootstrap, topic)
    figures = {"raw_produce": count / await raw.produce(bootstrap, topic, count, size)}
    figures["raw_consume"] = count / await raw.consume(bootstrap, topic, count)
    # docbus is measured as `docbus run` runs it, raw aiokafka in a Python as it comes.
    thresholds = gc.get_threshold()
    relax_collector()
    try:
        sent, received = await exchange.measure(bootstrap, folder, size, count, number)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    figures["publish"] = count / sent
    figures["receive"] = count / received
    return figures


async def measure_documents(
    bootstrap: str, folder: Path, say: Callable[[str], None]
) -> tuple[dict[str, float], dict[str, float]]:
    """Measure small documents, and signing; return figures and ratios."""
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for size, count in COUNTS.items():
        passes = []
        for number in range(PASSES):
            passes.append(await measure(bootstrap, size, count, number, folder))
            say(f"{size // KIB} KB, pass {number + 1}: " + ", ".join(f"{k} {v:,.0f}/s" for k, v in passes[-1].items()))
        label = f"{size // KIB}k"
        for what in passes[0]:
            figures[f"{what}_{label}"] = statistics.median(one[what] for one in passes)
        # A ratio is taken within a pass, because the machine's speed differs between passes.
        for what, against in (("publish", "raw_produce"), ("receive", "raw_consume")):
            ratios[f"{what}_{label}"] = statistics.median(one[what] / one[against] for one in passes)
    batch, single = signing.rates()
    figures |= {"signed_batch_512": batch, "signed_single": single}
    ratios["batch_vs_single"] = batch / single
    return figures, ratios


async def run(bootstrap: str, halves: Collection[str], say: Callable[[str], None]) -> dict[str, object]:
    """Measure the halves that are asked for."""
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="docbus-bench-") as name:
        folder = Path(name)
        # One exchange for both: a bus has one directory.
        others = content.AGENCIES if CONTENT in halves else ()
        await exchange.found(bootstrap, folder, (*exchange.AGENCIES, *others))
        for half, measure_half in ((DOCUMENTS, measure_documents), (CONTENT, content.measure)):
            if half in halves:
                measured = await measure_half(bootstrap, folder, say)
                figures |= measured[0]
                ratios |= measured[1]
    return {
        "machine": machine(),
        "figures": {name: round(value, 1) for name, value in figures.items()},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }


def main() -> None:
    """Measure, print a table, write ``build/bench.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", help="host:port; a broker is started without it")
    parser.add_argument("--only", choices=(DOCUMENTS, CONTENT), help="small documents, or large content; else both")
    options = parser.parse_args()
    halves = (options.only,) if options.only else (DOCUMENTS, CONTENT)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    own = running_kafka(ROOT / "build" / "bench-kafka", java_options=FAST_JVM)
    with nullcontext(options.kafka) if options.kafka else own as bootstrap:
        result = asyncio.run(run(str(bootstrap), halves, lambda line: print(line, flush=True)))
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{result['machine']}")
    for part in ("figures", "ratios"):
        print(f"\n{part}")
        for name, value in result[part].items():  # type: ignore[attr-defined] # both are dicts
            aim = content.AIMS.get(name)
            print(f"  {name:29} {value:>14,}" + (f"   aim {aim}" if aim else ""))


if __name__ == "__main__":
    main()
