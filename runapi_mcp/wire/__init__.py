"""Strings in, events out: both dialects, the fold, and what they share. No I/O, no clock."""
