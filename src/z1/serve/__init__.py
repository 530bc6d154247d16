"""How does a budget for thinking stand in front of any engine, in the API that clients already speak?

    budget.py     what a client calls its budget, and the window that this makes
    schema.py     what a request may say; what it may not is refused
    reading.py    from a request to orders
    policy.py     when a thought may end early, and what is told of probes
    room.py       replies under way: orders in, events out
    text.py       ids that are still coming, as text that is sure
    parts.py      thought, hint and answer as fields and offsets, and the account
    tokens.py     ids and log-probabilities beside the text
    wire.py       OpenAI's two dialects, whole and in chunks
    exchange.py   one request from its first event to its last byte
    service.py       limits, what is under way, answer now
    shadow.py     what a shorter window would have made of it
    meters.py     metrics, and a line of JSON a request
    passing.py    what an upstream answers by itself
    gate.py       who may come in, with how much
    app.py        the routes
    page.py       a chat page for people
    running.py    a server process: ports, signals, draining

It knows engines by their protocol; the door picks one. Importing this package loads nothing heavy.
"""
