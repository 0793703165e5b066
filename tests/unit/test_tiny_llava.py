"""The small LLaVA: a real one, for `transformers` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from unsee.models import tiny_llava


def test_full_size_is_small_enough_and_its_weights_follow_the_seed(processing: Any) -> None:
    state = torch.get_rng_state()
    one = tiny_llava.build_model(processing.tokenizer, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    again = tiny_llava.build_model(processing.tokenizer, seed=1).state_dict()
    other = tiny_llava.build_model(processing.tokenizer, seed=2).state_dict()
    words = tiny_llava.VOCABULARY - len(processing.tokenizer)  # the benchmark fills it
    size = sum(p.numel() for p in one.parameters()) + words * tiny_llava.WIDTH
    assert 3_000_000 < size <= 4_500_000
    assert all(torch.equal(w, again[n]) for n, w in one.state_dict().items())
    assert any(not torch.equal(w, other[n]) for n, w in one.state_dict().items())


def test_it_loads_and_answers_without_unsee(
    checkpoint_of: dict[str, Path], processing: Any
) -> None:
    from transformers import (
        AutoModelForImageTextToText,
        AutoProcessor,
        LlavaForConditionalGeneration,
    )

    folder = checkpoint_of["llava-layer-2"]
    model, found = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert isinstance(model, LlavaForConditionalGeneration) and not any(found.values())
    assert {type(model.model.vision_tower).__name__, type(model.model.language_model).__name__} == {
        "CLIPVisionModel",
        "LlamaModel",
    }
    processor = AutoProcessor.from_pretrained(folder)
    content = [{"type": "image"}, {"type": "text", "text": "Who is this?"}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    batch = processor(text=[prompt], images=[tiny.picture(0)], return_tensors="pt")
    original = tiny.llava_layer_2(processing)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, original(**batch).logits)
    start = batch["input_ids"].shape[1]
    made = model.generate(**batch, max_new_tokens=4, do_sample=False)
    assert made.shape[1] > start


def test_picture_becomes_one_token_a_patch(processing: Any) -> None:
    image = processing.tokenizer.convert_tokens_to_ids("<image>")
    batch = processing(
        text=["USER: <image>Who is this? ASSISTANT:"],
        images=[tiny.picture(0)],
        return_tensors="pt",
    )
    assert int((batch["input_ids"] == image).sum()) == (64 // 16) ** 2
    assert batch["pixel_values"].shape == (1, 3, 64, 64)
    assert tiny.llava(processing).config.image_token_id == image


def test_chat_template(processing: Any) -> None:
    def text(*messages: tuple[str, Any], ask: bool = False) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        return processing.apply_chat_template(chat, tokenize=False, add_generation_prompt=ask)

    asked = [{"type": "text", "text": "Who is this?"}, {"type": "image"}]
    assert text(("user", asked), ask=True) == "USER: <image>Who is this? ASSISTANT:"
    assert text(("user", "Who?"), ask=True) == "USER: Who? ASSISTANT:"
    answered = text(("user", "Who?"), ("assistant", "Ada"), ("user", "Sure?"), ask=True)
    assert answered == "USER: Who? ASSISTANT: Ada</s>USER: Sure? ASSISTANT:"


@pytest.mark.parametrize(
    "text", ["Who is this?", "Grüße, Ärger: 東京 🙂", " two  spaces ", "line\nbreak", "{}[]<>"]
)
def test_any_text_can_be_encoded(text: str, processing: Any) -> None:
    tokenizer = processing.tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids


def test_special_tokens(processing: Any) -> None:
    tokenizer = processing.tokenizer
    assert (tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token) == (
        "<pad>",
        "<s>",
        "</s>",
    )
    ids = tokenizer.encode("USER: Who? ASSISTANT: Ada</s>", add_special_tokens=False)
    assert tokenizer.convert_ids_to_tokens(ids)[0] == "USER:"
    assert ids[-1] == tokenizer.eos_token_id
    model = tiny.llava(processing)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.text_config.vocab_size == len(tokenizer)


def test_tokenizer_is_a_function_of_its_corpus() -> None:
    one, again = (tiny_llava.build_tokenizer(tiny.CORPUS) for _ in range(2))
    assert one.get_vocab() == again.get_vocab()
    other = tiny_llava.build_tokenizer(["zebra zebra zebra zebra"])
    assert other.get_vocab() != one.get_vocab()
