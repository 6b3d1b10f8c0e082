-- Revocation lists and OCSP responses, and on which of them the verdict on each statement rested (ADR 0021).

CREATE TABLE validation_material (
    digest      BLOB    NOT NULL UNIQUE,     -- SHA-256 of the content
    place       BLOB    NOT NULL,            -- digest of what a newer one takes the place of: a list's authority, scope
                                             -- and points, or a response's certificate
    kept_at     INTEGER NOT NULL,
    content     BLOB    NOT NULL             -- DER, as the authority made it
);
CREATE INDEX validation_material_place ON validation_material (place);

-- Of a statement under an issued certificate: the time for which it was judged, 8 bytes, and the digests of the lists
-- and responses that the answer needed, 32 bytes each. NULL: no authority has issued the certificate.
ALTER TABLE incoming ADD COLUMN basis BLOB;
CREATE INDEX incoming_basis ON incoming (stream, sequence) WHERE basis IS NOT NULL;
