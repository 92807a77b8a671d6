"""Masks as values and files: run lengths, records, label images. Knows no torch."""
