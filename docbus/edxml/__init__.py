"""edXML (QCVN 102:2016/BTTTT) documents and statuses, as they are met in the field, in.

:func:`read` takes any bytes and returns a document or a status with its warnings, or raises
:class:`~docbus.errors.EdXMLError`; :func:`to_document` and :func:`to_status` map what was read to docbus's own fields.
The XML signature is not verified: it is SHA-1, in no namespace that verifiers know, and not the legal signature.
"""

from docbus.edxml.mapping import DocumentFields, to_document
from docbus.edxml.model import Attachment, EdXMLDocument, EdXMLStatus
from docbus.edxml.notes import EdXMLWarning
from docbus.edxml.reader import read
from docbus.edxml.statuses import StatusFields, to_status

__all__ = [
    "Attachment",
    "DocumentFields",
    "EdXMLDocument",
    "EdXMLStatus",
    "EdXMLWarning",
    "StatusFields",
    "read",
    "to_document",
    "to_status",
]
