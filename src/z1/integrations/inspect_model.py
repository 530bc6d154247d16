"""The model provider `z1` of inspect_ai: `--model z1/MODEL`, with a thinking budget.

The budget is the model argument `thinking_budget` or Inspect's own `reasoning_tokens`; the maximum of the answer is
`max_tokens`. Temperature 0 (greedy) is the default. A reply has a reasoning block and a text, its usage has the
thinking tokens, its metadata the attempt with token ids. `extra_body` with `thinking_budgets` requests several budgets
of one thought: the reply is that of the largest, and the metadata has all attempts. `inspect_sweep.py` uses it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from z1.engines import Sampling
from z1.errors import UserError
from z1.families import AnswerKind
from z1.generation import UNLIMITED
from z1.integrations.ladder import (
    Budget,
    Ladder,
    ModelOptions,
    ReplyOptions,
    options_of,
    paid_tokens,
    parse_budgets,
)
from z1.records import Attempt
from z1.results.inspect_log import ATTEMPTS
from z1.think import End

BUDGETS = "thinking_budgets"
"""The key of `extra_body` that asks for several budgets."""


NO_CONFIG = GenerateConfig()


class Z1API(ModelAPI):
    """A model of z1, in this process or on a server with OpenAI's API (`base_url`)."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = NO_CONFIG,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        fixed = {"model": model_name, "base_url": base_url or "", "api_key": api_key}
        self.options = options_of(ModelOptions, model_args, fixed)
        self._ladder: Ladder | None = None
        self._asked: Counter[str] = Counter()

    @property
    def ladder(self) -> Ladder:
        """The ladder; the model is loaded when it is used first."""
        if self._ladder is None:
            self._ladder = Ladder(self.options.load(), self.options.max_num_seqs)
        return self._ladder

    def max_connections(self) -> int:
        """As many requests as the engine runs at once."""
        return self.options.max_num_seqs

    def close(self) -> None:
        """Stop the engine."""
        if self._ladder is not None:
            self._ladder.close()
            self._ladder = None

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """One reply, or one at each of `thinking_budgets`."""
        if tools:
            raise UserError("tools", tools[0].name, "run a task without tools: z1's provider has none")
        messages = [{"role": message.role, "content": _text(message)} for message in input]
        budgets = self._budgets(config)
        options = self._reply_options(config, messages)
        attempts = await asyncio.wrap_future(self.ladder.submit(messages, budgets, options))
        return self._output(attempts, options)

    def _budgets(self, config: GenerateConfig) -> Sequence[Budget]:
        several = (config.extra_body or {}).get(BUDGETS)
        if several is not None:
            return parse_budgets(several)
        given = self.options.thinking_budget if config.reasoning_tokens is None else config.reasoning_tokens
        return (None if given == UNLIMITED else given,)

    def _reply_options(self, config: GenerateConfig, messages: Sequence[dict[str, str]]) -> ReplyOptions:
        """The n-th equal request with a temperature is the n-th sample."""
        temperature = config.temperature or 0.0
        key = repr((messages, config.seed))
        sampling = Sampling(
            temperature=temperature, top_p=config.top_p or 1.0, top_k=config.top_k or 0, seed=config.seed or 0
        )
        sample = self._asked[key] if temperature else 0
        self._asked[key] += 1
        return ReplyOptions(
            config.max_tokens or self.options.max_answer_tokens,
            AnswerKind.parse(self.options.answer_kind),
            sampling,
            tuple(config.stop_seqs or ()),
            sample,
        )

    def _output(self, attempts: Sequence[Attempt], options: ReplyOptions) -> ModelOutput:
        output = self.output_of(attempts[-1], options)
        paid = paid_tokens(attempts, can_fork=self.ladder.llm.engine.capabilities.can_fork)
        output.usage = ModelUsage(
            input_tokens=paid.prompt,
            output_tokens=paid.completion,
            total_tokens=paid.prompt + paid.completion,
            reasoning_tokens=paid.thinking,
        )
        outputs = [self.output_of(attempt, options).model_dump(exclude_none=True) for attempt in attempts]
        output.metadata = {ATTEMPTS: [attempt.as_json() for attempt in attempts], "z1_outputs": outputs[:-1]}
        return output

    def output_of(self, attempt: Attempt, options: ReplyOptions) -> ModelOutput:
        """One attempt as Inspect's output, with its own usage."""
        text, counts = self.ladder.reply_text(attempt, options), attempt.counts()
        prompt, completion = len(attempt.prompt_token_ids), counts.paid_tokens
        content = [ContentReasoning(reasoning=text.reasoning)] if text.reasoning else []
        message = ChatMessageAssistant(
            content=[*content, ContentText(text=text.content)], model=self.model_name, source="generate"
        )
        return ModelOutput(
            model=self.model_name,
            choices=[
                ChatCompletionChoice(message=message, stop_reason="max_tokens" if attempt.end == End.CUT else "stop")
            ],
            usage=ModelUsage(
                input_tokens=prompt,
                output_tokens=completion,
                total_tokens=prompt + completion,
                reasoning_tokens=counts.reasoning_tokens,
            ),
        )


def _text(message: ChatMessage) -> str:
    """The text of a message. Raises UserError for images and other media."""
    if not isinstance(message.content, str):
        kinds = {part.type for part in message.content} - {"text", "reasoning"}
        if kinds:
            raise UserError("content of a message", min(kinds), "run a task of texts")
    return str(message.text)
