"""``make fuzz SECONDS=n``: coverage-guided, each target in a process of its own, for its share of the time.

Needs atheris (``pip install atheris``), which has wheels for some versions of Python only; the corpus that it leaves is
replayed by ``make test`` without it. An input that breaks a target is kept as ``crash-…``, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
MAX_INPUT_BYTES = 4096
"""Of one input: what is larger finds little that smaller ones do not."""
MAX_KEPT_BYTES = 2048
MAX_KEPT = 60
"""Inputs kept for each target, the smallest: a corpus is read by every test run."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - a command


def search(target: str, folder: str, seconds: int) -> None:
    """Look for inputs, in this process; ends it."""
    try:
        import atheris  # type: ignore[import-not-found] # only here  # noqa: PLC0415
    except ImportError:
        sys.exit("atheris is not installed: `.venv/bin/pip install atheris`; it has wheels for CPython 3.11 to 3.13")
    with atheris.instrument_imports(include=["docbus"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    atheris.Setup(
        [
            sys.argv[0],
            folder,
            f"-max_total_time={seconds}",
            f"-max_len={MAX_INPUT_BYTES}",
            "-timeout=10",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={folder}/../",
        ],
        TARGETS[target],
    )
    atheris.Fuzz()


def main(argv: list[str] | None = None) -> int:
    """Divide the time over the targets, print what was tried, and keep what is worth keeping."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--target")
    parser.add_argument("--folder")
    arguments = parser.parse_args(argv)
    if arguments.folder:
        search(arguments.target, arguments.folder, arguments.seconds)
    from tests.fuzz.targets import TARGETS, seeds  # noqa: PLC0415

    given = list(seeds(ROOT / "tests" / "vectors"))
    targets = [arguments.target] if arguments.target else list(TARGETS)
    share = max(1, arguments.seconds // len(targets))
    broken = 0
    for target in targets:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name) / "corpus"
            work.mkdir()
            kept = CORPUS / target
            for content in [*(one for of, one in given if of == target), *_kept(kept)]:
                (work / sha256(content).hexdigest()[:20]).write_bytes(content)
            command = [sys.executable, "-m", "tests.fuzz", "--target", target, "--folder", str(work)]
            done = subprocess.run(
                [*command, "--seconds", str(share)], cwd=ROOT, capture_output=True, text=True, check=False
            )
            tried = re.search(r"Done (\d+) runs", done.stderr)
            found = (
                list(Path(name).glob("crash-*")) + list(Path(name).glob("timeout-*")) + list(Path(name).glob("oom-*"))
            )
            cover = re.findall(r"cov: (\d+)", done.stderr)
            runs = f"{int(tried[1]):,}" if tried else "?"
            say(f"{target:12} {runs:>12} inputs, coverage {cover[-1] if cover else '?'}, {len(found)} found")
            if done.returncode or found:
                broken += 1
                say(done.stderr[-3000:])
            for one in found:
                kept.mkdir(parents=True, exist_ok=True)
                shutil.copy(one, kept / one.name)
            _keep(work, kept)
    return 1 if broken else 0


def _kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []


def _keep(work: Path, kept: Path) -> None:
    """Keep the smallest inputs that the search has found worth keeping."""
    contents = sorted({path.read_bytes() for path in work.iterdir()}, key=lambda one: (len(one), one))
    kept.mkdir(parents=True, exist_ok=True)
    for content in [one for one in contents if len(one) <= MAX_KEPT_BYTES][:MAX_KEPT]:
        (kept / sha256(content).hexdigest()[:20]).write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
