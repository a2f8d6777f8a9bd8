"""Extraction: a caller's schema, and what comes of a model's answers to it.

`repair` is one extraction: what is sent, what follows a wrong answer. `partial` says how far an answer is
that is still being written. All that depends on a stranger's schema is done by `worker`, in processes that
can be stopped. There, `check` tells whether it is a schema and whether a value conforms, `formats` has its
formats and regular expressions, `violations` the words for what is wrong, `find_json` finds the values in an
answer, `kept_part` what conforms of a wrong one, and `answers` puts it together to a `verdict`. `exact_json`
reads and writes JSON to the digit.
"""
