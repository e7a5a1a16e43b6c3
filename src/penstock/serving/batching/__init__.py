"""Requests joined into batches, admitted and answered."""
