"""The command line: one module a verb; `main` is the table of verbs."""
