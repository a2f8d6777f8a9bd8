"""Citations: an answer's claims, tied to numbered sources that are safe to show.

`annotate` puts it all together and finds the sentences that rest on nothing, `markdown` knows where in a text
markers may stand, `markers` which place a claim's has, `sources` how a source is numbered and shown.
"""
