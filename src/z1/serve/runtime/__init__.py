"""Execution of requests:

    service.py       admission, running requests, logging
    reply_runner.py  runs generations on an engine and emits events
    response.py      from events to an HTTP response, whole or streamed
    proxy.py         requests that the upstream server answers
    sessions.py      thinking budgets that several requests share
    ledger_file.py   sessions and usage in SQLite
    shadow.py        finished replies, answered again at smaller budgets

Everything runs in the server's event loop, except request parsing, answer comparison and the ledger, which use threads.
"""
