"""Profiles by the names under which a person asks for keys of them."""

from __future__ import annotations

from enum import StrEnum

from docbus.wire.profiles import Profile


class ProfileName(StrEnum):
    """A profile of one signing key that docbus can make."""

    ES256 = "es256"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    ED25519 = "ed25519"

    @property
    def profile(self) -> Profile:
        """The profile of this name."""
        return Profile[self.name]
