"""What the profile of agencies' certificates calls things."""

from __future__ import annotations

from cryptography import x509

URN = "urn:docbus:agency:"
"""What the URI in the subject alternative name begins with, before the canonical id."""
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336)."""
