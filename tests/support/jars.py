"""Apache Kafka's jars, fetched by Maven from the pinned ``tests/kafka/pom.xml`` and checked against ``jars.sha256``.

``python -m tests.support.jars`` writes ``jars.sha256`` anew, after a change of the POM.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
POM = ROOT / "tests" / "kafka" / "pom.xml"
CHECKSUMS = POM.with_name("jars.sha256")
CACHE = ROOT / "build" / "kafka"
MIN_JAVA = 17
"""Apache Kafka 4 brokers need it."""
FETCH_SECONDS = 300.0
"""92 jars, 54 MB; 8 seconds when the repository is near."""


class KafkaMissingError(Exception):
    """This machine cannot run Apache Kafka; the text says what it lacks."""


def java() -> str:
    """Return the path of a java that Apache Kafka runs on.

    Raises:
        KafkaMissingError: There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise KafkaMissingError(f"java is not installed; Java {MIN_JAVA} or newer is needed")
    shown = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60, check=False)
    version = re.search(r'version "(\d+)', shown.stderr + shown.stdout)
    if version is None or int(version[1]) < MIN_JAVA:
        raise KafkaMissingError(f"{found} is older than Java {MIN_JAVA}, or does not say its version")
    return found


def jars() -> Path:
    """Return the folder with the jars; fetch them if this POM's are not there yet.

    Raises:
        KafkaMissingError: Maven is missing or could not fetch them.
        ValueError: A jar is not the one in ``jars.sha256``.
    """
    expected = CHECKSUMS.read_text("utf-8")
    folder = CACHE / f"jars-{sha256(POM.read_bytes() + expected.encode()).hexdigest()[:16]}"
    with _alone():
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as temporary:
                fetched = Path(temporary) / "jars"
                _fetch(fetched)
                differing = sorted(set(_checksums(fetched).splitlines()) ^ set(expected.splitlines()))
                if differing:
                    raise ValueError(f"the fetched jars are not those of {CHECKSUMS.name}: {differing}")
                fetched.rename(folder)
    return folder


@contextmanager
def _alone() -> Iterator[None]:
    """Let one session at a time fetch; the others find the jars there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissingError("mvn (Apache Maven) is not installed; it fetches the broker's jars")
    command = [maven, "-q", "-B", "--strict-checksums", "-f", str(POM), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KafkaMissingError(f"Maven did not fetch the broker's jars within {FETCH_SECONDS:.0f} s") from None
    if done.returncode:
        raise KafkaMissingError(f"Maven could not fetch the broker's jars:\n{done.stdout[-2000:]}")


def _checksums(folder: Path) -> str:
    """Return a line per jar, as ``sha256sum`` writes it."""
    return "".join(f"{sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(folder.glob("*.jar")))


def write_checksums() -> None:
    """Fetch the jars and write ``jars.sha256``."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "jars"
        _fetch(folder)
        CHECKSUMS.write_text(_checksums(folder), "utf-8")


if __name__ == "__main__":
    write_checksums()
    sys.stdout.write(f"{CHECKSUMS} written\n")
