"""vLLM's second runner on a CPU: its own buffers, kernels, sampler and verification of drafts, without a model.

    PYTHON -m tests.vllm_plugin.triton_interpreter tests.vllm_plugin.runner

PYTHON is an interpreter with vLLM and Triton, whose interpreter runs the kernels. The replies are those of
`test_batch_state.py`, and what vLLM's code accepts must be the tokens of the driver. Prints a line of JSON.
"""

from __future__ import annotations

import json
from itertools import accumulate
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from vllm import SamplingParams
from vllm.v1.worker.gpu import buffer_utils
from vllm.v1.worker.gpu import input_batch as kernels
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.sampler import Sampler
from vllm.v1.worker.gpu.spec_decode import rejection_sampler
from vllm.v1.worker.gpu.states import RequestState

from tests.vllm_plugin.test_batch_state import PROMPT, SIZE, WIDE, Reply, V2Runner, finished, new, replies, uncounted
from z1.vllm_plugin.batch_state import V2BatchSlots

buffer_utils.is_uva_available = lambda: False  # memory that a GPU sees as well
SLOTS, DRAFTS, CPU = 4, 8, torch.device("cpu")


class Slots(V2BatchSlots, LogitsProcessor):  # type: ignore[misc]  # vLLM is not installed for type checks
    """The processor, as the plug-in combines it."""


class OwnRunner(V2Runner):
    """The stand-in with vLLM's buffers and kernels in place of its own."""

    def __init__(self, random: Random, drafts: int, right: float) -> None:
        super().__init__(random, drafts, right)
        self.state = RequestState(SLOTS, WIDE, 1024, DRAFTS, SIZE, CPU)
        made = LogitsProcRequestState.from_request_state(self.state)
        self.processor = Slots(lambda params, prompt: new(params.extra_args["case"], prompt), uncounted, made)
        config = cast(Any, SimpleNamespace(reasoning_config=None))
        self.sampler = Sampler(config, SLOTS, SIZE, CPU, self.state, custom_logits_processors=[self.processor])
        spec: dict[str, Any] = {"num_speculative_tokens": DRAFTS, "enable_adaptive_verification": False}
        spec |= {"rejection_sample_method": "standard"}
        self.verifier = rejection_sampler.RejectionSampler(self.sampler, cast(Any, SimpleNamespace(**spec)), CPU)
        self.buffers = kernels.InputBuffers(SLOTS, 1024, CPU)
        self.names = iter(range(10**6))

    def join(self, reply: Reply) -> None:
        """A new request, or one that was preempted, with its tokens."""
        for ended in [name for name, slot in self.state.req_id_to_index.items() if slot not in self.slots]:
            self.state.remove_request(ended)
        name = str(next(self.names))
        self.state.add_request(name, PROMPT, [0] * PROMPT + reply.ids, 0, WIDE - PROMPT)
        slot = self.state.req_id_to_index[name]
        self.slots[slot] = reply
        self.fresh.add(slot)
        params = SamplingParams(temperature=0, max_tokens=WIDE - PROMPT, extra_args={"case": reply.params})
        self.sampler.add_request(slot, params)

    def step(self) -> None:
        """One step of all requests."""
        self.state.apply_staged_writes()
        self.sampler.apply_staged_writes()
        order = self.random.sample(sorted(self.slots), len(self.slots))
        drafted = {slot: [] if slot in self.fresh else self.draft(slot) for slot in order}
        batch, before = self.prepare(order, drafted), {slot: self.slots[slot].ids for slot in order}
        self.fresh.clear()
        rows = [(slot, place) for slot in order for place in range(1 + len(drafted[slot]))]
        logits = torch.stack([self.slots[slot].logits(before[slot] + drafted[slot][:place]) for slot, place in rows])
        sample = self.verifier if any(drafted.values()) else self.sampler
        rejection_sampler.get_max_chunk_logits = lambda _: self.random.choice((9, 1000))  # in chunks, or at once
        found = sample(logits, batch)
        state = self.state
        buffers = (state.num_computed_tokens.gpu, state.last_sampled_tokens, None, found.sampled_token_ids)
        more = (found.num_sampled, found.num_rejected, batch.query_start_loc, state.all_token_ids.gpu)
        kernels.post_update(batch.idx_mapping, *buffers, *more, state.total_len.gpu)
        for at, slot in enumerate(order):
            self.accepted += int(found.num_sampled[at]) - 1
            self.rejected += int(found.num_rejected[at])
            self.take(slot, state.all_token_ids.gpu[slot, PROMPT : int(state.total_len.gpu[slot])].tolist())

    def take(self, slot: int, ids: list[int]) -> None:
        """The tokens of a reply so far; vLLM's scheduler drops those after its end."""
        reply = self.slots[slot]
        for count in range(len(reply.ids) + 1, len(ids) + 1):
            reply.ids = ids[:count]
            if reply.done:
                break

    def prepare(self, order: list[int], drafted: dict[int, list[int]]) -> Any:
        """The batch of a step, as `GPUModelRunner.prepare_inputs` makes it."""
        state, buffers, count = self.state, self.buffers, len(order)
        computed = [int(state.num_computed_tokens.gpu[slot]) for slot in order]
        prefill = [max(1, int(state.prefill_len.np[slot]) - n) for slot, n in zip(order, computed, strict=True)]
        queries = [n + len(drafted[slot]) for slot, n in zip(order, prefill, strict=True)]
        starts = torch.tensor([0, *accumulate(queries)], dtype=torch.int32)
        logit_starts = torch.tensor([0, *accumulate(1 + len(drafted[s]) for s in order)], dtype=torch.int32)
        for slot in order:
            state.draft_tokens[slot, : len(drafted[slot])] = torch.tensor(drafted[slot], dtype=torch.int64)
        mapping, total = torch.tensor(order), int(logit_starts[-1])
        lengths = (state.prefill_len.gpu, state.num_computed_tokens.gpu)
        given = (buffers.input_ids, state.next_prefill_tokens, mapping, starts, state.all_token_ids.gpu, *lengths)
        kernels.prepare_prefill_inputs(*given)
        kernels.prepare_pos_seq_lens(mapping, starts, lengths[1], buffers.positions, buffers.seq_lens)
        last = (state.last_sampled_tokens, starts, buffers.seq_lens, lengths[0], state.draft_tokens)
        indices = kernels.combine_sampled_and_draft_tokens(buffers.input_ids, mapping, *last, logit_starts, total)
        expanded, local = kernels.expand_idx_mapping(mapping, total, logit_starts, DRAFTS + 1)
        upper = torch.tensor([a + b for a, b in zip(computed, queries, strict=True)], dtype=torch.int32)
        return SimpleNamespace(
            num_reqs=count,
            idx_mapping=mapping,
            idx_mapping_np=np.array(order),
            expanded_idx_mapping=expanded,
            expanded_local_pos=local,
            query_start_loc=starts,
            seq_lens=buffers.seq_lens[:count],
            seq_lens_cpu_upper_bound=upper,
            input_ids=buffers.input_ids,
            positions=buffers.positions,
            logits_indices=indices,
            cu_num_logits=logit_starts,
            cu_num_logits_np=logit_starts.numpy(),
        )


def main() -> None:
    """Compare the replies of several servers with the driver's."""
    different = accepted = rejected = count = 0
    for drafts, right in ((0, 0.0), (1, 0.5), (2, 0.8), (4, 0.9), (8, 0.0), (8, 0.8), (8, 1.0)):
        server, all_of_them = OwnRunner(Random(drafts), drafts, right), replies(30, 40 + drafts)
        ended = server.run(list(all_of_them))
        different += sorted(map(finished, ended)) != sorted(reply.wanted() for reply in all_of_them)
        accepted, rejected, count = accepted + server.accepted, rejected + server.rejected, count + len(ended)
    print(json.dumps({"replies": count, "accepted": accepted, "rejected": rejected, "different_runs": different}))


if __name__ == "__main__":
    main()
