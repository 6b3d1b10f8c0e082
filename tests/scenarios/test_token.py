"""An agency whose signing key is on a token: it joins, sends, loses its token and gets it back."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docbus.client.connect import open_registrar, read_certificates
from docbus.client.founding import FoundedAgency, found_agency
from docbus.client.registrar_keys import make_registrar_token_key, read_registrar_key
from docbus.client.rotation import rotate
from docbus.client.settings_file import edit_keys, put_first
from docbus.client.status import folder_status
from docbus.clock import SystemClock
from docbus.errors import ConfigurationError, PinError, SignerAwayError
from docbus.producers.outbox import MAX_BATCH_STATEMENTS
from docbus.producers.signing_pace import MAX_SLOW_BATCH_STATEMENTS, SLOW_SIGNATURE_SECONDS
from docbus.registry import provision
from docbus.settings import EmbeddedSettings, load_settings
from docbus.tokens import module as modules
from docbus.tokens.pins import PIN_VARIABLE
from docbus.tokens.signer import TOKEN_PROFILES
from docbus.wire.profiles import Profile
from tests.support import trial
from tests.support.softhsm import PIN
from tests.support.trial import ENVIRONMENT, HANOI, PATIENCE, TAY_NINH, letter, opened, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.softhsm import SoftHSM
    from tests.support.trial import Exchange

ROOT = Path(__file__).parents[2]
WRONG = "97531864"
SECONDS = 30


async def join(exchange: Exchange, code: str, uri: str, profile: int = Profile.ES256) -> None:
    """Let an agency join with a key that is made on a token."""
    made = found(exchange.folder / code, exchange, code, uri, profile)
    await grant(exchange, made.request.read_text("ascii"))


def found(folder: Path, exchange: Exchange, code: str, uri: str, profile: int = Profile.ES256) -> FoundedAgency:
    """Make an agency's folder, with its signing key on a token."""
    return found_agency(
        folder,
        code=code,
        name=code,
        environment=ENVIRONMENT,
        genesis=exchange.genesis,
        bus=EmbeddedSettings(file=exchange.folder / "bus.db"),
        clock=SystemClock(),
        profile=profile,
        signing_key=uri,
        make_signing_key=True,
    )


async def grant(exchange: Exchange, request: str) -> None:
    """Let the registrar grant an agency, and make its topics."""
    async with exchange.registrar() as registrar:
        await registrar.grant(request)
        snapshot = await registrar.load()
    async with exchange.bus() as transport:
        await provision.apply(transport, await provision.plan(transport, snapshot))


@pytest.fixture
async def tokened(tmp_path: Path, softhsm: SoftHSM) -> Exchange:
    """Found an exchange without Hà Nội, for which there is a token."""
    softhsm.initialise(HANOI)
    return await trial.found(tmp_path, [(TAY_NINH, "Tây Ninh")])


@pytest.mark.parametrize("profile", TOKEN_PROFILES)
async def test_agency_with_a_token_joins_sends_and_receives(
    tokened: Exchange, softhsm: SoftHSM, profile: Profile
) -> None:
    """The join request is proven with the token's key; documents and receipts of both sides are believed."""
    await join(tokened, HANOI, softhsm.uri(HANOI, pin_source=f"file:{softhsm.pin_file()}"), profile)
    async with opened(tokened, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        sent = (await hanoi.publish(letter(), to=[TAY_NINH])).document_id
        answer = (await tay_ninh.publish(letter(), to=[HANOI])).document_id
        there = await hanoi.wait(sent, until="received", timeout=PATIENCE)
        back = await tay_ninh.wait(answer, until="received", timeout=PATIENCE)

    report = await tokened.audit()
    assert ["received", "received"] == [journey.legs[0].state for journey in (there, back)]
    assert ([sent], [answer]) == (tokened.ids_filed(TAY_NINH), tokened.ids_filed(HANOI))
    assert [] == list((tokened.folder / HANOI / "keys").glob("signing*"))
    assert 0 == report.exit_code


async def test_documents_wait_for_a_token_that_was_pulled(tokened: Exchange, softhsm: SoftHSM) -> None:
    """While it is away documents are accepted, receiving goes on, and the status says so; afterwards all go out once.

    What was sealed before is sent; nothing is lost, nothing is filed twice, and nobody types the PIN again.
    """
    await join(tokened, HANOI, softhsm.uri(HANOI, pin_source=f"file:{softhsm.pin_file()}"))
    async with opened(tokened, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="1-before")
        await hanoi.wait("1-before", until="received", timeout=PATIENCE)
        softhsm.pull()
        for number in range(20):
            await hanoi.publish(letter(), to=[TAY_NINH], id=f"2-meanwhile-{number:02}")
        await tay_ninh.publish(letter(), to=[HANOI], id="3-to-hanoi")

        async def is_away() -> bool:
            return (await hanoi.status()).signer_trouble is not None

        await until(is_away)
        away = await hanoi.status()
        apart = await folder_status(load_settings(tokened.folder / HANOI), SystemClock())
        await until(lambda: tokened.ids_filed(HANOI) == ["3-to-hanoi"])
        softhsm.put_back()
        for document in ("2-meanwhile-00", "2-meanwhile-19"):
            await hanoi.wait(document, until="received", timeout=PATIENCE)
        await tay_ninh.wait("3-to-hanoi", until="received", timeout=PATIENCE)
        healed = await hanoi.status()

    assert 20 == away.outbox.accepted
    assert away.signer_trouble is not None
    assert "token=H26" in away.signer_trouble.text
    assert away.signer_trouble.since is not None
    assert apart.signer_trouble is not None
    assert None is healed.signer_trouble
    assert 21 == len(tokened.ids_filed(TAY_NINH)) == len({*tokened.ids_filed(TAY_NINH)})
    assert 0 == (await tokened.audit()).exit_code


async def test_wrong_pin_ends_sending_and_loses_nothing(
    tokened: Exchange, softhsm: SoftHSM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending ends with the error, again and again without another try; a new process with the right PIN goes on."""
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    await join(tokened, HANOI, softhsm.uri(HANOI))
    for module in modules._modules.values():
        module.close()
    monkeypatch.setenv(PIN_VARIABLE, WRONG)
    async with opened(tokened, HANOI, TAY_NINH) as (hanoi, tay_ninh), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="letter-1")
        for _ in range(2):
            with pytest.raises(PinError, match="does not take the PIN") as refused:
                async with hanoi.serving():
                    await hanoi.wait("letter-1", until="sent", timeout=PATIENCE)
            assert WRONG not in refused.value.text
        # As a new process would.
        for module in modules._modules.values():
            module.close()
        monkeypatch.setenv(PIN_VARIABLE, PIN)
        async with hanoi.serving():
            journey = await hanoi.wait("letter-1", until="received", timeout=PATIENCE)

    assert "received" == journey.legs[0].state


async def test_registrar_signs_with_a_token(tokened: Exchange, softhsm: SoftHSM) -> None:
    """The directory goes over to a key on a token, which grants from then on; without the token it says so."""
    softhsm.initialise("registrar")
    uri = softhsm.uri("registrar", pin_source=f"file:{softhsm.pin_file()}")
    public = tokened.folder / "token.pub.pem"
    made = make_registrar_token_key(uri, public)
    async with open_registrar(tokened.folder / "registrar", clock=SystemClock(), keys=[uri]) as registrar:
        await registrar.load()
        await registrar.rotate_registrar([read_registrar_key(public)], threshold=1)
    settings = tokened.folder / "registrar" / "docbus.toml"
    settings.write_text(settings.read_text("utf-8").replace("file:keys/registrar.pem", uri), "utf-8")

    await join(tokened, HANOI, softhsm.uri(HANOI, pin_source=f"file:{softhsm.pin_file()}"))
    async with tokened.registrar() as registrar:
        terms = (await registrar.load()).registrar
    softhsm.pull()
    for module in modules._modules.values():
        module.close()

    assert [made.key] == [*terms.keys]
    with pytest.raises(SignerAwayError):
        async with tokened.registrar():
            pass


async def test_agency_moves_to_a_token_while_it_works(tmp_path: Path, softhsm: SoftHSM) -> None:
    """Named as the next one, a key on a token signs from the moment at which the directory grants it.

    `docbus keys rotate` goes on with it, and from then on makes no key in a file in its place.
    """
    softhsm.initialise(HANOI)
    exchange = await trial.found(tmp_path, trial.AGENCIES[:2])
    uri = softhsm.uri(HANOI, pin_source=f"file:{softhsm.pin_file()}")
    folder, fresh = exchange.folder / HANOI, exchange.folder / "fresh"
    found(fresh, exchange, HANOI, uri)
    shutil.copytree(fresh / "keys", folder / "keys" / "token")
    (certificate,) = read_certificates(folder / "keys" / "token" / "certificate.pem")

    def name(keys: Any) -> None:
        put_first(keys, "encryption", "file:keys/token/encryption.pem")
        keys["next_signing"], keys["next_certificate"] = uri, "keys/token/certificate.pem"

    async with opened(exchange, HANOI, TAY_NINH) as (hanoi, tay_ninh), hanoi.serving(), tay_ninh.serving():
        await hanoi.publish(letter(), to=[TAY_NINH], id="1-in-a-file")
        await hanoi.wait("1-in-a-file", until="received", timeout=PATIENCE)
        edit_keys(folder, name)
        begun = rotate(folder, hanoi.snapshot, SystemClock())
        assert begun.request is not None
        async with exchange.registrar() as registrar:
            published = await registrar.rotate(begun.request.read_text("ascii"))
        await trial.knows([hanoi, tay_ninh], published.position)
        await until(lambda: hanoi._keys.signer(hanoi.snapshot).certificate == sha256(certificate).digest())
        await hanoi.publish(letter(), to=[TAY_NINH], id="2-on-a-token")
        journey = await hanoi.wait("2-on-a-token", until="received", timeout=PATIENCE)
        over = rotate(folder, hanoi.snapshot, SystemClock())
    with pytest.raises(ConfigurationError, match="new keys would be made in files"):
        rotate(folder, hanoi.snapshot, SystemClock(), again=True)

    assert ("requested", "received") == (begun.step, journey.legs[0].state)
    assert over.step in ("complete", "overlapping")
    keys = load_settings(folder).keys
    assert keys is not None
    assert (uri, None) == (keys.signing, keys.next_signing)


async def test_slow_signer_of_an_agency_gets_larger_batches(tokened: Exchange, softhsm: SoftHSM) -> None:
    """What the last signature took decides how much the agency seals next; a token is measured, and not guessed."""
    await join(tokened, HANOI, softhsm.uri(HANOI, pin_source=f"file:{softhsm.pin_file()}"))
    async with opened(tokened, HANOI, TAY_NINH) as (hanoi, tay_ninh), tay_ninh.serving():
        sealing, timed = hanoi._drain._sealing, hanoi._keys._timed
        assert timed is not None
        before = sealing._batch_statements()
        timed._seconds = SLOW_SIGNATURE_SECONDS
        slow = sealing._batch_statements()
        async with hanoi.serving():
            await hanoi.publish(letter(), to=[TAY_NINH], id="one")
            await hanoi.wait("one", until="received", timeout=PATIENCE)
        measured = timed._seconds

    assert (MAX_BATCH_STATEMENTS, MAX_SLOW_BATCH_STATEMENTS) == (before, slow)
    assert 0.0 < measured != SLOW_SIGNATURE_SECONDS


def docbus(folder: Path, *arguments: str, pin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "docbus", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | ({} if pin is None else {PIN_VARIABLE: pin}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        start_new_session=True,
    )


@contextlib.contextmanager
def working(folder: Path, log: list[str]) -> Iterator[None]:
    """Let Hà Nội run with the right PIN as long as the block does, and note what it says."""
    with subprocess.Popen(
        [sys.executable, "-m", "docbus", "-v", "-C", HANOI, "run"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), PIN_VARIABLE: PIN},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            log.append(process.communicate(timeout=SECONDS)[0])


async def test_command_line_keeps_the_pin_to_itself(tokened: Exchange, softhsm: SoftHSM) -> None:
    """From `init` to `run` with a token: exit codes tell what is wrong, and no file and no output has the PIN."""
    genesis = ("--environment", ENVIRONMENT, "--genesis", tokened.genesis, "--bus", "bus.db")
    key = ("--signing-key", softhsm.uri(HANOI), "--make-signing-key")
    names = ("-C", HANOI, "init", "--code", HANOI, "--name", "Hà Nội")
    without = docbus(tokened.folder, *names, *genesis, *key)
    made = docbus(tokened.folder, *names, *genesis, *key, pin=PIN)
    await grant(tokened, (tokened.folder / HANOI / f"{HANOI}.join").read_text("ascii"))
    (tokened.folder / "letter.txt").write_text("Kính gửi", "utf-8")
    published = docbus(tokened.folder, "-C", HANOI, "publish", "letter.txt", "--to", TAY_NINH, "--id", "one")
    wrong = docbus(tokened.folder, "-C", HANOI, "-v", "send", pin=WRONG)
    examined = docbus(tokened.folder, "-C", HANOI, "doctor")
    shown = docbus(tokened.folder, "-C", HANOI, "status")
    log: list[str] = []
    with working(tokened.folder, log):
        async with tokened.agency(TAY_NINH) as tay_ninh, tay_ninh.serving():
            await until(lambda: tokened.ids_filed(TAY_NINH) == ["one"])

    assert [2, 0, 0, 2, 0, 0] == [one.returncode for one in (without, made, published, wrong, examined, shown)], (
        without.stderr + made.stderr + wrong.stderr + examined.stdout
    )
    assert "there is no PIN for the token token=H26" in without.stderr
    assert "it is not tried again" in wrong.stderr
    assert "the last PIN that was tried on it was wrong" in examined.stdout
    assert "SIGNER AWAY" not in shown.stdout
    said = [one.stdout + one.stderr for one in (without, made, published, wrong, examined, shown)]
    assert [] == [text for text in (*said, *log) if PIN in text or WRONG in text]
    files = [path for path in tokened.folder.rglob("*") if path.is_file() and softhsm.folder not in path.parents]
    assert [] == [path for path in files if PIN.encode() in path.read_bytes()]


async def test_running_process_waits_for_its_token(tokened: Exchange, softhsm: SoftHSM) -> None:
    """`docbus run` outlives its token: it says so in log and status, and sends what waited once it is back."""
    await join(tokened, HANOI, softhsm.uri(HANOI, pin_source=f"file:{softhsm.pin_file()}"))
    (tokened.folder / "letter.txt").write_text("Kính gửi", "utf-8")
    publish = ("-C", HANOI, "publish", "letter.txt", "--to", TAY_NINH, "--id")
    log: list[str] = []
    with working(tokened.folder, log):
        async with tokened.agency(TAY_NINH) as tay_ninh, tay_ninh.serving():
            docbus(tokened.folder, *publish, "before")
            await until(lambda: tokened.ids_filed(TAY_NINH) == ["before"])
            softhsm.pull()
            meanwhile = docbus(tokened.folder, *publish, "meanwhile")
            shown = docbus(tokened.folder, "-C", HANOI, "status")
            softhsm.put_back()
            await until(lambda: tokened.ids_filed(TAY_NINH) == ["before", "meanwhile"])
    healed = docbus(tokened.folder, "-C", HANOI, "status")

    assert [0, 0, 0] == [meanwhile.returncode, shown.returncode, healed.returncode], meanwhile.stderr + shown.stderr
    assert "SIGNER AWAY" in shown.stdout
    assert "SIGNER AWAY" not in healed.stdout
    assert "signer.away" in log[0]
    assert "signer.back" in log[0]
