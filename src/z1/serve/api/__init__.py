"""What a request and a reply look like: schemas, parsing, budgets, OpenAI's wire format."""
