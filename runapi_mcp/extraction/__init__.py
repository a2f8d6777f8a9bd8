"""Extraction: a caller's schema, and what comes of a model's answers to it.

`rounds` is one extraction: what is put to the model, how far its answer is, what follows a wrong one. All
that depends on a stranger's schema is done by `worker`, in processes that can be stopped. There, `check`
tells whether it is a schema, whether a value conforms and what is wrong, `formats` has its formats and
regular expressions, and `answers` judges what a model wrote, to a `verdict`. `model_json` finds JSON in an
answer, and reads and writes it to the digit. `evidence` says where in the material each value stands:
`matching` looks for them, in all that `folding` takes for the same text, and in each `notation` of a number
or a date.
"""
