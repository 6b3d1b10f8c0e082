"""How many signatures a second come from a token, with one thread that signs and with several.

``.venv/bin/python -m benchmarks.tokens`` uses SoftHSM 2 in a temporary folder. With ``--slow 200`` each signature takes
200 ms longer, in the library and outside Python's lock, as in an HSM that makes several at the same time; a C compiler
is needed for that. Each signature is verified before it counts, as everywhere in docbus.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from docbus.tokens.making import make_token_key
from docbus.wire.profiles import Profile
from tests.support.altered_softhsm import AlteredSoftHSM
from tests.support.softhsm import running_softhsm

if TYPE_CHECKING:
    from docbus.tokens.signer import TokenKey

SECONDS = 5.0
THREADS = (1, 2, 4)
PROFILES = (Profile.ES256, Profile.RSA_PSS_SHA256)
MILLISECOND_MICROSECONDS = 1000


def measure(key: TokenKey, threads: int, seconds: float) -> float:
    """Return the signatures a second of so many threads that sign without pause."""
    begun = time.perf_counter()

    def sign(thread: int) -> int:
        made = 0
        while time.perf_counter() - begun < seconds:
            key.sign(b"%d %d" % (thread, made))
            made += 1
        return made

    with ThreadPoolExecutor(threads) as signers:
        made = sum(signers.map(sign, range(threads)))
    return made / (time.perf_counter() - begun)


def main() -> None:
    """Print a line for each profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, default=0, help="milliseconds that a signature takes longer")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docbus-bench-") as name, running_softhsm(Path(name, "token")) as softhsm:
        softhsm.initialise("bench")
        query = {"pin_source": f"file:{softhsm.pin_file()}"}
        if options.slow:
            altered = AlteredSoftHSM(softhsm, Path(name))
            altered.set("sign_microseconds", options.slow * MILLISECOND_MICROSECONDS)
            query["module_path"] = str(altered.library)
        for profile in PROFILES:
            key = make_token_key(softhsm.uri("bench", profile.name, **query), profile)
            key.sign(b"the PIN is read, and the key found")
            rates = (f"{threads}: {measure(key, threads, options.seconds):,.1f}" for threads in THREADS)
            sys.stdout.write(f"{profile.name}, signatures a second by threads: {', '.join(rates)}\n")


if __name__ == "__main__":
    main()
