"""Execution of requests:

    service.py       admission, running requests, logging
    reply_runner.py  runs generations on an engine and emits events
    response.py      from events to an HTTP response, whole or streamed
    proxy.py         requests that the upstream server answers
    shadow.py        finished replies, answered again at smaller budgets

Everything runs in the server's event loop, except request parsing and answer comparison, which use threads.
"""
