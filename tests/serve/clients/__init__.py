"""Programs of unmodified clients that hold a conversation of three turns, and the request bodies that they sent.

`python PROGRAM URL MODEL VARIANT whole|streamed '["question", ...]'` prints the answers and the client's version as
JSON. Each program keeps the history as its client's documentation says. `bodies/` has what was recorded from them.
"""
