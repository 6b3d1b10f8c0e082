"""The rules that the directory log keeps, by name.

A record that the registrar did not sign is no entry: whoever reads the log passes it by, as if it had been withheld. An
entry of the registrar's that breaks a rule is refused, and nothing later is read. Should the registrar have signed what
was passed by, in a form that this version cannot tell, the next entry does not follow, and that is noticed (ADR 0024).
"""

from __future__ import annotations

from docbus.errors import DirectoryError, ForeignRecordError

RULES: dict[str, str] = {
    "record_form": "A record is one directory record in Avro single-object encoding, of bounded size.",
    "payload_type": "The payload type is that of directory entries.",
    "genesis_pinned": "The first entry is the one whose hash is pinned in the configuration.",
    "signatures": "Enough different registrar keys signed the entry, each once, and nobody else.",
    "entry_form": "An entry is of a version and kind that this software reads.",
    "environment": "All entries are of one environment.",
    "position": "Positions count from 0 without holes.",
    "made_at": "An entry was made at a time that the calendar has, until the end of the year 9999.",
    "previous": "An entry names the hash of the one before.",
    "genesis_first": "The first entry is the genesis, and no other is.",
    "genesis_terms": "The genesis names keys that may sign, a threshold that they can meet, and freshness limits.",
    "canonical_id": "Agencies and aliases are named by canonical ids.",
    "code_once": "A code is granted once, and never again after its closure.",
    "alias_unique": "An alias belongs to one agency and is nobody's code.",
    "title": "Names and reasons are short and have nothing in them that cannot be seen.",
    "roles": "Roles are known by their form, and each stands once.",
    "partitions": "An inbox has a bounded number of partitions.",
    "profile_known": "A signing key is of a profile that this version reads.",
    "suite_known": "An encryption key is of a suite that this version reads.",
    "certificate_fit": "A certificate keeps the profile for agencies and names none but the one it is granted to.",
    "certificate_once": "A certificate is granted once, ever.",
    "signing_key_one_agency": "A signing key, by whatever certificate, is granted to one agency ever.",
    "signing_key_not_revoked": "A signing key that was revoked is not granted again.",
    "encryption_key_fit": "An encryption key has the form of its suite.",
    "encryption_key_once": "An encryption key is granted to an agency once, ever.",
    "agency_known": "Only an agency that was granted a code can be changed.",
    "agency_open": "A closed agency is not changed.",
    "rotation_changes": "A rotation grants or retires something.",
    "retired_key_held": "A rotation retires only keys that the agency holds.",
    "rotation_leaves_key": "A rotation that retires keys leaves at least one of their kind.",
    "overlap_terms": "An overlap ends certificates that have no end yet, at a time within 366 days after its entry.",
    "revoked_key_held": "A revocation names a certificate that the agency holds or held, and is not repeated.",
    "successor_open": "A successor is another agency, and open.",
    "registrar_terms": "A rotation of the registrar's keys names keys that may sign, and a threshold they can meet.",
    "registrar_key_once": "A registrar key that was retired is never one again.",
    "suspension_changes": "Only an agency that is not suspended is suspended, and only one that is is reinstated.",
    "parent_open": "An agency belongs to another one that is open and does not belong to it, by whatever steps.",
    "delegate_open": "A delegate is another agency, and open.",
    "delegation_terms": "A delegation names kinds by their form, each once, and an end that is not before its start.",
    "delegation_held": "Only a delegation that is there is ended.",
    "authority_fit": "An authority's certificates keep the profile for authorities, and their number is bounded.",
    "authority_known": "Only an authority that is in force is ended.",
}


UNSIGNED = frozenset({"record_form", "payload_type", "signatures"})
"""The rules that only a record of somebody else breaks."""


def refusal(position: int, rule: str, text: str) -> DirectoryError:
    """Return the error for an entry that breaks a rule."""
    if rule not in RULES:
        raise KeyError(rule)
    kind = ForeignRecordError if rule in UNSIGNED and position else DirectoryError
    hint = "The directory is trusted up to the entry before; ask the registrar what happened."
    if not position:
        hint = "Nothing of it is trusted: get the genesis hash from the registrar over another channel, and compare."
    return kind(f"directory entry {position} breaks the rule {rule}: {text}", hint=hint)
