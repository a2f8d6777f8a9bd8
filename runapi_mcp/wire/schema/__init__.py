"""A caller's JSON Schema → what the wire takes, and which of its rules only we check.

`read` takes what generators and agents write for what it means, and tells everything that is wrong with it;
`subschemas` goes around in it, follows what refers to what, and opens the loops that Google refuses; `rule`
is a subschema as it is looked at; `write` writes it in the words that Google takes, `say` says the rest in
the description; `narrow` writes it in the fewer words that some relays take.
"""
