"""Request and response formats:

    body.py            what bodies are made of: strict models, messages, tools
    schema.py          request bodies of OpenAI's completions
    responses.py       request body of the Responses API, and the chat request that it means
    messages.py        request bodies of the Messages API, and the chat request that they mean
    signature.py       signatures of thoughts that clients send back
    request_parser.py  from a request body to generation requests
    budget.py          thinking budget and exit policy of a request
    session.py         the session of a request, and the response of its ledger
    openai_format.py   OpenAI's response formats of completions, whole and streamed
    responses_format.py, messages_format.py    response formats of the other two APIs
    logprobs.py        token ids and log-probabilities of a reply
    reply_text.py      detokenizer, reasoning and content fields, the `budget` object

They do no I/O.
"""
