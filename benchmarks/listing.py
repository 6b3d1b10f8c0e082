"""Importing a list of the size of the national directory: seconds and memory, without brokers; a few seconds in all.

``.venv/bin/python benchmarks/listing.py`` makes a list of 123,265 agencies in both forms and imports each in a process
of its own; ``make bench`` does not run it.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from docbus.client.expected import check_file, load_expected, store_expected  # noqa: E402 - the path first
from docbus.identity.lists.register import compare  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENCIES = 123_265
"""Agencies in the national directory, synchronised on 2026-07-28; 174 of them placeholders."""
PLACEHOLDERS = 174
PER_PROVINCE = 2000


def rows(count: int) -> Iterator[dict[str, object]]:
    """Yield agencies in the form of getAgenciesList: a tree of three levels, with former codes of QCVN 102."""
    for number in range(count - PLACEHOLDERS):
        province, at = divmod(number, PER_PROVINCE)
        level_1, code, above, groups = f"H{province:02}", f"H{province:02}", 0, (0, 0)
        if at:
            second, third = groups = ((at - 1) // 40 + 1, (at - 1) % 40)
            code += f".{second:02}" + (f".{third:02}" if third else "")
            above = number - third + 1 if third else number - at + 1
        yield {
            "id": number + 1,
            "pid": above or None,
            "code": code,
            "name": f"Ủy ban nhân dân xã số {number} thuộc huyện {groups[0]}, tỉnh {level_1}",
            "mail": f"vanthu{number}@tinh{province}.gov.vn",
            "oldCode": f"000.{groups[1]:02}.{groups[0]:02}.{level_1}",
        }
    for number in range(PLACEHOLDERS):
        yield {"id": count - number, "pid": None, "code": f"W00.{number:03}", "name": "Đơn vị thử", "oldCode": None}


def write(folder: Path, count: int) -> list[Path]:
    """Write the list as JSON and as CSV."""
    found = list(rows(count))
    as_json, as_csv = folder / "agencies.json", folder / "agencies.csv"
    as_json.write_text(json.dumps({"agencies": found}, ensure_ascii=False), "utf-8")
    with as_csv.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, list(found[0]), delimiter=";")
        table.writeheader()
        table.writerows(found)
    return [as_json, as_csv]


def measure(folder: Path, file: Path) -> dict[str, float]:
    """Import one list in this process, as a command does, and return what it cost: seconds of a processor."""
    begun = time.process_time()
    source, checked = check_file(file)
    if compare(load_expected(folder), checked.agencies):
        store_expected(folder, source, checked.agencies, now_ms=0)
    return {
        "seconds": time.process_time() - begun,
        "agencies": len(checked.agencies),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure both forms, each twice, the second time when nothing changes, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agencies", type=int, default=AGENCIES)
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        print(json.dumps(measure(*given.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in write(Path(folder), given.agencies):
            (Path(folder) / "expected.jsonl").unlink(missing_ok=True)
            for what in ("first", "again"):
                command = [sys.executable, __file__, "--measure", folder, str(file)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
                print(
                    f"{file.suffix[1:]:4}  {file.stat().st_size / 2**20:5.1f} MiB  {found['agencies']:,} agencies"
                    f"  {what}  {found['seconds']:.2f} s  peak {found['peak_mib']:.0f} MiB"
                )


if __name__ == "__main__":
    main()
