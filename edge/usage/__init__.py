"""The usage ledger: one row for each request, made from sealed audit records, and sums of rows by day."""
