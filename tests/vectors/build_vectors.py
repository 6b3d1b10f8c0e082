"""Builds ``trust``, ``envelope``, ``act`` and ``key-destruction`` of ``tests/vectors``; its README.md says what for.

``python -m tests.vectors.build_vectors`` writes the same bytes every time. ``--draw`` may also draw randomness that is
not in ``drawn.json`` yet and make keys that are missing. ``--check`` writes nothing and names what differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.vectors.building import (
    authorities,
    ed25519,
    failing_blocks,
    failing_circumstances,
    failing_packages,
    failing_parts,
    failing_proofs,
    failing_statements,
    overlap,
    standing,
)
from tests.vectors.building.acts import ActVectors
from tests.vectors.building.destructions import DestructionVectors
from tests.vectors.building.drawn import Drawn
from tests.vectors.building.failing import Failing
from tests.vectors.building.valid import Valid
from tests.vectors.building.world import World

FOLDER = Path(__file__).parent
ENVELOPES = "envelope"
ACTS = "act"
DESTRUCTIONS = "key-destruction"
TRUST = "trust"
DRAWN = "drawn.json"


def build(*, may_draw: bool = False) -> dict[str, bytes]:
    """Return the content of every built file by its path below ``tests/vectors``.

    Raises:
        NotDrawnError: Something random is needed that was not drawn before, and drawing is not allowed.
    """
    drawn = Drawn(FOLDER / DRAWN, may_draw=may_draw)
    world = World(FOLDER / TRUST, drawn, may_draw=may_draw)
    valid = Valid(world)
    failing = Failing(valid)
    for module in (
        failing_blocks,
        failing_proofs,
        failing_circumstances,
        failing_statements,
        failing_packages,
        failing_parts,
        standing,
        ed25519,
        overlap,
        authorities,
    ):
        for part in module.ALL:
            part(failing)
    files = {f"{TRUST}/{name}": content for name, content in world.files.items()}
    files[f"{TRUST}/genesis.hex"] = world.genesis.hex().encode() + b"\n"
    for position, record in enumerate(world.records):
        files[f"{TRUST}/directory/{position:04}.bin"] = record
    for vector in (*valid.vectors, *failing.vectors):
        for name, content in vector.files().items():
            path = f"{ENVELOPES}/{vector.name}/{name}"
            if path in files:
                raise ValueError(f"two vectors are called {vector.name}")
            files[path] = content
    for act in ActVectors(world).vectors:
        files |= {f"{ACTS}/{act.name}/{name}": content for name, content in act.files().items()}
    for destruction in DestructionVectors(world).vectors:
        files |= {f"{DESTRUCTIONS}/{destruction.name}/{name}": one for name, one in destruction.files().items()}
    files[DRAWN] = drawn.content()
    return files


def differences(built: dict[str, bytes]) -> list[str]:
    """Return the paths that are missing, different, or there and not built."""
    candidates = [
        FOLDER / DRAWN,
        *(path for name in (ENVELOPES, ACTS, DESTRUCTIONS, TRUST) for path in (FOLDER / name).rglob("*")),
    ]
    there = {path.relative_to(FOLDER).as_posix() for path in candidates if path.is_file()}
    changed = {path for path, content in built.items() if path in there and (FOLDER / path).read_bytes() != content}
    return sorted(changed | (there ^ built.keys()))


def main(arguments: list[str]) -> int:
    """Build, and write or compare."""
    unknown = set(arguments) - {"--draw", "--check"}
    if unknown:
        sys.stderr.write(f"unknown: {' '.join(sorted(unknown))}; known are --draw and --check\n")
        return 2
    built = build(may_draw="--draw" in arguments)
    changed = differences(built)
    for path in changed:
        sys.stdout.write(f"{path}\n")
        if "--check" in arguments:
            continue
        target = FOLDER / path
        if path in built:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(built[path])
        else:
            target.unlink()
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
