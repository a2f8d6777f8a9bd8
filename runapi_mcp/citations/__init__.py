"""Citations: an answer's claims, tied to numbered sources that are safe to show.

`annotate` puts it all together, `markdown` knows where in a text markers may stand, `markers` which place
a claim's has, `sentences` which sentences rest on nothing, `sources` how a source is numbered and shown.
"""
