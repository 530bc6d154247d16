"""What runs a request: the service, the reply runner, responses, the proxy, shadow budgets."""
