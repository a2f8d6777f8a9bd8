"""Citations: an answer's claims, tied to numbered sources that are safe to show.

`annotate` puts it all together and finds the sentences that rest on nothing, `markdown` knows where in a text
markers may stand, `markers` which place a claim's has, `sources` how a source is numbered, dated and shown.
`report` keeps what searches found, and checks the markers that a model wrote itself.
"""
