"""Profiles by the names under which a person asks for keys of them."""

from __future__ import annotations

from enum import StrEnum

from docbus.wire.profiles import Profile


class ProfileName(StrEnum):
    """A profile of which docbus can make an agency's signing keys."""

    ES256 = "es256"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    ED25519 = "ed25519"
    ES256_ML_DSA_65 = "es256-ml-dsa-65"

    @property
    def profile(self) -> Profile:
        """The profile of this name."""
        return Profile[self.name]
