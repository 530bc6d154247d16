"""A window on any engine: the driver samples from a session until the flow is finished.

The engine here is scripted, so the example needs no model. A real one implements `z1.engines.protocol`.
"""

import asyncio

from z1.engines import Sampling, run_flow
from z1.engines.scripted import Script, ScriptedEngine
from z1.think import Flow, Window

HINT = "\n\nThe final answer is:\n\n"
SCRIPT = Script({"6 * 7?": "six times seven is six sevens, so"}, {"6 * 7?": "42"}, HINT)


async def main() -> None:
    async with ScriptedEngine(SCRIPT, profile="plain") as engine:
        encode = engine.tokenizer.encode
        session = await engine.open(encode("6 * 7?"), Sampling(frozenset({3})))
        window = Window(10, 8, tuple(encode(HINT)), frozenset({3}))
        flow = await run_flow(Flow(window, session.free_tokens), session)
        await session.close()
    print(engine.tokenizer.decode(flow.token_ids))
    print(flow.ledger())


asyncio.run(main())
