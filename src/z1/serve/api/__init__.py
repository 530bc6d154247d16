"""Request and response formats:

    schema.py          request bodies as pydantic models
    request_parser.py  from a request body to generation requests
    budget.py          thinking budget and exit policy of a request
    session.py         the session of a request, and the response of its ledger
    openai_format.py   OpenAI's response formats, whole and streamed
    logprobs.py        token ids and log-probabilities of a reply
    reply_text.py      detokenizer, reasoning and content fields, the `budget` object

They do no I/O.
"""
