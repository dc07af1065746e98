-- Named parts of what an invoice and its lines differ by: the difference is the items and a rest. Taken back, an item
-- goes; that it was there, and why, stays in the audit log, which `costwake verify` holds the items against.
CREATE TABLE invoice_item (
    invoice_item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_key bigint NOT NULL REFERENCES invoice ON DELETE CASCADE,
    -- In the currency of the invoice, signed as the difference is: above zero where more is billed than invoiced.
    amount numeric NOT NULL CHECK (amount <> 0),
    reason text NOT NULL CHECK (reason <> ''),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE INDEX invoice_item_by_invoice ON invoice_item (invoice_key);
