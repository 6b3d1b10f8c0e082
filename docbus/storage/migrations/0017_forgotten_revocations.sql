-- Older lists that alone still say that a certificate in force was revoked, which the newest of their place has forgotten
-- (ADR 0028). They decide as the newest ones do, and stay until the certificate has ended.

-- Of each list: NULL, or what was forgotten, a sentence for people about each certificate, by lines.
ALTER TABLE validation_material ADD COLUMN held TEXT;
CREATE INDEX validation_material_held ON validation_material (digest) WHERE held IS NOT NULL;
