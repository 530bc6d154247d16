"""The command line: a module for each verb, and what verbs share.

Verbs, each a module of its name: think, serve, curate, train, evaluate, report, run, study, compare, power, calibrate,
replay, demo, doctor. Modules that they share:

    main            the table of verbs, and how errors end the command line
    options         common parameters, refusal of unused ones, JSON output
    extras          the extras of z1 and the libraries they bring
    progress        bars and log lines on stderr
    tables          result tables whose cells are never truncated
    stages          stages of a recipe with progress, and their curve
    preflight       what a fine-tuning would do
    engine_factory  the engine of `z1 serve`
"""
