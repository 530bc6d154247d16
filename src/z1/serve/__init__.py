"""HTTP server with OpenAI's API and a thinking budget per request, in front of any engine:

    app.py         routes and error responses
    middleware.py  API key, body limit, admission of bursts
    metrics.py     Prometheus metrics and JSON log lines
    chat_ui.py     chat page
    server.py      server process: socket, signals, graceful shutdown
    api/           what a request and a response contain: schema, parsing, budget, wire format
    runtime/       what runs a request: service, reply runner, response, proxy, shadow budgets

It depends on the engine protocol only; the command line chooses the engine. Importing this package loads nothing heavy.
"""
