"""Files that a call names, as parts of a turn.

`attach` makes the parts, `paths` knows which local files may be read, `kinds` what kind a file is.
"""
