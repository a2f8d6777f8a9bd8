"""Extraction: a caller's schema, and what comes of a model's answers to it.

`wanted` is one extraction: what is sent, what follows a wrong answer, what came of it. `outcome` reads
answers, `judge` holds them to the schema (`rules` are its keywords, `formats` its formats), `asked` knows
which members it names, `verdict` is what is kept of that. `exact` reads and writes JSON to the digit,
`partial` reads JSON that is still being written.

Schemas and answers are strangers', and a check may take for ever. `checking` decides where it is made: at
once within an `allowance`, if `extent` and `effort` say that it may be begun at all, else by `helper`, a
process that `elsewhere` starts and stops.
"""
