"""A plain Qwen2 with initial attention in its first layer; weights are a function of the seed."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen2ForCausalLM

from tests.train import small
from z1.train.scratch.model import build


def same(one: Qwen2ForCausalLM, other: Qwen2ForCausalLM) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def ids(rows: int = 3, length: int = 48) -> Tensor:
    return torch.randint(3, len(small.tokenizer()), (rows, length), generator=torch.Generator().manual_seed(5))


def test_weights_are_a_function_of_the_seed() -> None:
    first = small.model(1)
    torch.randn(17)
    assert same(first, small.model(1))
    assert not same(first, small.model(2))


@pytest.mark.parametrize(("heads", "key_value_heads", "hidden"), [(2, 1, 32), (4, 2, 64), (4, 4, 128)])
def test_each_head_of_the_first_layer_attends_its_own_distance_back(
    heads: int, key_value_heads: int, hidden: int
) -> None:
    settings = small.model_settings().model_copy(
        update={"heads": heads, "key_value_heads": key_value_heads, "hidden": hidden}
    )
    model = build(settings, len(small.tokenizer()), 3, (0, 2)).eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        (attention,) = model(ids(), output_attentions=True).attentions
    for head in range(heads):
        back = attention[:, head].diagonal(-(head + 1), 1, 2)
        assert back.mean() > 0.8
        assert back.median() > 0.7


def test_only_the_last_head_attends_to_the_nearest_beginning_of_a_line() -> None:
    settings = small.model_settings().model_copy(update={"heads": 4, "key_value_heads": 2, "hidden": 128})
    lines = [5, 9, 13, 40]
    model = build(settings, len(small.tokenizer()), 3, (0, 2), lines).eval()
    model.set_attn_implementation("eager")
    asked, draw = ids(1, 250), Random(7)
    asked[torch.isin(asked, torch.tensor(lines))] = 50
    begins = list(accumulate([0, *(draw.randint(3, 15) for _ in range(15))]))
    asked[0, begins] = torch.tensor([draw.choice(lines) for _ in begins])
    with torch.no_grad():
        (attention,) = model(asked, output_attentions=True).attentions
    inside = range(20, begins[-1])
    nearest = [max(begin for begin in begins if begin <= at) for at in inside]
    assert attention[0, 3, inside, nearest].mean() > 0.85
    for head in range(3):
        assert attention[0, head].diagonal(-(head + 1)).mean() > 0.8


def test_initial_embeddings_are_large() -> None:
    weights = small.model().model.embed_tokens.weight[1:]
    assert 0.09 < weights.std() < 0.11


def test_initial_attention_depends_on_distance_only() -> None:
    model = small.model().eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        (attention,) = model(ids(1, 128), output_attentions=True).attentions
    for head in range(2):
        back = attention[0, head].diagonal(-(head + 1))
        assert torch.allclose(back[20:40].mean(), back[-20:].mean(), atol=0.05)


def test_only_queries_and_keys_of_the_first_layer_have_initial_biases() -> None:
    biases = {name for name, p in small.model(layers=2).named_parameters() if name.endswith("bias") and p.any()}
    assert biases == {f"model.layers.0.self_attn.{name}_proj.bias" for name in "qk"}


def test_embeddings_are_tied() -> None:
    model = small.model()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert "lm_head.weight" not in dict(model.named_parameters())


def test_the_config_follows_the_settings() -> None:
    config = small.model(layers=2).config
    shape = config.vocab_size, config.hidden_size, config.num_hidden_layers, config.max_position_embeddings
    assert shape == (len(small.tokenizer()), 32, 2, 256)
    assert (config.pad_token_id, config.eos_token_id, config.tie_word_embeddings) == (0, 2, True)


def test_a_plain_qwen2_that_loads_from_its_folder_with_the_same_logits(tmp_path: Path) -> None:
    model = small.model(layers=2).eval()
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert "lm_head.weight" not in set(file.keys())
    for loaded in (Qwen2ForCausalLM.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)):
        assert type(loaded) is Qwen2ForCausalLM
        assert loaded.dtype == torch.float32
        assert same(model, loaded)
        with torch.no_grad():
            torch.testing.assert_close(model(ids()).logits, loaded.eval()(ids()).logits)
