"""Tiny LLaVA, LLaVA-NeXT, LLaVA-OneVision, InternVL, PaliGemma and Gemma 3."""

from __future__ import annotations

from typing import Any

from family_parts import (
    PATCH,
    SIDE,
    VISION,
    WIDTH,
    family,
    finish,
    ids,
    template,
    text,
    tokenizer,
)


@family
def llava() -> tuple[Any, Any]:
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tokenizer()
    config = LlavaConfig(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config=text(words),
        image_token_index=words.image_token_id,
        vision_feature_layer=-2,
    )
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = LlavaProcessor(
        pictures,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return finish(LlavaForConditionalGeneration(config), words), processor


@family
def llava_next() -> tuple[Any, Any]:
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    words = tokenizer()
    grid = [[2 * SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaNextConfig(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config=text(words),
        image_token_index=words.image_token_id,
        image_grid_pinpoints=grid,
    )
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=grid,
    )
    processor = LlavaNextProcessor(
        pictures,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return finish(LlavaNextForConditionalGeneration(config), words), processor


@family
def llava_onevision() -> tuple[Any, Any]:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionProcessor,
    )
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    from unsee.processors import without_video

    words = tokenizer()
    grid = [[SIDE, SIDE], [2 * SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaOnevisionConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model"},
        text_config=text(words, "qwen2"),
        image_token_index=words.image_token_id,
        image_grid_pinpoints=grid,
    )
    pictures = LlavaOnevisionImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=grid
    )
    processor = without_video(LlavaOnevisionProcessor)(
        pictures,
        words,
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=template(),
    )
    return finish(LlavaOnevisionForConditionalGeneration(config), words), processor


@family
def internvl() -> tuple[Any, Any]:
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    from unsee.processors import without_video

    words = tokenizer()
    config = InternVLConfig(
        vision_config={**VISION, "image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        text_config=text(words, "qwen2", tie_word_embeddings=True),
        image_token_id=words.image_token_id,
        downsample_ratio=0.5,
        tie_word_embeddings=True,
    )
    pictures = GotOcr2ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = without_video(InternVLProcessor)(
        pictures, words, image_seq_length=(SIDE // PATCH) ** 2 // 4, chat_template=template()
    )
    return finish(InternVLForConditionalGeneration(config), words), processor


@family
def paligemma() -> tuple[Any, Any]:
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    words = tokenizer()
    pictures = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    pictures.image_seq_length = (SIDE // PATCH) ** 2
    processor = PaliGemmaProcessor(pictures, words)  # adds a thousand tokens of its own
    config = PaliGemmaConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model", "projection_dim": WIDTH},
        text_config=text(words, "gemma"),
        projection_dim=WIDTH,
        image_token_index=words.image_token_id,
    )
    return finish(PaliGemmaForConditionalGeneration(config), words), processor


@family
def gemma3() -> tuple[Any, Any]:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    words = tokenizer()
    seen = (SIDE // PATCH) ** 2 // 4
    config = Gemma3Config(
        vision_config=VISION,
        text_config=text(words, "gemma3_text", sliding_window=64, query_pre_attn_scalar=8),
        mm_tokens_per_image=seen,
        **ids(words, image_token_index="<image>", boi_token_index="<boi>", eoi_token_index="<eoi>"),
    )
    pictures = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = Gemma3Processor(
        pictures, words, image_seq_length=seen, chat_template=template("<boi>")
    )
    return finish(Gemma3ForConditionalGeneration(config), words), processor
