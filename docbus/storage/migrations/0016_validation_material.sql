-- Revocation lists and OCSP responses, and on which of them the verdict on each statement rested (ADR 0021).

CREATE TABLE validation_material (
    digest      BLOB    NOT NULL UNIQUE,     -- SHA-256 of the content
    place       BLOB    NOT NULL,            -- digest of what a newer one takes the place of: a list's authority, scope
                                             -- and points, or a response's certificate
    kept_at     INTEGER NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0,  -- 1: a verdict rests on it, so that it stays when there is a newer one
    content     BLOB    NOT NULL             -- DER, as the authority made it
);
CREATE INDEX validation_material_place ON validation_material (place);

-- Of a statement under an issued certificate: the time for which it was judged, 8 bytes, and the digests of the lists
-- and responses that the answer needed, 32 bytes each. NULL: no authority has issued the certificate.
ALTER TABLE incoming ADD COLUMN basis BLOB;

-- Whatever a verdict rests on is marked with the first statement that says so; later ones find nothing left to mark.
CREATE INDEX validation_material_unused ON validation_material (digest) WHERE used = 0;
CREATE TRIGGER incoming_uses_material AFTER INSERT ON incoming WHEN NEW.basis IS NOT NULL
BEGIN
    UPDATE validation_material SET used = 1 WHERE used = 0 AND instr(NEW.basis, digest);
END;
