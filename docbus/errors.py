"""The one tree of errors, and what each asks of the caller.

::

    DocbusError                        never raised itself
    ├── ConfigurationError             settings or keys: refuse to start
    │   ├── KeyFileError               a key cannot be read, or is not the granted one
    │   ├── PinError                   the PIN of a token is missing, wrong or locked
    │   └── LockedError                another process holds what may be held once
    ├── SignerAwayError                the token that holds a key does not answer      (retriable)
    ├── DocumentError                  refused at the door, nothing was accepted
    │   ├── DocumentTooLargeError
    │   ├── DocumentConflictError      same id, other content
    │   └── EdXMLError                 the file is not edXML that can be read
    ├── IdentityError
    │   ├── AgencyCodeError            not a code
    │   ├── UnknownAgencyError         a code that the directory does not have
    │   ├── AgencyClosedError
    │   ├── DelegationError            may not send for the other agency
    │   ├── RevocationUnavailableError an authority's lists or responses cannot be fetched  (retriable)
    │   └── DirectoryError             the directory log contradicts itself or the pinned genesis
    │       └── ForeignRecordError     a record that the registrar did not sign
    ├── MalformedError                 bytes that are not what their schema says
    ├── VerificationError              a check ran and the answer is no
    ├── IndeterminateError             a check cannot be decided yet               (retriable)
    ├── StorageError                   the local database or disk
    │   ├── DiskFullError              (retriable)
    │   └── OutboxFullError            (retriable)
    ├── TransportError
    │   ├── BrokerUnavailableError     (retriable)
    │   ├── AppendUnknownError         the broker may or may not have it           (retriable)
    │   ├── TopicMissingError
    │   ├── AccessDeniedError          the brokers do not let this user do it
    │   ├── RecordRefusedError         the broker will never take this record
    │   └── GroupBusyError             somebody else reads with this group
    ├── DeliveryError
    │   └── SinkUnavailableError       (retriable)
    ├── RedriveError                   a record that was set aside cannot be released, redelivered or rejected
    ├── KeyDestructionError            a decryption key is needed, or not there
    ├── ContentUnavailableError        parts of large content have expired, or are nowhere to be found
    ├── TimeStampError                 an authority's answer that proves nothing   (retriable)
    │   └── AuthorityUnavailableError  the time-stamping authority does not answer (retriable)
    ├── WaitTimeoutError               a bounded wait ran out                      (retriable)
    └── AuditError                     evidence cannot be read

``code`` is stable and appears in receipts, logs, quarantine headers and ``docs/reference/errors.md``.
``step`` names the check or step of the journey (``P1``, ``C1.07``) where there is one.
"""

from __future__ import annotations

from typing import ClassVar


class DocbusError(Exception):
    """Root of everything docbus raises on purpose.

    Args:
        text: One sentence naming what is wrong and where. Never plaintext or key material.
        hint: What the user can do about it, one sentence.
        step: Step of the journey or number of the check, such as ``P1`` or ``C1.07``.
    """

    code: str = "error"
    retriable: ClassVar[bool] = False

    def __init__(self, text: str, *, hint: str | None = None, step: str | None = None) -> None:
        """Keep text, hint and step apart, so that a caller can show them as it likes."""
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.step = step


class ConfigurationError(DocbusError):
    """A setting is missing, unknown or wrong; nothing was started."""

    code = "configuration_invalid"


class KeyFileError(ConfigurationError):
    """A private key is missing, unreadable, or does not belong to the granted certificate."""

    code = "key_unusable"


class PinError(ConfigurationError):
    """The PIN of a token is missing, wrong or locked; a wrong one is never tried again by this process."""

    code = "pin_refused"


class LockedError(ConfigurationError):
    """Another process holds the outbox or the inbox; the text says which."""

    code = "locked"


class SignerAwayError(DocbusError):
    """The token that holds a key was pulled, or does not answer; what is to be signed waits for it."""

    code = "signer_away"
    retriable = True


class DocumentError(DocbusError):
    """The document will not be sent; nothing was accepted."""

    code = "document_invalid"


class DocumentTooLargeError(DocumentError):
    """The encrypted package would be larger than what travels inside an envelope."""

    code = "document_too_large"


class DocumentConflictError(DocumentError):
    """The same document id and revision was accepted before with other content."""

    code = "document_conflict"


class EdXMLError(DocumentError):
    """The file is not an edXML document or status that can be read, or it is not safe to read."""

    code = "edxml_invalid"


class IdentityError(DocbusError):
    """Who somebody is, or may be, cannot be settled."""

    code = "identity_invalid"


class AgencyCodeError(IdentityError):
    """The text is not an agency code of any known scheme."""

    code = "agency_code_invalid"


class UnknownAgencyError(IdentityError):
    """A well-formed code that the directory does not know."""

    code = "agency_unknown"


class AgencyClosedError(IdentityError):
    """The directory has closed this agency; the hint names its successor if it has one."""

    code = "agency_closed"


class DelegationError(IdentityError):
    """The directory does not let this agency send such a document for the other one now."""

    code = "delegation_missing"


class RevocationUnavailableError(IdentityError):
    """An authority's revocation list, or its answer about a certificate, cannot be fetched now."""

    code = "revocation_unavailable"
    retriable = True


class DirectoryError(IdentityError):
    """The directory log contradicts itself, or does not begin with the pinned genesis entry."""

    code = "directory_invalid"


class ForeignRecordError(DirectoryError):
    """A record in the directory's topic is no entry: the registrar did not sign it."""

    code = "directory_record_foreign"


class MalformedError(DocbusError):
    """Bytes are not a valid encoding under their schema."""

    code = "malformed"


class VerificationError(DocbusError):
    """A numbered check ran and failed. ``code`` is the check's own, see ``verification.checks``."""

    code = "verification_failed"

    def __init__(self, code: str, text: str, *, step: str, hint: str | None = None) -> None:
        """Carry the code of the check that failed."""
        super().__init__(text, hint=hint, step=step)
        self.code = code


class IndeterminateError(DocbusError):
    """A numbered check cannot be decided yet; the record is parked and tried again."""

    code = "indeterminate"
    retriable = True

    def __init__(self, code: str, text: str, *, step: str, hint: str | None = None) -> None:
        """Carry the code of the check that could not be decided."""
        super().__init__(text, hint=hint, step=step)
        self.code = code


class StorageError(DocbusError):
    """The local database cannot be read or written."""

    code = "storage_failed"


class DiskFullError(StorageError):
    """No space left where the outbox, the ledger or the sink writes."""

    code = "disk_full"
    retriable = True


class OutboxFullError(StorageError):
    """The outbox holds as much as its configured limit allows."""

    code = "outbox_full"
    retriable = True


class TransportError(DocbusError):
    """The brokers, or the embedded bus file, did not do what was asked."""

    code = "transport_failed"


class BrokerUnavailableError(TransportError):
    """No broker answers, or the embedded bus file cannot be opened."""

    code = "broker_unavailable"
    retriable = True


class AppendUnknownError(TransportError):
    """The records may or may not have been stored; the same bytes are to be sent again."""

    code = "append_unknown"
    retriable = True


class TopicMissingError(TransportError):
    """A topic does not exist; `docbus provision` creates it."""

    code = "topic_missing"


class AccessDeniedError(TransportError):
    """The brokers do not let this user ask, read or change that; an access right is missing."""

    code = "access_denied"


class RecordRefusedError(TransportError):
    """The broker will never take this record: too large, or not authorised."""

    code = "record_refused"


class GroupBusyError(TransportError):
    """Another process reads this topic with the same group, and the transport allows only one."""

    code = "group_busy"


class DeliveryError(DocbusError):
    """A document could not be filed."""

    code = "delivery_failed"


class SinkUnavailableError(DeliveryError):
    """The DMS cannot be reached; waits and tries again for ever, visibly."""

    code = "sink_unavailable"
    retriable = True


class RedriveError(DocbusError):
    """Nothing was selected, or what was selected cannot be released, redelivered or rejected; nothing was decided."""

    code = "redrive_refused"


class KeyDestructionError(DocbusError):
    """A decryption key is not destroyed: there is no such key, or it is needed; nothing was changed."""

    code = "key_destruction_refused"


class ContentUnavailableError(DocbusError):
    """Parts of large content cannot be had; ``code`` is the reason, see ``documents.refusals``."""

    code = "content_missing"

    def __init__(self, code: str, text: str, *, hint: str | None = None) -> None:
        """Carry the reason."""
        super().__init__(text, hint=hint)
        self.code = code


class TimeStampError(DocbusError):
    """A time-stamping authority answered what proves nothing; it is asked again, and documents flow meanwhile."""

    code = "time_stamp_refused"
    retriable = True


class AuthorityUnavailableError(TimeStampError):
    """The time-stamping authority cannot be reached, or did not answer in time or size."""

    code = "time_stamp_authority_unavailable"


class WaitTimeoutError(DocbusError):
    """What was waited for did not happen within the given time; nothing is lost."""

    code = "wait_timeout"
    retriable = True


class AuditError(DocbusError):
    """Evidence cannot be read, so nothing can be said about it."""

    code = "evidence_unreadable"
