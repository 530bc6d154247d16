"""Supervised fine-tuning of any model: pre-flight, packing, FSDP2, LoRA, export."""
