"""A real, small LLaVA from nothing: CLIP vision tower, MLP projector, Llama decoder.

    picture [3, 64, 64] -> CLIP, 4 layers  -> [16, 192]   (CLS dropped)
                        -> MLP projector   -> [16, 192]   the tokens that enter the decoder
    question            -> embeddings      -> [T, 192]
                        -> Llama, 4 layers -> answer

Four million parameters; it loads with `AutoModelForImageTextToText` and `AutoProcessor` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import (
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

IMAGE_SIZE, PATCH_SIZE = 64, 16
WIDTH, HEADS = 192, 6
VISION_LAYERS, VISION_MLP = 4, 768
TEXT_LAYERS, TEXT_MLP = 4, 512
VOCABULARY = 1536
CONTEXT = 256

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% else %} {% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build_tokenizer(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on `corpus`; any other text can be encoded too."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[
            *("<pad>", "<s>", "</s>", "<image>"),
            AddedToken("USER:", rstrip=True),
            AddedToken("ASSISTANT:", lstrip=True),
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
        model_max_length=CONTEXT,
    )


def build_processor(corpus: Iterable[str]) -> LlavaProcessor:
    """Tokenizer, image processor and chat template in one `LlavaProcessor`."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    side = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessor(size={"shortest_edge": IMAGE_SIZE}, crop_size=side)
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(corpus),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: Any, seed: int, **sizes: int) -> LlavaForConditionalGeneration:
    """A randomly initialised model for a tokenizer.

    Args:
        tokenizer: gives vocabulary size and the special tokens.
        seed: seed of the initial weights.
        sizes: overrides of `width`, `heads`, `vision_layers`, `vision_mlp`, `text_layers`,
            `text_mlp`, `image_size`, `patch_size` (tests use smaller models).
    """
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    width, heads = sizes.get("width", WIDTH), sizes.get("heads", HEADS)
    vision = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=sizes.get("vision_mlp", VISION_MLP),
        num_hidden_layers=sizes.get("vision_layers", VISION_LAYERS),
        num_attention_heads=heads,
        image_size=sizes.get("image_size", IMAGE_SIZE),
        patch_size=sizes.get("patch_size", PATCH_SIZE),
        projection_dim=width,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=sizes.get("text_mlp", TEXT_MLP),
        num_hidden_layers=sizes.get("text_layers", TEXT_LAYERS),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    return model
