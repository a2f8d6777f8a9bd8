"""Citations: an answer's claims, tied to numbered sources that are safe to show.

`cited` puts it all together, `marks` knows where in a text markers may stand, `sentences` which
sentences rest on nothing, `sources` how a source is numbered and shown.
"""
